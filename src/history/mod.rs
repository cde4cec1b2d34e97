//! The history: how the service was in the last days, in one file, without another server.
//!
//! The recorder looks at health once a second and makes minutes of it; one writer keeps them, on a thread that
//! may block. Between them is a queue that the recorder never waits for. Whoever reads opens the file for
//! itself. Nothing that happens to the file costs the service anything but its history.

mod book;
mod document;
mod losses;
pub mod minute;
mod pruning;
mod reader;
mod recorder;
mod steps;
pub mod store;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::config;
use crate::health::{Component, HealthMonitor};
use document::Document;
use losses::Losses;
pub use reader::{Reader, Unread};
pub use recorder::Recorder;
pub use steps::Range;
use store::Store;
pub use writer::Writer;

/// What may wait to be written; with more than that nothing keeps up anyway.
const WAITING: usize = 256;

/// Shows the history, and how well it is kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    kept: Option<Kept>,
    losses: Arc<Losses>,
}

/// Where it is, and who knows whether it can be written.
#[derive(Debug, Clone)]
struct Kept {
    reader: Reader,
    health: HealthMonitor,
}

/// Why there is nothing to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoHistory {
    /// The configuration doesn't want any.
    #[error("no history is kept: history.enabled is false")]
    Off,
    /// It can't be read now, and why: what the component says, if it says anything.
    #[error("{0}")]
    Unreadable(String),
}

impl History {
    /// No history is kept.
    pub fn off() -> Self {
        Self { kept: None, losses: Arc::default() }
    }

    /// The history of the service that has just started, and what keeps it; nothing does when the
    /// configuration doesn't want any.
    pub fn new(
        settings: &config::History,
        state_dir: &Path,
        clock: Clock,
        health: &HealthMonitor,
    ) -> (Self, Option<(Recorder, Writer)>) {
        if !settings.enabled {
            return (Self::off(), None);
        }
        // Watched from the start, not only from the first write on.
        health.condition(clock.now(), Component::History, "writing", None, None);
        let path = state_dir.join(&settings.file);
        let losses = Arc::new(Losses::default());
        let (entries, waiting) = mpsc::channel(WAITING);
        let store =
            Store::new(path.clone(), settings.retention, settings.max_mib.saturating_mul(1024 * 1024));
        let recorder = Recorder::new(clock, health.clone(), entries, losses.clone());
        let writer = Writer::new(clock, health.clone(), store, waiting, losses.clone());
        let kept = Kept { reader: Reader::new(path), health: health.clone() };
        (Self { kept: Some(kept), losses }, Some((recorder, writer)))
    }

    /// What there is of this range, which ends now, as `/api/history` shows it: a text of JSON. Before anything
    /// was written that is nothing, unless it can't be written.
    ///
    /// # Errors
    /// When none is kept, or it can't be read.
    pub async fn document(&self, clock: Clock, range: Range) -> Result<String, NoHistory> {
        let kept = self.kept.as_ref().ok_or(NoHistory::Off)?;
        let now = clock.now().wall;
        let why = match kept.reader.document(now, range).await {
            Ok(document) => return Ok(document),
            Err(why) => why,
        };
        match (kept.trouble(clock), why) {
            (Some(trouble), _) => Err(NoHistory::Unreadable(trouble)),
            (None, Unread::Nothing) => Document::empty(now, range).text().map_err(NoHistory::Unreadable),
            (None, why) => Err(NoHistory::Unreadable(why.to_string())),
        }
    }

    /// Whether any is kept.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// How many writes failed since the start.
    pub fn write_failures(&self) -> u64 {
        self.losses.failures.load(Ordering::Relaxed)
    }

    /// How much was not kept since the start because too much waited, or happened, at once, or could not be
    /// written for too long.
    pub fn lost(&self) -> u64 {
        self.losses.lost.load(Ordering::Relaxed)
    }
}

impl Kept {
    /// What the component says is wrong.
    fn trouble(&self, clock: Clock) -> Option<String> {
        self.health.snapshot(clock.now()).unhealthy(Component::History).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests;
