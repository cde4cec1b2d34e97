//! What changed lately, for whoever keeps or tells it: each reader asks for what came since.

use std::collections::VecDeque;

use super::state::ProviderStatus;
use super::transition::Transition;
use crate::clock::Moment;
use crate::names::ProviderName;

/// So many changes are kept; a reader that comes once a second misses none.
const KEPT: usize = 256;

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Counts up from 1. A reader that finds a gap has missed some.
    pub number: u64,
    /// When.
    pub at: Moment,
    /// What.
    pub change: Change,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The state of the service.
    State(Transition),
    /// A provider's status.
    Provider {
        /// Whose.
        provider: ProviderName,
        /// Before.
        from: ProviderStatus,
        /// Now.
        to: ProviderStatus,
    },
}

/// The latest changes, oldest first.
#[derive(Debug, Default)]
pub(super) struct LatestNews {
    kept: VecDeque<News>,
    last: u64,
}

impl LatestNews {
    pub(super) fn add(&mut self, at: Moment, change: Change) {
        self.last += 1;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(News { number: self.last, at, change });
    }

    /// Those behind a number, oldest first.
    pub(super) fn since(&self, number: u64) -> Vec<News> {
        self.kept.iter().filter(|news| news.number > number).cloned().collect()
    }
}

/// How many a reader has missed that has seen those up to a number and now gets these.
pub fn missed(news: &[News], seen: u64) -> u64 {
    news.first().map_or(0, |first| first.number.saturating_sub(seen.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::*;

    #[test]
    fn each_reader_gets_what_came_since_and_the_oldest_are_forgotten() {
        let mut latest = LatestNews::default();
        let change =
            |to| Change::Provider { provider: ProviderName::new("local"), from: ProviderStatus::Unknown, to };
        assert_eq!(latest.since(0), []);
        latest.add(at(1), change(ProviderStatus::Failed));
        latest.add(at(2), change(ProviderStatus::Ok));
        assert_eq!(latest.since(0).len(), 2);
        let newest = News { number: 2, at: at(2), change: change(ProviderStatus::Ok) };
        assert_eq!(latest.since(1), [newest]);
        assert_eq!(latest.since(2), []);
        (0..1_000).for_each(|_| latest.add(at(3), change(ProviderStatus::Ok)));
        let numbers: Vec<u64> = latest.since(2).iter().map(|news| news.number).collect();
        assert_eq!((numbers.len(), numbers[0]), (KEPT, 1_002 + 1 - KEPT as u64));
    }
}
