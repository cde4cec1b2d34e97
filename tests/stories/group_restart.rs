//! The group is restarted: when we go, and when we don't (REQ-008).

use std::time::{Duration, Instant};

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Exit, Mark, Message, Result};
use serde_json::{Value, json};

use crate::BINARY;

const NOTICE: &str = "kryten.lifecycle.group.restart";
const SHUTDOWN: &str = "kryten.lifecycle.llm.shutdown";

/// A notice with any body; gives the moment of its arrival at a second client.
async fn notice(world: &World, body: impl Into<Vec<u8>>) -> Result<Instant> {
    let mark = world.recorder.mark();
    world.robot.publish_raw(NOTICE, body).await?;
    Ok(world.recorder.wait_since(mark, NOTICE, SOON, |_| true).await?.at)
}

async fn restart(world: &World, body: Value) -> Result<Instant> {
    notice(world, body.to_string()).await
}

/// Waits until the daemon begins to stop, which is `delay` seconds after `told`, to 100 ms.
async fn stops_after(world: &World, told: Instant, delay: f64) -> Result {
    let line = world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("INFO stopping")).await?;
    let off = line.at.duration_since(told).as_secs_f64() - delay;
    assert!(off.abs() <= 0.1, "{off} s from the {delay} s of the notice");
    Ok(())
}

/// Waits until the daemon has gone in good order, and gives its one farewell.
async fn farewell(world: &World) -> Result<Message> {
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    world.recorder.settle(SOON).await?;
    let mut farewells = world.recorder.all(SHUTDOWN);
    assert_eq!(farewells.len(), 1, "{farewells:?}");
    Ok(farewells.remove(0))
}

fn lines(world: &World, text: &str) -> Vec<String> {
    let lines = world.daemon.log().all().into_iter().map(|line| line.text);
    lines.filter(|line| line.contains(text)).collect()
}

#[tokio::test]
async fn req_008_the_delay_is_honoured_and_work_and_beats_go_on_meanwhile() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    let told =
        restart(&world, json!({ "initiator": "admin", "reason": "new version", "delay_seconds": 2.5 }))
            .await?;
    world.ask("bob", "a last question?").await?;
    world.wait_for_beat(mark, SOON, |_| true).await?;
    world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    assert_eq!(world.daemon.get("/readyz").await?.0, 200, "not stopping yet");
    stops_after(&world, told, 2.5).await?;
    let bye = farewell(&world).await?;
    assert_eq!(bye.text("/reason"), "Group restart: new version");
    assert_eq!(bye.text("/initiator"), "admin");
    assert_eq!(bye.json["responses_sent"], 1);
    let announced = lines(&world, "a group restart is announced");
    assert_eq!(announced.len(), 1);
    for words in ["initiator=\"admin\"", "reason=\"new version\"", "delay_seconds=2.5"] {
        assert!(announced[0].contains(words), "{words}: {announced:?}");
    }
    Ok(())
}

#[tokio::test]
async fn req_008_without_a_delay_to_wait_for_we_go_at_once() -> Result {
    let world = World::of(BINARY).start().await?;
    let told = restart(&world, json!({ "reason": "now", "delay_seconds": 0 })).await?;
    stops_after(&world, told, 0.0).await?;
    let bye = farewell(&world).await?;
    assert_eq!(bye.text("/reason"), "Group restart: now");
    assert_eq!(bye.json.get("initiator"), None, "nobody said who");
    Ok(())
}

#[tokio::test]
async fn req_008_of_several_notices_the_earliest_end_wins() -> Result {
    let world = World::of(BINARY).start().await?;
    restart(&world, json!({ "initiator": "a", "reason": "one day", "delay_seconds": 3600 })).await?;
    let told = restart(&world, json!({ "initiator": "b", "reason": "soon", "delay_seconds": 1.5 })).await?;
    restart(&world, json!({ "initiator": "c", "reason": "later", "delay_seconds": 60 })).await?;
    stops_after(&world, told, 1.5).await?;
    let bye = farewell(&world).await?;
    assert_eq!((bye.text("/reason"), bye.text("/initiator")), ("Group restart: soon", "b"));
    Ok(())
}

#[tokio::test]
async fn req_008_sigterm_meanwhile_stops_now_and_under_its_own_name() -> Result {
    let world = World::of(BINARY).start().await?;
    restart(&world, json!({ "reason": "one day", "delay_seconds": 600 })).await?;
    world
        .daemon
        .wait_for_log(Mark::START, SOON, |line| line.contains("a group restart is announced"))
        .await?;
    let asked = Instant::now();
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert!(asked.elapsed() < Duration::from_millis(1_500), "{:?}", asked.elapsed());
    let bye = farewell(&world).await?;
    assert_eq!(bye.text("/reason"), "SIGTERM");
    assert_eq!(bye.json.get("initiator"), None);
    Ok(())
}

#[tokio::test]
async fn req_008_a_delay_that_is_none_is_five_seconds_with_a_warning() -> Result {
    let world = World::of(BINARY).start().await?;
    let bodies: [&[u8]; 10] = [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        br#"{"delay_seconds": -1}"#,
        br#"{"delay_seconds": 3601}"#,
        br#"{"delay_seconds": 1e400}"#,
        br#"{"delay_seconds": "1"}"#,
        br#"{"delay_seconds": true}"#,
        br#"{"delay_seconds": null, "initiator": 7, "reason": ["x"]}"#,
    ];
    let told = notice(&world, bodies[0]).await?;
    for body in &bodies[1..] {
        notice(&world, *body).await?;
    }
    stops_after(&world, told, 5.0).await?;
    assert_eq!(farewell(&world).await?.text("/reason"), "Group restart: no reason given");
    let warnings = lines(&world, "the group restart's delay can't be used");
    assert_eq!(warnings.len(), bodies.len(), "{warnings:#?}");
    assert!(warnings.iter().all(|line| line.contains("WARN") && line.contains("waiting 5 seconds")));
    assert_eq!(lines(&world, "delay_seconds=5.0").len(), bodies.len());
    Ok(())
}

#[tokio::test]
async fn req_008_whoever_is_not_to_take_part_stays() -> Result {
    let world = World::of(BINARY).config(json!({ "group_restart": { "enabled": false } })).start().await?;
    restart(&world, json!({ "initiator": "admin", "reason": "new version", "delay_seconds": 0 })).await?;
    notice(&world, "nonsense").await?;
    let heard = |line: &str| {
        line.contains("so we stay") && line.contains("\"admin\"") && line.contains("new version")
    };
    world.daemon.wait_for_log(Mark::START, SOON, heard).await?;
    // Two beats later it would be gone.
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    world.ask("bob", "still there?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert_eq!(farewell(&world).await?.text("/reason"), "SIGTERM");
    Ok(())
}
