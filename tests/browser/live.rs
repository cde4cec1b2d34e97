//! The page goes with the daemon: its changes, its absence, its return.

use std::time::Duration;

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Result, ports};
use serde_json::json;

use crate::{BINARY, browser, charted, opened};

/// Something that a page which was loaded anew has not.
const MARK_PAGE: &str = "window.isTheSamePage = true";
/// By then a change must stand in the history, which is loaded each minute in any case.
const WRITTEN_DOWN: Duration = Duration::from_secs(15);

/// How often the history is asked for within two seconds when ten changes are told at once, and within five. The
/// page's waits pass in a twentieth of their time.
const TEN_CHANGES: &str = "return import('/over-time.js').then(async ({ loadHistorySoon }) => {
    // The page reads it each minute, too.
    for (let timer = 1; timer < 100000; timer += 1) clearInterval(timer);
    const [later, fetch] = [window.setTimeout, window.fetch];
    let asked = 0;
    window.setTimeout = (run, pause) => later(run, pause / 20);
    window.fetch = (path, ...more) => {
        if (String(path).includes('api/history')) asked += 1;
        return fetch(path, ...more);
    };
    for (let change = 0; change < 10; change += 1) loadHistorySoon();
    await new Promise((done) => setTimeout(done, 2000));
    const early = asked;
    await new Promise((done) => setTimeout(done, 3000));
    return [early, asked];
})";

#[tokio::test]
async fn changes_show_without_a_reload() -> Result {
    let Some(browser) = browser("live changes on the dashboard") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let browser = &opened(browser, &world.daemon).await?;
    browser.wait_for_text("#state-word", "Healthy", SOON).await?;
    charted(browser).await?;
    browser.run(MARK_PAGE, json!([])).await?;

    world.provider().always(Behaviour::Status(500, "{}".to_owned()));
    world.mention("bob", "are you there?").await?;
    browser.wait_for_text("#state-word", "Failing", SOON).await?;
    browser.wait_for_text("#state-reason", "providers", SOON).await?;
    browser.wait_for_text("#announcer", "The state is failing", SOON).await?;
    browser.wait_for_text("#decisions", "No provider gave an answer", SOON).await?;
    browser.wait_for_text("#history", "to failing", WRITTEN_DOWN).await?;

    world.provider().always(Behaviour::AnswerAnew);
    world.ask("ann", "and now?").await?;
    browser.wait_for_text("#state-reason", "error rate", SOON).await?;
    assert_eq!(browser.text("#state-word").await?, "Degraded");
    browser.wait_for_text("#decisions", "and now?", SOON).await?;
    // The daemon looks once a second what there is to be written down.
    let readings = browser.run(TEN_CHANGES, json!([])).await?;
    assert_eq!(readings, json!([0, 1]), "one reading of all, and not before they are written down");
    assert_eq!(browser.run("return window.isTheSamePage", json!([])).await?, true);
    Ok(())
}

#[tokio::test]
async fn while_the_daemon_is_away_the_page_says_so_and_it_comes_back_by_itself() -> Result {
    let Some(browser) = browser("the dashboard of a daemon that restarts") else { return Ok(()) };
    let port = ports::free()?;
    let metrics = json!({ "metrics": { "port": port.number() } });
    let mut world = World::of(BINARY).config(metrics).start().await?;
    let browser = &opened(browser, &world.daemon).await?;
    browser.wait_for_text("#state-word", "Healthy", SOON).await?;
    browser.run(MARK_PAGE, json!([])).await?;

    world.daemon.kill();
    browser.wait_for_text("#state-reason", "No connection to the daemon since", SOON).await?;
    assert_eq!(browser.text("#state-word").await?, "Unknown");
    assert_eq!(browser.text("#connection").await?, "Not connected");
    assert!(browser.text("#state-since").await?.contains("It was healthy at"));

    world.daemon.restart()?;
    browser.wait_for_text("#connection", "Live", SOON).await?;
    browser.wait_for_text("#state-word", "Healthy", SOON).await?;
    assert_eq!(browser.run("return window.isTheSamePage", json!([])).await?, true);
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_hangs_is_not_taken_for_live() -> Result {
    let Some(browser) = browser("the dashboard of a daemon that hangs") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let browser = &opened(browser, &world.daemon).await?;
    // Instead of waiting for 15 s, the page's clock is put forward.
    world.daemon.pause()?;
    let later = "const now = Date.now; Date.now = () => now() + 16000";
    browser.run(later, json!([])).await?;
    browser.wait_for_text("#state-reason", "No connection to the daemon since", SOON).await?;
    world.daemon.resume()?;
    // News, so that the page need not wait for the next word without any.
    world.ask("bob", "are you there?").await?;
    browser.wait_for_text("#connection", "Live", SOON).await
}
