//! Much to show, and little room for it.

use kryten_testkit::Result;
use kryten_testkit::world::World;
use serde_json::json;

use crate::{BINARY, browser, charted, fresh, month, open, show, with_history};

/// What is wrong with a drawing's labels.
const LABELS: &str = "const box = (element) => element.getBoundingClientRect();
    const wrong = (svg) => {
        const labels = [...svg.querySelectorAll('.tick')].map((tick) => [tick.textContent, box(tick)]);
        const found = labels.flatMap(([text, one], at) => [
            ...(one.left < box(svg).left || one.right > box(svg).right ? [`${text} is cut off`] : []),
            ...labels.slice(at + 1)
                .filter(([, two]) => one.right > two.left && two.right > one.left && one.bottom > two.top && two.bottom > one.top)
                .map(([other]) => `${text} and ${other} lie over each other`),
        ]);
        const times = labels.filter(([, { top }]) => top > box(svg).bottom - 20);
        return times.length < 3 ? [...found, `too few times: ${times.map(([text]) => text)}`] : found;
    };";

/// What is wrong with a chart whose ends move through all times of an hour, a day and so on.
const CHART_AT_ALL_TIMES: &str = "return (async () => {
    const [{ bars, plot }, { milliseconds }] = await Promise.all([import('/charts.js'), import('/words.js')]);
    const { figure, fill } = plot('At all times');
    document.querySelector('.charts .card').replaceChildren(figure);
    const faults = [];
    for (const hours of [1, 24, 168, 720]) {
        const [length, size] = [hours * 3600000, hours * 150000];
        for (let part = 0; part < 40; part += 1) {
            const to = Date.UTC(2026, 0, 31) + (length * part) / 40;
            const series = [{ kind: 'one', value: () => 400 }];
            const paint = (frame) => bars(frame, { buckets: [{ at: to - size }], size, series, unit: milliseconds });
            fill({ from: to - length - size / 40, to, step: size, height: 168, keys: series, summary: '', paint });
            const found = wrong(figure.querySelector('svg'));
            if (found.length > 0) faults.push(`${hours} h to ${new Date(to).toISOString()}: ${found}`);
        }
    }
    return faults;
})()";

/// What lies over something else on the page, or beyond what holds it.
const PAGE: &str = "const faults = [...document.querySelectorAll('.stage svg')].flatMap(wrong);
    for (const cell of document.querySelectorAll('#content td, #content th')) {
        const content = document.createRange();
        content.selectNodeContents(cell);
        if (box(content).right > box(cell).right + 1) faults.push(`${cell.textContent} is wider than its column`);
    }
    const page = document.documentElement;
    if (page.scrollWidth > page.clientWidth) faults.push('it scrolls sideways');
    return faults;";

#[tokio::test]
async fn a_month_is_drawn_with_nothing_over_anything_else_on_desktop_and_phone() -> Result {
    let Some(browser) = browser("a month on the dashboard") else { return Ok(()) };
    let (_folder, month) = with_history(month::write_thinly)?;
    let world = World::of(BINARY).providers(2).config(month).start().await?;
    let browser = &fresh(browser).await?;
    for width in [1280, 360] {
        browser.size(width, 900).await?;
        open(browser, &world.daemon).await?;
        charted(browser).await?;
        for range in ["1h", "24h", "7d", "30d"] {
            show(browser, range).await?;
            let faults = browser.run(&format!("{LABELS}{PAGE}"), json!([])).await?;
            assert_eq!(faults, json!([]), "{range} at {width}");
        }
        let faults = browser.run(&format!("{LABELS}{CHART_AT_ALL_TIMES}"), json!([])).await?;
        assert_eq!(faults, json!([]), "at {width}");
    }
    Ok(())
}
