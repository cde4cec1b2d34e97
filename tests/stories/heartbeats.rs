//! Heartbeats: on time, small, and never more cheerful than the service is (REQ-002).

use std::time::Duration;

use kryten_testkit::nats::Settings;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Exit, Mark, Message, Result};
use serde_json::{Value, json};

use crate::BINARY;
use crate::shape::assert_like;

const STARTUP: &str = "kryten.lifecycle.llm.startup";
const BEAT: &str = "kryten.service.heartbeat.llm";
const LIFECYCLE_BEAT: &str = "kryten.lifecycle.llm.heartbeat";
/// How far a beat may be from its place.
const DRIFT: f64 = 0.1;

fn uptime(beat: &Message) -> f64 {
    beat.json["uptime_seconds"].as_f64().unwrap_or(f64::NAN)
}

#[tokio::test]
async fn req_002_the_first_beat_comes_at_once_and_ten_more_do_not_drift() -> Result {
    let world = World::of(BINARY).start().await?;
    let mut count = 0;
    let eleventh = |_: &Message| {
        count += 1;
        count == 11
    };
    world.recorder.wait_for(BEAT, SOON, eleventh).await?;
    let startup = world.recorder.wait_for(STARTUP, SOON, |_| true).await?;
    let beats = world.recorder.all(BEAT);
    assert!(uptime(&beats[0]) - uptime(&startup) < 0.1, "the first at once: {} {startup}", beats[0]);
    for (number, beat) in beats.iter().enumerate() {
        let off = uptime(beat) - uptime(&beats[0]) - number as f64;
        assert!(off.abs() <= DRIFT, "beat {number} is {off} s from its place: {beat}");
    }
    Ok(())
}

#[tokio::test]
async fn req_002_a_beat_has_exactly_its_shape_and_says_the_same_on_both_subjects() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    world.ask("bob", "are you well?").await?;
    world.ledger().await?;
    let beat = world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    assert_like("heartbeat_healthy.json", &beat, &[]);
    let lifecycle = world.recorder.wait_for(LIFECYCLE_BEAT, SOON, |_| true).await?;
    assert_like("lifecycle_heartbeat.json", &lifecycle, &["/metadata"]);
    let status = &beat.json["status"];
    assert_eq!(status["llm_providers"], json!({ "first": "ok", "second": "unknown" }));
    assert_eq!(status["messages_processed"], 2, "the question, and the echo of the answer");
    assert_eq!(status["responses_sent"], 1);
    assert_eq!(status["rate_limiter_active"], true);
    assert_eq!(status["spam_detector_active"], false, "it is switched off");
    for proof in ["decider_ms", "link_ms"] {
        let milliseconds = status["proof"][proof].as_f64().unwrap_or(f64::NAN);
        assert!((0.0..1_000.0).contains(&milliseconds), "{proof}: {beat}");
    }
    Ok(())
}

#[tokio::test]
async fn req_002_a_healthy_beat_with_three_providers_has_at_most_a_thousand_bytes() -> Result {
    let provider = |name: &str| json!({ "name": name, "type": "openai_compatible", "base_url": "http://127.0.0.1:9/v1", "api_key": "k", "model": "m" });
    let names = ["provider-one", "provider-two", "provider-six"];
    let list: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), provider(name))).collect();
    let changes =
        json!({ "llm_providers": list, "default_provider": names[0], "default_provider_priority": names });
    let world = World::of(BINARY).providers(0).config(changes).start().await?;
    let beat = world.wait_for_beat(Mark::START, SOON, |_| true).await?;
    assert_eq!(beat.text("/health"), "healthy");
    assert_eq!(beat.json["status"]["llm_providers"].as_object().map(serde_json::Map::len), Some(3));
    // As on a host whose name has 40 characters.
    let bytes = beat.bytes.len() - beat.text("/hostname").len() + 40;
    assert!(bytes <= 1_000, "{bytes} bytes: {beat}");
    Ok(())
}

#[tokio::test]
async fn req_002_a_stalled_decider_makes_the_beat_failing_by_name_and_its_return_healthy() -> Result {
    let world = World::of(BINARY).start().await?;
    let healthy = world.wait_for_beat(Mark::START, SOON, |_| true).await?;
    assert_eq!(healthy.text("/health"), "healthy");
    let mark = world.recorder.mark();
    world.robot.chat("bob", "test-hook stall decider 5").await?;
    world.robot.settle(SOON).await?;
    let stalled = std::time::Instant::now();
    let beat = world.wait_for_beat(mark, SOON, |beat| beat.text("/health") == "failing").await?;
    let told_after = beat.at - stalled;
    assert!(told_after < Duration::from_secs(3), "{told_after:?}");
    assert!(beat.text("/health_reason").contains("decider"), "{beat}");
    assert_eq!(beat.json["status"]["components"]["decider"]["healthy"], false, "{beat}");
    assert_eq!(beat.json["status"]["proof"].get("decider_ms"), None, "no proof, no time: {beat}");
    assert_eq!(beat.json["status"]["rate_limiter_active"], false);
    world.wait_until("healthy", SOON).await?;
    world.ask("bob", "awake?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn req_002_a_stalled_intake_makes_the_beat_failing_by_name() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.chat("bob", "test-hook stall intake 5").await?;
    let beat = world.wait_until("failing", SOON).await?;
    assert!(beat.text("/health_reason").contains("intake"), "{beat}");
    world.wait_until("healthy", SOON).await?;
    world.ask("bob", "awake?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn req_002_edge_case_a_failed_heartbeat_publish_neither_ends_the_loop_nor_stays_hidden() -> Result {
    let denied = Settings { deny_publish: vec![BEAT.to_owned()], ..Settings::default() };
    let mut world = World::of(BINARY).server(denied).start_at_once().await?;
    // Each beat has two subjects; the other one goes on.
    let mut count = 0;
    let third = |_: &Message| {
        count += 1;
        count == 3
    };
    world.recorder.wait_for(LIFECYCLE_BEAT, SOON, third).await?;
    world.recorder.none_since(Mark::START, BEAT).await?;
    world.wait_for_health(SOON, |health| health["components"]["nats"]["healthy"] == false).await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains(BEAT)).await?;
    let mark = world.recorder.mark();
    world.server.reload(|settings| settings.deny_publish.clear()).await?;
    world.recorder.wait_since(mark, BEAT, SOON, |_| true).await?;
    Ok(())
}

#[tokio::test]
async fn req_002_the_last_beat_comes_before_the_shutdown_event_and_nothing_behind_it() -> Result {
    // So long that none but the first and the last are sent.
    let changes = json!({ "service_metadata": { "heartbeat_interval_seconds": 60 } });
    let world = World::of(BINARY).config(changes).start().await?;
    world.ask("bob", "one more?").await?;
    world.ledger().await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    world.recorder.settle(SOON).await?;
    let ours: Vec<Message> = world
        .recorder
        .all(">")
        .into_iter()
        .filter(|message| message.subject == BEAT || message.subject.starts_with("kryten.lifecycle.llm."))
        .collect();
    let subjects: Vec<&str> = ours.iter().map(|message| message.subject.as_str()).collect();
    let expected = [STARTUP, BEAT, LIFECYCLE_BEAT, BEAT, LIFECYCLE_BEAT, "kryten.lifecycle.llm.shutdown"];
    assert_eq!(subjects, expected);
    assert_eq!(ours[3].json["status"]["responses_sent"], 1, "the last beat has the final figures");
    Ok(())
}
