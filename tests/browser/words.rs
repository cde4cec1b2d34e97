//! How the page words what it is told.

use std::collections::BTreeSet;

use kryten_llm::outcome::Reason;
use kryten_testkit::Result;
use kryten_testkit::world::{SOON, World};
use serde_json::{Value, json};

use crate::{BINARY, browser, fresh, open, opened};

const WORDS: &str = include_str!("../../src/ops/dashboard/words.js");

#[test]
fn the_page_explains_every_reason_and_no_other() {
    let list = WORDS.split_once("export const REASONS = {").and_then(|(_, rest)| rest.split_once("\n};"));
    let (list, _) = list.expect("the list of reasons");
    let explained: Vec<(&str, &str)> =
        list.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(": ")).collect();
    let names: BTreeSet<&str> = explained.iter().map(|(name, _)| *name).collect();
    let reasons: BTreeSet<&str> = Reason::ALL.into_iter().map(Reason::as_str).collect();
    assert_eq!(names, reasons);
    assert_eq!(explained.len(), reasons.len(), "one is there twice");
    for (name, meaning) in explained {
        assert!(meaning.len() > 20 && meaning.ends_with(".\""), "{name}: {meaning}");
    }
}

#[tokio::test]
async fn little_money_is_never_shown_as_none() -> Result {
    let Some(browser) = browser("costs on the dashboard") else { return Ok(()) };
    // An answer takes 100 tokens of the prompt and 20 of its own.
    let price = json!({ "input_per_million": 1.73, "output_per_million": 2 });
    let config =
        json!({ "llm_providers": { "first": { "price": price } }, "spend": { "max_cost_per_day": 1234.5 } });
    let world = World::of(BINARY).providers(1).config(config).start().await?;
    world.ask("bob", "are you there?").await?;
    let browser = &opened(browser, &world.daemon).await?;
    browser.wait_for_text("#providers", "cost 0.000213", SOON).await?;
    browser.wait_for_text("#limits", "0.000213 of 1,234.50", SOON).await?;

    let amounts = [
        (json!(0), "0.00"),
        (json!(1e-9), "0.000000001"),
        (json!(0.000_213_4), "0.000213"),
        (json!(0.05), "0.05"),
        (json!(0.123_45), "0.123"),
        (json!(0.999_9), "1.00"),
        (json!(7), "7.00"),
        (json!(12.345_6), "12.35"),
        (json!(-3.5), "-3.50"),
        (json!(1_234_567.891), "1,234,567.89"),
        (Value::Null, "–"),
    ];
    let (given, expected): (Vec<Value>, Vec<&str>) = amounts.into_iter().unzip();
    let script = "return import('/words.js').then(({ money }) => arguments[0].map(money))";
    assert_eq!(browser.run(script, json!([given])).await?, json!(expected));
    Ok(())
}

#[tokio::test]
async fn of_a_spend_limit_that_is_used_up_it_says_when_there_is_more() -> Result {
    let Some(browser) = browser("spend limits on the dashboard") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let browser = &opened(browser, &world.daemon).await?;
    let spend = json!([
        { "name": "max_calls_per_day", "used": 5, "max": 5, "soft": true, "frees_in_seconds": 11_520 },
        { "name": "max_calls_per_minute", "used": 4, "max": 5, "soft": true, "frees_in_seconds": 20 },
        { "name": "max_tokens_per_day", "used": 500, "max": 500, "soft": true },
        { "name": "max_tokens_per_user_per_day", "used": 90, "max": 100, "soft": true },
        { "name": "max_cost_per_day", "used": 0.1, "max": 2, "soft": false, "frees_in_seconds": 11_520 },
    ]);
    // In one go, so that no word of the daemon comes between.
    let script = "return Promise.all([import('/now.js'), fetch('/api/status').then((answer) => answer.json())]).then(([now, status]) => {
        now.showStatus({ ...status, limits: [], spend: arguments[0] });
        return [...document.querySelectorAll('#limits tbody td:last-child')].map((cell) => cell.innerText.replaceAll('\\n', ' '));
    })";
    let next = browser.run(script, json!([spend])).await?;
    let expected = ["in 3 h 12 min", "only who asks more in 20 s", "used up", "only who asks", "1.90 left"];
    assert_eq!(next, json!(expected));
    Ok(())
}

#[tokio::test]
async fn lengths_of_time_and_numbers_of_things_are_told_as_people_say_them() -> Result {
    let Some(browser) = browser("times on the dashboard") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let browser = &opened(browser, &world.daemon).await?;
    let lengths = [
        (0.4, "0 s"),
        (45.0, "45 s"),
        (60.0, "1 min"),
        (61.0, "1 min 1 s"),
        (720.0, "12 min"),
        (721.0, "12 min"),
        (3_600.0, "1 h"),
        (11_520.0, "3 h 12 min"),
        (86_400.0, "1 d"),
        (86_400.0 + 7_200.0, "1 d 2 h"),
        (-1.0, "0 s"),
    ];
    let (given, expected): (Vec<f64>, Vec<&str>) = lengths.into_iter().unzip();
    let script = "return import('/words.js').then(({ lasting }) => arguments[0].map(lasting))";
    assert_eq!(browser.run(script, json!([given])).await?, json!(expected));
    let script = "return import('/words.js').then(({ plural }) => [0, 1, 1200].map((number) => plural(number, 'call')))";
    assert_eq!(browser.run(script, json!([])).await?, json!(["0 calls", "1 call", "1,200 calls"]));
    Ok(())
}

/// What is said of the last decision when so many seconds have passed.
const LATER: &str = "return import('/time.js').then(({ tick }) => {
    const now = Date.now;
    return arguments[0].map((seconds) => {
        Date.now = () => now() + seconds * 1000;
        tick();
        Date.now = now;
        return document.querySelector('#decisions .outcome > span:last-child').innerText;
    });
})";

#[tokio::test]
async fn the_wait_that_a_limit_asks_for_is_counted_down_from_the_decision_on() -> Result {
    let Some(browser) = browser("waits on the dashboard") else { return Ok(()) };
    let spam =
        json!({ "spam_detection": { "enabled": true, "mention_spam_threshold": 1, "initial_penalty": 600 } });
    let world = World::of(BINARY).config(spam).start().await?;
    // Waiting for one's turn takes longer than the wait's minutes allow.
    let browser = &fresh(browser).await?;
    world.ask("alice", "what should we watch tonight?").await?;
    world.mention("alice", "and after that?").await?;
    open(browser, &world.daemon).await?;
    browser.wait_for_text("#decisions", "mentions: again in", SOON).await?;
    let waits = browser.run(LATER, json!([[-120, 61, 545, 600]])).await?;
    let waits: Vec<&str> = waits.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // Some seconds have passed since the decision, but no minute.
    assert!(["11 min", "12 min"].contains(&waits[0].trim_start_matches("mentions: again in ")), "{waits:?}");
    assert!(waits[1].starts_with("mentions: again in 8 min ") && waits[1].ends_with(" s"), "{waits:?}");
    assert!(!waits[2].contains("min") && waits[2].ends_with(" s"), "{waits:?}");
    assert_eq!(waits[3], "mentions: over by now");
    Ok(())
}
