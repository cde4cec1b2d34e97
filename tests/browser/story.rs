//! What the page tells of an evening.

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Browser, Result};
use serde_json::json;

use crate::{BINARY, browser, fresh, open, opened};

/// Two answers and two silences: the first provider has told its quota before it fails, the second is found with a
/// wrong key, and the third call is the last.
async fn evening() -> Result<World> {
    let config = json!({
        "rate_limits": { "user_max_per_hour": 1 },
        "spend": { "max_calls_per_day": 3 },
        "circuit_breaker": { "failures": 1, "open_seconds": 600 },
        "llm_providers": { "second": { "health_check": { "kind": "models", "interval_seconds": 60 } } },
    });
    let wrong_key = Behaviour::Status(401, json!({ "error": { "message": "wrong key" } }).to_string());
    let models = [Behaviour::AnswerAnew, wrong_key];
    let world = World::of(BINARY).providers(2).models(models).config(config).start().await?;
    let quota = [("x-ratelimit-remaining-requests", "41"), ("x-ratelimit-reset-requests", "15m0s")];
    let quota = quota.map(|(name, value)| (name.to_owned(), value.to_owned()));
    world.provider().next([Behaviour::AnswerWithHeaders(quota.to_vec())]);
    world.ask("alice", "what should we watch tonight?").await?;
    world.mention("alice", "and after that?").await?;
    world.provider().always(Behaviour::Status(500, "{}".to_owned()));
    world.ask("bob", "does anybody survive that film?").await?;
    world.mention("carol", "is there any popcorn?").await?;
    Ok(world)
}

/// Waits until what an element says goes like this, a regular expression.
async fn says(browser: &Browser, selector: &str, pattern: &str) -> Result {
    let words = format!("document.querySelector({selector:?})?.innerText");
    browser.wait_for(&format!("/{pattern}/.test({words})"), SOON).await
}

#[tokio::test]
async fn it_shows_replies_silences_with_their_reasons_limits_providers_and_a_pause() -> Result {
    let Some(browser) = browser("the dashboard's story") else { return Ok(()) };
    let world = evening().await?;
    let browser = &opened(browser, &world.daemon).await?;
    browser.wait_for_text("#decisions", "does anybody survive that film?", SOON).await?;
    browser.wait_for_text("#decisions", "replied", SOON).await?;
    browser.wait_for_text("#decisions", "This user had used up the answers for this hour.", SOON).await?;
    says(browser, "#decisions", r"user_hour again in (1 h|\d+ min)").await?;
    let spent = "all calls of today (3) are made, again after midnight";
    browser.wait_for_text("#decisions", spent, SOON).await?;
    says(browser, "#limits", r"Answers an hour, busiest user\s+1 of 1\s+2 wait\s+in \d+ (h|min|s)").await?;
    says(browser, "#limits", r"Provider calls a day\s+3 of 3\s+in \d+ (h|min|s)").await?;
    for pattern in [
        r"^first default\s+failed\s",
        r"Latency\s+\S+\sm?s on average; half within",
        r"Calls\s+2 in all, 1 failed",
        r"Breaker\s+open tried again in \d+ min",
        r"Last failure\s+\S.* ago",
        r"Quota left\s+41 requests until .*\d\d:\d\d",
        r"Today\s+2 calls, \d+ tokens",
    ] {
        says(browser, "#providers > ul > li:first-child", pattern).await?;
    }
    says(browser, "#providers > ul > li:last-child", r"^second\s+ok\s").await?;
    says(browser, "#providers > ul > li:last-child", r"Check\s+bad key HTTP 401: wrong key .* ago").await?;
    browser.wait_for_text("#components", "nats", SOON).await?;
    // Whether the bot answers there is more than is known.
    browser.wait_for_text("#rooms .badge[data-kind='plain']", "not paused", SOON).await?;
    browser.wait_for_text("#services", "this one", SOON).await?;
    browser.wait_for_text("#history", "Health", SOON).await?;

    // "Why didn't it answer me?"
    browser.click("#filter-user").await?;
    browser.keys("Alice").await?;
    browser.wait_for("!document.querySelector('#decisions').innerText.includes('bob')", SOON).await?;
    browser.wait_for_text("#decisions", "and after that?", SOON).await?;

    // A paused room is silent, and whoever says the bot's name there has asked all the same.
    let pause = json!({ "command": "chat.pause", "args": { "channel": "Lounge" } });
    world.robot.ask("kryten.llm.command", pause).await?;
    browser.wait_for_text("#rooms .badge[data-kind='warning']", "paused", SOON).await?;
    world.mention("alice", "are you asleep?").await?;
    browser.wait_for_text("#decisions", "An operator has paused the bot in this room.", SOON).await?;
    assert!(!browser.text("#decisions").await?.contains("an operator paused"), "it says that once");
    let is_meant = "return document.querySelector('#filter-fired').checked";
    assert_eq!(browser.run(is_meant, json!([])).await?, true);
    browser.run("document.querySelector('#filter-user').value = ''", json!([])).await?;
    browser.wait_for_text("#decisions", "are you asleep?", SOON).await
}

#[tokio::test]
async fn chatter_shows_when_it_is_asked_for() -> Result {
    let Some(browser) = browser("the dashboard's filter") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    world.robot.chat("carol", "nobody in particular is meant").await?;
    world.ask("bob", "are you there?").await?;

    let browser = &opened(browser, &world.daemon).await?;
    browser.wait_for_text("#decisions", "are you there?", SOON).await?;
    assert!(!browser.text("#decisions").await?.contains("carol"));
    browser.click("#filter-fired").await?;
    browser.wait_for_text("#decisions", "nobody in particular is meant", SOON).await?;
    browser.wait_for_text("#decisions", "Nobody asked the bot", SOON).await
}

#[tokio::test]
async fn hostile_names_and_lines_are_shown_as_text_and_break_nothing() -> Result {
    let Some(browser) = browser("hostile chat on the dashboard") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let name = format!("<img src=x onerror=\"document.title='owned'\">\u{202e}{}", "W".repeat(300));
    let text = format!("<script>document.title='owned'</script>\u{2066}\u{202e}{}", "x".repeat(500));
    world.ask(&name, &text).await?;

    let browser = &fresh(browser).await?;
    for width in [1280, 360] {
        browser.size(width, 800).await?;
        open(browser, &world.daemon).await?;
        browser.wait_for_text("#decisions", "<script>document.title='owned'</script>", SOON).await?;
        browser.wait_for_text("#decisions", "<img src=x", SOON).await?;
        let [injected, title, overflow] = [
            "return document.querySelectorAll('#content script, #content img').length",
            "return document.title",
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth",
        ]
        .map(|script| browser.run(script, json!([])));
        assert_eq!(injected.await?, 0);
        assert!(title.await?.as_str().is_some_and(|title| title.starts_with("Healthy")));
        assert_eq!(overflow.await?, 0, "it scrolls sideways at {width}");
    }
    Ok(())
}
