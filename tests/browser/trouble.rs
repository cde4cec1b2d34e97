//! The page says why it can't tell, for as long as it can't.

use std::os::unix::fs::symlink;

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Browser, Context as _, Daemon, Error, Result, config, ports};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::{BINARY, Shared, Turn, browser, charted, fresh, month, opened, with_history};

/// How many may follow a daemon at once.
const LISTENERS: usize = 16;

#[tokio::test]
async fn that_the_history_can_not_be_read_is_said_until_it_can_be() -> Result {
    let Some(browser) = browser("a history that can't be read") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let file = world.daemon.folder().join("state/history.db");
    let aside = file.with_extension("aside");
    let browser = &opened(browser, &world.daemon).await?;
    charted(browser).await?;

    // In one step, so that the daemon doesn't make a new one in between.
    let instead = file.with_extension("instead");
    std::fs::hard_link(&file, &aside).context("keeping the history")?;
    symlink(world.daemon.folder(), &instead).context("preparing a way to a folder")?;
    std::fs::rename(&instead, &file).context("putting a folder in the history's place")?;
    browser.click("[data-range='24h']").await?;
    browser.wait_for_text("#history-note", "could not be read", SOON).await?;
    // Another width: the charts are drawn anew, from what was read before.
    let width = "document.querySelector('.stage svg').getAttribute('width')";
    let before = browser.run(&format!("return {width}"), json!([])).await?;
    browser.size(1000, 900).await?;
    browser.wait_for(&format!("{width} !== {before}"), SOON).await?;
    assert!(browser.text("#history-note").await?.contains("could not be read"));

    std::fs::rename(&aside, &file).context("giving the history back")?;
    browser.click("[data-range='24h']").await?;
    let note = "document.querySelector('#history-note').innerText";
    browser.wait_for(&format!("!{note}.includes('could not be read')"), SOON).await
}

/// What the history is answered with is the test's: `window.answer` makes it of the daemon's answer.
const ANSWER_HISTORY: &str = "const fetch = window.fetch;
    window.fetch = async (path, ...more) => {
        const answer = await fetch(path, ...more);
        return String(path).includes('api/history') ? window.answer(answer) : answer;
    };";

/// A dashboard with charts whose next history is the test's.
async fn with_answers(shared: Shared, daemon: &Daemon) -> Result<Turn> {
    let browser = opened(shared, daemon).await?;
    charted(&browser).await?;
    browser.run(ANSWER_HISTORY, json!([])).await?;
    Ok(browser)
}

#[tokio::test]
async fn why_the_history_can_not_be_read_is_told_in_the_daemons_words() -> Result {
    let Some(browser) = browser("why a history can't be read") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let browser = &with_answers(browser, &world.daemon).await?;
    for (status, body, note) in [
        (
            503,
            r#"{"error": "the disk is <b>full</b>"}"#,
            "The history could not be read: the disk is <b>full</b>.",
        ),
        (500, r#"{"error": "it is not a database"}"#, "The history could not be read: it is not a database."),
        (503, "history can't be read\n", "The history could not be read."),
        (502, "<html>Bad Gateway</html>", "The history could not be read."),
        (500, r#"{"error": {"no": "text"}}"#, "The history could not be read."),
        (500, "null", "The history could not be read."),
        (200, "", "The history could not be read."),
    ] {
        let answer = "window.answer = () => new Response(arguments[1], { status: arguments[0] })";
        browser.run(answer, json!([status, body])).await?;
        browser.click("[data-range='24h']").await?;
        browser.wait_for_text("#history-note", note, SOON).await?;
        assert!(browser.text("#history-note").await?.ends_with("Trying again."), "{status} {body}");
    }
    browser.run("window.answer = (answer) => answer", json!([])).await?;
    browser.click("[data-range='24h']").await?;
    let note = "document.querySelector('#history-note').innerText";
    browser.wait_for(&format!("!{note}.includes('could not be read')"), SOON).await
}

#[tokio::test]
async fn the_first_state_after_a_start_is_told_as_a_start() -> Result {
    let Some(browser) = browser("a start on the dashboard") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let browser = &with_answers(browser, &world.daemon).await?;
    let answer = "window.answer = async (answer) => {
        const history = await answer.json();
        const at = history.to;
        history.transitions = [
            { at, to: 'healthy' }, { at, from: 'healthy', to: 'failing', reason: 'no bus' }, { at, from: '', to: 'degraded' },
        ];
        return Response.json(history);
    }";
    browser.run(answer, json!([])).await?;
    browser.click("[data-range='24h']").await?;
    browser.wait_for_text("#history", "started: degraded", SOON).await?;
    let changes =
        "return [...document.querySelectorAll('[aria-label=\"Changes of state\"] .row-head > :last-child')]
        .map(({ innerText }) => innerText)";
    let told = ["started: degraded", "healthy to failing", "started: healthy"];
    assert_eq!(browser.run(changes, json!([])).await?, json!(told));
    Ok(())
}

#[tokio::test]
async fn what_was_not_written_down_has_its_colour_explained() -> Result {
    let Some(browser) = browser("the ribbons' legend") else { return Ok(()) };
    let (_folder, history) = with_history(month::write_a_minute)?;
    let world = World::of(BINARY).config(history).start().await?;
    let browser = &opened(browser, &world.daemon).await?;
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

/// The page's short waits pass in a twentieth of their time, and what it asks for is counted.
const HASTE: &str = "const [later, fetch] = [window.setTimeout, window.fetch];
    window.setTimeout = (run, pause = 0) => later(run, pause > 5000 ? pause : pause / 20);
    window.asked = 0;
    window.fetch = (...all) => { window.asked += 1; return fetch(...all); };";

/// Twenty of the page's seconds.
const A_WHILE: &str = "return (async () => {
    for (let round = 0; round < 4; round += 1) await new Promise((done) => setTimeout(done, 5000));
    return window.asked;
})()";

