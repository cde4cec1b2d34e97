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

    /// In how many seconds fewer than so many calls count, if no other is made; none when they are never
    /// fewer, or are now.
    pub fn frees_in(&self, now: Moment, max: u64) -> Option<u64> {
        let mut left: Vec<_> = self.left(now).collect();
        left.sort_unstable();
        let mut used = self.calls(now);
        if used < max {
            return None;
        }
        let frees = left.into_iter().find(|(_, count)| {
            used = used.saturating_sub(*count);
            used < max
        });
        frees.map(|(seconds, _)| seconds)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::at;

    #[test]
    fn the_oldest_calls_free_the_next() {
        let mut minute = Minute::default();
        minute.restore(at(0.0), 30, 1);
        [1.0, 1.5, 9.0].into_iter().for_each(|second| minute.count(at(second)));
        minute.restore(at(9.0), 5, 1);
        for (max, second, expected) in [
            (6, 10.0, None),
            (5, 10.0, Some(4)),
            (4, 10.0, Some(20)),
            (3, 10.0, Some(52)),
            (2, 10.0, Some(52)),
            (1, 10.0, Some(60)),
            (0, 10.0, None),
            (1, 69.9, Some(1)),
            (1, 70.0, None),
        ] {
            assert_eq!(minute.frees_in(at(second), max), expected, "fewer than {max} at {second}");
        }
    }
}
