//! Heartbeats: at once, on time, truthful, and never late (REQ-002, 003).

use std::time::Duration;

use chrono::{DateTime, Utc};
use kryten_testkit::config::provider_section;
use kryten_testkit::nats;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Exit, Mark, Message, Result};
use serde_json::json;

use super::commands::data;
use crate::BINARY;
use crate::shape::assert_like;

const BEAT: &str = "kryten.service.heartbeat.llm";
const LIFECYCLE_BEAT: &str = "kryten.lifecycle.llm.heartbeat";
const SHUTDOWN: &str = "kryten.lifecycle.llm.shutdown";

fn said_at(message: &Message) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(message.text("/timestamp")).expect("a time stamp").to_utc()
}

/// The `count`th beat behind `mark`.
async fn beat_number(world: &World, mark: Mark, count: usize) -> Result<Message> {
    let mut seen = 0;
    world
        .wait_for_beat(mark, SOON + Duration::from_secs(count as u64), |_| {
            seen += 1;
            seen == count
        })
        .await
}

#[tokio::test]
async fn req_002_the_first_beat_follows_the_announcement_at_once_in_exactly_its_shape() -> Result {
    let changes = json!({
        "service_metadata": { "heartbeat_interval_seconds": 60 },
        "metrics": { "host": "0.0.0.0" },
    });
    let world = World::of(BINARY).providers(2).config(changes).start().await?;
    let beat = world.wait_for_beat(Mark::START, SOON, |_| true).await?;
    let lifecycle = world.recorder.wait_for(LIFECYCLE_BEAT, SOON, |_| true).await?;
    assert_like("heartbeat_healthy.json", &beat, &[]);
    assert_like("lifecycle_heartbeat.json", &lifecycle, &[]);
    assert_eq!(lifecycle.text("/health"), beat.text("/health"));
    assert_eq!(lifecycle.text("/timestamp"), beat.text("/timestamp"), "one beat on two subjects");

    let ours = ["kryten.lifecycle.llm.", "kryten.service.discovery", "kryten.service.heartbeat."];
    let order: Vec<String> = world
        .recorder
        .all(">")
        .into_iter()
        .map(|message| message.subject)
        .filter(|subject| ours.iter().any(|prefix| subject.starts_with(prefix)))
        .collect();
    let expected = ["kryten.lifecycle.llm.startup", "kryten.service.discovery", BEAT, LIFECYCLE_BEAT];
    assert_eq!(order, expected);
    let startup = world.recorder.wait_for("kryten.lifecycle.llm.startup", SOON, |_| true).await?;
    let pause = said_at(&beat) - said_at(&startup);
    assert!(pause.num_milliseconds() < 1_000, "{pause}");
    Ok(())
}

#[tokio::test]
async fn req_002_twelve_beats_keep_the_interval_without_drift() -> Result {
    let world = World::of(BINARY).start().await?;
    beat_number(&world, Mark::START, 12).await?;
    let beats = world.recorder.all(BEAT);
    let start = said_at(&beats[0]);
    for (number, beat) in (0_i64..).zip(&beats) {
        let off = (said_at(beat) - start).num_milliseconds() - number * 1_000;
        // As much as a busy machine adds; twelve beats that drift by a twentieth are further off.
        assert!(off.abs() <= 500, "beat {number} is {off} ms off");
    }
    // Each came on both subjects.
    world.recorder.settle(SOON).await?;
    let twins: Vec<DateTime<Utc>> = world.recorder.all(LIFECYCLE_BEAT).iter().map(said_at).collect();
    let times: Vec<DateTime<Utc>> = beats.iter().map(said_at).collect();
    assert_eq!(twins[..12], times[..12]);
    Ok(())
}

#[tokio::test]
async fn req_002_changed_settings_bring_no_beat_besides_the_regular_ones() -> Result {
    let interval = json!({"service_metadata": {"heartbeat_interval_seconds": 5}});
    let world = World::of(BINARY).config(interval).start().await?;
    let first = beat_number(&world, Mark::START, 1).await?;
    for number in 0..20 {
        let style = format!("style {number}");
        data(&world, json!({"command": "personality.update", "response_style": style})).await?;
    }
    let second = beat_number(&world, Mark::START, 2).await?;
    let gap = (said_at(&second) - said_at(&first)).num_milliseconds();
    assert!((4_000..=6_000).contains(&gap), "{gap} ms");
    world.ledger().await?;
    Ok(())
}

