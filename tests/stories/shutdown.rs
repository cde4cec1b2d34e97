//! Going down: what is in hand is finished, what can't be finished is counted, and one farewell
//! says so (REQ-007).

use std::time::{Duration, Instant};

use kryten_testkit::config;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Exit, Launch, Mark, Message, Provider, Result, Room, ports};
use serde_json::{Value, json};

use crate::BINARY;
use crate::shape::assert_like;

const BEAT: &str = "kryten.service.heartbeat.llm";
const SHUTDOWN: &str = "kryten.lifecycle.llm.shutdown";
const LATE: &str = "Sorry, I had to think about that for a while.";

/// A world whose provider has just been asked, and holds its answer back.
async fn mid_call(changes: Value) -> Result<World> {
    let world = World::of(BINARY).config(changes).proxied().start().await?;
    world.ask_and_hold("bob", "what do you think?", LATE).await?;
    Ok(world)
}

async fn stopping(world: &World) -> Result {
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("stopping")).await.map(drop)
}

/// The end of a daemon that can reach NATS: its exit, and the one shutdown event, the very last
/// thing that it said, behind its last beat.
async fn end(world: &World) -> Result<(Exit, Message)> {
    let exit = world.daemon.wait_exit(SOON).await?;
    world.recorder.settle(SOON).await?;
    let events = world.recorder.all(SHUTDOWN);
    assert_eq!(events.len(), 1, "one event");
    let ours = ["kryten.lifecycle.llm.", "kryten.service.discovery", "kryten.service.heartbeat."];
    let said: Vec<Message> = world
        .recorder
        .all(">")
        .into_iter()
        .filter(|message| {
            message.text("/service") == "llm" && ours.iter().any(|own| message.subject.starts_with(own))
        })
        .collect();
    let subjects: Vec<&str> = said.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(subjects.last(), Some(&SHUTDOWN));
    assert_eq!(
        subjects[..subjects.len() - 1].last(),
        Some(&"kryten.lifecycle.llm.heartbeat"),
        "{subjects:?}"
    );
    Ok((exit, events[0].clone()))
}

#[tokio::test]
async fn req_007_a_sigterm_ends_it_with_one_event_that_has_the_final_figures() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.chat("ann", "hello everybody").await?;
    world.ask("bob", "are you leaving?").await?;
    world.provider().next([Behaviour::Status(500, "{}".to_owned())]);
    world.mention("bob", "and now?").await?;
    // Not the ledger alone: it also adds up before the second mention has come in.
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == 1).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    // The echo of our line, too.
    world.wait_for_health(SOON, |health| health["messages_processed"] == 4).await?;
    let asked = Instant::now();
    world.daemon.terminate()?;
    let (exit, event) = end(&world).await?;
    assert_eq!(exit, Exit::Code(0));
    assert!(event.at - asked < Duration::from_secs(5), "nothing to wait for: {:?}", event.at - asked);
    assert_like("shutdown.json", &event, &[]);
    assert_eq!(event.text("/event"), "shutdown");
    assert_eq!(event.text("/reason"), "SIGTERM");
    for figures in [&event.json, &event.json["metrics"]] {
        assert_eq!(figures["messages_processed"], 4, "{event}");
        assert_eq!(figures["responses_sent"], 1, "{event}");
    }
    assert_eq!(event.json["metrics"]["errors"], 1);
    assert_eq!(event.json["metrics"]["replies_abandoned"], 0);
    assert_eq!(event.json["metrics"]["replies_in_doubt"], 0);
    assert_eq!(event.json["metrics"]["uptime_seconds"], event.json["uptime_seconds"]);
    // One failure was told; a stop in good order is no outage of NATS and cuts nothing off.
    let lines = world.daemon.log().all();
    for words in ["NATS is away", "cut off", "cuts off"] {
        assert!(!lines.iter().any(|line| line.text.contains(words)), "{words}");
    }
    Ok(())
}

#[tokio::test]
async fn req_007_a_sigint_is_told_as_such() -> Result {
    let world = World::of(BINARY).start().await?;
    world.daemon.interrupt()?;
    let (exit, event) = end(&world).await?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(event.text("/reason"), "SIGINT");
    Ok(())
}

#[tokio::test]
async fn req_007_a_sighup_is_no_reason_to_stop() -> Result {
    let world = World::of(BINARY).start().await?;
    world.daemon.hang_up()?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("SIGHUP")).await?;
    world.ask("bob", "still there?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    world.recorder.none_since(Mark::START, SHUTDOWN).await
}

