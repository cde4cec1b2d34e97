//! Too much of everything, and nonsense of every kind: the daemon lives, beats, and answers.

use std::time::{Duration, Instant};

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Exit, Result, Room};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::BINARY;
use crate::flood::flood;

/// Every subject that the daemon listens to.
const INBOUND: [&str; 8] = [
    "kryten.events.cytube.lounge.chatmsg",
    "kryten.events.cytube.lounge.changemedia",
    "kryten.service.discovery.poll",
    "kryten.lifecycle.robot.startup",
    "kryten.lifecycle.robot.connected",
    "kryten.lifecycle.robot.disconnected",
    "kryten.lifecycle.group.restart",
    "kryten.service.heartbeat.llm",
];
const MEBIBYTE: u64 = 1 << 20;

/// The daemon answers a sane question, beats, and every reply has come to one end.
async fn is_well(world: &World) -> Result {
    world.robot.connected(world.robot.first_room()?).await?;
    world.ask("a_friend", "are you still with us?").await?;
    world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    world.ledger().await?;
    assert_eq!(world.daemon.exited(), None);
    Ok(())
}

#[tokio::test]
async fn edge_case_a_flood_of_polls_is_few_announcements_and_one_warning() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    flood(&world, 10_000, |_| ("kryten.service.discovery.poll".to_owned(), String::new())).await?;
    is_well(&world).await?;
    let announced = world.recorder.since(mark, "kryten.service.discovery");
    assert!(!announced.is_empty());
    for pair in announced.windows(2) {
        let gap = pair[1].wall - pair[0].wall;
        assert!(gap >= chrono::TimeDelta::milliseconds(230), "two announcements within {gap}");
    }
    let warnings = world.daemon.log().all();
    assert_eq!(warnings.iter().filter(|line| line.text.contains("ten discovery polls")).count(), 1);
    Ok(())
}

#[tokio::test]
async fn no_bytes_on_any_inbound_subject_end_it() -> Result {
    // What a group restart does to it is told below.
    let world = World::of(BINARY).config(json!({ "group_restart": { "enabled": false } })).start().await?;
    let before = world.daemon.resident_bytes()?;
    let mut runner = TestRunner::default();
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        Just(format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)).into_bytes()),
        Just(br#"{"payload":{"user":{"name":7},"msg":[],"time":1e999}}"#.to_vec()),
        Just(br#"{"payload":{"username":"x","msg":"Cynthia","time":-9e18},"timestamp":"+999999-01-01T00:00:00Z"}"#.to_vec()),
        Just(br#"{"instance_id":{},"target":"CyTube","domain":[],"channel":7}"#.to_vec()),
        Just(vec![b'x'; 300_000]),
        "\\PC{0,200}".prop_map(String::into_bytes),
    ];
    for _ in 0..300 {
        for subject in INBOUND {
            let body = bytes.new_tree(&mut runner).expect("bytes").current();
            world.robot.publish_raw(subject, body).await?;
        }
    }
    is_well(&world).await?;
    let grown = world.daemon.resident_bytes()?.saturating_sub(before);
    assert!(grown < 64 * MEBIBYTE, "grown by {} MiB", grown / MEBIBYTE);
    Ok(())
}

#[tokio::test]
async fn nonsense_as_group_restart_is_five_seconds_and_a_warning() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.daemon.log().mark();
    world.robot.publish_raw("kryten.lifecycle.group.restart", vec![0xff, 0x00, b'{']).await?;
    world.daemon.wait_for_log(mark, SOON, |line| line.contains("waiting 5 seconds")).await?;
    let bye = world.recorder.wait_for("kryten.lifecycle.*.shutdown", SOON, |_| true).await?;
    assert!(bye.text("/reason").starts_with("Group restart: "));
    Ok(())
}

#[tokio::test]
async fn absurd_group_restarts_without_end_are_one_end_five_seconds_later() -> Result {
    let world = World::of(BINARY).start().await?;
    let bodies = [
        String::new(),
        "[]".to_owned(),
        r#"{"delay_seconds":1e308}"#.to_owned(),
        r#"{"delay_seconds":-1}"#.to_owned(),
        r#"{"delay_seconds":"soon","reason":{},"initiator":[1,2]}"#.to_owned(),
        json!({ "reason": "x".repeat(20_000), "initiator": "y".repeat(20_000) }).to_string(),
    ];
    let began = Instant::now();
    let body = |number: u64| bodies[usize::try_from(number).unwrap_or_default() % bodies.len()].clone();
    flood(&world, 3_000, |number| ("kryten.lifecycle.group.restart".to_owned(), body(number))).await?;
    world.ask("a_friend", "are you still with us?").await?;
    let ledger = world.ledger().await?;
    assert_eq!(ledger["sent"], 1, "{ledger}");
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(8), "ended after {took:?}");
    let farewells = world.recorder.all("kryten.lifecycle.llm.shutdown");
    assert_eq!(farewells.len(), 1);
    assert!(farewells[0].bytes.len() < 2_000, "a farewell of {} bytes", farewells[0].bytes.len());
    Ok(())
}