#[tokio::test]
async fn req_002_a_beat_with_three_providers_of_long_names_has_at_most_a_thousand_bytes() -> Result {
    let mut world = World::of(BINARY).providers(3).start_at_once().await?;
    let names = ["openrouter-a", "openrouter-b", "openrouter-c"];
    let mut config = world.config.clone();
    config["llm_providers"] = names
        .iter()
        .zip(&world.providers)
        .map(|(name, provider)| ((*name).to_owned(), provider_section(name, &provider.base_url())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    config["default_provider"] = json!(names[0]);
    config["default_provider_priority"] = json!(names);
    world.daemon.write_config(&config)?;
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    let is_renamed = |beat: &Message| beat.json["status"]["llm_providers"].get(names[0]).is_some();
    world.recorder.wait_since(mark, BEAT, SOON, is_renamed).await?;
    // A few answers, so that the figures have digits.
    for number in 0..3 {
        let mark = world.robot.says.mark();
        world.robot.chat("bob", &format!("cynthia, number {number}?")).await?;
        world.robot.wait_for_say(mark, SOON, |_| true).await?;
    }
    let beat = world
        .recorder
        .wait_since(mark, BEAT, SOON, |beat| beat.json["status"]["responses_sent"] == 3)
        .await?;
    assert_eq!(beat.text("/health"), "healthy", "{beat}");
    assert_eq!(beat.json["status"]["llm_providers"].as_object().map(serde_json::Map::len), Some(3));
    // As on a host whose name has 40 characters.
    let bytes = beat.bytes.len() - beat.text("/hostname").len() + 40;
    assert!(bytes <= 1_000, "{bytes} bytes: {beat}");
    assert!(bytes >= 500, "{bytes} bytes: {beat}");
    assert_eq!(world.ledger().await?["sent"], 3);
    Ok(())
}

#[tokio::test]
async fn req_002_edge_case_a_failed_heartbeat_publish_is_logged_and_the_loop_goes_on() -> Result {
    // Announcements and the smaller beats pass, the heartbeat itself is too large.
    let server = nats::Settings { max_payload: 700, ..nats::Settings::default() };
    let mut world = World::of(BINARY).server(server).proxied().start_at_once().await?;
    let failed = |line: &str| line.contains("heartbeat could not be published") && line.contains(BEAT);
    let mut failures = 0;
    world
        .daemon
        .wait_for_log(Mark::START, SOON, |line| {
            failures += usize::from(failed(line));
            failures == 3
        })
        .await?;
    world.recorder.none_since(Mark::START, BEAT).await?;
    // The other subject has listeners of its own.
    let mut others = 0;
    let third = |_: &Message| {
        others += 1;
        others == 3
    };
    world.recorder.wait_for(LIFECYCLE_BEAT, SOON, third).await?;

    let mark = world.recorder.mark();
    world.server.reload(|settings| settings.max_payload = 1_048_576).await?;
    world.proxy()?.cut().await?;
    let beat = world.wait_for_beat(mark, SOON, |_| true).await?;
    assert!((beat.wall - said_at(&beat)).num_milliseconds() < 1_000, "a fresh one: {beat}");
    assert_eq!(world.stop().await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn req_002_no_beat_is_kept_while_the_link_is_down() -> Result {
    let world =
        World::of(BINARY).proxied().launch(|launch| launch.arg("--log-level").arg("DEBUG")).start().await?;
    let mark = world.recorder.mark();
    let log = world.daemon.log().mark();
    world.proxy()?.refuse().await?;
    world.proxy()?.cut().await?;
    let mut skipped = 0;
    world
        .daemon
        .wait_for_log(log, SOON, |line| {
            skipped += usize::from(line.contains("no heartbeat"));
            skipped == 3
        })
        .await?;
    world.recorder.settle(SOON).await?;
    let during = world.recorder.mark();
    world.proxy()?.admit().await?;
    beat_number(&world, during, 3).await?;
    let beats = world.recorder.since(mark, BEAT);
    for beat in &beats {
        let late = (beat.wall - said_at(beat)).num_milliseconds();
        assert!(late < 900, "{late} ms late: {beat}");
    }
    // Nothing was made up for: the beat at the return, and one each second.
    let back = world.recorder.since(during, BEAT);
    let gaps: Vec<i64> =
        back.windows(2).map(|pair| (said_at(&pair[1]) - said_at(&pair[0])).num_milliseconds()).collect();
    assert!(gaps[1..].iter().all(|gap| (500..1_500).contains(gap)), "{gaps:?}");
    assert!(gaps[0] <= 1_500, "{gaps:?}");
    Ok(())
}

#[tokio::test]
async fn req_002_the_last_beat_is_followed_by_the_shutdown_event_and_that_by_nothing() -> Result {
    // No regular beat comes in between.
    let world = World::of(BINARY)
        .config(json!({ "service_metadata": { "heartbeat_interval_seconds": 60 } }))
        .start()
        .await?;
    world.ask("bob", "a last word?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    world.recorder.settle(SOON).await?;
    let mark = world.recorder.mark();
    assert_eq!(world.stop().await?, Exit::Code(0));
    let all = world.recorder.since(mark, ">").into_iter().map(|message| message.subject);
    // The last word's echo is of the room.
    let ours: Vec<String> = all.filter(|subject| !subject.starts_with("kryten.events.")).collect();
    assert_eq!(ours, [BEAT, LIFECYCLE_BEAT, SHUTDOWN]);
    let last = world.recorder.since(mark, BEAT).remove(0);
    assert_eq!(last.json["status"]["responses_sent"], 1, "the last beat has the final figures");
    Ok(())
}

#[tokio::test]
async fn req_002_a_beat_proves_that_decider_and_link_answer() -> Result {
    let world = World::of(BINARY).config(json!({ "spam_detection": { "enabled": true } })).start().await?;
    for number in 1..=3 {
        let beat = beat_number(&world, Mark::START, number).await?;
        let status = &beat.json["status"];
        for key in ["decider_ms", "link_ms"] {
            let milliseconds = status["proof"][key].as_f64().expect("a number");
            assert!((0.0..1_000.0).contains(&milliseconds), "{key}: {beat}");
        }
        assert_eq!(status["nats_connected"], true);
        assert_eq!(status["rate_limiter_active"], true);
        assert_eq!(status["spam_detector_active"], true);
    }
    Ok(())
}

#[tokio::test]
async fn req_002_the_beat_counts_as_the_ledger_does() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.chat("ann", "hello everybody").await?;
    world.ask("bob", "and to you?").await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(1), &json!(1)));
    // Hello, the question, and the echo of the answer.
    let beat =
        world.wait_for_beat(Mark::START, SOON, |beat| beat.json["status"]["messages_processed"] == 3).await?;
    assert_eq!(beat.json["status"]["responses_sent"], 1);
    assert_eq!(beat.json["status"]["errors"], 0);
    assert_eq!(beat.json["status"]["error_rate"], 0.0);
    assert_eq!(beat.json["status"]["spam_detector_active"], false, "it is switched off");
    Ok(())
}

/// Stalls one loop for some seconds; what the beats say meanwhile and afterwards.
async fn stalled(place: &str) -> Result<(World, Message)> {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    world.robot.chat("bob", &format!("test-hook stall {place} 4")).await?;
    let failing =
        world.wait_for_beat(mark, Duration::from_secs(4), |beat| beat.text("/health") == "failing").await?;
    assert_eq!(failing.text("/health_reason"), format!("stalled: {place}"));
    assert_eq!(failing.json["status"]["components"][place]["healthy"], false);
    let lifecycle = world
        .recorder
        .wait_since(mark, LIFECYCLE_BEAT, SOON, |beat| beat.text("/health") == "failing")
        .await?;
    assert_eq!(lifecycle.text("/instance_id"), failing.text("/instance_id"));
    let healed = world.wait_for_beat(mark, SOON, {
        let mut was_failing = false;
        move |beat| {
            was_failing |= beat.text("/health") == "failing";
            was_failing && beat.text("/health") == "healthy"
        }
    });
    let healed = healed.await?;
    assert_eq!(healed.json.get("health_reason"), None);
    assert!(healed.json["status"]["proof"]["decider_ms"].is_number(), "{healed}");
    Ok((world, failing))
}

#[tokio::test]
async fn req_003_a_stalled_decider_makes_the_beat_failing_instead_of_cheerful() -> Result {
    let (world, failing) = stalled("decider").await?;
    let status = &failing.json["status"];
    assert_eq!(status["proof"].get("decider_ms"), None, "{failing}");
    assert_eq!(status["rate_limiter_active"], false);
    assert!(status["proof"]["link_ms"].is_number(), "{failing}");
    world.ask("bob", "awake again?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn req_003_a_stalled_intake_makes_the_beat_failing_though_the_decider_answers() -> Result {
    let (world, failing) = stalled("intake").await?;
    assert!(failing.json["status"]["proof"]["decider_ms"].is_number(), "{failing}");
    world.ask("bob", "awake again?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}
