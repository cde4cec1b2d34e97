//! Whoever makes the bot speak too often is not answered for a while.

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Result};
use serde_json::{Value, json};

use crate::BINARY;
use crate::response_log::records_at_the_end;

/// A detection that nothing breaks but what `rule` adds to it.
async fn world(rule: Value) -> Result<World> {
    let lenient = json!({ "spam_detection": { "enabled": true, "message_windows": [],
        "identical_message_threshold": 1_000, "mention_spam_threshold": 1_000 } });
    World::of(BINARY).config(lenient).config(json!({ "spam_detection": rule })).start().await
}

/// Somebody mentions the bot and is not answered.
async fn is_silenced(world: &World, user: &str, text: &str) -> Result {
    let caught = |health: &Value| health["ledger"]["silenced"]["spam"].as_u64().unwrap_or_default();
    let before = caught(&world.daemon.health().await?);
    world.mention(user, text).await?;
    world.wait_for_health(SOON, |health| caught(health) == before + 1).await.map(drop)
}

/// So many beats, one a second, have gone out.
async fn beats(world: &World, count: usize) -> Result {
    for _ in 0..count {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    Ok(())
}

/// What the response log says of each message that was spam: the rule, and the seconds left.
fn caught(records: &[Value]) -> Vec<(String, u64)> {
    let spam = records.iter().filter(|record| record["reason"] == "spam");
    let figures = |record: &Value| {
        assert_eq!(
            (&record["outcome"], &record["rate_limit"]["reason"]),
            (&json!("silenced"), &json!("spam"))
        );
        let detail = record.pointer("/rate_limit/details/detail").and_then(Value::as_str).expect("a detail");
        let rule = detail.split(':').next().unwrap_or_default().to_owned();
        (rule, record["rate_limit"]["retry_after"].as_u64().expect("a wait"))
    };
    spam.map(figures).collect()
}

#[tokio::test]
async fn each_rule_catches_the_third_message_and_the_penalty_catches_the_fourth() -> Result {
    for (rule, texts, name) in [
        (
            json!({ "message_windows": [{ "seconds": 60, "max_messages": 2 }] }),
            ["the first", "the second", "the third"],
            "messages",
        ),
        (json!({ "identical_message_threshold": 2 }), ["again", "AGAIN", "again"], "identical"),
        (
            json!({ "identical_message_threshold": 9, "identical_message_window": { "seconds": 60, "max_messages": 2 } }),
            ["again", "AGAIN", "again"],
            "identical",
        ),
        (json!({ "mention_spam_threshold": 2 }), ["the first", "the second", "the third"], "mentions"),
    ] {
        let world = world(rule).await?;
        for text in &texts[..2] {
            world.ask("mallory", text).await?;
            // What is not for the bot does not count.
            world.robot.chat("mallory", "and what do you all think?").await?;
        }
        is_silenced(&world, "mallory", texts[2]).await?;
        is_silenced(&world, "MALLORY", "in capital letters, I am somebody else").await?;
        world.ask("bob", "are you still there for others?").await?;
        let ledger = world.ledger().await?;
        assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(5), &json!(3)), "{name}");
        let health = world.daemon.health().await?;
        assert_eq!((&health["spam_detected"], &health["errors_count"]), (&json!(2), &json!(0)), "{name}");
        let caught = caught(&records_at_the_end(&world).await?);
        let rules: Vec<&str> = caught.iter().map(|(rule, _)| rule.as_str()).collect();
        assert_eq!(rules, [name, "penalty"]);
        assert_eq!(caught[0].1, 30, "initial_penalty");
        assert!((1..=30).contains(&caught[1].1), "{caught:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_penalty_ends_and_the_next_one_is_longer() -> Result {
    for penalties in [
        json!({ "initial_penalty": 1, "penalty_multiplier": 3 }),
        json!({ "initial_penalty": 500, "penalty_durations": [1, 3] }),
    ] {
        let mut rule = json!({ "message_windows": [{ "seconds": 1, "max_messages": 1 }] });
        kryten_testkit::config::merge(&mut rule, penalties);
        let world = world(rule).await?;
        world.ask("mallory", "the first").await?;
        is_silenced(&world, "mallory", "the second").await?;
        // The penalty of a second is over, and so is the window.
        beats(&world, 3).await?;
        world.ask("mallory", "the third").await?;
        is_silenced(&world, "mallory", "the fourth").await?;
        let ledger = world.ledger().await?;
        assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(4), &json!(2)), "{ledger}");
        let caught = caught(&records_at_the_end(&world).await?);
        assert_eq!(caught, [("messages".to_owned(), 1), ("messages".to_owned(), 3)]);
    }
    Ok(())
}

#[tokio::test]
async fn a_message_whose_answer_was_not_said_does_not_count() -> Result {
    let world = world(json!({ "message_windows": [{ "seconds": 60, "max_messages": 1 }] })).await?;
    world.provider().next([Behaviour::Status(500, String::new()), Behaviour::answer("no")]);
    for (text, reply) in [("this fails", 1), ("this is rejected", 2)] {
        world.mention("bob", text).await?;
        world.wait_for_health(SOON, |health| health["ledger"]["fired"] == reply).await?;
        world.ledger().await?;
    }
    world.ask("bob", "this is answered").await?;
    is_silenced(&world, "bob", "this is too much").await?;
    let ledger = world.ledger().await?;
    assert_eq!(ledger["silenced"], json!({ "rejected_short": 1, "spam": 1 }));
    assert_eq!((&ledger["failed"], &ledger["sent"]), (&json!(1), &json!(1)));
    Ok(())
}
