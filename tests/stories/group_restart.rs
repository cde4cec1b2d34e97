//! A group restart: the delay is honoured, and until then everything goes on (REQ-008).

use std::time::{Duration, Instant};

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Message, Result, Stopwatch};
use serde_json::json;

use crate::BINARY;

const RESTART: &str = "kryten.lifecycle.group.restart";
const BEAT: &str = "kryten.service.heartbeat.llm";
const SHUTDOWN: &str = "kryten.lifecycle.llm.shutdown";
/// How exactly a delay is kept.
const EXACTLY: Duration = Duration::from_millis(100);
/// What a busy machine may add to that.
const LATE: Duration = Duration::from_secs(2);

/// The one shutdown event, and the exit code that follows it.
async fn end(world: &World, patience: Duration) -> Result<(Message, Exit)> {
    let event = world.recorder.wait_for(SHUTDOWN, patience, |_| true).await?;
    let exit = world.daemon.wait_exit(SOON).await?;
    world.recorder.settle(SOON).await?;
    assert_eq!(world.recorder.all(SHUTDOWN).len(), 1, "one event");
    Ok((event, exit))
}

/// Waits for the moment at which the delay is over and the stop begins. What the stop itself takes
/// behind it is none of the delay's.
async fn delay_over(world: &World) -> Result<Instant> {
    let line =
        world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("the delay is over")).await?;
    Ok(line.at)
}

/// Checks that the stop began when the delay was over, as well as that can be seen behind the end.
async fn delay_is_kept(world: &World, noticed: &Stopwatch, delay: Duration) -> Result {
    let took = noticed.time(delay_over(world).await?);
    assert!(took >= delay && took <= delay + LATE, "{delay:?}: {took:?}");
    Ok(())
}

/// The same to a tenth of a second, of a daemon that waits for its provider, and so lives on while it is looked
/// at.
async fn delay_is_kept_exactly(world: &World, noticed: &Stopwatch, delay: Duration) -> Result {
    let over = delay_over(world).await?;
    let (took, fair) = (noticed.time(over), noticed.fair_time(over));
    assert!(took >= delay && fair <= delay + EXACTLY, "{delay:?}: {took:?}, {fair:?} of them its own");
    world.provider().release();
    Ok(())
}

/// Asks something that is not answered until the provider is released.
async fn is_asked(world: &World, answer: &str) -> Result {
    world.provider().next([Behaviour::Hold(answer.to_owned())]);
    let asked = world.provider().requests().mark();
    world.mention("bob", "a last word?").await?;
    world.provider().wait_for_request(asked, SOON, |_| true).await.map(drop)
}

#[tokio::test]
async fn req_008_the_delay_is_honoured_to_a_tenth_of_a_second_and_reason_and_initiator_are_told() -> Result {
    for delay in [json!(0), json!(0.5), json!(1.7), json!(2)] {
        let expected = Duration::from_secs_f64(delay.as_f64().expect("a number"));
        let notice =
            json!({ "initiator": "ops", "reason": "new build", "delay_seconds": delay, "timestamp": "x" });
        let world = World::of(BINARY).start().await?;
        is_asked(&world, "This I still have to say.").await?;
        let noticed = world.stopwatch();
        world.robot.publish(RESTART, notice).await?;
        delay_is_kept_exactly(&world, &noticed, expected).await?;
        let (event, exit) = end(&world, SOON).await?;
        assert_eq!(exit, Exit::Code(0));
        assert_eq!(event.text("/reason"), "Group restart: new build");
        assert_eq!(event.text("/initiator"), "ops");
        let told = world.daemon.wait_for_lines("group restart is announced", 1).await?;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("ops") && told[0].contains("new build"), "{told:?}");
        let log = world.daemon.log().all();
        assert!(!log.iter().any(|line| line.text.contains("WARN")), "nothing is wrong with it");
    }
    Ok(())
}

#[tokio::test]
async fn req_008_work_and_beats_go_on_during_the_delay() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    let noticed = world.stopwatch();
    world.robot.publish(RESTART, json!({ "reason": "update", "delay_seconds": 3 })).await?;
    let line = world
        .daemon
        .wait_for_log(Mark::START, SOON, |line| line.contains("group restart is announced"))
        .await?;
    let said = world.ask("bob", "do you still answer?").await?;
    assert!(said.at > line.at, "answered behind the notice");
    let polled = world.recorder.mark();
    world.robot.publish("kryten.service.discovery.poll", json!({})).await?;
    world.recorder.wait_since(polled, "kryten.service.discovery", SOON, |_| true).await?;
    let (ready, _) = world.daemon.get("/readyz").await?;
    assert_eq!(ready, 200);
    assert_eq!(world.ledger().await?["sent"], 1);
    delay_is_kept(&world, &noticed, Duration::from_secs(3)).await?;
    let (event, exit) = end(&world, SOON).await?;
    assert_eq!(exit, Exit::Code(0));
    let beats = world.recorder.since(mark, BEAT);
    // One each second, and the last of all.
    assert!(beats.len() >= 3, "{} beats", beats.len());
    for beat in beats {
        assert!(beat.text("/health") == "healthy" && beat.at <= event.at, "{beat}");
    }
    assert_eq!(event.json["responses_sent"], 1);
    Ok(())
}