#[tokio::test]
async fn a_token_that_was_refused_is_not_sent_again() -> Result {
    let Some(browser) = browser("a token that is not the daemon's any more") else { return Ok(()) };
    let with = |token: &str| json!({ "metrics": { "token": token } });
    let port = ports::free()?;
    let metrics = json!({ "metrics": { "port": port.number() } });
    let mut world = World::of(BINARY).config(metrics).config(with("the-first")).start().await?;
    let browser = &fresh(browser).await?;
    browser.open(&format!("http://{}/", world.daemon.http_address().await?)).await?;
    give_token(browser, "the-first").await?;
    browser.run(HASTE, json!([])).await?;

    // It is asking for decisions again and again when the daemon comes back with another token.
    world.daemon.kill();
    browser.click("#filter-fired").await?;
    browser.wait_for_text("#decisions-note", "could not be read", SOON).await?;
    config::merge(&mut world.config, with("the-second"));
    world.daemon.write_config(&world.config)?;
    world.daemon.restart()?;
    browser.wait_for_text("#token-answer", "refused", SOON).await?;
    browser.run("window.asked = 0", json!([])).await?;
    assert_eq!(browser.run(A_WHILE, json!([])).await?, 0, "nothing is asked again");
    let click = "document.querySelector(arguments[0]).click()";
    browser.run(click, json!(["[data-range='7d']"])).await?;
    browser.run(click, json!(["#filter-fired"])).await?;
    assert_eq!(browser.run(A_WHILE, json!([])).await?, 0, "nothing else is asked either");

    give_token(browser, "the-second").await?;
    browser.wait_for("document.querySelector('#decisions-note').innerText.startsWith('Nothing')", SOON).await
}

async fn give_token(browser: &Browser, token: &str) -> Result {
    browser.wait_for("document.activeElement.id === 'token'", SOON).await?;
    browser.keys(&format!("{token}{}", kryten_testkit::browser::ENTER)).await?;
    browser.wait_for_text("#connection", "Live", SOON).await
}

/// What the page asks for waits for `letGo()`, and how long it waits itself is written down.
const HOLD_BACK: &str = "const [later, fetch] = [window.setTimeout, window.fetch];
    window.pauses = [];
    window.setTimeout = (run, pause) => { window.pauses.push(pause); return later(run, pause); };
    const held = new Promise((letGo) => { window.letGo = letGo; });
    window.fetch = (...all) => held.then(() => fetch(...all));";

#[tokio::test]
async fn a_page_too_many_says_so_whatever_it_knew_and_gets_its_turn() -> Result {
    const TOO_MANY: &str = "Too many pages follow the daemon already";
    let Some(browser) = browser("a page too many") else { return Ok(()) };
    let port = ports::free()?;
    let metrics = json!({ "metrics": { "port": port.number() } });
    let mut world = World::of(BINARY).config(metrics).start().await?;
    let browser = &opened(browser, &world.daemon).await?;
    browser.wait_for_text("#state-word", "Healthy", SOON).await?;

    // Others are quicker when the daemon comes back.
    browser.run(HOLD_BACK, json!([])).await?;
    world.daemon.restart()?;
    let mut others = Vec::new();
    for _ in 0..LISTENERS {
        others.push(listen(&world.daemon).await?);
    }
    browser.run("letGo()", json!([])).await?;
    browser.wait_for_text("#state-reason", TOO_MANY, SOON).await?;
    assert_eq!(browser.text("#state-word").await?, "Unknown");
    assert_eq!(browser.text("#connection").await?, "Not connected");
    assert!(browser.text("#state-since").await?.contains("It was healthy"));
    let announced = "return document.querySelector('#announcer').textContent";
    assert_eq!(browser.run(announced, json!([])).await?, TOO_MANY);
    let pause = browser.run("return window.pauses.at(-1)", json!([])).await?;
    assert!(pause.as_u64() >= Some(5_000), "it is asked for no sooner than the daemon said: {pause}");

    // The same when nothing is known yet.
    browser.open(&format!("http://{}/", world.daemon.http_address().await?)).await?;
    browser.wait_for_text("#state-reason", TOO_MANY, SOON).await?;
    others.pop();
    browser.wait_for_text("#connection", "Live", SOON).await
}

/// Follows a daemon as a page does.
async fn listen(daemon: &Daemon) -> Result<BufReader<TcpStream>> {
    let what = "following the daemon";
    let address = daemon.http_address().await?;
    let mut stream = TcpStream::connect(address).await.context(what)?;
    let request = format!("GET /api/events HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context(what)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.context(what)?;
    match line.contains(" 200 ") {
        true => Ok(stream),
        false => Err(Error::new(format!("{what}: {line}"))),
    }
}
