//! The providers: who is asked when, how often, with what, and what becomes of the mention.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kryten_testkit::chat::line;
use kryten_testkit::provider::{Request, distinct_text};
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Mark, Message, Result};
use serde_json::{Value, json};

use crate::BINARY;

const BEATS: &str = "kryten.service.heartbeat.*";

fn two_providers() -> Builder {
    World::of(BINARY).providers(2)
}

fn first(changes: &Value) -> Value {
    json!({ "llm_providers": { "first": changes } })
}

fn broken() -> Behaviour {
    Behaviour::Status(500, r#"{"error": {"message": "out of order"}}"#.to_owned())
}

/// How many requests each provider got.
fn asked(world: &World) -> Vec<usize> {
    world.providers.iter().map(|provider| provider.requests().count()).collect()
}

/// `user` asks something that comes to nothing; gives the reason that is logged.
async fn ask_in_vain(world: &World, user: &str) -> Result<String> {
    let before = world.daemon.health().await?["ledger"]["failed"].as_u64().unwrap_or_default();
    let log = world.daemon.log().mark();
    world.mention(user, "can you hear me?").await?;
    let failed = world.daemon.wait_for_log(log, SOON, |line| line.contains("reply failed")).await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == before + 1).await?;
    let (_, reason) = failed.text.split_once("reason=\"").unwrap_or_default();
    Ok(reason.split('"').next().unwrap_or_default().to_owned())
}

async fn next_beat(world: &World) -> Result<Message> {
    let mark = world.recorder.mark();
    // The one that is on its way may have been made before.
    world.wait_for_beat(mark, SOON, |_| true).await?;
    let mark = world.recorder.mark();
    world.wait_for_beat(mark, SOON, |_| true).await
}

