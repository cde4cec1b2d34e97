//! Health, as those see it who only hear the beats (REQ-003, 010).

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Result};
use serde_json::json;

use crate::BINARY;

fn broken() -> Behaviour {
    Behaviour::Status(500, json!({ "error": "out of order" }).to_string())
}

fn refusal() -> Behaviour {
    Behaviour::Status(400, json!({ "error": { "message": "not such content" } }).to_string())
}

/// So many lines of chat that nobody answers.
async fn small_talk(world: &World, lines: u64) -> Result {
    let before = world.daemon.health().await?["messages_processed"].as_u64().unwrap_or_default();
    for number in 0..lines {
        world.robot.chat("alice", &format!("small talk, line {number}")).await?;
    }
    let heard = |health: &serde_json::Value| {
        health["messages_processed"].as_u64().is_some_and(|now| now >= before + lines)
    };
    world.wait_for_health(SOON, heard).await?;
    Ok(())
}

/// The log's lines on changes of health, e.g. `from="failing" to="healthy"`.
fn changes(world: &World) -> Vec<String> {
    let lines = world.daemon.log().all().into_iter().map(|line| line.text);
    lines.filter(|line| line.contains("health changed")).collect()
}

#[tokio::test]
async fn req_003_edge_case_all_providers_failing_is_failing_until_one_answers_again() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    small_talk(&world, 40).await?;
    world.providers.iter().for_each(|provider| provider.always(broken()));
    let mark = world.recorder.mark();
    world.mention("bob", "anybody?").await?;
    let beat = world.wait_for_beat(mark, SOON, |beat| beat.text("/health") == "failing").await?;
    assert_eq!(beat.text("/health_reason"), "all LLM providers exhausted");
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "failed", "second": "failed" }));
    assert_eq!(beat.json["status"]["errors"], 1);
    assert_eq!(beat.json["status"]["errors_last_5min"], 1);
    assert_eq!(beat.json["status"]["errors_last_hour"], 1);
    // Two more failures are no news.
    world.mention("bob", "still nobody?").await?;
    world.mention("bob", "really nobody?").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == json!(3)).await?;
    // Every failure in the log has its provider's name.
    let lines: Vec<String> = world.daemon.log().all().into_iter().map(|line| line.text).collect();
    let failures: Vec<&String> = lines.iter().filter(|line| line.contains("the provider failed")).collect();
    for name in ["provider=first", "provider=second"] {
        assert!(failures.iter().any(|line| line.contains(name)), "{name}: {failures:?}");
    }

    world.providers[1].always(Behaviour::AnswerAnew);
    let mark = world.recorder.mark();
    world.ask("bob", "and now?").await?;
    let beat = world.wait_for_beat(mark, SOON, |beat| beat.text("/health") == "healthy").await?;
    assert_eq!(beat.json.get("health_reason"), None);
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "failed", "second": "ok" }));
    assert_eq!(beat.json["status"]["errors"], 3);
    let count = |from: &str, to: &str| {
        let wanted = format!("from=\"{from}\" to=\"{to}\"");
        changes(&world).iter().filter(|line| line.contains(&wanted)).count()
    };
    assert_eq!(count("degraded", "failing"), 1, "{:?}", changes(&world));
    assert_eq!(count("failing", "healthy"), 2, "at the start, and now: {:?}", changes(&world));
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["failed"], &ledger["sent"]), (&json!(3), &json!(1)), "{ledger}");
    Ok(())
}

