//! Too much of everything, and nonsense of every kind: the daemon lives, beats, and answers.
//!
//! Apart from the other stories, and one after the other: a flood takes the whole machine.

mod rooms;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use kryten_testkit::recorder::Message;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Exit, Result, within};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

/// The daemon under test.
const BINARY: &str = env!("CARGO_BIN_EXE_kryten-llm");

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

/// Held by the flood that has its turn.
static TURN: Mutex<()> = Mutex::const_new(());

/// When the daemon says that it said it.
fn said_at(message: &Message) -> DateTime<Utc> {
    message.text("/timestamp").parse().expect("a time stamp in everything that the daemon says")
}

async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// The daemon answers a sane question, beats, and every reply has come to one end.
async fn is_well(world: &World) -> Result {
    let mark = world.robot.says.mark();
    world.mention("a_friend", "are you still with us?").await?;
    // The subjects have no order among them: what is heard last may be that the robot is away.
    let answered = async {
        loop {
            world.robot.connected(world.robot.first_room()?).await?;
            if world.robot.wait_for_say(mark, Duration::from_secs(1), |_| true).await.is_ok() {
                return Result::Ok(());
            }
        }
    };
    within(SOON, "an answer", answered).await??;
    world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    world.ledger().await?;
    assert_eq!(world.daemon.exited(), None);
    Ok(())
}

#[tokio::test]
async fn edge_case_a_flood_of_polls_is_few_announcements_and_one_warning() -> Result {
    let _turn = turn().await;
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    world.flood(10_000, None, |_| ("kryten.service.discovery.poll".to_owned(), String::new())).await?;
    is_well(&world).await?;
    let announced = world.recorder.since(mark, "kryten.service.discovery");
    assert!(!announced.is_empty());
    for pair in announced.windows(2) {
        let gap = said_at(&pair[1]) - said_at(&pair[0]);
        assert!(gap >= chrono::TimeDelta::milliseconds(249), "two announcements within {gap}");
    }
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert_eq!(world.daemon.wait_for_lines("ten discovery polls", 1).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn no_bytes_on_any_inbound_subject_end_it() -> Result {
    let _turn = turn().await;
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
    let _turn = turn().await;
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
    let _turn = turn().await;
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
    world.flood(3_000, None, |number| ("kryten.lifecycle.group.restart".to_owned(), body(number))).await?;
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
    let _turn = turn().await;
    let world = World::of(BINARY).start().await?;
    let before = world.daemon.resident_bytes()?;
    let room = world.rooms[0].clone();
    let huge = room.envelope("chatmsg", kryten_testkit::chat::line("mallory", &"Cynthia ".repeat(38_000)));
    let huge = huge.to_string();
    world.flood(1_000, None, |_| (room.subject("chatmsg"), huge.clone())).await?;
    // The intake stands still, so that all that is kept is kept at the same time.
    world.robot.chat("bob", "test-hook stall intake 3").await?;
    world.wait_for_health(SOON, |health| health["reason"] == "stalled: intake").await?;
    world.flood(1_000, None, |_| (room.subject("chatmsg"), huge.clone())).await?;
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
async fn a_crowd_of_robot_starts_leaves_it_in_one_piece() -> Result {
    let _turn = turn().await;
    let world = World::of(BINARY).start().await?;
    let cytube = r#"{"target":"CyTube"}"#;
    let notices = [("startup", "{}"), ("disconnected", cytube), ("connected", cytube)];
    world
        .flood(30_000, None, |number| {
            let (event, body) = notices[usize::try_from(number).unwrap_or_default() % notices.len()];
            (format!("kryten.lifecycle.robot.{event}"), body.to_owned())
        })
        .await?;
    is_well(&world).await
}
