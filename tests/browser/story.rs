//! What the page tells of an evening.

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Result};
use serde_json::json;

use crate::{BINARY, browser, fresh, open};

#[tokio::test]
async fn it_shows_a_reply_a_silence_with_its_reason_a_pause_and_a_provider_that_failed() -> Result {
    let Some(browser) = browser("the dashboard's story") else { return Ok(()) };
    let limits = json!({ "rate_limits": { "user_max_per_hour": 1 } });
    let world = World::of(BINARY).providers(2).config(limits).start().await?;
    world.ask("alice", "what should we watch tonight?").await?;
    world.mention("alice", "and after that?").await?;
    world.provider().always(Behaviour::Status(500, "{}".to_owned()));
    world.ask("bob", "does anybody survive that film?").await?;

    let mut browser = browser.lock().await;
    let browser = fresh(&mut browser).await?;
    open(browser, &world.daemon).await?;
    browser.wait_for_text("#decisions", "does anybody survive that film?", SOON).await?;
    browser.wait_for_text("#decisions", "replied", SOON).await?;
    browser.wait_for_text("#decisions", "This user had used up the answers for this hour.", SOON).await?;
    browser.wait_for_text("#decisions", "user_hour", SOON).await?;
    browser.wait_for_text("#decisions", "again in", SOON).await?;
    browser.wait_for_text("#providers > ul > li:first-child", "failed", SOON).await?;
    browser.wait_for_text("#providers > ul > li:first-child", "Last failure", SOON).await?;
    browser.wait_for_text("#providers > ul > li:last-child", "ok", SOON).await?;
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

    // In a paused room nobody looks for whom a line was meant, and still the user's name leads to it.
    let pause = json!({ "command": "chat.pause", "args": { "channel": "Lounge" } });
    world.robot.ask("kryten.llm.command", pause).await?;
    browser.wait_for_text("#rooms .badge[data-kind='warning']", "paused", SOON).await?;
    world.mention("alice", "are you asleep?").await?;
    browser.wait_for_text("#decisions", "An operator has paused the bot in this room.", SOON).await
}

#[tokio::test]
async fn chatter_shows_when_it_is_asked_for() -> Result {
    let Some(browser) = browser("the dashboard's filter") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    world.robot.chat("carol", "nobody in particular is meant").await?;
    world.ask("bob", "are you there?").await?;

    let mut browser = browser.lock().await;
    let browser = fresh(&mut browser).await?;
    open(browser, &world.daemon).await?;
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

    let mut browser = browser.lock().await;
    let browser = fresh(&mut browser).await?;
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
