//! Whether a loop gets on with its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;

/// Longer than this with one piece of work in hand is a stall (REQ-003).
const STALL: Duration = Duration::from_secs(1);

const IDLE: u64 = u64::MAX;

/// Where one loop says what it is at. Lock free, so it may stand round every message.
///
/// A loop needs one of its own; clones speak for the same loop.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Course>);

#[derive(Debug)]
struct Course {
    /// Since when something is owed, in nanoseconds since the start, or [`IDLE`].
    owed_since: AtomicU64,
    /// Whether the loop has said anything since the watchdog was fed.
    moved: AtomicBool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Course { owed_since: AtomicU64::new(IDLE), moved: AtomicBool::new(false) }))
    }

    /// Takes a piece of work in hand, in place of the one before.
    pub fn begin(&self, now: Moment) {
        self.due(now.elapsed);
    }

    /// Promises something at a time to come: being late by more than a second is a stall.
    pub fn due(&self, at: Duration) {
        // What is due after half a thousand years is not promised at all.
        self.owe(u64::try_from(at.as_nanos()).unwrap_or(IDLE));
    }

    /// The piece of work is done, or nothing is promised any more.
    pub fn end(&self) {
        self.owe(IDLE);
    }

    fn owe(&self, since: u64) {
        self.0.owed_since.store(since, Ordering::Relaxed);
        self.0.moved.store(true, Ordering::Relaxed);
    }

    /// Whether a piece of work has been in hand, or overdue, for more than [`STALL`].
    pub(super) fn is_stalled(&self, now: Duration) -> bool {
        self.owed_for(now).is_some_and(|owed| owed > STALL)
    }

    /// Whether something is due, and the loop has not moved since [`Self::begin_watch`].
    pub(super) fn stands_still(&self, now: Duration) -> bool {
        !self.0.moved.load(Ordering::Relaxed) && self.owed_for(now).is_some()
    }

    /// From here on it is watched whether the loop moves.
    pub(super) fn begin_watch(&self) {
        self.0.moved.store(false, Ordering::Relaxed);
    }

    /// How long something has been owed, if anything is due.
    fn owed_for(&self, now: Duration) -> Option<Duration> {
        match self.0.owed_since.load(Ordering::Relaxed) {
            IDLE => None,
            since => now.checked_sub(Duration::from_nanos(since)),
        }
    }

    /// Whether its loop has gone and left nothing undone.
    pub(super) fn is_over(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.0.owed_since.load(Ordering::Relaxed) == IDLE
    }
}
