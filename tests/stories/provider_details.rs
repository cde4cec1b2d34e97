//! What an operator learns of each provider: kinds of failure, limits, costs; and the slow one's neighbour.

use std::time::{Duration, Instant};

use kryten_testkit::process::Line;
use kryten_testkit::provider::{COMPLETION_TOKENS, PROMPT_TOKENS};
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Mark, Result};
use serde_json::{Value, json};

use crate::BINARY;
use crate::commands::data;

/// What is told of a provider.
pub async fn listed(world: &World, name: &str) -> Result<Value> {
    let list = data(world, json!({"command": "providers.list"})).await?;
    let mut providers = list["providers"].as_array().into_iter().flatten();
    Ok(providers.find(|provider| provider["name"] == name).cloned().unwrap_or_default())
}

fn refusal(status: u16, error: Value) -> Behaviour {
    Behaviour::Status(status, json!({"error": error}).to_string())
}

#[tokio::test]
async fn each_kind_of_failure_is_told_apart_in_the_log_and_to_whoever_asks() -> Result {
    const KEY: &str = "planted-key-of-the-second";
    let config = json!({
        "circuit_breaker": {"failures": 100},
        "llm_providers": {
            "first": {"max_retries": 0, "timeout_seconds": 1, "extra_body": {"top_k": 5}},
            "second": {"api_key": KEY},
        },
    });
    let world = World::of(BINARY).providers(2).config(config).start().await?;
    let first = listed(&world, "first").await?;
    assert_eq!((&first["status"], &first["last_failure"]), (&json!("unknown"), &Value::Null), "{first}");
    let unsupported = |parameter: &str| {
        refusal(400, json!({"code": "unsupported_parameter", "param": parameter, "message": "not here"}))
    };
    let anthropic =
        json!({"type": "invalid_request_error", "message": "top_k: Extra inputs are not permitted"});
    let hostile =
        json!({"code": "unsupported_value", "param": "x\n\u{1b}[2J", "message": "\u{1b}[2J\nERROR fake"});
    // The kind, what else the log says, and whether it is a refusal, which leaves the status.
    for (behaviour, kind, words, is_refusal) in [
        (Behaviour::Status(429, "{}".to_owned()), "rate_limited", "HTTP 429", false),
        (refusal(401, json!({"message": format!("wrong key {KEY}")})), "bad_key", "wrong key ****", false),
        (refusal(404, json!({"message": "no such model"})), "model_not_found", "no such model", false),
        (refusal(404, json!({"code": "model_not_found"})), "model_not_found", "HTTP 404", false),
        (Behaviour::Hang, "timeout", "no whole answer within 1.0 s", false),
        (Behaviour::Reset, "connection", "the provider failed", false),
        (Behaviour::Status(503, "busy".to_owned()), "server", "busy", false),
        (Behaviour::NotJson, "unusable_body", "not JSON", false),
        (Behaviour::ReasoningAteTokens, "reasoning_ate_tokens", "raise this provider's max_tokens", false),
        (refusal(402, json!({"message": "pay first"})), "rejected", "pay first", false),
        (refusal(400, json!({"code": "model_not_found"})), "model_not_found", "HTTP 400", true),
        (refusal(400, json!({"code": "context_length_exceeded"})), "too_long", "HTTP 400", true),
        (Behaviour::ContentFilter, "content_refused", "held back by a content filter", true),
        (unsupported("max_tokens"), "content_refused", "llm_providers.first.max_tokens_field", true),
        (unsupported("temperature"), "content_refused", "llm_providers.first.temperature to null", true),
        (unsupported("top_k"), "content_refused", "top_k in llm_providers.first.extra_body", true),
        (refusal(400, anthropic), "content_refused", "top_k in llm_providers.first.extra_body", true),
        (refusal(422, hostile), "content_refused", "ERROR fake", true),
    ] {
        let name = format!("{behaviour:?}");
        if is_refusal {
            world.ask("bob", "are you back?").await?;
        }
        let before = listed(&world, "first").await?;
        let mark = world.daemon.log().mark();
        world.providers[0].next([behaviour]);
        world.ask("bob", "who answers?").await?;
        let told = |line: &Line| line.text.contains(words) && line.text.contains(kind);
        world.daemon.log().wait_since(mark, words, SOON, told).await?;

        let first = listed(&world, "first").await?;
        let failure = &first["last_failure"];
        assert_eq!(failure["kind"], kind, "{name}: {first}");
        assert!(failure["at"].as_str().is_some_and(|at| at.ends_with("+00:00")), "{first}");
        assert_eq!(first["status"], if is_refusal { "ok" } else { "failed" }, "{name}: {first}");
        for count in ["calls", "failed_calls"] {
            let counted = [&before, &first].map(|listed| listed[count].as_u64().unwrap_or_default());
            assert_eq!(counted[0] + 1, counted[1], "{name}: {count}");
        }
        assert!(first["latency_ms"].is_number() && !first.to_string().contains(KEY), "{first}");
    }
    let lines: Vec<String> = world.daemon.log().all().into_iter().map(|line| line.text).collect();
    let bad = lines
        .iter()
        .find(|line| line.contains(KEY) || line.contains('\u{1b}') || line.starts_with("ERROR fake"));
    assert_eq!(bad, None);
    assert_eq!(world.ledger().await?["sent"], 26);
    Ok(())
}

