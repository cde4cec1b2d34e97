//! Going down: replies in flight are finished, the farewell is said once and last (REQ-007).

use std::time::{Duration, Instant};

use kryten_testkit::nats::Server;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Exit, Launch, Mark, Message, Result, config, ports};
use serde_json::json;

use crate::BINARY;
use crate::shape::assert_like;

const SHUTDOWN: &str = "kryten.lifecycle.llm.shutdown";
/// Not even a machine under load makes more of "at once".
const AT_ONCE: Duration = Duration::from_millis(1_500);

/// The one shutdown event, which is the last of all that the daemon says about itself.
async fn farewell(world: &World) -> Result<Message> {
    world.recorder.settle(SOON).await?;
    let ours = |message: &Message| {
        message.subject.starts_with("kryten.service.heartbeat.")
            || message.subject.starts_with("kryten.lifecycle.llm.")
    };
    let said: Vec<Message> = world.recorder.all(">").into_iter().filter(ours).collect();
    let farewells: Vec<&Message> = said.iter().filter(|message| message.subject == SHUTDOWN).collect();
    assert_eq!(farewells.len(), 1, "{farewells:?}");
    let last = said.last().expect("something was said");
    assert_eq!(last.subject, SHUTDOWN, "nothing comes behind it");
    Ok(last.clone())
}

/// A mention whose provider has the request in hand.
async fn mention_in_flight(world: &World, behaviour: Behaviour) -> Result {
    let mark = world.provider().requests().mark();
    world.provider().next([behaviour]);
    world.mention("bob", "take your time").await?;
    world.provider().wait_for_request(mark, SOON, |_| true).await?;
    Ok(())
}

fn log_has(world: &World, text: &str) -> bool {
    world.daemon.log().all().iter().any(|line| line.text.contains(text))
}

#[tokio::test]
async fn req_007_edge_case_a_shutdown_during_a_call_sends_the_reply_before_the_farewell() -> Result {
    let world = World::of(BINARY).start().await?;
    world.ask("alice", "first of all?").await?;
    world.ledger().await?;
    let answer = "It was worth the wait.".to_owned();
    mention_in_flight(&world, Behaviour::AnswerAfter(Duration::from_secs(2), answer.clone())).await?;
    let says = world.robot.says.mark();
    let mark = world.recorder.mark();
    world.daemon.terminate()?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("stopping")).await?;
    // It goes on beating, and takes no more chat.
    world.mention("carol", "too late for me?").await?;
    world.wait_for_beat(mark, SOON, |_| true).await?;
    let said = world.robot.wait_for_say(says, SOON, |said| said.text == answer).await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    let bye = farewell(&world).await?;
    assert!(said.at < bye.at);
    assert_like("shutdown.json", &bye, &[]);
    assert_eq!((bye.text("/event"), bye.text("/reason")), ("shutdown", "SIGTERM"));
    assert_eq!(bye.json["responses_sent"], 2);
    assert_eq!(bye.json["messages_processed"], bye.json["metrics"]["messages_processed"]);
    assert_eq!(bye.json["metrics"]["responses_sent"], 2);
    assert_eq!(bye.json["metrics"]["errors"], 0);
    assert_eq!(bye.json["metrics"]["replies_abandoned"], 0);
    assert_eq!(bye.json["metrics"]["replies_in_doubt"], 0);
    assert_eq!(world.robot.says.count(), 2, "nobody else was answered");
    let last_beat = world.recorder.all("kryten.service.heartbeat.llm").pop().expect("a last beat");
    assert_eq!(last_beat.json["status"]["responses_sent"], 2, "the last beat knows it all");
    assert!(!log_has(&world, "NATS is away"), "a good stop is no outage");
    Ok(())
}

#[tokio::test]
async fn req_007_sigint_is_told_as_what_it_is() -> Result {
    let world = World::of(BINARY).start().await?;
    let asked = Instant::now();
    world.daemon.interrupt()?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    assert!(asked.elapsed() < AT_ONCE, "nothing was in hand: {:?}", asked.elapsed());
    assert_eq!(farewell(&world).await?.text("/reason"), "SIGINT");
    Ok(())
}

