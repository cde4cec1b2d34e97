//! A group restart: the delay is honoured, and until then everything goes on (REQ-008).

use std::time::{Duration, Instant};

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Exit, Mark, Message, Result};
use serde_json::{Value, json};

use crate::BINARY;

const RESTART: &str = "kryten.lifecycle.group.restart";
const BEAT: &str = "kryten.service.heartbeat.llm";
const SHUTDOWN: &str = "kryten.lifecycle.llm.shutdown";
/// How exactly a delay is kept.
const EXACTLY: Duration = Duration::from_millis(100);
/// What a busy machine may add to that, now and then.
const LATE: Duration = Duration::from_secs(2);

/// The one shutdown event, and the exit code that follows it.
async fn end(world: &World, patience: Duration) -> Result<(Message, Exit)> {
    let event = world.recorder.wait_for(SHUTDOWN, patience, |_| true).await?;
    let exit = world.daemon.wait_exit(SOON).await?;
    world.recorder.settle(SOON).await?;
    assert_eq!(world.recorder.all(SHUTDOWN).len(), 1, "one event");
    Ok((event, exit))
}

fn log_lines(world: &World, part: &str) -> Vec<String> {
    let lines = world.daemon.log().all().into_iter().map(|line| line.text);
    lines.filter(|line| line.contains(part)).collect()
}

/// Waits for the moment at which the delay is over and the stop begins. What the stop itself takes
/// behind it is none of the delay's.
async fn delay_over(world: &World) -> Result<Instant> {
    let line =
        world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("the delay is over")).await?;
    Ok(line.at)
}

/// Ends a world by a notice; how long it took from the notice to the end of its delay.
async fn restarted_after(notice: Value, patience: Duration) -> Result<(World, Message, Duration)> {
    let world = World::of(BINARY).start().await?;
    let published = Instant::now();
    world.robot.publish(RESTART, notice).await?;
    let took = delay_over(&world).await? - published;
    let (event, exit) = end(&world, patience).await?;
    assert_eq!(exit, Exit::Code(0));
    Ok((world, event, took))
}

#[tokio::test]
async fn req_008_the_delay_is_honoured_to_a_tenth_of_a_second_and_reason_and_initiator_are_told() -> Result {
    for delay in [json!(0), json!(0.5), json!(1.7), json!(2)] {
        let expected = Duration::from_secs_f64(delay.as_f64().expect("a number"));
        let notice =
            json!({ "initiator": "ops", "reason": "new build", "delay_seconds": delay, "timestamp": "x" });
        let (mut world, mut event, mut took) = restarted_after(notice.clone(), SOON).await?;
        // A machine that is busy makes it late; it would have to be so each time.
        for _ in 0..4 {
            assert!(took >= expected && took <= expected + LATE, "{delay}: {took:?}");
            if took > expected + EXACTLY {
                (world, event, took) = restarted_after(notice.clone(), SOON).await?;
            }
        }
        assert!(took >= expected && took <= expected + EXACTLY, "{delay}: {took:?}");
        assert_eq!(event.text("/reason"), "Group restart: new build");
        assert_eq!(event.text("/initiator"), "ops");
        let told = log_lines(&world, "group restart is announced");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("ops") && told[0].contains("new build"), "{told:?}");
        assert_eq!(log_lines(&world, "WARN").len(), 0, "nothing is wrong with it");
    }
    Ok(())
}

#[tokio::test]
async fn req_008_work_and_beats_go_on_during_the_delay() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    let published = Instant::now();
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
    let (event, exit) = end(&world, SOON).await?;
    assert_eq!(exit, Exit::Code(0));
    let took = delay_over(&world).await? - published;
    assert!(took >= Duration::from_secs(3) && took <= Duration::from_secs(3) + LATE, "{took:?}");
    let beats = world.recorder.since(mark, BEAT);
    // One each second, and the last of all.
    assert!(beats.len() >= 3, "{} beats", beats.len());
    assert!(beats.iter().all(|beat| beat.text("/health") == "healthy" && beat.at <= event.at));
    assert_eq!(event.json["responses_sent"], 1);
    Ok(())
}

#[tokio::test]
async fn req_008_of_several_notices_the_earliest_end_wins() -> Result {
    let world = World::of(BINARY).start().await?;
    let notice = |reason: &str, delay: f64| json!({ "reason": reason, "delay_seconds": delay });
    world.robot.publish(RESTART, notice("in an hour", 3600.0)).await?;
    let published = Instant::now();
    world.robot.publish(RESTART, notice("soon", 1.5)).await?;
    world.robot.publish(RESTART, notice("a little later", 2.0)).await?;
    let (event, exit) = end(&world, SOON).await?;
    assert_eq!(exit, Exit::Code(0));
    let (took, expected) = (delay_over(&world).await? - published, Duration::from_millis(1_500));
    assert!(took >= expected && took <= expected + LATE, "{took:?}");
    assert_eq!(event.text("/reason"), "Group restart: soon");
    assert_eq!(log_lines(&world, "group restart is announced").len(), 3, "each is told");
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
    let published = Instant::now();
    for body in bodies {
        world.robot.publish_raw(RESTART, body).await?;
    }
    let mut told = 0;
    let announced = |line: &str| {
        told +=
            usize::from(line.contains("group restart is announced") && line.contains("delay_seconds=5.0"));
        told == bodies.len()
    };
    world.daemon.wait_for_log(Mark::START, SOON, announced).await?;
    let warnings = log_lines(&world, "delay can't be used");
    assert_eq!(warnings.len(), bodies.len(), "{warnings:#?}");
    assert!(warnings.iter().all(|line| line.contains("WARN")), "{warnings:#?}");
    let (event, exit) = end(&world, SOON).await?;
    assert_eq!(exit, Exit::Code(0));
    let (took, expected) = (delay_over(&world).await? - published, Duration::from_secs(5));
    assert!(took >= expected && took <= expected + EXACTLY, "{took:?}");
    assert_eq!(event.text("/reason"), "Group restart: no delay");
    Ok(())
}

#[tokio::test]
async fn req_008_a_notice_without_a_reason_says_so() -> Result {
    let (_, event, _) = restarted_after(json!({ "delay_seconds": 0 }), SOON).await?;
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
    world.provider().next([kryten_testkit::Behaviour::Hold("This I still have to say.".to_owned())]);
    let asked = world.provider().requests().mark();
    world.mention("bob", "a last word?").await?;
    world.provider().wait_for_request(asked, SOON, |_| true).await?;
    world.robot.publish(RESTART, json!({ "reason": "update", "delay_seconds": 0 })).await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("stopping")).await?;
    world.provider().release();
    let (event, exit) = end(&world, SOON).await?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(event.json["responses_sent"], 1);
    assert_eq!(world.robot.says.count(), 1);
    Ok(())
}
