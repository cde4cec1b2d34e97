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
use tokio::sync::Mutex;

/// The daemon under test.
const BINARY: &str = env!("CARGO_BIN_EXE_kryten-llm");
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Says that a test can't be made here, past the test runner, which swallows what a test prints.
fn skip(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}: {why}");
}

/// The one browser of all tests, while one of them has it.
static BROWSER: Lock<Weak<Mutex<Option<Browser>>>> = Lock::new(Weak::new());

/// The browser, which tests take turns in: to be locked by whoever has all else ready. None, loudly,
/// where there is no browser.
fn browser(what: &str) -> Option<Arc<Mutex<Option<Browser>>>> {
    if let Some(why) = Browser::missing() {
        skip(what, &why);
        return None;
    }
    let mut shared = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    let there = shared.upgrade().unwrap_or_default();
    *shared = Arc::downgrade(&there);
    Some(there)
}

/// The browser in the state in which each test gets it: a light desktop, an empty console.
async fn fresh(browser: &mut Option<Browser>) -> Result<&Browser> {
    let browser = match browser {
        Some(there) => there,
        none => none.insert(Browser::start().await?),
    };
    browser.size(1280, 900).await?;
    browser.dark(false).await?;
    browser.open("about:blank").await?;
    browser.console().await?;
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

/// Shows a range of the history.
async fn show(browser: &Browser, range: &str) -> Result {
    browser.click(&format!("[data-range='{range}']")).await?;
    let shown =
        "document.querySelector('#history').ariaBusy === 'false' && document.querySelector('.charts')";
    // A look that took the daemon too long is tried again after a while.
    browser.wait_for(shown, 3 * SOON).await
}
