//! The table of the services on the bus, when there are many and not all are well.

use kryten_testkit::browser::{ENTER, TAB};
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Browser, Result};
use serde_json::{Value, json};

use crate::{BINARY, browser, charted, fresh, open};

/// The end of a reason that is too long for the table.
const END: &str = "and that is the end of it";

/// Sixteen services are on the bus: most are well, and of each other kind there is one.
pub async fn crowd(world: &World) -> Result {
    let reason = format!("the till is locked {}, {END}", "and nobody has the key ".repeat(5));
    let beat = |health: &str, reason: &str| {
        json!({ "instance_id": "theirs", "version": "12.34.56", "hostname": "films.example.org", "health": health,
            "health_reason": reason })
    };
    for number in 0..12 {
        let name = format!("aservice-with-a-long-name-{number}");
        world.robot.publish(&format!("kryten.service.heartbeat.{name}"), beat("healthy", "")).await?;
    }
    for (name, health, reason) in [("ailing", "degraded", "slow"), ("zombie", "failing", &reason)] {
        world.robot.publish(&format!("kryten.service.heartbeat.{name}"), beat(health, reason)).await?;
    }
    world.robot.publish("kryten.lifecycle.fresh.startup", json!({})).await?;
    world.robot.publish("kryten.lifecycle.gone.shutdown", json!({ "reason": "SIGTERM" })).await
}

/// Waits until the page shows them, and the daemon among them.
pub async fn shown(browser: &Browser) -> Result {
    browser.wait_for("document.querySelectorAll('#services .beat').length === 17", SOON).await
}

#[tokio::test]
async fn the_worst_come_first_and_their_reasons_can_be_read_whole_by_keyboard() -> Result {
    let Some(browser) = browser("services on the dashboard") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let browser = &fresh(browser).await?;
    // Not while others have the browser: who has beaten is silent after 30 s.
    crowd(&world).await?;
    open(browser, &world.daemon).await?;
    shown(browser).await?;

    let rows = "return [...document.querySelectorAll('#services tbody tr')]
        .map((row) => (row.cells[1] ?? row.querySelector('.reason'))?.innerText).filter(Boolean)";
    let rows = browser.run(rows, json!([])).await?;
    let rows: Vec<&str> = rows.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(rows[0], "failing", "{rows:?}");
    assert!(rows[1].starts_with("the till is locked") && rows[1].ends_with('…'), "{rows:?}");
    assert!((90..=110).contains(&rows[1].chars().count()), "{rows:?}");
    assert_eq!(rows[2..8], ["degraded", "slow", "stopped", "SIGTERM", "announced", "healthy"]);
    let width = "const [table, note] = ['#services table', '#services .note td'].map((one) => document.querySelector(one));
        return note.clientWidth === table.clientWidth && document.querySelector('#services').clientHeight < 400";
    assert_eq!(
        browser.run(width, json!([])).await?,
        true,
        "the reason has the whole width, the table bounds"
    );

    // From the region, which scrolls, the next stop is the reason.
    browser.run("document.querySelector('#services').focus()", json!([])).await?;
    browser.keys(&format!("{TAB}{ENTER}")).await?;
    browser.wait_for_text("#services", END, SOON).await?;

    // News of others leave it open, and the focus where it is.
    let sick = json!({ "instance_id": "theirs", "health": "failing", "health_reason": "sick" });
    world.robot.publish("kryten.service.heartbeat.ailing", sick).await?;
    browser.wait_for_text("#services", "sick", SOON).await?;
    assert!(browser.text("#services").await?.contains(END));
    assert_eq!(browser.run("return document.activeElement.tagName", json!([])).await?, "SUMMARY");
    Ok(())
}

/// What reaches beyond what holds it: the cells of tables, and all that has a place of its own.
const BEYOND: &str = "const faults = [];
    for (const holder of document.querySelectorAll('#content :is(td, th, dd, dt, li, .row-head > *)')) {
        if (holder.closest('.scroll-x')) continue;
        const style = getComputedStyle(holder);
        const right = holder.getBoundingClientRect().right - parseFloat(style.paddingRight);
        const content = document.createRange();
        content.selectNodeContents(holder);
        const widest = Math.max(...[...content.getClientRects()].map((rect) => rect.right));
        if (widest > right + 1) faults.push(`${holder.tagName} ${holder.innerText.slice(0, 60)}: ${widest} > ${right}`);
    }
    const page = document.documentElement;
    if (page.scrollWidth > page.clientWidth) faults.push('it scrolls sideways');
    return faults;";

#[tokio::test]
async fn nothing_reaches_beyond_its_cell_on_phone_and_tablet() -> Result {
    let Some(browser) = browser("the dashboard's cells") else { return Ok(()) };
    let world =
        World::of(BINARY).providers(2).config(json!({ "spend": { "max_cost_per_day": 1 } })).start().await?;
    crowd(&world).await?;
    world.ask("alice", "what should we watch tonight?").await?;
    // Until tomorrow, so that the date is shown too.
    let pause = json!({ "command": "chat.pause", "channel": "Lounge", "duration_seconds": 86_400 });
    world.robot.ask("kryten.llm.command", pause).await?;
    let browser = &fresh(browser).await?;
    for width in [320, 375, 768, 1280] {
        browser.size(width, 900).await?;
        open(browser, &world.daemon).await?;
        shown(browser).await?;
        browser.wait_for_text("#rooms", "paused until", SOON).await?;
        charted(browser).await?;
        assert_eq!(browser.run(BEYOND, json!([])).await?, json!([]), "at {width}");
    }
    Ok(())
}
