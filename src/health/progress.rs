//! Whether a loop gets on with its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;

/// Longer than this with one piece of work in hand is a stall (REQ-003).
const STALL: Duration = Duration::from_secs(1);

const IDLE: u64 = u64::MAX;

/// Where one loop says what it is at. Lock free, so it may stand round every message.
///
/// A loop needs one of its own; clones speak for the same loop.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Since when something is owed, in nanoseconds since the start, or [`IDLE`].
    owed_since: Arc<AtomicU64>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { owed_since: Arc::new(AtomicU64::new(IDLE)) }
    }

    /// Takes a piece of work in hand, in place of the one before.
    pub fn begin(&self, now: Moment) {
        self.due(now.elapsed);
    }

    /// Promises something at a time to come: being late by more than a second is a stall.
    pub fn due(&self, at: Duration) {
        // What is due after half a thousand years is not promised at all.
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(IDLE);
        self.owed_since.store(nanos, Ordering::Relaxed);
    }

    /// The piece of work is done, or nothing is promised any more.
    pub fn end(&self) {
        self.owed_since.store(IDLE, Ordering::Relaxed);
    }

    /// Whether a piece of work has been in hand, or overdue, for more than [`STALL`].
    pub(super) fn is_stalled(&self, now: Duration) -> bool {
        let since = self.owed_since.load(Ordering::Relaxed);
        since != IDLE && now.saturating_sub(Duration::from_nanos(since)) > STALL
    }

    /// Whether its loop has gone and left nothing undone.
    pub(super) fn is_over(&self) -> bool {
        Arc::strong_count(&self.owed_since) == 1 && self.owed_since.load(Ordering::Relaxed) == IDLE
    }
}
