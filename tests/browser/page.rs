//! The page keeps to itself.

use kryten_testkit::Result;
use kryten_testkit::world::{SOON, World};
use serde_json::{Value, json};

use crate::{BINARY, browser, opened};

#[tokio::test]
async fn nothing_is_asked_of_other_hosts_and_the_console_stays_quiet() -> Result {
    let Some(browser) = browser("the dashboard's requests") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    world.ask("bob", "are you there?").await?;
    let browser = &opened(browser, &world.daemon).await?;
    browser.wait_for_text("#decisions", "are you there?", SOON).await?;
    for range in ["1h", "24h", "7d", "30d"] {
        browser.click(&format!("[data-range='{range}']")).await?;
        let loaded =
            "performance.getEntriesByType('resource').some(({ name }) => name.endsWith('range=' + RANGE))";
        browser.wait_for(&loaded.replace("RANGE", &format!("'{range}'")), SOON).await?;
    }
    let own = format!("http://{}/", world.daemon.http_address().await?);
    let asked = browser.run("return performance.getEntries().map(({ name }) => name)", json!([])).await?;
    let asked: Vec<&str> = asked.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let foreign: Vec<&&str> =
        asked.iter().filter(|name| name.contains("://") && !name.starts_with(&own)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(asked.iter().any(|name| name.ends_with("/dashboard.css")), "{asked:?}");
    assert_eq!(browser.console().await?, Vec::<String>::new());
    Ok(())
}