#[tokio::test]
async fn req_007_edge_case_shutdown_during_a_call_waits_for_the_answer_and_says_it() -> Result {
    let world = World::of(BINARY).start().await?;
    let takes = Duration::from_secs(2);
    world.provider().next([Behaviour::AnswerAfter(takes, LATE.to_owned())]);
    let mark = world.provider().requests().mark();
    world.mention("bob", "what do you think?").await?;
    world.provider().wait_for_request(mark, SOON, |_| true).await?;
    let asked = Instant::now();
    world.daemon.terminate()?;
    let said = world.robot.wait_for_say(Mark::START, SOON, |_| true).await?;
    assert_eq!(said.text, LATE);
    assert!(said.at > asked, "said during the stop");
    let (exit, event) = end(&world).await?;
    assert_eq!(exit, Exit::Code(0));
    assert!(event.at > said.at);
    assert_eq!(event.json["responses_sent"], 1);
    assert_eq!(event.json["metrics"]["replies_abandoned"], 0);
    Ok(())
}

#[tokio::test]
async fn req_007_during_the_drain_polls_and_beats_go_on_but_no_chat_is_taken() -> Result {
    let world = mid_call(json!({})).await?;
    let before = world.daemon.health().await?["messages_processed"].clone();
    world.daemon.terminate()?;
    stopping(&world).await?;
    let mark = world.recorder.mark();
    world.mention("carl", "and what about me?").await?;
    world.robot.publish("kryten.service.discovery.poll", json!({})).await?;
    world.recorder.wait_since(mark, "kryten.service.discovery", SOON, |_| true).await?;
    for _ in 0..2 {
        let beat = world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
        assert_eq!(beat.json["status"]["messages_processed"], before, "{beat}");
        assert_eq!(beat.text("/health"), "healthy");
    }
    assert_eq!(world.provider().requests().count(), 1, "nobody asked for carl");
    world.provider().release();
    let (exit, event) = end(&world).await?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(event.json["messages_processed"], before);
    assert_eq!(event.json["responses_sent"], 1);
    Ok(())
}

#[tokio::test]
async fn req_007_the_deadline_cuts_off_what_hangs_and_says_so() -> Result {
    let changes = json!({ "service_metadata": { "graceful_shutdown_timeout_seconds": 5 } });
    let world = World::of(BINARY).config(changes).start().await?;
    world.provider().always(Behaviour::Hang);
    let mark = world.provider().requests().mark();
    world.mention("bob", "what do you think?").await?;
    world.provider().wait_for_request(mark, SOON, |_| true).await?;
    let asked = Instant::now();
    world.daemon.terminate()?;
    let (exit, event) = end(&world).await?;
    let took = asked.elapsed();
    assert_eq!(exit, Exit::Code(124));
    assert!(took > Duration::from_secs(3) && took < Duration::from_millis(5_100), "{took:?}");
    assert_eq!(event.json["metrics"]["replies_abandoned"], 1, "{event}");
    assert_eq!(event.json["metrics"]["errors"], 1, "{event}");
    let told = |line: &str| line.contains("stopped") && line.contains("replies_abandoned=1");
    world.daemon.wait_for_log(Mark::START, SOON, told).await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("the deadline cuts off")).await?;
    assert_eq!(world.robot.says.count(), 0);
    Ok(())
}

#[tokio::test]
async fn req_007_a_second_signal_ends_it_at_once() -> Result {
    let world = mid_call(json!({})).await?;
    world.daemon.terminate()?;
    stopping(&world).await?;
    let asked = Instant::now();
    world.daemon.interrupt()?;
    let (exit, event) = end(&world).await?;
    assert_eq!(exit, Exit::Code(124));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(event.text("/reason"), "SIGTERM", "the first reason stays");
    assert_eq!(event.json["metrics"]["replies_abandoned"], 1);
    Ok(())
}

#[tokio::test]
async fn req_007_a_second_signal_does_not_wait_for_a_stalled_loop_either() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.chat("bob", "test-hook stall decider 15").await?;
    world.wait_until("failing", SOON).await?;
    world.daemon.terminate()?;
    stopping(&world).await?;
    let asked = Instant::now();
    world.daemon.terminate()?;
    // Half a second for what was given up, and a beat that nobody in the decider answers for.
    let exit = world.daemon.wait_exit(SOON).await?;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(exit, Exit::Code(0), "there was no reply in hand");
    world
        .daemon
        .wait_for_log(Mark::START, SOON, |line| line.contains("cut off") && line.contains("decider"))
        .await?;
    world.recorder.settle(SOON).await?;
    assert_eq!(world.recorder.all(SHUTDOWN).len(), 1);
    Ok(())
}

