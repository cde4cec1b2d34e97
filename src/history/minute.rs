//! The figures of one minute.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::health::{State, TokenCounts};
use crate::quantile::nearest_rank;

/// What one run of the service counted within one minute of the wall clock, or up to now.
#[derive(Debug, Clone, PartialEq)]
pub struct Minute {
    /// When the minute begins, in seconds since 1970; a multiple of 60.
    pub at: i64,
    /// Which of the parts of this minute it is. The service may have been restarted within it, or the clock
    /// set back; each part is written by itself, as often as it grows.
    pub part: i64,
    /// The worst state that was seen.
    pub state: State,
    /// The figures.
    pub figures: Figures,
}

/// What is counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// How long the service ran.
    pub ran: Duration,
    /// Well-formed chat messages.
    pub messages: u64,
    /// Replies sent.
    pub replies: u64,
    /// Replies that should have gone out and did not.
    pub errors: u64,
    /// Messages and replies that nothing was said for, by the reason's name.
    pub silences: BTreeMap<String, u64>,
    /// How long the replies took; none without a reply.
    pub latency: Option<Latency>,
    /// What the providers told of their tokens.
    pub tokens: TokenCounts,
}

/// Quantiles of how long replies took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// How many replies they stand for, at least 1.
    pub replies: u64,
    /// Half of them took at most so long.
    pub p50: f64,
    /// Nine of ten took at most so long.
    pub p90: f64,
    /// Ninety-nine of a hundred took at most so long.
    pub p99: f64,
}

impl Latency {
    /// The quantiles of these times, by nearest rank.
    pub fn of(times: &[Duration]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let quantile = |percent| Some(nearest_rank(&sorted, percent)?.as_secs_f64() * 1_000.0);
        let replies = sorted.len() as u64;
        Some(Self { replies, p50: quantile(50)?, p90: quantile(90)?, p99: quantile(99)? })
    }

    /// The quantiles of both together, nearly: the mean of each, weighted by the replies. Exact ones would
    /// need every single time.
    pub fn with(self, other: Self) -> Self {
        let (ours, theirs) = (self.replies as f64, other.replies as f64);
        let mean = |our: f64, their: f64| (our * ours + their * theirs) / (ours + theirs);
        Self {
            replies: self.replies.saturating_add(other.replies),
            p50: mean(self.p50, other.p50),
            p90: mean(self.p90, other.p90),
            p99: mean(self.p99, other.p99),
        }
    }
}

impl Figures {
    /// Adds those of another time.
    pub fn add(&mut self, other: Self) {
        self.ran = self.ran.saturating_add(other.ran);
        self.messages = self.messages.saturating_add(other.messages);
        self.replies = self.replies.saturating_add(other.replies);
        self.errors = self.errors.saturating_add(other.errors);
        other.silences.into_iter().for_each(|(reason, count)| self.silence(&reason, count));
        self.latency = match (self.latency, other.latency) {
            (Some(ours), Some(theirs)) => Some(ours.with(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        self.tokens.add(other.tokens.prompt, other.tokens.completion);
    }

    /// Adds silences of one reason.
    pub fn silence(&mut self, reason: &str, count: u64) {
        match self.silences.get_mut(reason) {
            Some(before) => *before = before.saturating_add(count),
            None => _ = self.silences.insert(reason.to_owned(), count),
        }
    }

    /// Whether it says more than that the service ran.
    pub fn say_more_than(&self, other: &Self) -> bool {
        let without_time = |figures: &Self| Self { ran: Duration::ZERO, ..figures.clone() };
        without_time(self) != without_time(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(times: &[u64]) -> Vec<Duration> {
        times.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn a_quantile_is_the_time_of_nearest_rank() {
        assert_eq!(Latency::of(&[]), None);
        let hundred: Vec<u64> = (1..=100).rev().collect();
        let two_hundred: Vec<u64> = (1..=200).collect();
        for (times, expected) in [
            (vec![7], [7.0, 7.0, 7.0]),
            (vec![1, 2], [1.0, 2.0, 2.0]),
            (vec![3, 1, 2], [2.0, 3.0, 3.0]),
            (hundred, [50.0, 90.0, 99.0]),
            (two_hundred, [100.0, 180.0, 198.0]),
        ] {
            let Latency { replies, p50, p90, p99 } = Latency::of(&millis(&times)).expect("times");
            assert_eq!((replies, [p50, p90, p99]), (times.len() as u64, expected), "{times:?}");
        }
    }

    #[test]
    fn what_stands_for_more_replies_weighs_more() {
        let quick = Latency { replies: 3, p50: 100.0, p90: 200.0, p99: 300.0 };
        let slow = Latency { replies: 1, p50: 500.0, p90: 1_000.0, p99: 2_300.0 };
        assert_eq!(quick.with(slow), Latency { replies: 4, p50: 200.0, p90: 400.0, p99: 800.0 });
    }

    #[test]
    fn figures_add_up_and_never_overflow() {
        let figures = |messages, reason: &str, latency| Figures {
            ran: Duration::from_secs(20),
            messages,
            silences: BTreeMap::from([(reason.to_owned(), messages)]),
            latency,
            ..Figures::default()
        };
        let latency = Latency::of(&millis(&[5]));
        let mut sum = figures(2, "spam", None);
        sum.add(figures(3, "own", latency));
        sum.add(figures(u64::MAX, "own", None));
        assert_eq!((sum.ran, sum.messages, sum.latency), (Duration::from_secs(60), u64::MAX, latency));
        assert_eq!(sum.silences, BTreeMap::from([("own".into(), u64::MAX), ("spam".into(), 2)]));
    }
}