#[tokio::test]
async fn what_a_provider_was_used_for_today_is_told_and_outlives_a_reload() -> Result {
    let price = json!({"input_per_million": 1000, "output_per_million": 10_000});
    let config = json!({
        "llm_providers": {"first": {"price": price, "max_retries": 0}},
        "circuit_breaker": {"failures": 1, "open_seconds": 600},
    });
    let world = World::of(BINARY).providers(2).config(config).start().await?;
    let header = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let headers = [("x-ratelimit-remaining-requests", "41"), ("x-ratelimit-reset-requests", "1m30s")];
    world.providers[0].next([Behaviour::AnswerWithHeaders(headers.map(header).to_vec())]);
    world.ask("bob", "what do you cost?").await?;
    world.ask("bob", "and now?").await?;
    data(&world, json!({"command": "system.reload"})).await?;
    let first = listed(&world, "first").await?;
    let (prompt, completion) = (2 * PROMPT_TOKENS, 2 * COMPLETION_TOKENS);
    let today = json!({"calls": 2, "tokens": {"prompt": prompt, "completion": completion}, "cost": 0.6});
    assert_eq!(first["today"], today, "{first}");
    assert_eq!((&first["calls"], &first["status"]), (&json!(2), &json!("ok")));
    assert_eq!(first["rate_limit"]["remaining_requests"], 41, "{first}");
    assert_eq!(first["rate_limit"]["remaining_tokens"], Value::Null);
    assert!(first["rate_limit"]["resets_at"].is_string(), "{first}");
    assert_eq!(first["breaker"], json!({"state": "closed"}));

    world.providers[0].always(Behaviour::Status(500, "{}".to_owned()));
    world.ask("bob", "who answers?").await?;
    let first = listed(&world, "first").await?;
    assert_eq!(first["breaker"]["state"], "open", "{first}");
    assert!(first["breaker"]["seconds_left"].as_f64().is_some_and(|left| left > 500.0 && left <= 600.0));
    assert_eq!(first["today"]["calls"], 3);
    let second = listed(&world, "second").await?;
    assert_eq!((&second["today"]["calls"], &second["today"]["cost"]), (&json!(1), &json!(0.0)), "{second}");
    assert_eq!(world.ledger().await?["sent"], 3);
    Ok(())
}

#[tokio::test]
async fn the_next_provider_is_asked_beside_a_slow_one_and_answers_once() -> Result {
    let config = json!({"llm_providers": {"first": {"hedge_after_seconds": 0.2}}});
    let world = World::of(BINARY).providers(2).config(config).start().await?;
    world.providers[0].always(Behaviour::Hang);
    world.providers[1].always(Behaviour::answer("The second is quick."));
    let (began, mark) = (Instant::now(), world.robot.says.mark());
    world.ask("bob", "who is quick?").await?;
    let took = began.elapsed();
    assert!((Duration::from_millis(200)..Duration::from_secs(3)).contains(&took), "{took:?}");
    let hang_ups = world.providers[0].hang_ups();
    hang_ups.wait_since(Mark::START, "a cancelled call", SOON, |_| true).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    let said: Vec<String> = world.robot.says.since(mark).into_iter().map(|said| said.text).collect();
    assert_eq!(said, ["The second is quick."]);
    let calls = [0, 1].map(|provider: usize| world.providers[provider].requests().count());
    assert_eq!(calls, [1, 1]);
    let statuses = world.daemon.health().await?["llm_providers"].clone();
    assert_eq!(statuses, json!({"first": "unknown", "second": "ok"}));
    let (first, second) = (listed(&world, "first").await?, listed(&world, "second").await?);
    assert_eq!((&first["calls"], &first["today"]["calls"]), (&json!(0), &json!(1)), "{first}");
    assert_eq!((&second["calls"], &second["today"]["calls"]), (&json!(1), &json!(1)), "{second}");
    let reserved = first["today"]["tokens"]["completion"].as_u64().unwrap_or_default();
    assert!(reserved > COMPLETION_TOKENS, "what the cancelled call may have used stays counted: {first}");

    // A first one that is quick is asked alone.
    world.providers[0].always(Behaviour::answer("The first is quick now."));
    world.ask("bob", "and now?").await?;
    assert_eq!(world.providers[1].requests().count(), 1);
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn when_the_slow_one_and_its_neighbour_fail_the_third_is_asked() -> Result {
    let config = json!({"llm_providers": {
        "first": {"hedge_after_seconds": 0.1, "timeout_seconds": 1, "max_retries": 0},
        "second": {"max_retries": 0},
    }});
    let world = World::of(BINARY).providers(3).config(config).start().await?;
    world.providers[0].always(Behaviour::Hang);
    world.providers[1].always(Behaviour::Status(500, "{}".to_owned()));
    world.providers[2].always(Behaviour::AnswerAfter(Duration::from_secs(2), "The third one.".to_owned()));
    assert_eq!(world.ask("bob", "is anybody there?").await?.text, "The third one.");
    let statuses = world.daemon.health().await?["llm_providers"].clone();
    assert_eq!(statuses, json!({"first": "failed", "second": "failed", "third": "ok"}));
    let kind = listed(&world, "first").await?["last_failure"]["kind"].clone();
    assert_eq!(kind, "timeout", "it ended by itself while the third was asked");
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}
