//! What is known of one provider. This is the only owner of that truth; health gets a copy.

use std::time::Duration;

use super::breaker::Breaker;
use super::failure::{Failure, Kind};
use crate::config::CircuitBreaker;
use crate::health::ProviderStatus;
use crate::names::ProviderName;

/// So many refusals in a row, from different messages, are the provider's fault.
const REFUSALS: usize = 5;

/// Status, latency and breaker of one provider.
#[derive(Debug)]
pub struct ProviderState {
    name: ProviderName,
    /// Whether it may be called; the plan of a request asks it.
    pub breaker: Breaker,
    status: ProviderStatus,
    last_failure: Option<Failure>,
    last_latency: Option<Duration>,
    /// Which messages were refused since the last success; at most [`REFUSALS`].
    refused_messages: Vec<String>,
    key_is_bad: bool,
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
            refused_messages: Vec::new(),
            key_is_bad: false,
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

    /// Why the status is `failed`; `None` when it isn't.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.last_failure.as_ref()
    }

    /// How long the latest completed call took.
    pub fn last_latency(&self) -> Option<Duration> {
        self.last_latency
    }

    /// A call was answered.
    pub fn answered(&mut self, latency: Duration) -> News {
        self.last_latency = Some(latency);
        self.status = ProviderStatus::Ok;
        self.last_failure = None;
        self.refused_messages.clear();
        self.key_is_bad = false;
        News { breaker_closed: self.breaker.succeeded(), ..News::default() }
    }

    /// A call failed, `now` since the service started; `message` is the correlation id of the
    /// chat message that it was for.
    pub fn failed(&mut self, now: Duration, latency: Duration, failure: &Failure, message: &str, probe: bool) -> News {
        self.last_latency = Some(latency);
        if failure.kind.is_refusal() {
            return self.refused(failure, message);
        }
        self.status = ProviderStatus::Failed;
        self.last_failure = Some(failure.clone());
        let bad_key = failure.kind == Kind::BadKey;
        News {
            key_went_bad: bad_key && !std::mem::replace(&mut self.key_is_bad, true),
            breaker_opened: self.breaker.failed(now, probe),
            ..News::default()
        }
    }

    /// Chat can't make a provider look broken, but a wrong parameter looks like this too: the
    /// same refusal of whatever is asked.
    fn refused(&mut self, failure: &Failure, message: &str) -> News {
        if self.refused_messages.len() < REFUSALS && !self.refused_messages.iter().any(|known| known == message) {
            self.refused_messages.push(message.to_owned());
        }
        if self.refused_messages.len() < REFUSALS {
            return News::default();
        }
        let known = self.last_failure.as_ref().is_some_and(|last| last.kind == Kind::RefusesAll);
        self.status = ProviderStatus::Failed;
        self.last_failure = Some(Failure { kind: Kind::RefusesAll, ..failure.clone() });
        News { refuses_all: !known, ..News::default() }
    }
}
