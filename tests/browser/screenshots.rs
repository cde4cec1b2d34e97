//! The pictures in the README: `make screenshots`.

use std::path::Path;

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Context as _, Result};
use serde_json::json;

use crate::{BINARY, REPOSITORY, browser, charted, fresh, month, open, show, with_history};

#[tokio::test]
#[ignore = "writes to docs/images: make screenshots"]
async fn pictures_for_the_readme() -> Result {
    let Some(browser) = browser("the README's pictures") else { return Ok(()) };
    let config = json!({
        "service_metadata": { "service_name": "llm" },
        "rate_limits": { "user_max_per_hour": 2, "global_max_per_minute": 6, "global_max_per_hour": 40 },
        "spend": { "max_calls_per_day": 500 },
        "loop_guard": { "max_replies_in_a_row": 3 },
    });
    // So that the charts have something to show. The README says that it is made up.
    let (_folder, month) = with_history(month::write)?;
    let world = World::of(BINARY).providers(2).config(config).config(month).start().await?;
    world.ask("alice", "what should we watch tonight?").await?;
    world.ask("bob", "does anybody survive that film?").await?;
    world.ask("alice", "and who dies first?").await?;
    world.mention("alice", "and the ladder?").await?;
    world.provider().always(Behaviour::Status(500, "{}".to_owned()));
    world.ask("carol", "which fight is the best?").await?;
    for (name, health, reason) in
        [("economy", "healthy", ""), ("userstats", "degraded", "its disk is nearly full")]
    {
        let beat = json!({ "instance_id": "theirs", "version": "0.3.1", "hostname": "vm", "health": health, "health_reason": reason });
        world.robot.publish(&format!("kryten.service.heartbeat.{name}"), beat).await?;
    }

    let browser = &fresh(browser).await?;
    for (name, width, height, dark, range) in [
        ("dashboard-desktop", 1280, 960, false, None),
        ("dashboard-month", 1280, 818, false, Some("30d")),
        ("dashboard-phone", 390, 844, true, None),
    ] {
        browser.size(width, height).await?;
        browser.dark(dark).await?;
        open(browser, &world.daemon).await?;
        browser.wait_for_text("#decisions", "which fight is the best?", SOON).await?;
        browser.wait_for_text("#services", "its disk is nearly full", SOON).await?;
        charted(browser).await?;
        if let Some(range) = range {
            show(browser, range).await?;
            browser.run("document.querySelector('#over-time').scrollIntoView()", json!([])).await?;
        }
        let file = Path::new(REPOSITORY).join("docs/images").join(format!("{name}.png"));
        std::fs::write(&file, browser.screenshot().await?).context(file.display())?;
    }
    Ok(())
}
