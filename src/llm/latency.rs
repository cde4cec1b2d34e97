//! How long a provider takes to answer: a weighted mean and quantiles of its latest answers.

use std::collections::VecDeque;
use std::time::Duration;

use crate::quantile::nearest_rank;

/// So many answers are remembered.
pub const REMEMBERED: usize = 256;

/// How much the newest answer counts in the weighted mean.
const NEWEST: f64 = 0.1;

/// The latest answers' latencies.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// In their order: when each answer came, since the service started, and how long it took.
    answers: VecDeque<(Duration, Duration)>,
}

/// The latencies in a few figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The exponentially weighted mean: a newer answer counts more.
    pub mean: Duration,
    /// Half of the answers took no longer.
    pub median: Duration,
    /// Nine of ten took no longer.
    pub p90: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// How many answers this is made of, at most [`REMEMBERED`].
    pub samples: usize,
}

impl Latencies {
    /// An answer came at `at`, since the service started, after so long.
    pub fn add(&mut self, at: Duration, latency: Duration) {
        if self.answers.len() == REMEMBERED {
            self.answers.pop_front();
        }
        self.answers.push_back((at, latency));
    }

    /// Adds those of another book, of which the latest are kept.
    pub fn merge(&mut self, other: &Self) {
        self.answers.extend(&other.answers);
        self.answers.make_contiguous().sort_by_key(|(at, _)| *at);
        let too_many = self.answers.len().saturating_sub(REMEMBERED);
        self.answers.drain(..too_many);
    }

    /// What they say; nothing before the first answer.
    pub fn summary(&self) -> Option<Summary> {
        let (_, first) = self.answers.front()?;
        // What is older than the remembered ones would count less than a millionth.
        let weighted = |mean: f64, (_, latency): &(Duration, Duration)| {
            NEWEST.mul_add(latency.as_secs_f64() - mean, mean)
        };
        let mean = self.answers.iter().fold(first.as_secs_f64(), weighted);
        let mut sorted: Vec<Duration> = self.answers.iter().map(|(_, latency)| *latency).collect();
        sorted.sort_unstable();
        Some(Summary {
            mean: Duration::try_from_secs_f64(mean).unwrap_or_default(),
            median: nearest_rank(&sorted, 50)?,
            p90: nearest_rank(&sorted, 90)?,
            p99: nearest_rank(&sorted, 99)?,
            samples: sorted.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        for (second, latency) in (0..).zip(milliseconds) {
            latencies.add(Duration::from_secs(second), Duration::from_millis(latency));
        }
        latencies
    }

    fn figures(latencies: &Latencies) -> Option<(u128, u128, u128, u128, usize)> {
        let Summary { mean, median, p90, p99, samples } = latencies.summary()?;
        Some((mean.as_millis(), median.as_millis(), p90.as_millis(), p99.as_millis(), samples))
    }

    #[test]
    fn the_figures_are_those_of_the_latest_answers() {
        assert_eq!(figures(&of([])), None);
        assert_eq!(figures(&of([70])), Some((70, 70, 70, 70, 1)));
        assert_eq!(figures(&of([100, 200])), Some((110, 100, 200, 200, 2)));
        assert_eq!(
            figures(&of(1..=100)).map(|(_, p50, p90, p99, n)| (p50, p90, p99, n)),
            Some((50, 90, 99, 100))
        );
        let many = of((0..1_000).map(|_| 9_000).chain((0..REMEMBERED).map(|_| 5)));
        assert_eq!(figures(&many), Some((5, 5, 5, 5, REMEMBERED)), "the old ones are forgotten");
    }

    #[test]
    fn the_mean_follows_a_change_within_a_few_dozen_answers() {
        let slower = of((0..200).map(|_| 100).chain((0..22).map(|_| 1_000)));
        let mean = slower.summary().unwrap().mean.as_millis();
        assert!((890..920).contains(&mean), "nine tenths of the way: {mean}");
    }

    #[test]
    fn of_two_books_the_latest_answers_are_kept_in_their_order() {
        let mut book = of([10, 20]);
        let mut other = Latencies::default();
        other.add(Duration::from_millis(500), Duration::from_millis(1_000));
        book.merge(&other);
        let merged: Vec<u128> = book.answers.iter().map(|(_, latency)| latency.as_millis()).collect();
        assert_eq!(merged, [10, 1_000, 20]);
        let full = of((0..REMEMBERED).map(|_| 7));
        book.merge(&full);
        assert_eq!(book.answers.len(), REMEMBERED);
        assert_eq!(figures(&book), Some((7, 7, 7, 7, REMEMBERED)));
    }

    proptest! {
        #[test]
        fn quantiles_rise_and_everything_lies_between_the_extremes(
            milliseconds in prop::collection::vec(0_u64..10_000_000, 1..600),
        ) {
            let book = of(milliseconds.clone());
            let Summary { mean, median, p90, p99, samples } = book.summary().unwrap();
            let latest = &milliseconds[milliseconds.len().saturating_sub(REMEMBERED)..];
            let least = Duration::from_millis(*latest.iter().min().unwrap());
            let most = Duration::from_millis(*latest.iter().max().unwrap());
            prop_assert!(least <= median && median <= p90 && p90 <= p99 && p99 <= most);
            // A float in between may be off by its last digits.
            let unsure = Duration::from_micros(1);
            prop_assert!(least <= mean + unsure && mean <= most + unsure);
            prop_assert_eq!(samples, latest.len());
        }
    }
}