#[tokio::test]
async fn req_003_one_provider_of_two_down_is_shown_and_is_no_change_of_health() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    let before = world.wait_for_beat(Mark::START, SOON, |_| true).await?;
    assert_eq!(before.json["status"]["llm_providers"], json!({ "first": "unknown", "second": "unknown" }));
    assert_eq!(before.text("/health"), "healthy", "nothing is known to be wrong");
    world.providers[0].always(broken());
    world.ask("bob", "is one enough?").await?;
    world.ledger().await?;
    let beat = world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    assert_eq!(beat.text("/health"), "healthy");
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "failed", "second": "ok" }));
    assert_eq!(beat.json["status"]["errors"], 0, "the reply came all the same");
    let health = world.daemon.health().await?;
    assert_eq!((&health["providers_ok"], &health["providers_failed"]), (&json!(1), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn req_003_content_that_is_refused_is_an_error_but_never_an_outage() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    world.provider().always(refusal());
    for number in 1..=4 {
        world.mention("bob", &format!("something unspeakable, number {number}")).await?;
        let failed = |health: &serde_json::Value| health["errors_count"] == json!(number);
        world.wait_for_health(SOON, failed).await?;
    }
    let beat = world.wait_until("degraded", SOON).await?;
    assert!(beat.text("/health_reason").starts_with("error rate 100"), "{beat}");
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "unknown" }), "not its fault");
    assert_eq!(beat.json["status"]["error_rate"], 1.0);
    // Even as many that the provider itself comes under suspicion.
    for number in 5..=8 {
        world.mention("bob", &format!("something unspeakable, number {number}")).await?;
        let failed = |health: &serde_json::Value| health["errors_count"] == json!(number);
        world.wait_for_health(SOON, failed).await?;
    }
    let beat = world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    assert_eq!(beat.text("/health"), "degraded");
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "failed" }), "it refuses everything");
    let failing = world.recorder.since(mark, "kryten.service.heartbeat.llm");
    assert!(failing.iter().all(|beat| beat.text("/health") != "failing"));
    assert!(!changes(&world).iter().any(|line| line.contains("to=\"failing\"")), "{:?}", changes(&world));
    world.ledger().await?;
    Ok(())
}

#[tokio::test]
async fn req_003_the_error_rate_degrades_from_a_tenth_on_and_heals_below_it() -> Result {
    let world = World::of(BINARY).start().await?;
    world.provider().next([refusal()]);
    small_talk(&world, 8).await?;
    world.mention("bob", "something unspeakable").await?;
    let beat = world.wait_until("degraded", SOON).await?;
    assert_eq!(beat.json["status"]["error_rate"], 0.1111, "one of nine: {beat}");
    assert_eq!(beat.text("/health_reason"), "error rate 11.1 % over 5 minutes");
    small_talk(&world, 1).await?;
    let beat = world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    assert_eq!((beat.text("/health"), &beat.json["status"]["error_rate"]), ("degraded", &json!(0.1)));
    small_talk(&world, 1).await?;
    let since = world.wait_until("healthy", SOON).await?;
    let later = world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    assert_eq!(since.text("/health_since"), later.text("/health_since"), "since the change");
    let seen = changes(&world);
    assert_eq!(seen.len(), 3, "up, degraded, healthy: {seen:?}");
    assert!(seen[1].contains("error rate 11.1 %") && seen[2].contains("no longer: error rate"), "{seen:?}");
    assert!(seen.iter().all(|line| line.contains("held_seconds=")), "{seen:?}");
    assert_eq!(world.ledger().await?["failed"], 1);
    Ok(())
}

#[tokio::test]
async fn req_010_a_component_that_is_unhealthy_degrades_by_name_and_heals() -> Result {
    let world = World::of(BINARY).robot(kryten_testkit::Manner::Absent).start().await?;
    world.mention("bob", "who speaks for you?").await?;
    let beat = world.wait_until("degraded", SOON).await?;
    assert!(beat.text("/health_reason").contains("robot"), "{beat}");
    let robot = &beat.json["status"]["components"]["robot"];
    assert_eq!(robot["healthy"], false);
    assert!(robot["message"].as_str().is_some_and(|text| !text.is_empty() && text.len() <= 60), "{beat}");
    for critical in ["nats", "intake", "decider", "heartbeat"] {
        assert_eq!(beat.json["status"]["components"][critical], json!({ "healthy": true }));
    }
    world.robot.behave(kryten_testkit::Manner::Echoes).await?;
    world.wait_until("healthy", SOON).await?;
    assert_eq!(world.ledger().await?["sent"], 1, "the line was held, and said");
    assert_eq!(world.stop().await?, Exit::Code(0));
    Ok(())
}
