//! Health as others see it: what turns it, what heals it, and that each turn is told (REQ-003, 010).

use std::time::Duration;

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Context as _, Exit, Manner, Mark, Message, Result};
use serde_json::{Value, json};

use crate::BINARY;

const BEAT: &str = "kryten.service.heartbeat.llm";

fn broken() -> Behaviour {
    Behaviour::Status(500, r#"{"error": {"message": "out of order"}}"#.to_owned())
}

fn refused() -> Behaviour {
    Behaviour::Status(400, r#"{"error": {"message": "content policy"}}"#.to_owned())
}

/// Somebody chats about other things, so many lines, until the beats count them all.
async fn small_talk(world: &World, lines: u64) -> Result {
    let before = world.daemon.health().await?["messages_processed"].as_u64().unwrap_or_default();
    for number in 0..lines {
        world.robot.chat("ann", &format!("line {number} of small talk")).await?;
    }
    let counted =
        |health: &Value| health["messages_processed"].as_u64().unwrap_or_default() >= before + lines;
    world.wait_for_health(SOON, counted).await.map(drop)
}

/// `user` asks something that comes to nothing, and that is known.
async fn ask_in_vain(world: &World, user: &str) -> Result {
    let before = world.daemon.health().await?["ledger"]["failed"].as_u64().unwrap_or_default();
    world.mention(user, "can you hear me?").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == before + 1).await.map(drop)
}

/// The transitions that the daemon has logged, once there are so many, as "from to: reason".
async fn transitions(world: &World, count: usize) -> Result<Vec<String>> {
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap_or_default();
        rest.split_once('"').unwrap_or_default().0.to_owned()
    };
    let lines = world.daemon.wait_for_lines("health changed", count).await?;
    let change = |line: &String| {
        assert!(line.contains("held_seconds="), "{line}");
        format!("{} {}: {}", field(line, "from"), field(line, "to"), field(line, "reason"))
    };
    Ok(lines.iter().map(change).collect())
}

