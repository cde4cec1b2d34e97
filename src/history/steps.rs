//! Minutes become the steps of a range: the pure part of showing the history.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::minute::{Figures, Latency};
use crate::clock::iso;
use crate::health::{State, TokenCounts};

/// How far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// Seven days.
    Week,
    /// Thirty days.
    Month,
}

impl Range {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The name as it is written in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// The range of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.as_str() == name)
    }

    /// How long it is.
    pub fn length(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
            Self::Week => TimeDelta::days(7),
            Self::Month => TimeDelta::days(30),
        }
    }

    /// When its first step begins, in seconds since 1970, if it ends now.
    pub fn begin(self, now: DateTime<Utc>) -> i64 {
        Steps::of(self.step()).begin((now - self.length()).timestamp())
    }

    /// How long one of its steps is, in seconds: whole minutes, and at most 1,441 steps in all.
    pub fn step(self) -> i64 {
        match self {
            Self::Hour | Self::Day => 60,
            Self::Week => 600,
            Self::Month => 1_800,
        }
    }
}

/// The steps in the making, by when they begin.
#[derive(Debug)]
pub struct Steps {
    seconds: i64,
    by_begin: BTreeMap<i64, (State, Figures)>,
}

/// What is shown of one step.
///
/// The state is the worst of its minutes. The latencies are the means of its minutes' quantiles, weighted by
/// the replies in each: exact for a single minute of one run, else near to what all replies together would
/// give while the minutes are alike, and blind to a single slow reply among many minutes.
#[derive(Debug, Serialize)]
pub struct Step {
    at: String,
    state: State,
    messages: u64,
    replies: u64,
    errors: u64,
    silences: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<Milliseconds>,
    tokens: TokenCounts,
}

/// Quantiles in whole milliseconds.
#[derive(Debug, Serialize)]
struct Milliseconds {
    p50: u64,
    p90: u64,
    p99: u64,
}

impl Steps {
    /// Steps of that many seconds, which begin at multiples of it.
    pub fn of(seconds: i64) -> Self {
        Self { seconds: seconds.max(1), by_begin: BTreeMap::new() }
    }

    /// When the step begins that a second lies in.
    fn begin(&self, second: i64) -> i64 {
        second.div_euclid(self.seconds) * self.seconds
    }

    /// Takes in a minute, or a part of one.
    pub fn add(&mut self, second: i64, state: State, figures: Figures) {
        let begin = self.begin(second);
        let step = self.by_begin.entry(begin).or_insert_with(|| (state, Figures::default()));
        step.0 = step.0.max(state);
        step.1.add(figures);
    }

    /// Takes in silences of a minute. Those of one that was never added are left out.
    pub fn silence(&mut self, second: i64, reason: &str, count: u64) {
        let begin = self.begin(second);
        if let Some((_, figures)) = self.by_begin.get_mut(&begin) {
            figures.silence(reason, count);
        }
    }

    /// The steps in which the service ran, in the order of their time.
    pub fn show(self) -> Vec<Step> {
        self.by_begin.into_iter().map(|(begin, (state, figures))| Step::new(begin, state, figures)).collect()
    }
}

impl Step {
    fn new(begin: i64, state: State, figures: Figures) -> Self {
        Self {
            at: iso(DateTime::<Utc>::from_timestamp(begin, 0).unwrap_or_default()),
            state,
            messages: figures.messages,
            replies: figures.replies,
            errors: figures.errors,
            silences: figures.silences,
            latency_ms: figures.latency.map(Milliseconds::of),
            tokens: figures.tokens,
        }
    }
}

impl Milliseconds {
    fn of(latency: Latency) -> Self {
        let whole = |milliseconds: f64| milliseconds.round() as u64;
        Self { p50: whole(latency.p50), p90: whole(latency.p90), p99: whole(latency.p99) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn figures(messages: u64, latency: Option<(u64, f64)>) -> Figures {
        let latency = latency.map(|(replies, p50)| Latency { replies, p50, p90: 2.0 * p50, p99: 3.0 * p50 });
        Figures {
            messages,
            replies: latency.map_or(0, |latency| latency.replies),
            latency,
            ..Figures::default()
        }
    }

    fn shown(steps: Steps) -> Value {
        serde_json::to_value(steps.show()).expect("JSON")
    }

    #[test]
    fn no_range_has_more_than_1441_steps_of_whole_minutes() {
        for range in Range::ALL {
            assert!(range.length().num_seconds() / range.step() < 1_441, "{range:?}");
            assert_eq!((range.step() % 60, range.length().num_seconds() % range.step()), (0, 0), "{range:?}");
            assert_eq!(Range::of_name(range.as_str()), Some(range));
        }
        assert_eq!(Range::of_name("2h"), None);
    }

    #[test]
    fn parts_of_a_minute_are_one_step_and_a_missing_minute_is_none() {
        let mut steps = Steps::of(60);
        steps.add(1_800_000_000, State::Healthy, figures(3, Some((1, 100.0))));
        steps.add(1_800_000_000, State::Failing, figures(4, Some((3, 500.0))));
        steps.add(1_800_000_120, State::Degraded, figures(0, None));
        steps.silence(1_800_000_000, "spam", 2);
        steps.silence(1_800_000_000, "spam", 1);
        steps.silence(1_800_000_060, "spam", 9);
        let tokens = json!({"prompt": 0, "completion": 0});
        let expected = json!([
            {
                "at": "2027-01-15T08:00:00.000000+00:00", "state": "failing", "messages": 7, "replies": 4,
                "errors": 0, "silences": {"spam": 3}, "latency_ms": {"p50": 400, "p90": 800, "p99": 1200},
                "tokens": tokens
            },
            {
                "at": "2027-01-15T08:02:00.000000+00:00", "state": "degraded", "messages": 0, "replies": 0,
                "errors": 0, "silences": {}, "tokens": tokens
            }
        ]);
        assert_eq!(shown(steps), expected);
    }

    #[test]
    fn a_larger_step_holds_all_of_its_minutes_at_its_begin() {
        let mut steps = Steps::of(Range::Month.step());
        (0..60).for_each(|minute| steps.add(1_800_000_000 + minute * 60, State::Healthy, figures(1, None)));
        let shown = shown(steps);
        let messages: Vec<_> = shown.as_array().into_iter().flatten().map(|step| &step["messages"]).collect();
        assert_eq!(messages, [30, 30]);
        assert_eq!(shown[1]["at"], "2027-01-15T08:30:00.000000+00:00");
    }
}
