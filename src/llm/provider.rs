//! What is known of one provider. This is the only owner of that truth; health gets a copy.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Tokens;
use super::breaker::Breaker;
use super::checks::verdict::Check;
use super::failure::{Failure, Kind};
use super::latency::{Latencies, Summary};
use super::rate_limit::RateLimit;
use crate::clock::Moment;
use crate::config::CircuitBreaker;
use crate::health::ProviderStatus;
use crate::names::ProviderName;

/// So many refusals in a row, from different messages, are the provider's fault.
const REFUSALS: usize = 5;

/// Status, latency, breaker and totals of one provider.
#[derive(Debug, Clone)]
pub struct ProviderState {
    name: ProviderName,
    /// Whether it may be called; the plan of a request asks it.
    pub breaker: Breaker,
    status: ProviderStatus,
    last_failure: Option<(Failure, DateTime<Utc>)>,
    last_latency: Option<Duration>,
    latencies: Latencies,
    rate_limit: Option<RateLimit>,
    calls: u64,
    failed_calls: u64,
    tokens: Tokens,
    /// Which messages were refused since the last success; at most [`REFUSALS`].
    refused_messages: Vec<String>,
    key_is_bad: bool,
    refuses_all: bool,
    check: Option<Check>,
}

/// What a call changed, and an operator should read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct News {
    /// The key is refused, and was not before.
    pub key_went_bad: bool,
    /// From now on the provider is skipped.
    pub breaker_opened: bool,
    /// From now on it is called again.
    pub breaker_closed: bool,
    /// Nothing but refusals: a parameter must be wrong.
    pub refuses_all: bool,
}