#[tokio::test]
async fn the_first_provider_is_asked_and_the_second_only_when_it_fails() -> Result {
    let world = two_providers().start().await?;
    world.providers[0].next([Behaviour::answer("The first one answers this.")]);
    assert_eq!(world.ask("bob", "who answers?").await?.text, "The first one answers this.");
    assert_eq!(asked(&world), [1, 0]);
    world.providers[0].always(broken());
    world.providers[1].next([Behaviour::answer("Now another voice speaks.")]);
    assert_eq!(world.ask("bob", "and now?").await?.text, "Now another voice speaks.");
    assert_eq!(asked(&world), [2, 1]);
    let (one, two) = (&world.providers[0].requests().all()[1], &world.providers[1].requests().all()[0]);
    assert!(one.at <= two.at, "in their order");
    assert_eq!(one.prompt(), two.prompt(), "the same question");
    assert_eq!(two.json["model"], "model-of-second");
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn the_configured_order_is_the_order_of_asking() -> Result {
    let order = json!({ "default_provider": "second", "default_provider_priority": ["second", "first"] });
    let world = two_providers().config(order).start().await?;
    world.ask("bob", "who answers?").await?;
    assert_eq!(asked(&world), [0, 1]);
    world.providers[1].always(broken());
    world.ask("bob", "and now?").await?;
    assert_eq!(asked(&world), [1, 2]);
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn two_retries_are_three_requests_and_then_the_next_provider() -> Result {
    let config = json!({
        "retry_strategy": { "initial_delay": 0.1 },
        "llm_providers": { "first": { "max_retries": 2 } },
    });
    let world = two_providers().config(config).start().await?;
    world.providers[0].always(broken());
    world.ask("bob", "who answers?").await?;
    assert_eq!(asked(&world), [3, 1]);
    // A try that succeeds ends it.
    world.providers[0].always(Behaviour::AnswerAnew);
    world.providers[0].next([Behaviour::Reset]);
    world.ask("bob", "and now?").await?;
    assert_eq!(asked(&world), [5, 1]);
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn what_no_retry_cures_goes_to_the_next_provider_at_once() -> Result {
    let world = two_providers().config(first(&json!({ "max_retries": 2 }))).start().await?;
    for (number, status) in [401, 403, 404, 400, 413, 422].into_iter().enumerate() {
        world.providers[0].next([Behaviour::Status(status, "{}".to_owned())]);
        world.ask("bob", &format!("question number {number}")).await?;
        assert_eq!(asked(&world), [number + 1, number + 1], "{status}");
    }
    assert_eq!(world.ledger().await?["sent"], 6);
    Ok(())
}

#[tokio::test]
async fn a_short_retry_after_is_honoured() -> Result {
    let world = two_providers().config(first(&json!({ "max_retries": 2 }))).start().await?;
    for status in [429, 503] {
        let mark = world.providers[0].requests().mark();
        world.providers[0].next([Behaviour::RetryAfter(status, "1".to_owned())]);
        world.ask("bob", &format!("what about {status}?")).await?;
        let tries = world.providers[0].requests().since(mark);
        assert_eq!(tries.len(), 2, "{status}");
        let waited = tries[1].at - tries[0].at;
        assert!(waited >= Duration::from_secs(1), "{status}: {waited:?}");
    }
    assert_eq!(asked(&world), [4, 0]);
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn a_retry_after_that_fits_no_deadline_goes_to_the_next_provider_at_once() -> Result {
    let world = two_providers().config(first(&json!({ "max_retries": 2 }))).start().await?;
    world.providers[0].always(Behaviour::RetryAfter(429, "600".to_owned()));
    world.ask("bob", "who answers?").await?;
    assert_eq!(asked(&world), [1, 1]);
    let waited = world.providers[1].requests().all()[0].at - world.providers[0].requests().all()[0].at;
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn refused_content_fails_the_reply_and_blames_no_provider() -> Result {
    let world = two_providers().start().await?;
    world.ask("bob", "a good question").await?;
    let mark = world.recorder.mark();
    let refusals = [
        Behaviour::Status(400, r#"{"error": {"message": "no"}}"#.to_owned()),
        Behaviour::Status(413, "{}".to_owned()),
        Behaviour::Status(422, "{}".to_owned()),
        Behaviour::ContentFilter,
    ];
    for refusal in refusals {
        world.providers.iter().for_each(|provider| provider.next([refusal.clone()]));
        assert_eq!(ask_in_vain(&world, "mallory").await?, "refused", "{refusal:?}");
        let beat = next_beat(&world).await?;
        assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "ok", "second": "unknown" }));
    }
    assert_eq!(asked(&world), [5, 4]);
    for beat in world.recorder.since(mark, BEATS) {
        assert_ne!(beat.text("/health"), "failing", "{beat}");
    }
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["failed"]), (&json!(1), &json!(4)));
    Ok(())
}

#[tokio::test]
async fn a_provider_that_hangs_does_not_eat_the_seconds_time() -> Result {
    let config = json!({ "handler_timeout": 4, "llm_providers": { "first": { "max_retries": 2 } } });
    let world = two_providers().config(config).start().await?;
    world.providers[0].always(Behaviour::Hang);
    let slow = Behaviour::AnswerAfter(Duration::from_millis(500), "Late, but here I am.".to_owned());
    world.providers[1].next([slow]);
    assert_eq!(world.ask("bob", "who answers?").await?.text, "Late, but here I am.");
    let waited = world.providers[1].requests().all()[0].at - world.providers[0].requests().all()[0].at;
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    let beat = next_beat(&world).await?;
    assert_eq!(beat.json["status"]["llm_providers"], json!({ "first": "failed", "second": "ok" }));
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn a_deadline_that_passes_is_failing_until_the_next_success() -> Result {
    let world = two_providers().config(json!({ "handler_timeout": 2 })).start().await?;
    world.providers.iter().for_each(|provider| provider.always(Behaviour::Hang));
    let mark = world.recorder.mark();
    assert_eq!(ask_in_vain(&world, "bob").await?, "exhausted");
    let beat = world.wait_for_beat(mark, SOON, |beat| beat.text("/health") == "failing").await?;
    assert_eq!(beat.text("/health_reason"), "all LLM providers exhausted");
    world.providers.iter().for_each(|provider| provider.always(Behaviour::AnswerAnew));
    let mark = world.recorder.mark();
    world.ask("bob", "is it better now?").await?;
    let beat = world.wait_for_beat(mark, SOON, |beat| beat.text("/health") != "failing").await?;
    assert_ne!(beat.text("/health_reason"), "all LLM providers exhausted");
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["failed"]), (&json!(1), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn beats_say_of_each_provider_how_its_last_call_ended() -> Result {
    let world = World::of(BINARY).providers(3).start().await?;
    let statuses = |beat: &Message| beat.json["status"]["llm_providers"].clone();
    let beat = next_beat(&world).await?;
    assert_eq!(statuses(&beat), json!({ "first": "unknown", "second": "unknown", "third": "unknown" }));
    world.providers[0].next([broken()]);
    world.ask("bob", "who answers?").await?;
    let beat = next_beat(&world).await?;
    assert_eq!(statuses(&beat), json!({ "first": "failed", "second": "ok", "third": "unknown" }));
    world.ask("bob", "and now?").await?;
    let beat = next_beat(&world).await?;
    assert_eq!(statuses(&beat), json!({ "first": "ok", "second": "ok", "third": "unknown" }));
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn a_request_carries_key_headers_and_the_messages_correlation_id() -> Result {
    let own = json!({
        "custom_headers": { "Authorization": "Basic by-my-own-rules", "X-Title": "Cynthia's room" }
    });
    let world = two_providers().config(json!({ "llm_providers": { "second": own } })).start().await?;
    world.providers[0].always(broken());
    let room = &world.rooms[0];
    let envelope = room.envelope("chatmsg", line("bob", "Cynthia, who answers?"));
    world.robot.publish(&room.subject("chatmsg"), envelope.clone()).await?;
    world.robot.wait_for_say(Mark::START, SOON, |_| true).await?;
    let requests: Vec<Request> =
        world.providers.iter().flat_map(|provider| provider.requests().all()).collect();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.header("x-request-id"), envelope["correlation_id"].as_str());
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/chat/completions"));
        let keys = request.headers.iter().filter(|(name, _)| name == "authorization").count();
        assert_eq!(keys, 1, "{:?}", request.headers);
    }
    assert_eq!(requests[0].header("authorization"), Some("Bearer key-of-first"));
    assert_eq!(requests[1].header("authorization"), Some("Basic by-my-own-rules"));
    assert_eq!(requests[1].header("x-title"), Some("Cynthia's room"));
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn no_key_ever_reaches_the_log_the_bus_or_the_room() -> Result {
    const KEYS: [&str; 3] = ["planted-key-alpha-1", "planted-key-beta-2", "planted-token-gamma-3"];
    let config = json!({ "llm_providers": {
        "first": { "api_key": KEYS[0] },
        "second": { "api_key": KEYS[1], "custom_headers": { "X-Auth-Token": KEYS[2] } },
    } });
    let debug = |launch: kryten_testkit::Launch| launch.arg("--log-level").arg("debug");
    let world = two_providers().config(config).launch(debug).start().await?;
    let quoting = format!(r#"{{"error": {{"message": "Incorrect API key: Bearer {}"}}}}"#, KEYS[0]);
    let refusals = [401, 400, 500, 429].map(|status| Behaviour::Status(status, quoting.clone()));
    let failures = refusals.into_iter().chain([Behaviour::Reset, Behaviour::NotJson]);
    for (number, failure) in failures.enumerate() {
        world.providers[0].always(failure);
        // The second says its own keys into the room.
        let telling = format!("{} My keys: {}, {}.", distinct_text(number as u64), KEYS[1], KEYS[2]);
        world.providers[1].next([Behaviour::answer(telling)]);
        let said = world.ask("bob", &format!("what is key number {number}?")).await?;
        assert!(said.text.contains("My keys: ****, ****."), "it was told: {}", said.text);
    }
    // And all fail, with the words of the second.
    let words = format!(r#"{{"error": {{"message": "bad key {} {}"}}}}"#, KEYS[1], KEYS[2]);
    world.providers[1].always(Behaviour::Status(401, words));
    ask_in_vain(&world, "bob").await?;
    next_beat(&world).await?;
    let ledger = world.ledger().await?;
    let masked = |line: &str| line.contains("Incorrect API key: Bearer ****");
    world.daemon.wait_for_log(Mark::START, SOON, masked).await?;
    let log = world.daemon.log().all().into_iter().map(|line| line.text);
    let bus = world.recorder.messages.all().into_iter().map(|message| message.to_string());
    let says = world.robot.says.all().into_iter().map(|said| said.request.to_string());
    let pages = [world.daemon.get("/health").await?.1, world.daemon.get("/metrics").await?.1];
    for text in log.chain(bus).chain(says).chain(pages) {
        assert!(KEYS.iter().all(|key| !text.contains(key)), "{text}");
    }
    assert_eq!((&ledger["sent"], &ledger["failed"]), (&json!(6), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn a_connection_is_used_again() -> Result {
    let world = World::of(BINARY).start().await?;
    for number in 0..6 {
        world.ask("bob", &format!("question number {number}")).await?;
    }
    assert_eq!(world.provider().connections(), 1);
    assert_eq!(world.ledger().await?["sent"], 6);
    Ok(())
}

#[tokio::test]
async fn a_hundred_mentions_at_once_are_all_answered_exactly_once() -> Result {
    let world = World::of(BINARY).config(json!({ "outbox": { "max_lines": 1000 } })).start().await?;
    let answers = AtomicU64::new(0);
    world.provider().always(Behaviour::choose(move |_| {
        let number = answers.fetch_add(1, Ordering::Relaxed);
        Behaviour::AnswerAfter(Duration::from_millis(500), distinct_text(number))
    }));
    for number in 0..100 {
        world.mention(&format!("user{number}"), &format!("what about number {number}?")).await?;
    }
    world.wait_for_health(SOON, |health| health["ledger"]["sent"] == 100).await?;
    let requests = world.provider().requests().all();
    assert_eq!(requests.len(), 100);
    for number in 0..100 {
        let asking = format!("user{number} says to you");
        let count = requests.iter().filter(|request| request.prompt().contains(&asking)).count();
        assert_eq!(count, 1, "{asking}");
    }
    let mut said: Vec<String> = world.robot.says.all().into_iter().map(|said| said.text).collect();
    said.sort();
    let mut expected: Vec<String> = (0..100).map(distinct_text).collect();
    expected.sort();
    assert_eq!(said, expected);
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(100), &json!(100)));
    Ok(())
}

#[tokio::test]
async fn whatever_a_provider_sends_the_next_mention_is_answered() -> Result {
    let world = World::of(BINARY).config(first(&json!({ "timeout_seconds": 2 }))).start().await?;
    let garbage = [
        Behaviour::NotJson,
        Behaviour::NoChoices,
        Behaviour::EmptyContent,
        Behaviour::ReasoningAteTokens,
        Behaviour::Json(json!([1, 2, 3])),
        Behaviour::Json(json!({ "choices": [{ "message": { "content": 7 } }] })),
        Behaviour::Status(200, "\u{0}\u{1}{\"choices\":".to_owned()),
        Behaviour::Status(200, String::new()),
        Behaviour::Status(302, String::new()),
        Behaviour::Status(500, "x".repeat(3 << 20)),
        Behaviour::Huge(3 << 20),
        Behaviour::CutMidBody,
        Behaviour::Reset,
        Behaviour::Trickle,
        Behaviour::Hang,
    ];
    let count = garbage.len();
    for behaviour in garbage {
        let shown: String = format!("{behaviour:?}").chars().take(60).collect();
        let says = world.robot.says.count();
        world.provider().next([behaviour]);
        assert_eq!(ask_in_vain(&world, "bob").await?, "exhausted", "{shown}");
        assert_eq!(world.robot.says.count(), says, "{shown}");
        world.ask("bob", "and now?").await?;
    }
    assert_eq!(asked(&world), [2 * count], "no retries");
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["failed"]), (&json!(count), &json!(count)));
    Ok(())
}
