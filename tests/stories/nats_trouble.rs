//! What the server has against us, short of the end: denied subjects, its own shutdown, messages
//! that come too fast.

use std::time::Duration;

use kryten_testkit::nats::Settings;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Mark, Result};
use serde_json::{Value, json};

use crate::BINARY;
use crate::outage::STARTUPS;

const POLL: &str = "kryten.service.discovery.poll";
const LIFECYCLE_BEATS: &str = "kryten.lifecycle.llm.heartbeat";

fn nats_says(health: &Value) -> &str {
    health.pointer("/components/nats/message").and_then(Value::as_str).unwrap_or_default()
}

async fn wait_until_nats_says(world: &World, text: &str, deadline: Duration) -> Result<Value> {
    world.wait_for_health(deadline, |health| nats_says(health).contains(text)).await
}

#[tokio::test]
async fn a_denied_subscription_is_named_and_heals_when_it_is_given_back() -> Result {
    let settings = Settings { deny_subscribe: vec![POLL.to_owned()], ..Settings::default() };
    let mut world = World::of(BINARY).server(settings).start().await?;
    let health = wait_until_nats_says(&world, POLL, SOON).await?;
    assert_eq!(health["status"], "degraded", "{health}");
    let beat = world.wait_until("degraded", SOON).await?;
    assert_eq!(beat.text("/health_reason"), "unhealthy: nats");
    let named = |line: &str| line.contains("ERROR") && line.contains(POLL);
    world.daemon.wait_for_log(Mark::START, SOON, named).await?;
    // Chat is none of its business.
    world.ask("bob", "can you hear me?").await?;

    world.server.reload(|settings| settings.deny_subscribe.clear()).await?;
    // It is tried again each half minute.
    world.wait_for_health(Duration::from_secs(35), |health| health["status"] == "healthy").await?;
    let mark = world.recorder.mark();
    world.robot.publish(POLL, json!({})).await?;
    world.recorder.wait_since(mark, STARTUPS, SOON, |_| true).await?;
    let denials = world.daemon.log().all().into_iter().filter(|line| named(&line.text)).count();
    assert!(denials <= 2, "named {denials} times");
    world.ledger().await.map(drop)
}

#[tokio::test]
async fn a_denied_publish_is_named_and_heals_when_it_is_given_back() -> Result {
    let settings = Settings { deny_publish: vec![LIFECYCLE_BEATS.to_owned()], ..Settings::default() };
    let mut world = World::of(BINARY).server(settings).start().await?;
    wait_until_nats_says(&world, LIFECYCLE_BEATS, SOON).await?;
    world.wait_until("degraded", SOON).await?;
    let named = |line: &str| line.contains("ERROR") && line.contains(LIFECYCLE_BEATS);
    world.daemon.wait_for_log(Mark::START, SOON, named).await?;

    let mark = world.recorder.mark();
    world.server.reload(|settings| settings.deny_publish.clear()).await?;
    world.recorder.wait_since(mark, LIFECYCLE_BEATS, SOON, |_| true).await?;
    // Longer than the longest time between two beats, which show that they are let through.
    world.wait_for_health(Duration::from_secs(80), |health| health["status"] == "healthy").await?;
    let denials = world.daemon.log().all().into_iter().filter(|line| named(&line.text)).count();
    assert!(denials <= 2, "one denied beat a second was named {denials} times");
    world.ledger().await.map(drop)
}

#[tokio::test]
async fn a_denied_inbox_is_no_connection_and_the_log_says_what_is_denied() -> Result {
    let settings = Settings { deny_subscribe: vec!["_INBOX.>".to_owned()], ..Settings::default() };
    let quick = json!({ "nats": { "connect_timeout": 1 } });
    let mut world = World::of(BINARY).server(settings).config(quick).start_at_once().await?;
    let named = |line: &str| line.contains("ERROR") && line.contains("_INBOX.");
    world.daemon.wait_for_log(Mark::START, SOON, named).await?;
    wait_until_nats_says(&world, "nothing comes back", SOON).await?;
    world.recorder.none_since(Mark::START, STARTUPS).await?;
    let mark = world.recorder.mark();
    world.server.reload(|settings| settings.deny_subscribe.clear()).await?;
    world.wait_until_up(mark).await
}

#[tokio::test]
async fn a_server_that_announces_its_shutdown_is_told_and_forgotten_with_it() -> Result {
    let mut world = World::of(BINARY).proxied().start().await?;
    world.server.lame_duck().await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("lame duck")).await?;
    wait_until_nats_says(&world, "shutting down", SOON).await?;
    world.wait_for_health(SOON, |health| health["nats_connected"] == false).await?;

    let mark = world.recorder.mark();
    world.restart_server().await?;
    world.recorder.wait_since(mark, STARTUPS, SOON, |_| true).await?;
    let health = world.daemon.health().await?;
    assert_eq!(health["status"], "healthy", "{health}");
    world.ask("bob", "still there?").await?;
    world.ledger().await.map(drop)
}

#[tokio::test]
async fn messages_that_come_faster_than_they_are_read_are_told() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.chat("bob", "test-hook stall intake 4").await?;
    world.wait_for_health(SOON, |health| health["reason"] == "stalled: intake").await?;
    let room = &world.rooms[0];
    let line = |number: u64| kryten_testkit::chat::line("carol", &format!("line {number}"));
    world
        .flood(6_000, None, |number| {
            (room.subject("chatmsg"), room.envelope("chatmsg", line(number)).to_string())
        })
        .await?;
    let health = wait_until_nats_says(&world, "slow consumer", SOON).await?;
    assert_ne!(health["status"], "healthy", "{health}");
    let told = |line: &str| line.contains("WARN") && line.contains("slow consumer");
    world.daemon.wait_for_log(Mark::START, SOON, told).await?;
    // The intake goes on with what was kept, and so does the bot.
    world.wait_for_health(SOON, |health| health["messages_processed"].as_u64() > Some(4_000)).await?;
    world.wait_for_beat(world.recorder.mark(), SOON, |beat| beat.text("/health") != "failing").await?;
    world.ask("bob", "how was the flood?").await?;
    let lines = world.daemon.log().all().into_iter().filter(|line| told(&line.text)).count();
    assert_eq!(lines, 1, "one line for one flood");
    world.ledger().await.map(drop)
}