#[tokio::test]
async fn req_007_what_is_still_queued_is_refused_and_counted() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.chat("bob", "test-hook stall decider 3").await?;
    for user in ["ann", "carl", "dora"] {
        world.mention(user, "what do you think?").await?;
    }
    world.wait_for_health(SOON, |health| health["messages_processed"] == 4).await?;
    world.daemon.terminate()?;
    let refused = |line: &str| line.contains("still queued") && line.contains("messages=3");
    world.daemon.wait_for_log(Mark::START, SOON, refused).await?;
    let (exit, event) = end(&world).await?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(event.json["messages_processed"], 4);
    assert_eq!(event.json["metrics"]["replies_abandoned"], 0, "none was begun");
    assert_eq!(world.provider().requests().count(), 0);
    Ok(())
}

#[tokio::test]
async fn req_007_what_was_not_read_yet_is_counted_too() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.chat("bob", "test-hook stall intake 3").await?;
    world.wait_until("failing", SOON).await?;
    for user in ["ann", "carl", "dora"] {
        world.mention(user, "what do you think?").await?;
    }
    // Whatever the robot said before has reached the daemon, too.
    let mark = world.recorder.mark();
    world.robot.publish("kryten.service.discovery.poll", json!({})).await?;
    world.recorder.wait_since(mark, "kryten.service.discovery", SOON, |_| true).await?;
    world.daemon.terminate()?;
    let refused = |line: &str| line.contains("not read yet") && line.contains("messages=3");
    world.daemon.wait_for_log(Mark::START, SOON, refused).await?;
    let (exit, event) = end(&world).await?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(event.json["messages_processed"], 4);
    Ok(())
}

#[tokio::test]
async fn req_007_a_sigterm_before_nats_is_up_hopes_for_two_seconds_and_is_no_failure() -> Result {
    let provider = Provider::start().await?;
    let server = kryten_testkit::nats::Server::start().await?;
    let mut config = config::base(&server, &[Room::new("cytu.be", "Lounge")], &[provider]);
    let nobody = ports::free()?;
    config["nats"] = json!({ "servers": [format!("nats://127.0.0.1:{nobody}")] });
    let daemon = Launch::new(BINARY).start(&config)?;
    daemon.wait_for_log(Mark::START, SOON, |line| line.contains("no connection to NATS")).await?;
    assert_eq!(daemon.get("/readyz").await?.0, 503);
    let asked = Instant::now();
    daemon.terminate()?;
    assert_eq!(daemon.wait_exit(SOON).await?, Exit::Code(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    Ok(())
}

#[tokio::test]
async fn req_007_lines_held_while_nats_is_away_are_counted_as_abandoned() -> Result {
    let world = mid_call(json!({})).await?;
    world.cut_off().await?;
    world.release_cut_off().await?;
    let asked = Instant::now();
    world.daemon.terminate()?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(124));
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    let told = |line: &str| line.contains("stopped") && line.contains("replies_abandoned=1");
    world.daemon.wait_for_log(Mark::START, SOON, told).await?;
    assert_eq!(world.robot.says.count(), 0);
    world.recorder.none_since(Mark::START, SHUTDOWN).await
}

#[tokio::test]
async fn req_007_a_link_that_returns_within_the_hope_still_carries_line_and_farewell() -> Result {
    let world = mid_call(json!({})).await?;
    world.cut_off().await?;
    world.provider().release();
    world.daemon.terminate()?;
    stopping(&world).await?;
    world.proxy()?.admit().await?;
    let (exit, event) = end(&world).await?;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(event.json["responses_sent"], 1);
    assert_eq!(world.robot.says.count(), 1);
    Ok(())
}

#[tokio::test]
async fn req_007_a_link_that_dies_during_the_drain_is_hoped_for_two_seconds() -> Result {
    let world = mid_call(json!({})).await?;
    world.daemon.terminate()?;
    stopping(&world).await?;
    let lost = Instant::now();
    world.proxy()?.refuse().await?;
    world.proxy()?.cut().await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(124));
    let took = lost.elapsed();
    assert!(took > Duration::from_millis(1_900) && took < Duration::from_millis(3_000), "{took:?}");
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("NATS is away while stopping")).await?;
    world.recorder.none_since(Mark::START, SHUTDOWN).await
}

#[tokio::test]
async fn req_007_a_restarted_daemon_is_another_instance_with_figures_of_its_own() -> Result {
    let mut world = World::of(BINARY).start().await?;
    world.ask("bob", "once").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    world.wait_until_up(mark).await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let event = world.recorder.wait_since(mark, SHUTDOWN, SOON, |_| true).await?;
    assert_eq!(event.json["responses_sent"], 0);
    let beats = world.recorder.since(mark, BEAT);
    assert!(beats.iter().all(|beat| beat.text("/instance_id") == event.text("/instance_id")));
    Ok(())
}