#[tokio::test]
async fn huge_events_are_dropped_unread_and_cost_no_memory() -> Result {
    let world = World::of(BINARY).start().await?;
    let before = world.daemon.resident_bytes()?;
    let room = world.rooms[0].clone();
    let huge = room.envelope("chatmsg", kryten_testkit::chat::line("mallory", &"Cynthia ".repeat(38_000)));
    let huge = huge.to_string();
    flood(&world, 1_000, |_| (room.subject("chatmsg"), huge.clone())).await?;
    // The intake stands still, so that all that is kept is kept at the same time.
    world.robot.chat("bob", "test-hook stall intake 3").await?;
    world.wait_for_health(SOON, |health| health["reason"] == "stalled: intake").await?;
    flood(&world, 1_000, |_| (room.subject("chatmsg"), huge.clone())).await?;
    let peak = world.daemon.resident_bytes()?;
    world.wait_until("healthy", SOON).await?;
    is_well(&world).await?;
    let health = world.daemon.health().await?;
    assert_eq!(health["malformed"]["too_large"], 2_000, "{health}");
    assert_eq!(health["trigger_fires"], 1, "{health}");
    let grown = peak.max(world.daemon.resident_bytes()?).saturating_sub(before) / MEBIBYTE;
    println!("2,000 events of 300 KB: grown by {grown} MiB");
    assert!(grown < 64, "grown by {grown} MiB");
    Ok(())
}

#[tokio::test]
async fn ten_thousand_lines_a_second_in_one_room_leave_another_rooms_mention_alone() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Attic")];
    let world = World::of(BINARY).rooms(rooms.clone()).start().await?;
    let lines: Vec<String> = (0..20_000)
        .map(|number| {
            let user = format!("user{}", number % 500);
            let line = kryten_testkit::chat::line(&user, &format!("line {number}"));
            rooms[0].envelope("chatmsg", line).to_string()
        })
        .collect();
    let began = Instant::now();
    let flooding = flood(&world, 20_000, |number| {
        (rooms[0].subject("chatmsg"), lines[usize::try_from(number).unwrap_or_default()].clone())
    });
    let question = async {
        // In the middle of it.
        let busy = |health: &Value| health["messages_processed"].as_u64() > Some(1_000);
        world.wait_for_health(SOON, busy).await?;
        let (asked, mark) = (Instant::now(), world.robot.says.mark());
        world.robot.chat_in(&rooms[1], "bob", "Cynthia, is it quiet here?").await?;
        let said = world.robot.wait_for_say(mark, SOON, |said| said.room == rooms[1]).await?;
        Ok(said.at - asked)
    };
    let (flooded, answered) = tokio::try_join!(async { flooding.await.map(|()| began.elapsed()) }, question)?;
    println!("20,000 lines in {flooded:?}; another room's mention answered after {answered:?}");
    assert!(answered < Duration::from_secs(2), "answered after {answered:?}");
    let seen = |health: &Value| health["messages_processed"].as_u64() >= Some(20_001);
    world.wait_for_health(SOON, seen).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["fired"]), (&json!(1), &json!(1)), "{ledger}");
    let mark = world.recorder.mark();
    world.wait_for_beat(mark, SOON, |beat| beat.text("/health") != "failing").await?;
    assert!(world.daemon.resident_bytes()? < 200 * MEBIBYTE);
    Ok(())
}

#[tokio::test]
async fn a_crowd_of_robot_starts_leaves_it_in_one_piece() -> Result {
    let world = World::of(BINARY).start().await?;
    let cytube = r#"{"target":"CyTube"}"#;
    let notices = [("startup", "{}"), ("disconnected", cytube), ("connected", cytube)];
    flood(&world, 30_000, |number| {
        let (event, body) = notices[usize::try_from(number).unwrap_or_default() % notices.len()];
        (format!("kryten.lifecycle.robot.{event}"), body.to_owned())
    })
    .await?;
    // Three subjects have no order among them: all of it has been heard before the last word.
    let mark = world.recorder.mark();
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    is_well(&world).await?;
    let healthy = |beat: &kryten_testkit::recorder::Message| beat.text("/health") == "healthy";
    world.wait_for_beat(mark, SOON, healthy).await?;
    Ok(())
}
