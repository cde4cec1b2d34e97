//! Who may look, and that everybody can.

use kryten_testkit::browser::{ARROW_LEFT, ENTER, TAB};
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Browser, Error, Result};
use serde_json::json;

use crate::{BINARY, REPOSITORY, browser, charted, fresh, open, opened, services, skip};

#[tokio::test]
async fn with_a_token_the_page_asks_for_it_and_keeps_it_for_the_tab() -> Result {
    let Some(browser) = browser("the dashboard with a token") else { return Ok(()) };
    let world = World::of(BINARY).config(json!({ "metrics": { "token": "the-right-one" } })).start().await?;
    let browser = &fresh(browser).await?;
    let page = format!("http://{}/", world.daemon.http_address().await?);
    browser.open(&page).await?;
    browser.wait_for("document.activeElement.id === 'token'", SOON).await?;
    browser.keys(&format!("a-wrong-one{ENTER}")).await?;
    browser.wait_for_text("#token-answer", "refused", SOON).await?;
    browser.keys(&format!("the-right-one{ENTER}")).await?;
    browser.wait_for_text("#connection", "Live", SOON).await?;
    browser.wait_for_text("#state-word", "Healthy", SOON).await?;
    assert_eq!(browser.run("return document.querySelector('#sign-in').hidden", json!([])).await?, true);
    // Loaded anew it doesn't ask again, and the token is in no address.
    open(browser, &world.daemon).await?;
    assert_eq!(browser.run("return location.href", json!([])).await?, page);
    Ok(())
}

#[tokio::test]
async fn ranges_and_charts_are_reached_by_keyboard() -> Result {
    let Some(browser) = browser("the dashboard by keyboard") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let browser = &opened(browser, &world.daemon).await?;
    charted(browser).await?;
    tab_to(browser, "document.activeElement.dataset.range === '7d'").await?;
    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.run(outline, json!([])).await?, "solid", "the focus can be seen");
    browser.keys(ENTER).await?;
    let pressed = "document.querySelector('#ranges [aria-pressed=true]').dataset.range === '7d'";
    browser.wait_for(pressed, SOON).await?;
    tab_to(browser, "document.activeElement.className === 'stage'").await?;
    browser.run("document.activeElement.id = 'focused'", json!([])).await?;
    let read_out = "document.querySelector('#focused').closest('figure').querySelector('.readout').innerText";
    let before = browser.run(&format!("return {read_out}"), json!([])).await?;
    browser.keys(ARROW_LEFT).await?;
    browser.wait_for(&format!("{read_out} !== {before}"), SOON).await
}

async fn tab_to(browser: &Browser, reached: &str) -> Result {
    for _ in 0..40 {
        if browser.run(&format!("return {reached}"), json!([])).await? == true {
            return Ok(());
        }
        browser.keys(TAB).await?;
    }
    Err(Error::new(format!("forty tabs don't lead to {reached}")))
}

#[tokio::test]
async fn axe_finds_nothing_by_day_and_night_on_desktop_and_phone() -> Result {
    let what = "axe on the dashboard";
    let Some(browser) = browser(what) else { return Ok(()) };
    let Some(axe) = axe()? else {
        skip(what, "scripts/axe.sh has not fetched it");
        return Ok(());
    };
    let limits = json!({ "rate_limits": { "user_max_per_hour": 1 } });
    let world = World::of(BINARY).providers(2).config(limits).start().await?;
    world.ask("alice", "what should we watch tonight?").await?;
    world.mention("alice", "and then?").await?;
    world.provider().always(Behaviour::Status(500, "{}".to_owned()));
    world.ask("bob", "does anybody survive that film?").await?;
    services::crowd(&world).await?;

    let browser = &fresh(browser).await?;
    for (width, dark) in [(1280, false), (1280, true), (360, false), (360, true)] {
        browser.size(width, 800).await?;
        browser.dark(dark).await?;
        open(browser, &world.daemon).await?;
        charted(browser).await?;
        browser.wait_for_text("#decisions", "and then?", SOON).await?;
        services::shown(browser).await?;
        let unfold = "document.querySelectorAll('details').forEach((details) => { details.open = true; })";
        browser.run(unfold, json!([])).await?;
        browser.run(&axe, json!([])).await?;
        let complaints = browser.run(LOOK, json!([])).await?;
        assert_eq!(complaints, json!([]), "at {width}, dark: {dark}");
    }
    Ok(())
}

const LOOK: &str = "return axe.run().then(({ violations }) => violations.map(({ id, nodes }) => \
    `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`))";

/// The script that looks for what keeps people out, when the set-up has fetched it.
fn axe() -> Result<Option<String>> {
    let Ok(tools) = std::fs::read_dir(format!("{REPOSITORY}/.tools")) else { return Ok(None) };
    let is_axe = |name: &str| name.starts_with("axe-core-") && name.ends_with(".js");
    let found = tools.flatten().find(|file| file.file_name().to_str().is_some_and(is_axe));
    found
        .map(|file| std::fs::read_to_string(file.path()).map_err(|error| Error::new(error.to_string())))
        .transpose()
}