#[tokio::test]
async fn req_007_the_deadline_cuts_off_a_reply_and_says_so() -> Result {
    let changes = json!({ "service_metadata": { "graceful_shutdown_timeout_seconds": 5 } });
    let world = World::of(BINARY).config(changes).start().await?;
    mention_in_flight(&world, Behaviour::Hang).await?;
    let asked = Instant::now();
    world.daemon.terminate()?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(124));
    let took = asked.elapsed();
    assert!(took > Duration::from_secs(3) && took < Duration::from_millis(5_500), "{took:?}");
    let bye = farewell(&world).await?;
    assert_eq!(bye.text("/reason"), "SIGTERM");
    assert_eq!(bye.json["metrics"]["replies_abandoned"], 1);
    assert_eq!(bye.json["metrics"]["errors"], 1, "an abandoned reply is an error");
    assert!(log_has(&world, "the deadline cuts off what is in hand"));
    assert!(log_has(&world, "replies_abandoned=1"));
    Ok(())
}

#[tokio::test]
async fn req_007_a_second_signal_ends_at_once() -> Result {
    let world = World::of(BINARY).start().await?;
    mention_in_flight(&world, Behaviour::Hang).await?;
    world.daemon.terminate()?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("stopping")).await?;
    let asked = Instant::now();
    world.daemon.interrupt()?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(124));
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    let bye = farewell(&world).await?;
    assert_eq!(bye.text("/reason"), "SIGTERM", "the first reason stays");
    assert_eq!(bye.json["metrics"]["replies_abandoned"], 1);
    Ok(())
}

#[tokio::test]
async fn req_007_a_stop_before_nats_is_up_hopes_for_two_seconds_and_is_a_success() -> Result {
    let server = Server::start().await?;
    let mut settings = config::base(&server, &[kryten_testkit::Room::new("cytu.be", "Lounge")], &[]);
    let nobody = format!("nats://127.0.0.1:{}", ports::free()?);
    config::merge(
        &mut settings,
        json!({
            "nats": { "servers": [nobody] },
            "llm_providers": { "one": config::provider_section("one", "http://127.0.0.1:9/v1") },
            "default_provider": "one",
            "default_provider_priority": ["one"],
        }),
    );
    let daemon = Launch::new(BINARY).start(&settings)?;
    daemon.http_address().await?;
    let asked = Instant::now();
    daemon.terminate()?;
    assert_eq!(daemon.wait_exit(SOON).await?, Exit::Code(0));
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(2_600), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn req_007_a_stop_while_nats_is_away_abandons_the_lines_that_it_holds() -> Result {
    let world = World::of(BINARY).proxied().start().await?;
    mention_in_flight(&world, Behaviour::Hold("Nobody will ever read this.".to_owned())).await?;
    world.proxy()?.refuse().await?;
    world.proxy()?.cut().await?;
    world.wait_for_health(SOON, |health| health["nats_connected"] == false).await?;
    world.provider().release();
    world.wait_for_health(SOON, |health| health["providers_ok"] == json!(1)).await?;
    let asked = Instant::now();
    world.daemon.terminate()?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(124));
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(2_600), "no more than two seconds of hope: {took:?}");
    assert!(log_has(&world, "replies_abandoned=1"));
    assert_eq!(world.robot.says.count(), 0);
    world.recorder.none_since(Mark::START, SHUTDOWN).await
}

#[tokio::test]
async fn req_007_a_link_that_is_back_in_time_carries_the_lines_and_the_farewell() -> Result {
    let world = World::of(BINARY).proxied().start().await?;
    mention_in_flight(&world, Behaviour::Hold("Better late than never.".to_owned())).await?;
    world.proxy()?.refuse().await?;
    world.proxy()?.cut().await?;
    world.wait_for_health(SOON, |health| health["nats_connected"] == false).await?;
    world.provider().release();
    world.daemon.terminate()?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("stopping")).await?;
    world.proxy()?.admit().await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    assert_eq!(world.robot.says.all()[0].text, "Better late than never.");
    assert_eq!(farewell(&world).await?.json["responses_sent"], 1);
    Ok(())
}
