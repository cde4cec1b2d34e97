//! Checks of the providers between calls: what they find is told beside what is known from calls.

use std::time::{Duration, Instant};

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Mark, Result};
use serde_json::{Value, json};

use crate::BINARY;
use crate::provider_details::listed;

const MODEL: &str = "model-of-first";

fn every_minute(kind: &str) -> Value {
    json!({"interval_seconds": 60, "kind": kind})
}

/// Waits until a check of the provider has ended; what is told of the provider then.
async fn checked(world: &World, name: &str) -> Result<Value> {
    let log = world.daemon.log();
    let told = |line: &kryten_testkit::process::Line| {
        line.text.contains("check{") && line.text.contains(&format!("provider={name}"))
    };
    log.wait_since(Mark::START, "a check of the provider", SOON, told).await?;
    listed(world, name).await
}

#[tokio::test]
async fn each_way_in_which_a_provider_may_be_found_is_told_apart_and_changes_nothing_else() -> Result {
    let names = ["first", "second", "third", "fourth", "fifth", "sixth"];
    let mut providers = json!({});
    for name in names {
        providers[name] = json!({"health_check": every_minute("models"), "timeout_seconds": 20});
    }
    // Slow is what takes more than half of it.
    providers["second"]["timeout_seconds"] = json!(6);
    let nowhere = json!({"type": "openai_compatible", "model": "any", "base_url": "http://127.0.0.1:1/v1"});
    providers["sixth"]
        .as_object_mut()
        .expect("one of them")
        .extend(nowhere.as_object().cloned().expect("one"));
    let config = json!({"llm_providers": providers, "log_level": "DEBUG"});
    let models = [
        Behaviour::answer(MODEL),
        Behaviour::AnswerAfter(Duration::from_millis(3_500), "model-of-second".to_owned()),
        Behaviour::Status(401, r#"{"error":{"message":"wrong key"}}"#.to_owned()),
        Behaviour::answer("another-model"),
        Behaviour::Status(404, "{}".to_owned()),
    ];
    let world = World::of(BINARY).providers(5).models(models).config(config).start().await?;
    for (name, state, words) in [
        ("first", "reachable", None),
        ("second", "slow", None),
        ("third", "bad_key", Some("wrong key")),
        ("fourth", "missing_model", Some("does not list the model")),
        ("fifth", "reachable", Some("no list of models")),
        ("sixth", "unreachable", Some("connection")),
    ] {
        let told = checked(&world, name).await?;
        let check = &told["check"];
        assert_eq!(check["state"], state, "{name}: {told}");
        let message = check["message"].as_str();
        assert!(words.is_none_or(|words| message.is_some_and(|message| message.contains(words))), "{told}");
        assert!(check["at"].is_string() && check["latency_ms"].is_number(), "{told}");
        assert_eq!(
            (&told["status"], &told["calls"], &told["latency"]),
            (&json!("unknown"), &json!(0), &Value::Null)
        );
    }
    let health = world.daemon.health().await?;
    assert_eq!(health["status"], "healthy", "{health}");
    world.ask("bob", "and a real call?").await?;
    let told = listed(&world, "first").await?;
    assert_eq!((&told["status"], &told["latency"]["samples"]), (&json!("ok"), &json!(1)), "{told}");
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn a_provider_that_is_not_to_be_checked_gets_no_request() -> Result {
    let world = World::of(BINARY).providers(2).config(json!({
        "llm_providers": {"second": {"health_check": every_minute("models")}},
    }));
    let world = world.start().await?;
    world.providers[1].wait_for_request(Mark::START, SOON, |_| true).await?;
    assert_eq!(world.providers[0].requests().count(), 0);
    assert_eq!(listed(&world, "first").await?["check"], json!({"state": "off"}));
    world.stop().await?;
    assert_eq!((world.providers[0].requests().count(), world.providers[1].checks()), (0, 1));
    Ok(())
}

#[tokio::test]
async fn a_provider_is_back_without_a_message_that_pays_for_the_try() -> Result {
    let config = json!({
        "llm_providers": {"first": {"max_retries": 0, "health_check": every_minute("models")}},
        "circuit_breaker": {"failures": 1, "open_seconds": 1},
    });
    let world = World::of(BINARY).models([Behaviour::answer(MODEL)]).config(config).start().await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    let mark = world.daemon.log().mark();
    world.provider().next([Behaviour::Status(500, "{}".to_owned())]);
    world.mention("bob", "are you there?").await?;
    world
        .daemon
        .log()
        .wait_since(mark, "back", SOON, |line| line.text.contains("the provider lists its model"))
        .await?;
    let told = listed(&world, "first").await?;
    assert_eq!((&told["breaker"]["state"], &told["status"]), (&json!("closed"), &json!("failed")), "{told}");
    assert_eq!((&told["calls"], &told["failed_calls"]), (&json!(1), &json!(1)), "{told}");
    assert_eq!(world.provider().checks(), 2);
    world.ask("bob", "and now?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn a_check_that_costs_is_not_made_where_nothing_may_be_spent() -> Result {
    for (limit, made) in [(0, 0), (100, 1)] {
        let world = World::of(BINARY).config(json!({
            "llm_providers": {"first": {"health_check": every_minute("completion")}},
            "spend": {"max_calls_per_day": limit},
            "log_level": "DEBUG",
        }));
        let world = world.start().await?;
        let end = if made == 0 { "the provider is not checked" } else { "the provider was checked" };
        world.daemon.log().wait_since(Mark::START, end, SOON, |line| line.text.contains(end)).await?;
        assert_eq!(world.provider().requests().count(), made);
        let told = listed(&world, "first").await?;
        assert_eq!((&told["calls"], &told["today"]["calls"]), (&json!(0), &json!(made)), "{told}");
        assert_eq!(
            told["check"]["state"],
            if made == 0 { Value::Null } else { json!("reachable") },
            "{told}"
        );
        assert_eq!(world.ledger().await?["fired"], 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_check_under_way_does_not_hold_up_a_stop() -> Result {
    let config = json!({"llm_providers": {"first": {"health_check": every_minute("models")}}});
    let world = World::of(BINARY).models([Behaviour::Hang]).config(config).start().await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    let began = Instant::now();
    world.stop().await?;
    assert!(began.elapsed() < Duration::from_secs(6), "a list may take ten: {:?}", began.elapsed());
    world.provider().hang_ups().wait_since(Mark::START, "a cancelled check", SOON, |_| true).await?;
    Ok(())
}