impl ProviderState {
    /// A provider that was never called.
    pub fn new(name: ProviderName, limits: CircuitBreaker) -> Self {
        Self {
            name,
            breaker: Breaker::new(limits),
            status: ProviderStatus::Unknown,
            last_failure: None,
            last_latency: None,
            latencies: Latencies::default(),
            rate_limit: None,
            calls: 0,
            failed_calls: 0,
            tokens: Tokens::default(),
            refused_messages: Vec::new(),
            key_is_bad: false,
            refuses_all: false,
            check: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &ProviderName {
        &self.name
    }

    /// The outcome of the latest completed call; refused content leaves it (REQ-003).
    pub fn status(&self) -> ProviderStatus {
        self.status
    }

    /// The latest failed call and when it ended, whatever came after it; a refused one too.
    pub fn last_failure(&self) -> Option<&(Failure, DateTime<Utc>)> {
        self.last_failure.as_ref()
    }

    /// How long the latest completed call took.
    pub fn last_latency(&self) -> Option<Duration> {
        self.last_latency
    }

    /// How long the latest answers took; nothing before the first.
    pub fn latencies(&self) -> Option<Summary> {
        self.latencies.summary()
    }

    /// The latest check, which leaves everything that is known from calls.
    pub fn check(&self) -> Option<&Check> {
        self.check.as_ref()
    }

    /// A check has ended.
    pub fn checked(&mut self, check: Check) {
        self.check = Some(check);
    }

    /// What the provider last said of its own limits.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.rate_limit
    }

    /// An answer said this of the provider's own limits.
    pub fn limited(&mut self, rate_limit: RateLimit) {
        self.rate_limit = Some(rate_limit);
    }

    /// Completed calls since the start, refused ones included; cancelled ones are not complete.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Those of them that were not answered.
    pub fn failed_calls(&self) -> u64 {
        self.failed_calls
    }

    /// What the answers have cost since the start, as far as the provider tells.
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// Counts the calls of another state too, what they have cost, and how long they took.
    pub fn add_totals(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failed_calls += other.failed_calls;
        self.tokens.add(other.tokens);
        self.latencies.merge(&other.latencies);
    }

    /// A call was answered, at the cost of `tokens` if it says so.
    pub fn answered(&mut self, now: Moment, latency: Duration, tokens: Option<Tokens>) -> News {
        self.latencies.add(now.elapsed, latency);
        self.last_latency = Some(latency);
        self.calls += 1;
        self.tokens.add(tokens.unwrap_or_default());
        self.status = ProviderStatus::Ok;
        self.refuses_all = false;
        self.refused_messages.clear();
        self.key_is_bad = false;
        News { breaker_closed: self.breaker.succeeded(), ..News::default() }
    }

    /// A call failed; `message` is the correlation id of the
    /// chat message that it was for.
    pub fn failed(
        &mut self,
        now: Moment,
        latency: Duration,
        failure: &Failure,
        message: &str,
        probe: bool,
    ) -> News {
        self.last_latency = Some(latency);
        self.calls += 1;
        self.failed_calls += 1;
        self.last_failure = Some((failure.clone(), now.wall));
        if failure.is_refusal() {
            return self.refused(message);
        }
        self.status = ProviderStatus::Failed;
        let bad_key = failure.kind == Kind::BadKey;
        News {
            key_went_bad: bad_key && !std::mem::replace(&mut self.key_is_bad, true),
            breaker_opened: self.breaker.failed(now.elapsed, probe),
            ..News::default()
        }
    }

    /// Chat can't make a provider look broken, but a wrong parameter looks like this too: the
    /// same refusal of whatever is asked. A message without an id is taken as another one.
    fn refused(&mut self, message: &str) -> News {
        if self.refused_messages.len() < REFUSALS
            && (message.is_empty() || !self.refused_messages.iter().any(|known| known == message))
        {
            self.refused_messages.push(message.to_owned());
        }
        if self.refused_messages.len() < REFUSALS {
            return News::default();
        }
        self.status = ProviderStatus::Failed;
        if let Some((last, _)) = &mut self.last_failure {
            last.kind = Kind::RefusesAll;
        }
        News { refuses_all: !std::mem::replace(&mut self.refuses_all, true), ..News::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENCY: Duration = Duration::from_millis(7);

    fn now() -> Moment {
        Moment { elapsed: Duration::ZERO, wall: DateTime::UNIX_EPOCH }
    }

    fn last_kind(state: &ProviderState) -> Option<Kind> {
        state.last_failure().map(|(failure, _)| failure.kind)
    }

    fn state() -> ProviderState {
        ProviderState::new(
            ProviderName::new("one"),
            CircuitBreaker { failures: 3, open: Duration::from_secs(30) },
        )
    }

    fn fail(state: &mut ProviderState, kind: Kind, message: &str) -> News {
        state.failed(now(), LATENCY, &Failure::new(kind, "words"), message, false)
    }

    #[test]
    fn req_003_the_status_is_that_of_the_latest_completed_call() {
        let mut state = state();
        assert_eq!(state.status(), ProviderStatus::Unknown);
        assert_eq!(fail(&mut state, Kind::RateLimited, "a"), News::default());
        assert_eq!(state.status(), ProviderStatus::Failed);
        assert_eq!(last_kind(&state), Some(Kind::RateLimited));
        assert_eq!(state.last_latency(), Some(LATENCY));
        state.answered(now(), LATENCY * 2, None);
        assert_eq!(state.status(), ProviderStatus::Ok);
        assert_eq!(last_kind(&state), Some(Kind::RateLimited), "it is still worth knowing");
        assert_eq!(state.last_latency(), Some(LATENCY * 2));
    }

    #[test]
    fn req_003_refused_content_leaves_the_status() {
        for kind in [Kind::ContentRefused, Kind::TooLong] {
            let mut state = state();
            fail(&mut state, kind, "a");
            assert_eq!((state.status(), last_kind(&state)), (ProviderStatus::Unknown, Some(kind)));
            state.answered(now(), LATENCY, None);
            fail(&mut state, kind, "b");
            assert_eq!(state.status(), ProviderStatus::Ok);
            fail(&mut state, Kind::Server, "c");
            fail(&mut state, kind, "d");
            assert_eq!(state.status(), ProviderStatus::Failed);
            assert!(state.breaker.is_closed());
        }
    }

    #[test]
    fn five_refusals_of_different_messages_mean_a_wrong_parameter() {
        let mut state = state();
        for message in ["a", "b", "b", "c", "", "b"] {
            assert_eq!(fail(&mut state, Kind::ContentRefused, message), News::default(), "{message}");
        }
        assert_eq!(state.status(), ProviderStatus::Unknown);
        assert!(fail(&mut state, Kind::TooLong, "e").refuses_all);
        assert_eq!(state.status(), ProviderStatus::Failed);
        assert_eq!(last_kind(&state), Some(Kind::RefusesAll));
        assert!(!fail(&mut state, Kind::TooLong, "f").refuses_all, "said once");
    }

    #[test]
    fn a_success_between_refusals_begins_the_count_anew() {
        let mut state = state();
        for message in ["a", "b", "c", "d"] {
            fail(&mut state, Kind::ContentRefused, message);
        }
        state.answered(now(), LATENCY, None);
        assert!(!fail(&mut state, Kind::ContentRefused, "e").refuses_all);
        assert_eq!(state.status(), ProviderStatus::Ok);
    }

    #[test]
    fn a_bad_key_is_news_once_until_a_success() {
        let mut state = state();
        assert!(fail(&mut state, Kind::BadKey, "a").key_went_bad);
        assert!(!fail(&mut state, Kind::BadKey, "b").key_went_bad);
        state.answered(now(), LATENCY, None);
        assert!(fail(&mut state, Kind::BadKey, "c").key_went_bad);
    }

    #[test]
    fn the_breaker_opens_and_closes_once() {
        let mut state = state();
        let opened: Vec<bool> = (0..4).map(|_| fail(&mut state, Kind::Timeout, "a").breaker_opened).collect();
        assert_eq!(opened, [false, false, true, false]);
        assert!(state.answered(now(), LATENCY, None).breaker_closed);
        assert!(!state.answered(now(), LATENCY, None).breaker_closed);
    }

    #[test]
    fn calls_and_tokens_add_up() {
        let mut state = state();
        let tokens = Tokens { prompt: 3, completion: 4, total: 7 };
        state.answered(now(), LATENCY, Some(tokens));
        state.answered(now(), LATENCY, Some(tokens));
        state.answered(now(), LATENCY, None);
        fail(&mut state, Kind::ContentRefused, "a");
        fail(&mut state, Kind::Server, "a");
        assert_eq!((state.calls(), state.failed_calls()), (5, 2));
        assert_eq!(state.tokens(), Tokens { prompt: 6, completion: 8, total: 14 });
        state.answered(now(), LATENCY, Some(Tokens { prompt: u64::MAX, ..tokens }));
        assert_eq!(state.tokens().prompt, u64::MAX, "a provider may claim anything");
    }
}
