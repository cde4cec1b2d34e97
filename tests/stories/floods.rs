//! Too much of everything, and nonsense of every kind: the daemon lives, beats, and answers.

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Mark, Result};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::BINARY;

/// Every subject that the daemon listens to.
const INBOUND: [&str; 7] = [
    "kryten.events.cytube.lounge.chatmsg",
    "kryten.events.cytube.lounge.changemedia",
    "kryten.service.discovery.poll",
    "kryten.lifecycle.robot.startup",
    "kryten.lifecycle.robot.connected",
    "kryten.lifecycle.robot.disconnected",
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
    for _ in 0..10_000 {
        world.robot.publish_raw("kryten.service.discovery.poll", "").await?;
    }
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
    let world = World::of(BINARY).start().await?;
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
async fn a_flood_in_one_room_leaves_another_rooms_mention_alone() -> Result {
    let rooms =
        [kryten_testkit::Room::new("cytu.be", "Lounge"), kryten_testkit::Room::new("cytu.be", "Attic")];
    let world = World::of(BINARY).rooms(rooms.clone()).start().await?;
    let flood = async {
        for number in 0..20_000_u32 {
            let payload = json!({"username": format!("user{}", number % 500), "msg": format!("line {number}"), "time": 0});
            world.robot.event(&rooms[0], "chatmsg", payload).await?;
        }
        Result::Ok(())
    };
    let question = async {
        let mark = world.robot.says.mark();
        world.robot.chat_in(&rooms[1], "bob", "Cynthia, is it quiet here?").await?;
        world.robot.wait_for_say(mark, SOON, |said| said.room == rooms[1]).await
    };
    let (flooded, answered) = tokio::join!(flood, question);
    flooded?;
    answered?;
    assert_eq!(world.ledger().await?["sent"], 1);
    let mark = world.recorder.mark();
    world.wait_for_beat(mark, SOON, |beat| beat.text("/health") != "failing").await?;
    assert!(world.daemon.resident_bytes()? < 200 * MEBIBYTE);
    Ok(())
}

#[tokio::test]
async fn a_crowd_of_robot_starts_leaves_it_in_one_piece() -> Result {
    let world = World::of(BINARY).start().await?;
    for _ in 0..2_000 {
        world.robot.publish_raw("kryten.lifecycle.robot.startup", "{}").await?;
        world.robot.publish_raw("kryten.lifecycle.robot.disconnected", r#"{"target":"CyTube"}"#).await?;
        world.robot.publish_raw("kryten.lifecycle.robot.connected", r#"{"target":"CyTube"}"#).await?;
    }
    is_well(&world).await?;
    let healthy = |beat: &kryten_testkit::recorder::Message| beat.text("/health") == "healthy";
    world.wait_for_beat(Mark::START, SOON, healthy).await?;
    Ok(())
}
