//! The log: what is told of many equal warnings, and that every line is one.

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Result};
use serde_json::{Value, json};

use crate::BINARY;

/// Mentions that nobody answers.
const MENTIONS: usize = 30;

fn broken() -> Behaviour {
    Behaviour::Status(500, "{\"error\": {\"message\": \"out\\nof\\r\\nforged order\"}}".to_owned())
}

/// Mentions the bot so many times, one after the other, and waits until each reply has failed.
async fn fail(world: &World, mentions: usize) -> Result {
    let before = world.ledger().await?["failed"].as_u64().unwrap_or_default();
    for mention in 0..mentions {
        world.mention("bob", &format!("are you there, for the {mention}th time?")).await?;
    }
    let all = Value::from(before + mentions as u64);
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == all).await?;
    world.ledger().await?;
    Ok(())
}

/// The number in front of "more in the last", in the lines with this text.
fn more(lines: &[String]) -> usize {
    let numbers = lines.iter().filter_map(|line| {
        line.split_once("… ")?.1.split_once(" more in the last ")?.0.parse::<usize>().ok()
    });
    numbers.sum()
}

#[tokio::test]
async fn of_equal_warnings_five_are_told_and_the_rest_is_counted_to_the_last_one() -> Result {
    let patient = json!({ "circuit_breaker": { "failures": 100 } });
    let world = World::of(BINARY).config(patient).start().await?;
    world.provider().always(broken());
    fail(&world, MENTIONS).await?;
    for warning in ["the provider failed", "no provider answered", "reply failed"] {
        assert_eq!(world.daemon.wait_for_lines(warning, 5).await?.len(), 5, "{warning}");
    }
    assert_eq!(world.stop().await?, Exit::Code(0));
    for warning in ["the provider failed", "no provider answered", "reply failed"] {
        let all = world.daemon.lines(warning);
        assert_eq!(all.len(), 6, "{warning}");
        assert_eq!(5 + more(&all), MENTIONS, "{warning}");
        assert!(all[5].contains("WARN") && all[5].contains(&format!(" s: {warning}")), "{}", all[5]);
    }
    Ok(())
}

#[tokio::test]
async fn a_warning_about_something_else_is_told_at_once_though_its_sentence_is_the_same() -> Result {
    let patient = json!({ "circuit_breaker": { "failures": 100 } });
    let world = World::of(BINARY).providers(2).config(patient).start().await?;
    world.provider().always(broken());
    for _ in 0..10 {
        world.ask("bob", "who answers?").await?;
    }
    assert_eq!(world.daemon.wait_for_lines("the provider failed", 5).await?.len(), 5);
    world.providers[1].always(broken());
    let mark = world.daemon.log().mark();
    world.mention("bob", "and now?").await?;
    let other = |line: &str| line.contains("the provider failed") && line.contains("provider=second");
    world.daemon.wait_for_log(mark, SOON, other).await?;
    world.ledger().await?;
    Ok(())
}

#[tokio::test]
async fn with_the_level_debug_all_is_told() -> Result {
    let patient = json!({ "circuit_breaker": { "failures": 100 }, "log_level": "DEBUG" });
    let world = World::of(BINARY).config(patient).start().await?;
    world.provider().always(broken());
    fail(&world, 12).await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert_eq!(world.daemon.lines("reply failed").len(), 12);
    assert_eq!(world.daemon.lines("more in the last").len(), 0);
    Ok(())
}

#[tokio::test]
async fn every_line_is_an_event_of_ours_whatever_a_provider_writes() -> Result {
    // A stream that is not the one its output goes to.
    let world = World::of(BINARY).launch(|launch| launch.env("JOURNAL_STREAM", "8:1")).start().await?;
    world.provider().always(broken());
    fail(&world, 3).await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    for line in world.daemon.log().all() {
        assert!(line.text.starts_with("20") && line.text[..30].contains('T'), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn as_json_every_line_is_an_object_and_sums_are_told_too() -> Result {
    let changes = json!({ "circuit_breaker": { "failures": 100 }, "logging": { "format": "json" } });
    let world = World::of(BINARY).config(changes).start().await?;
    world.provider().always(broken());
    fail(&world, 8).await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let mut sums = 0;
    for line in world.daemon.log().since(Mark::START) {
        let event: Value = serde_json::from_str(&line.text)
            .map_err(|error| kryten_testkit::Error::new(format!("{error}: {line}")))?;
        assert!(event["level"].is_string() && event["timestamp"].is_string(), "{line}");
        sums +=
            usize::from(event.pointer("/fields/message").is_some_and(|message| {
                message.as_str().unwrap_or_default().starts_with("… 3 more in the last")
            }));
    }
    assert_eq!(sums, 3);
    Ok(())
}
