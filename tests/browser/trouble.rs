//! The page says why it can't tell, for as long as it can't.

use kryten_testkit::Result;
use kryten_testkit::world::{SOON, World};
use serde_json::json;

use crate::{BINARY, browser, fresh, open};

#[tokio::test]
async fn what_was_not_written_down_has_its_colour_explained() -> Result {
    let Some(browser) = browser("the ribbons' legend") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let mut browser = browser.lock().await;
    let browser = fresh(&mut browser).await?;
    open(browser, &world.daemon).await?;
    browser.wait_for_text(".ribbons .legend", "no record", SOON).await?;
    browser.wait_for_text(".ribbons .legend", "healthy", SOON).await?;
    let same = "return ['no record', 'healthy'].map((word) => {
        const key = [...document.querySelectorAll('.ribbons .key')].find(({ innerText }) => innerText === word);
        const piece = document.querySelector(`.ribbons .piece[data-state=\"${word}\"]`);
        return getComputedStyle(key, '::before').backgroundColor === getComputedStyle(piece).fill;
    })";
    assert_eq!(browser.run(same, json!([])).await?, json!([true, true]), "key and ribbon have one colour");
    Ok(())
}
