//! Much to show, and little room for it.

use kryten_testkit::Result;
use kryten_testkit::world::{SOON, World};
use serde_json::json;

use crate::{BINARY, browser, fresh, open, show, with_a_month};

/// What lies over something else, or beyond what holds it.
const FAULTS: &str = "const [faults, box] = [[], (element) => element.getBoundingClientRect()];
    for (const svg of document.querySelectorAll('.stage svg')) {
        const labels = [...svg.querySelectorAll('.tick')].map((tick) => [tick.textContent, box(tick)]);
        labels.forEach(([text, one], at) => {
            if (one.left < box(svg).left || one.right > box(svg).right) faults.push(`${text} is cut off`);
            for (const [other, two] of labels.slice(at + 1)) {
                const isApart = one.right < two.left || two.right < one.left || one.bottom <= two.top || two.bottom <= one.top;
                if (!isApart) faults.push(`${text} and ${other} lie over each other`);
            }
        });
        const times = svg.querySelectorAll('.tick[text-anchor=middle]');
        if (times.length < 3) faults.push(`too few times: ${labels.map(([text]) => text)}`);
    }
    for (const cell of document.querySelectorAll('#content td, #content th')) {
        const content = document.createRange();
        content.selectNodeContents(cell);
        if (content.getBoundingClientRect().right > box(cell).right + 1) faults.push(`${cell.textContent} is wider than its column`);
    }
    const page = document.documentElement;
    if (page.scrollWidth > page.clientWidth) faults.push('it scrolls sideways');
    return faults;";

#[tokio::test]
async fn a_month_is_drawn_with_nothing_over_anything_else_on_desktop_and_phone() -> Result {
    let Some(browser) = browser("a month on the dashboard") else { return Ok(()) };
    let (_folder, month) = with_a_month()?;
    let world = World::of(BINARY).providers(2).config(month).start().await?;
    let mut browser = browser.lock().await;
    let browser = fresh(&mut browser).await?;
    for width in [1280, 360] {
        browser.size(width, 900).await?;
        open(browser, &world.daemon).await?;
        browser.wait_for("document.querySelector('.stage svg')", SOON).await?;
        for range in ["1h", "24h", "7d", "30d"] {
            show(browser, range).await?;
            let faults = browser.run(FAULTS, json!([])).await?;
            assert_eq!(faults, json!([]), "{range} at {width}");
        }
    }
    Ok(())
}