#[tokio::test]
async fn req_008_of_several_notices_the_earliest_end_wins() -> Result {
    let world = World::of(BINARY).start().await?;
    let notice = |reason: &str, delay: f64| json!({ "reason": reason, "delay_seconds": delay });
    world.robot.publish(RESTART, notice("in an hour", 3600.0)).await?;
    let noticed = world.stopwatch();
    world.robot.publish(RESTART, notice("soon", 1.5)).await?;
    world.robot.publish(RESTART, notice("a little later", 2.0)).await?;
    delay_is_kept(&world, &noticed, Duration::from_millis(1_500)).await?;
    let (event, exit) = end(&world, SOON).await?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(event.text("/reason"), "Group restart: soon");
    let told = world.daemon.wait_for_lines("group restart is announced", 3).await?;
    assert_eq!(told.len(), 3, "each is told");
    Ok(())
}

#[tokio::test]
async fn req_008_a_sigterm_during_the_delay_stops_now() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.publish(RESTART, json!({ "reason": "update", "delay_seconds": 3600 })).await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("group restart is announced")).await?;
    let asked = Instant::now();
    world.daemon.terminate()?;
    let (event, exit) = end(&world, SOON).await?;
    assert_eq!(exit, Exit::Code(0));
    assert!(event.at - asked < LATE, "{:?}", event.at - asked);
    assert_eq!(event.text("/reason"), "SIGTERM");
    assert_eq!(event.json.get("initiator"), None);
    Ok(())
}

#[tokio::test]
async fn req_008_a_delay_that_makes_no_sense_is_five_seconds_with_a_warning() -> Result {
    // With this level equal warnings are not summed up.
    let world = World::of(BINARY).config(json!({ "log_level": "DEBUG" })).start().await?;
    let bodies = [
        r#"{"reason": "no delay"}"#,
        r#"{"delay_seconds": -1}"#,
        r#"{"delay_seconds": 3600.5}"#,
        r#"{"delay_seconds": 1e300}"#,
        r#"{"delay_seconds": "2"}"#,
        r#"{"delay_seconds": null}"#,
        r#"{"delay_seconds": true}"#,
        r#"{"delay_seconds": [0]}"#,
        r#"{"delay_seconds": NaN}"#,
        "",
        "0",
        "[1]",
        "null",
        "\u{0}",
    ];
    is_asked(&world, "This I still have to say.").await?;
    let noticed = world.stopwatch();
    for body in bodies {
        world.robot.publish_raw(RESTART, body).await?;
    }
    let told = world.daemon.wait_for_lines("group restart is announced", bodies.len()).await?;
    assert!(told.iter().all(|line| line.contains("delay_seconds=5.0")), "{told:#?}");
    let warnings = world.daemon.wait_for_lines("delay can't be used", bodies.len()).await?;
    assert_eq!(warnings.len(), bodies.len(), "{warnings:#?}");
    assert!(warnings.iter().all(|line| line.contains("WARN")), "{warnings:#?}");
    delay_is_kept_exactly(&world, &noticed, Duration::from_secs(5)).await?;
    let (event, exit) = end(&world, SOON).await?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(event.text("/reason"), "Group restart: no delay");
    Ok(())
}

#[tokio::test]
async fn req_008_a_notice_without_a_reason_says_so() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.publish(RESTART, json!({ "delay_seconds": 0 })).await?;
    let (event, exit) = end(&world, SOON).await?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(event.text("/reason"), "Group restart: no reason given");
    assert_eq!(event.json.get("initiator"), None);
    Ok(())
}

#[tokio::test]
async fn req_008_a_group_restart_can_be_switched_off() -> Result {
    let world = World::of(BINARY).config(json!({ "group_restart": { "enabled": false } })).start().await?;
    world
        .robot
        .publish(RESTART, json!({ "initiator": "ops", "reason": "update", "delay_seconds": 0 }))
        .await?;
    let told = |line: &str| {
        line.contains("group restart is announced") && line.contains("ops") && line.contains("update")
    };
    world.daemon.wait_for_log(Mark::START, SOON, told).await?;
    // It would have ended long before two more beats.
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    world.ask("bob", "still there?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    world.recorder.none_since(Mark::START, SHUTDOWN).await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn req_008_replies_in_flight_are_said_before_the_restart() -> Result {
    let world = World::of(BINARY).start().await?;
    is_asked(&world, "This I still have to say.").await?;
    world.robot.publish(RESTART, json!({ "reason": "update", "delay_seconds": 0 })).await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("stopping")).await?;
    world.provider().release();
    let (event, exit) = end(&world, SOON).await?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(event.json["responses_sent"], 1);
    assert_eq!(world.robot.says.count(), 1);
    Ok(())
}
