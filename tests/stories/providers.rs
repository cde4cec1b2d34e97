//! The providers as the binary asks them: order, retries, deadlines, headers, and no secret told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use kryten_testkit::nats::{Auth, Settings, USER};
use kryten_testkit::provider::Request;
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Exit, Launch, Mark, Result};
use serde_json::{Value, json};

use crate::BINARY;

fn world(providers: usize, config: Value) -> Builder {
    World::of(BINARY).providers(providers).config(config)
}

fn broken() -> Behaviour {
    Behaviour::Status(500, r#"{"error":{"message":"out of order"}}"#.to_owned())
}

/// How often each provider was asked.
fn asked(world: &World) -> Vec<usize> {
    world.providers.iter().map(|provider| provider.requests().count()).collect()
}

async fn failed_replies(world: &World, count: u64) -> Result<Value> {
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == count).await
}

#[tokio::test]
async fn they_are_asked_in_order_until_one_answers() -> Result {
    let config = json!({
        "default_provider_priority": ["third"],
        "llm_providers": { "first": { "priority": 5 }, "second": { "priority": 3 } },
    });
    let world = world(3, config).start().await?;
    world.providers[1].always(broken());
    world.providers[2].always(broken());
    world.ask("bob", "who answers?").await?;
    let at = |index: usize| world.providers[index].requests().all()[0].at;
    assert!(at(2) < at(1) && at(1) < at(0), "the order named, then by priority");
    assert_eq!(asked(&world), [1, 1, 1]);
    let statuses = world.daemon.health().await?["llm_providers"].clone();
    assert_eq!(statuses, json!({ "first": "ok", "second": "failed", "third": "failed" }));
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_will_not_is_left_to_the_next() -> Result {
    let config =
        json!({ "llm_providers": { "first": { "max_retries": 2 } }, "circuit_breaker": { "failures": 100 } });
    let world = world(2, config).start().await?;
    let status = |code| Behaviour::Status(code, String::new());
    for (behaviour, tries) in [
        (broken(), 3),
        (status(408), 3),
        (status(425), 3),
        (status(503), 3),
        (Behaviour::Reset, 3),
        (Behaviour::CutMidBody, 3),
        (Behaviour::NotJson, 2),
        (Behaviour::NoChoices, 2),
        (Behaviour::EmptyContent, 2),
        (Behaviour::ReasoningAteTokens, 2),
        (Behaviour::Huge(1 << 20), 2),
        (status(401), 1),
        (status(404), 1),
        (status(400), 1),
        (status(422), 1),
        (Behaviour::ContentFilter, 1),
    ] {
        let before = asked(&world);
        let name = format!("{behaviour:?}");
        world.providers[0].always(behaviour);
        world.ask("bob", "who answers?").await?;
        let after = asked(&world);
        assert_eq!((after[0] - before[0], after[1] - before[1]), (tries, 1), "{name}");
    }
    assert_eq!(world.ledger().await?["sent"], 16);
    for words in ["raise this provider's max_tokens", "refuses our key"] {
        world.daemon.wait_for_lines(words, 1).await?;
    }
    Ok(())
}

#[tokio::test]
async fn retry_after_is_kept_when_it_fits_and_else_the_next_is_asked() -> Result {
    let config = json!({ "llm_providers": { "first": { "max_retries": 1 } }, "handler_timeout": 20 });
    let world = world(2, config).start().await?;
    // In seconds and as a date: 1 to 2 s are waited for.
    let date = (Utc::now() + TimeDelta::seconds(3)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (value, least, most) in [("1", 1_000, 2_500), (date.as_str(), 0, 4_500)] {
        let mark = world.providers[0].requests().mark();
        world.providers[0].next([Behaviour::RetryAfter(429, value.to_owned())]);
        world.ask("bob", "slow down?").await?;
        let requests = world.providers[0].requests().since(mark);
        assert_eq!(requests.len(), 2, "{value}");
        let waited = (requests[1].at - requests[0].at).as_millis();
        assert!((least..most).contains(&waited), "{value}: waited {waited} ms");
    }
    assert_eq!(asked(&world)[1], 0);
    // Longer than its share of the time, and a bare 429 with its 60 s: nobody waits for that.
    for behaviour in [Behaviour::RetryAfter(503, "3600".to_owned()), Behaviour::Status(429, String::new())] {
        let (before, began) = (asked(&world), Instant::now());
        world.providers[0].next([behaviour]);
        world.ask("bob", "slow down?").await?;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(asked(&world), [before[0] + 1, before[1] + 1]);
    }
    assert_eq!(world.ledger().await?["sent"], 4);
    Ok(())
}

#[tokio::test]
async fn refused_content_is_an_error_of_the_reply_and_no_outage() -> Result {
    let world = world(2, json!({})).start().await?;
    world.ask("bob", "something harmless").await?;
    let refusals = [400, 413, 422].map(|code| Behaviour::Status(code, String::new()));
    for (count, refusal) in (1..).zip(refusals.into_iter().chain([Behaviour::ContentFilter])) {
        for provider in &world.providers {
            provider.always(refusal.clone());
        }
        world.mention("eve", "something else").await?;
        let health = failed_replies(&world, count).await?;
        assert_eq!(health["llm_providers"], json!({ "first": "ok", "second": "unknown" }));
        assert_ne!(health["status"], "failing", "{health}");
        assert_eq!(health["errors_count"], count);
    }
    assert_eq!(world.ledger().await?["fired"], 5);
    Ok(())
}

#[tokio::test]
async fn a_provider_that_hangs_does_not_eat_the_time_of_the_next() -> Result {
    for hanging in [Behaviour::Hang, Behaviour::Trickle] {
        let world = world(2, json!({ "handler_timeout": 4 })).start().await?;
        world.providers[0].always(hanging);
        let began = Instant::now();
        world.ask("bob", "is anybody there?").await?;
        // Half of the 4 s is the first one's.
        let took = began.elapsed();
        assert!((Duration::from_millis(1_900)..Duration::from_millis(3_500)).contains(&took), "{took:?}");
        assert_eq!(
            world.daemon.health().await?["llm_providers"],
            json!({ "first": "failed", "second": "ok" })
        );
        assert_eq!(world.ledger().await?["sent"], 1);
    }
    Ok(())
}

#[tokio::test]
async fn the_deadline_without_success_is_exhaustion_and_the_next_success_recovers() -> Result {
    let config = json!({ "handler_timeout": 2, "llm_providers": { "first": { "max_retries": 9 } } });
    let world = world(2, config).start().await?;
    world.providers.iter().for_each(|provider| provider.always(Behaviour::Hang));
    let began = Instant::now();
    world.mention("bob", "is anybody there?").await?;
    world.wait_for_beat(world.recorder.mark(), SOON, |beat| beat.text("/health") == "failing").await?;
    let health = failed_replies(&world, 1).await?;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(health["reason"], "all LLM providers exhausted");
    assert_eq!(health["llm_providers"], json!({ "first": "failed", "second": "failed" }));
    world.providers[1].always(Behaviour::AnswerAnew);
    let mark = world.recorder.mark();
    world.ask("bob", "and now?").await?;
    let beat = world.wait_for_beat(mark, SOON, |beat| beat.text("/health") != "failing").await?;
    assert_eq!(beat.text("/status/llm_providers/second"), "ok");
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["failed"]), (&json!(1), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn a_request_has_the_headers_and_the_body_as_configured() -> Result {
    let config = json!({ "llm_providers": {
        "first": {
            "custom_headers": { "X-Title": "A room", "HTTP-Referer": "https://x.example" },
            "max_tokens": 77, "temperature": 0.25, "extra_body": { "top_p": 0.5 },
        },
        "second": { "custom_headers": { "authorization": "Basic abc" }, "temperature": null },
        "third": { "type": "anthropic", "max_tokens": 55 },
    }});
    let world = world(3, config).start().await?;
    world.providers[0].always(broken());
    world.providers[1].always(broken());
    world.ask("bob", "what do you send?").await?;
    let request = |index: usize| world.providers[index].requests().all()[0].clone();

    let first = request(0);
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(first.header("authorization"), Some("Bearer key-of-first"));
    assert_eq!(first.header("x-title"), Some("A room"));
    assert_eq!(first.header("http-referer"), Some("https://x.example"));
    assert_eq!(first.header("content-type"), Some("application/json"));
    let id = first.header("x-request-id").expect("an id").to_owned();
    assert_eq!(id.len(), 36, "the message's correlation id");
    let roles: Vec<&str> = first.json["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["role"].as_str())
        .collect();
    assert_eq!(roles, ["system", "user"]);
    let body = |key: &str| first.json[key].clone();
    assert_eq!(
        [body("model"), body("max_tokens"), body("temperature"), body("top_p")],
        [json!("model-of-first"), json!(77), json!(0.25), json!(0.5)]
    );

    let second = request(1);
    assert_eq!(second.header("authorization"), Some("Basic abc"), "custom headers come last");
    assert_eq!(second.json.get("temperature"), None);
    assert_eq!(second.header("x-request-id"), Some(id.as_str()), "one id follows the message");

    let third = request(2);
    assert_eq!(third.path, "/v1/messages");
    assert_eq!(third.header("x-api-key"), Some("key-of-third"));
    assert!(third.header("anthropic-version").is_some() && third.header("authorization").is_none());
    assert_eq!((&third.json["model"], &third.json["max_tokens"]), (&json!("model-of-third"), &json!(55)));
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn no_secret_is_told_to_anybody() -> Result {
    const FROM_FILE: &str = "planted-key-from-the-file-1";
    const FROM_ENVIRONMENT: &str = "planted-key-from-the-environment-2";
    const IN_HEADER: &str = "planted-token-in-a-header-3";
    let config = json!({ "llm_providers": {
        "first": { "api_key": null, "api_key_file": "key.txt" },
        "second": { "api_key": "${PLANTED_KEY}", "custom_headers": { "X-Auth-Token": IN_HEADER } },
    }});
    let launch = |launch: Launch| {
        launch.arg("--log-level").arg("debug").file("key.txt", FROM_FILE).env("PLANTED_KEY", FROM_ENVIRONMENT)
    };
    let server = Settings { auth: Auth::UserPassword, ..Settings::default() };
    let world = world(2, config).server(server).launch(launch).start().await?;
    // They did reach the providers.
    world.providers[0].always(Behaviour::Reset);
    world.ask("bob", "what is your key?").await?;
    assert_eq!(
        world.providers[0].requests().all()[0].header("authorization"),
        Some(&*format!("Bearer {FROM_FILE}"))
    );
    let second = &world.providers[1].requests().all()[0];
    assert_eq!(second.header("authorization"), Some(&*format!("Bearer {FROM_ENVIRONMENT}")));
    assert_eq!(second.header("x-auth-token"), Some(IN_HEADER));
    // Each way in which a provider could give away what it got: as an error, as nonsense, as the
    // answer.
    let all = format!("{FROM_ENVIRONMENT} {IN_HEADER}");
    let error = json!({ "error": { "message": format!("Incorrect API key provided: {all}") } }).to_string();
    for behaviour in [
        Behaviour::Status(401, error.clone()),
        Behaviour::Status(500, format!("<html>{all}")),
        Behaviour::Json(json!({ "error": all })),
        Behaviour::ContentFilter,
        Behaviour::answer(format!("My secret words are {IN_HEADER} and {FROM_ENVIRONMENT}, dear friend.")),
    ] {
        world.providers[1].next([behaviour]);
        let done = world.daemon.health().await?["ledger"]["fired"].as_u64().unwrap_or_default() + 1;
        world.mention("mallory", "what is your key?").await?;
        world.wait_for_health(SOON, |health| health["ledger"]["fired"] == done).await?;
        world.ledger().await?;
    }
    let health = world.daemon.get("/health").await?.1;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let mut told: Vec<String> = world.daemon.log().all().into_iter().map(|line| line.text).collect();
    told.extend(world.recorder.all(">").iter().map(ToString::to_string));
    told.extend(world.robot.says.all().into_iter().map(|said| said.request.to_string()));
    told.push(health);
    assert!(told.iter().any(|line| line.contains("dear friend")), "the answer was said");
    assert!(told.iter().any(|line| line.contains("Incorrect API key")), "the error was logged");
    for secret in [FROM_FILE, FROM_ENVIRONMENT, IN_HEADER, USER.1] {
        let leak = told.iter().find(|line| line.contains(secret));
        assert_eq!(leak, None, "{secret}");
    }
    Ok(())
}

#[tokio::test]
async fn connections_to_a_provider_are_reused() -> Result {
    let world = world(1, json!({})).start().await?;
    for number in 0..10 {
        world.ask("bob", &format!("question {number}")).await?;
    }
    assert_eq!(world.provider().requests().count(), 10);
    assert_eq!(world.provider().connections(), 1);
    assert_eq!(world.ledger().await?["sent"], 10);
    Ok(())
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_left_alone_for_a_while() -> Result {
    let config = json!({ "circuit_breaker": { "failures": 2, "open_seconds": 1 } });
    let world = world(2, config).start().await?;
    world.providers[0].always(broken());
    for number in 0..4 {
        world.ask("bob", &format!("question {number}")).await?;
    }
    assert_eq!(asked(&world), [2, 4], "two failures open the breaker");
    world.providers[0].always(Behaviour::AnswerAnew);
    // A probe after a second finds that it is back.
    let back = async {
        while asked(&world)[0] == 2 {
            world.ask("bob", "who answers?").await?;
        }
        Ok(())
    };
    kryten_testkit::within(SOON, "the provider to be asked again", back).await??;
    world.wait_for_health(SOON, |health| health["llm_providers"]["first"] == "ok").await?;
    world.ledger().await.map(drop)
}

#[tokio::test]
async fn a_hundred_mentions_at_once_are_answered_once_each() -> Result {
    const MENTIONS: u64 = 100;
    let config = json!({ "outbox": { "max_lines": 1000 } });
    let world = world(1, config).start().await?;
    // Each answer names its question.
    world.provider().always(Behaviour::choose(|request: &Request| {
        let prompt = request.prompt();
        let (_, number) = prompt.rsplit_once("number ").unwrap_or_default();
        Behaviour::AnswerAfter(Duration::from_millis(500), format!("The answer is: {number}"))
    }));
    for number in 0..MENTIONS {
        world.mention(&format!("user{number}"), &format!("what about number {number}")).await?;
    }
    world.wait_for_health(SOON, |health| health["ledger"]["fired"] == MENTIONS).await?;
    assert_eq!(world.ledger().await?["sent"], MENTIONS);
    assert_eq!(world.provider().requests().count() as u64, MENTIONS);
    let mut answers = BTreeMap::new();
    for said in world.robot.says.since(Mark::START) {
        *answers.entry(said.text).or_insert(0) += 1;
    }
    assert_eq!(answers.len() as u64, MENTIONS);
    for number in 0..MENTIONS {
        assert_eq!(answers.get(&format!("The answer is: {number}\"")), Some(&1), "{number}");
    }
    Ok(())
}
