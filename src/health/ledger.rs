//! The books: what became of every reply that was begun, and of every message that was not
//! answered.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::outcome::{Reason, ReplyOutcome};

/// A count for each reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReasonCounts(BTreeMap<Reason, u64>);

impl ReasonCounts {
    /// Counts one.
    pub(super) fn add(&mut self, reason: Reason) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// How many for reasons of a kind.
    pub fn of(&self, is_of_kind: impl Fn(Reason) -> bool) -> u64 {
        self.0.iter().filter(|(reason, _)| is_of_kind(**reason)).map(|(_, count)| count).sum()
    }

    /// Each reason that came up, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// An object of the reasons' names and their counts; reasons that never came up are left out.
impl Serialize for ReasonCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(reason, count)| (reason.as_str(), count)))
    }
}

/// What the providers read and wrote, as far as they told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TokenCounts {
    /// Tokens that they read.
    pub prompt: u64,
    /// Tokens that they wrote.
    pub completion: u64,
}

impl TokenCounts {
    /// Adds what one call, or another count, has cost.
    pub fn add(&mut self, prompt: u64, completion: u64) {
        self.prompt = self.prompt.saturating_add(prompt);
        self.completion = self.completion.saturating_add(completion);
    }
}

/// What became of one line; a line may be heard whatever became of it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFate {
    /// The robot took it, or a round trip behind it proves that the bus has it.
    Sent,
    /// Nothing proves that anybody got it.
    InDoubt,
    /// The robot refused it, or it could not be handed over.
    Failed,
    /// Its echo came: it is in the room.
    Heard,
}

/// What became of the lines that were handed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LineCounts {
    /// Lines that were sent.
    pub sent: u64,
    /// Lines that are in doubt.
    pub in_doubt: u64,
    /// Lines that failed.
    pub failed: u64,
    /// Lines that were heard, of all of these.
    pub heard: u64,
}

impl LineCounts {
    pub(super) fn add(&mut self, fate: LineFate) {
        let count = match fate {
            LineFate::Sent => &mut self.sent,
            LineFate::InDoubt => &mut self.in_doubt,
            LineFate::Failed => &mut self.failed,
            LineFate::Heard => &mut self.heard,
        };
        *count += 1;
    }
}

/// What became of the replies. Whenever it is looked at, [`Ledger::balances`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Replies begun.
    pub fired: u64,
    /// Replies said.
    pub sent: u64,
    /// Replies not said on purpose, by reason.
    pub silenced: ReasonCounts,
    /// Replies that should have gone out and did not.
    pub failed: u64,
    /// Replies handed over without proof that anybody got them.
    pub in_doubt: u64,
    /// Replies given up at shutdown.
    pub abandoned: u64,
    /// Replies begun and not ended.
    pub in_flight: u64,
}

impl Ledger {
    pub(super) fn fire(&mut self) {
        self.fired += 1;
        self.in_flight += 1;
    }

    /// Ends a reply. False, and nothing is booked, when none was in flight.
    pub(super) fn end(&mut self, outcome: ReplyOutcome) -> bool {
        let Some(in_flight) = self.in_flight.checked_sub(1) else { return false };
        self.in_flight = in_flight;
        match outcome {
            ReplyOutcome::Sent => self.sent += 1,
            ReplyOutcome::Silenced(reason) => self.silenced.add(reason),
            ReplyOutcome::Failed(_) => self.failed += 1,
            ReplyOutcome::InDoubt => self.in_doubt += 1,
            ReplyOutcome::Abandoned => self.abandoned += 1,
        }
        true
    }

    /// Replies that should have gone out and did not (REQ-003).
    pub fn errors(&self) -> u64 {
        self.failed + self.in_doubt + self.abandoned
    }

    /// Whether every reply begun is accounted for.
    pub fn balances(&self) -> bool {
        self.fired
            == self.sent
                + self.silenced.total()
                + self.failed
                + self.in_doubt
                + self.abandoned
                + self.in_flight
    }
}
