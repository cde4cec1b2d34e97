//! The dashboard, in a real browser, of a real daemon.
#![cfg(target_os = "linux")]

mod access;
mod layout;
mod live;
mod month;
mod page;
mod screenshots;
mod services;
mod story;
mod trouble;
mod words;

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex as Lock, PoisonError, Weak};

use chrono::{DateTime, Utc};
use kryten_testkit::world::SOON;
use kryten_testkit::{Browser, Context as _, Daemon, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};

/// The daemon under test.
const BINARY: &str = env!("CARGO_BIN_EXE_kryten-llm");
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Says that a test can't be made here, past the test runner, which swallows what a test prints.
fn skip(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}: {why}");
}

/// The browser that tests share, once one of them has started it.
type Shared = Arc<Mutex<Option<Browser>>>;
/// The browser for as long as a test has its turn.
type Turn = OwnedMappedMutexGuard<Option<Browser>, Browser>;

/// The one browser of all tests, while one of them has it.
static BROWSER: Lock<Weak<Mutex<Option<Browser>>>> = Lock::new(Weak::new());

/// The browser, which tests take turns in: to be opened by whoever has all else ready. None, loudly,
/// where there is no browser.
fn browser(what: &str) -> Option<Shared> {
    if let Some(why) = Browser::missing() {
        skip(what, &why);
        return None;
    }
    let mut shared = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    let there = shared.upgrade().unwrap_or_default();
    *shared = Arc::downgrade(&there);
    Some(there)
}

/// Waits for a turn. The browser is in the state in which each test gets it: a light desktop, an empty console.
async fn fresh(shared: Shared) -> Result<Turn> {
    let mut shared = shared.lock_owned().await;
    let there = match shared.take() {
        Some(there) => there,
        None => Browser::start().await?,
    };
    let browser = OwnedMutexGuard::map(shared, |shared| shared.insert(there));
    browser.size(1280, 900).await?;
    browser.dark(false).await?;
    browser.open("about:blank").await?;
    browser.console().await?;
    Ok(browser)
}

/// The same with a daemon's dashboard, live.
async fn opened(shared: Shared, daemon: &Daemon) -> Result<Turn> {
    let browser = fresh(shared).await?;
    open(&browser, daemon).await?;
    Ok(browser)
}

/// What is to be changed in a config so that the daemon goes on with a history that `write` makes up to now;
/// while the folder is there.
fn with_history(write: impl FnOnce(&Path, DateTime<Utc>) -> Result) -> Result<(TempDir, Value)> {
    let folder = tempfile::tempdir().context("making a folder for a made-up history")?;
    write(&folder.path().join("history.db"), Utc::now())?;
    let config = json!({ "state_dir": folder.path() });
    Ok((folder, config))
}

/// Opens a daemon's dashboard, and waits until it is live.
async fn open(browser: &Browser, daemon: &Daemon) -> Result {
    browser.open(&format!("http://{}/", daemon.http_address().await?)).await?;
    browser.wait_for_text("#connection", "Live", SOON).await
}

/// Waits until there are charts.
async fn charted(browser: &Browser) -> Result {
    browser.wait_for("document.querySelector('.stage svg')", SOON).await
}

/// Shows a range of the history.
async fn show(browser: &Browser, range: &str) -> Result {
    browser.click(&format!("[data-range='{range}']")).await?;
    let shown =
        "document.querySelector('#history').ariaBusy === 'false' && document.querySelector('.charts')";
    // A look that took the daemon too long is tried again after a while.
    browser.wait_for(shown, 3 * SOON).await
}