#[tokio::test]
async fn req_003_the_providers_are_unknown_until_they_are_called_and_that_is_healthy() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    let beat = world.wait_for_beat(Mark::START, SOON, |_| true).await?;
    assert_eq!(beat.text("/health"), "healthy");
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "unknown", "second": "unknown" }));
    world.ask("bob", "who answers?").await?;
    let beat = world
        .wait_for_beat(Mark::START, SOON, |beat| beat.text("/status/llm_providers/first") == "ok")
        .await?;
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "ok", "second": "unknown" }));
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn req_003_a_broken_provider_is_shown_while_the_next_one_answers_and_health_stays() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    world.providers[0].always(broken());
    world.ask("bob", "who answers?").await?;
    let mark = world.recorder.mark();
    let beat = world.wait_for_beat(mark, SOON, |_| true).await?;
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "failed", "second": "ok" }));
    assert_eq!(beat.text("/health"), "healthy", "every mention was answered: {beat}");
    assert_eq!(beat.json["status"]["errors"], 0);
    // It recovers with its next success.
    world.providers[0].always(Behaviour::AnswerAnew);
    world.ask("bob", "and now?").await?;
    world.wait_for_beat(mark, SOON, |beat| beat.text("/status/llm_providers/first") == "ok").await?;
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn req_003_while_all_that_were_called_failed_last_it_is_degraded_until_one_answers() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    world.providers[0].always(broken());
    world.providers[1].always(Behaviour::Hold("It took me a while to think of that.".to_owned()));
    let mark = world.recorder.mark();
    let asked = world.providers[1].requests().mark();
    world.mention("bob", "who answers?").await?;
    world.providers[1].wait_for_request(asked, SOON, |_| true).await?;
    let beat = world.wait_for_beat(mark, SOON, |beat| beat.text("/health") == "degraded").await?;
    assert_eq!(beat.text("/health_reason"), "every LLM provider called so far failed last");
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "failed", "second": "unknown" }));
    world.providers[1].release();
    world.wait_for_beat(mark, SOON, |beat| beat.text("/status/llm_providers/second") == "ok").await?;
    world.wait_until("healthy", SOON).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn req_003_edge_case_all_providers_failing_is_failing_until_one_answers() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    small_talk(&world, 40).await?;
    let mark = world.recorder.mark();
    world.providers.iter().for_each(|provider| provider.always(broken()));
    ask_in_vain(&world, "bob").await?;
    let beat = world.wait_for_beat(mark, SOON, |beat| beat.text("/health") == "failing").await?;
    assert_eq!(beat.text("/health_reason"), "all LLM providers exhausted");
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "failed", "second": "failed" }));
    assert_eq!(beat.json["status"]["errors"], 1);
    assert_eq!(beat.json["status"]["nats_connected"], true);
    let (status, body) = world.daemon.get("/health").await?;
    assert_eq!(status, 503, "{body}");
    // It does not pass by itself.
    let behind = world.recorder.mark();
    world.wait_for_beat(behind, SOON, |beat| beat.text("/health") == "failing").await?;

    world.providers[1].always(Behaviour::AnswerAnew);
    world.ask("bob", "is it better now?").await?;
    let healed = world.wait_until("healthy", SOON).await?;
    assert_eq!(healed.json.get("health_reason"), None);
    assert_eq!(healed.json["status"]["errors_last_5min"], 1, "what happened is not forgotten");
    let (status, _) = world.daemon.get("/health").await?;
    assert_eq!(status, 200);
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["failed"]), (&json!(1), &json!(1)));
    assert_eq!(
        transitions(&world, 4).await?,
        [
            "failing healthy: no longer: NATS disconnected",
            // The first has failed, the second was not called yet.
            "healthy degraded: every LLM provider called so far failed last",
            "degraded failing: all LLM providers exhausted",
            "failing healthy: no longer: all LLM providers exhausted",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn req_003_the_provider_is_named_in_every_failure() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    let behaviours =
        [broken(), Behaviour::Status(401, "{}".to_owned()), Behaviour::NotJson, Behaviour::Reset, refused()];
    for behaviour in behaviours {
        let log = world.daemon.log().mark();
        world.providers.iter().for_each(|provider| provider.always(behaviour.clone()));
        ask_in_vain(&world, "bob").await?;
        for name in ["first", "second"] {
            let is_named = |line: &str| line.contains("failed") && line.contains(name);
            let context = format!("{behaviour:?}: {name} is not named");
            world.daemon.wait_for_log(log, SOON, is_named).await.context(context)?;
        }
    }
    assert_eq!(world.ledger().await?["failed"], 5);
    Ok(())
}

#[tokio::test]
async fn req_003_what_a_provider_refuses_because_of_its_content_is_an_error_and_no_outage() -> Result {
    let world = World::of(BINARY).start().await?;
    world.ask("bob", "a good question").await?;
    let mark = world.recorder.mark();
    world.provider().next([refused()]);
    ask_in_vain(&world, "mallory").await?;
    let beat = world.wait_for_beat(mark, SOON, |beat| beat.text("/health") == "degraded").await?;
    let status = &beat.json["status"];
    assert_eq!(status["llm_providers"], json!({ "first": "ok" }), "the provider is as good as before");
    assert_eq!((&status["errors"], &status["errors_last_5min"]), (&json!(1), &json!(1)));
    let messages = status["messages_processed"].as_f64().expect("a number");
    let rate = status["error_rate"].as_f64().expect("a number");
    assert!((rate - 1.0 / messages).abs() < 0.001, "{beat}");
    assert!(beat.text("/health_reason").starts_with("error rate "), "{beat}");
    // Enough of other messages, and the share is below a tenth.
    small_talk(&world, 20).await?;
    world.wait_until("healthy", SOON).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["failed"]), (&json!(1), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn req_003_chat_users_cannot_turn_the_service_failing() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    let mark = world.recorder.mark();
    world.providers.iter().for_each(|provider| provider.always(refused()));
    // From the fifth on the providers are taken for misconfigured: no outage either.
    for _ in 0..8 {
        ask_in_vain(&world, "mallory").await?;
    }
    let behind = world.recorder.mark();
    world.wait_for_beat(behind, SOON, |_| true).await?;
    for beat in world.recorder.since(mark, BEAT) {
        assert_ne!(beat.text("/health"), "failing", "{beat}");
    }
    assert_eq!(world.ledger().await?["failed"], 8);
    Ok(())
}

#[tokio::test]
async fn req_003_an_error_rate_of_a_tenth_degrades_and_less_does_not() -> Result {
    let world = World::of(BINARY).start().await?;
    // One question of ten messages comes to nothing: exactly a tenth.
    small_talk(&world, 9).await?;
    let mark = world.recorder.mark();
    world.provider().next([refused()]);
    ask_in_vain(&world, "bob").await?;
    let beat = world.wait_for_beat(mark, SOON, |_| true).await?;
    assert_eq!(beat.json["status"]["error_rate"], 0.1, "{beat}");
    assert_eq!(beat.text("/health"), "degraded");
    assert_eq!(beat.text("/health_reason"), "error rate 10.0 % over 5 minutes");
    small_talk(&world, 1).await?;
    let beat = world.wait_until("healthy", SOON).await?;
    assert_eq!(beat.json["status"]["error_rate"], 0.0909, "{beat}");
    assert_eq!(world.ledger().await?["failed"], 1);
    Ok(())
}

#[tokio::test]
async fn req_003_each_transition_is_told_once_and_since_when_it_holds() -> Result {
    let world = World::of(BINARY).start().await?;
    small_talk(&world, 20).await?;
    world.provider().always(broken());
    let mark = world.recorder.mark();
    for _ in 0..3 {
        ask_in_vain(&world, "bob").await?;
    }
    let beats = [
        world.wait_for_beat(mark, SOON, |beat| beat.text("/health") == "failing").await?,
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?,
    ];
    assert_eq!(beats[0].text("/health_since"), beats[1].text("/health_since"), "one state since then");
    assert!(beats[0].text("/health_since") < beats[0].text("/timestamp"));
    assert_eq!(world.ledger().await?["failed"], 3);
    assert_eq!(world.stop().await?, Exit::Code(0));
    let changes = transitions(&world, 2).await?;
    let failing = changes.iter().filter(|change| change.contains(" failing: ")).count();
    assert_eq!(failing, 1, "three failures are one transition: {changes:?}");
    Ok(())
}

#[tokio::test]
async fn req_010_a_missing_robot_is_an_unhealthy_component_by_name_until_it_comes() -> Result {
    let world = World::of(BINARY).robot(Manner::Absent).start_at_once().await?;
    let is_degraded = |beat: &Message| beat.text("/health") == "degraded";
    let beat = world.wait_for_beat(Mark::START, SOON, is_degraded).await?;
    assert_eq!(beat.text("/health_reason"), "unhealthy: robot");
    let component = &beat.json["status"]["components"]["robot"];
    assert_eq!(component["healthy"], false);
    let message = component["message"].as_str().expect("a text");
    assert!(!message.is_empty() && message.len() <= 60, "{message}");
    let others = beat.json["status"]["components"].as_object().expect("an object");
    for (name, component) in others.iter().filter(|(name, _)| *name != "robot") {
        assert_eq!(*component, json!({ "healthy": true }), "{name}");
    }
    world.robot.behave(Manner::Echoes).await?;
    world.robot.startup().await?;
    let healed = world.wait_until("healthy", SOON).await?;
    assert_eq!(healed.json["status"]["components"]["robot"], json!({ "healthy": true }));
    Ok(())
}

#[tokio::test]
async fn req_010_the_components_that_must_work_are_always_listed() -> Result {
    let world = World::of(BINARY).start().await?;
    let beat = world.wait_for_beat(Mark::START, Duration::from_secs(5), |_| true).await?;
    for name in ["nats", "intake", "decider", "heartbeat", "outbox", "llm_providers", "robot", "instances"] {
        assert_eq!(beat.json["status"]["components"][name], json!({ "healthy": true }), "{name}");
    }
    let health = world.daemon.health().await?;
    assert_eq!(health["components"]["decider"]["healthy"], true);
    Ok(())
}
