//! The calls of the last minute.

use std::collections::VecDeque;

use crate::clock::Moment;

const MINUTE: u64 = 60;

/// The calls of the last minute, by the second in which they leave it: never more than 61 entries.
/// A call counts for up to a second longer than a minute, so no minute has more than are allowed.
#[derive(Debug, Default)]
pub struct Minute {
    /// Until which second since start, and how many; oldest first.
    calls: VecDeque<(u64, u64)>,
}

impl Minute {
    /// Counts a call that is made now.
    pub fn count(&mut self, now: Moment) {
        self.calls.retain(|(until, _)| is_ahead(now, *until));
        self.add(now.elapsed.as_secs() + MINUTE + 1, 1);
    }

    /// How many calls count now.
    pub fn calls(&self, now: Moment) -> u64 {
        let counting = self.calls.iter().filter(|(until, _)| is_ahead(now, *until));
        counting.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// How many calls still count, and for how many seconds.
    pub fn left(&self, now: Moment) -> impl Iterator<Item = (u64, u64)> {
        let second = now.elapsed.as_secs();
        let counting = self.calls.iter().filter(move |(until, _)| is_ahead(now, *until));
        counting.map(move |(until, count)| (until - second, *count))
    }

    /// Counts calls that were made before we started, for so many seconds more.
    pub fn restore(&mut self, now: Moment, seconds: u64, count: u64) {
        self.add(now.elapsed.as_secs() + seconds.min(MINUTE + 1), count);
    }

    fn add(&mut self, until: u64, count: u64) {
        match self.calls.iter_mut().find(|(known, _)| *known == until) {
            Some((_, known)) => *known = known.saturating_add(count),
            None => self.calls.push_back((until, count)),
        }
    }
}

fn is_ahead(now: Moment, until: u64) -> bool {
    now.elapsed.as_secs() < until
}
