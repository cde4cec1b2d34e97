//! The state of the service: seven rules, the first that holds.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::component::ComponentSet;

/// How long a request that used up every provider counts.
const EXHAUSTION_COUNTS: Duration = Duration::from_secs(300);
/// From this share of errors on, the service is degraded.
const DEGRADED_ERROR_RATE: f64 = 0.10;

/// How the service is (REQ-003).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It does its work.
    Healthy,
    /// It does part of its work.
    Degraded,
    /// It can't do its work.
    Failing,
}

impl State {
    /// The name as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How a provider's latest completed attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderStatus {
    /// It answered.
    Ok,
    /// It did not.
    Failed,
    /// No attempt has been completed yet.
    Unknown,
}

impl ProviderStatus {
    /// The name as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl Serialize for ProviderStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// All that the state depends on.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Facts {
    /// Whether the link to the bus is up and proven.
    pub link_up: bool,
    /// How long ago the latest complete request ended, when it used up every provider.
    pub exhausted_ago: Option<Duration>,
    /// Components that make no progress.
    pub stalled: ComponentSet,
    /// Providers with a completed attempt.
    pub providers_called: usize,
    /// Those of them whose latest attempt failed.
    pub providers_failed: usize,
    /// Errors per message of the last five minutes, 0 to 1.
    pub error_rate: f64,
    /// Components with something wrong, those that are stalled included.
    pub unhealthy: ComponentSet,
}

/// What keeps the service from being healthy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cause {
    Disconnected,
    Exhausted,
    Stalled(ComponentSet),
    ProvidersFailed,
    ErrorRate(f64),
    Unhealthy(ComponentSet),
}

/// The seven rules: the first that holds, or nothing, which is the seventh.
pub(super) fn judge(facts: &Facts) -> Option<Cause> {
    let stalled = facts.stalled.critical();
    if !facts.link_up {
        Some(Cause::Disconnected)
    } else if facts.exhausted_ago.is_some_and(|ago| ago <= EXHAUSTION_COUNTS) {
        Some(Cause::Exhausted)
    } else if !stalled.is_empty() {
        Some(Cause::Stalled(stalled))
    } else if facts.providers_called > 0 && facts.providers_failed == facts.providers_called {
        Some(Cause::ProvidersFailed)
    } else if facts.error_rate >= DEGRADED_ERROR_RATE {
        Some(Cause::ErrorRate(facts.error_rate))
    } else if !facts.unhealthy.is_empty() {
        Some(Cause::Unhealthy(facts.unhealthy))
    } else {
        None
    }
}

/// The state that a cause makes; without one the service is healthy.
pub(super) fn state(cause: Option<Cause>) -> State {
    match cause {
        None => State::Healthy,
        Some(Cause::Disconnected | Cause::Exhausted | Cause::Stalled(_)) => State::Failing,
        Some(Cause::ProvidersFailed | Cause::ErrorRate(_) | Cause::Unhealthy(_)) => State::Degraded,
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => formatter.write_str("NATS disconnected"),
            Self::Exhausted => formatter.write_str("all LLM providers exhausted"),
            Self::Stalled(components) => write!(formatter, "stalled: {components}"),
            Self::ProvidersFailed => formatter.write_str("every LLM provider called so far failed last"),
            Self::ErrorRate(rate) => {
                write!(formatter, "error rate {:.1} % over 5 minutes", rate * 100.0)
            }
            Self::Unhealthy(components) => write!(formatter, "unhealthy: {components}"),
        }
    }
}
