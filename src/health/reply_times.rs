//! How long the latest replies took, for whoever keeps or tells it: each reader asks for what came since.

use std::collections::VecDeque;
use std::time::Duration;

/// So many are kept; a reader that comes once a second misses none.
const KEPT: usize = 1024;

/// The latest times, oldest first.
#[derive(Debug, Default)]
pub(super) struct ReplyTimes {
    kept: VecDeque<Duration>,
    total: u64,
}

impl ReplyTimes {
    pub(super) fn add(&mut self, time: Duration) {
        self.total += 1;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(time);
    }

    /// Those behind the first `seen` of all, oldest first.
    pub(super) fn since(&self, seen: u64) -> Vec<Duration> {
        let unseen = usize::try_from(self.total.saturating_sub(seen)).unwrap_or(KEPT);
        self.kept.iter().skip(self.kept.len().saturating_sub(unseen)).copied().collect()
    }

    /// How many there were in all.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reader_gets_what_came_since_and_the_oldest_are_forgotten() {
        let seconds = Duration::from_secs;
        let mut times = ReplyTimes::default();
        assert!(times.since(0).is_empty());
        [1, 2, 3].into_iter().for_each(|time| times.add(seconds(time)));
        assert_eq!(times.since(0), [seconds(1), seconds(2), seconds(3)]);
        assert_eq!(times.since(2), [seconds(3)]);
        assert!(times.since(3).is_empty());
        assert!(times.since(9).is_empty(), "nobody can have seen so many");
        (0..5_000).for_each(|_| times.add(seconds(4)));
        assert_eq!((times.since(3).len(), times.total()), (KEPT, 5_003));
    }
}
