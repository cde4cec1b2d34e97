//! A change of the state, and how it is told.

use std::time::Duration;

use super::state::State;

/// So long a start may take before what it lacks counts as trouble.
const START: Duration = Duration::from_secs(10);

/// A change of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// Why; for a better state what is no longer so.
    pub reason: String,
    /// How long the state before held.
    pub held: Duration,
    /// Whether the state before was only what a service has for its first seconds, until it is connected.
    pub ends_start: bool,
}

impl Transition {
    pub(super) fn new(from: State, to: State, reason: String, held: Duration, is_first: bool) -> Self {
        Self { from, to, reason, held, ends_start: is_first && held <= START }
    }

    /// The state before, as it is told to others: there is none before the end of a start.
    pub fn before(&self) -> Option<State> {
        (!self.ends_start).then_some(self.from)
    }

    /// The reason, as it is told to others: nothing has failed that is no longer so.
    pub fn why(&self) -> &str {
        let is_well_at_once = self.ends_start && self.to == State::Healthy;
        if is_well_at_once { "for the first time since the start" } else { &self.reason }
    }

    pub(super) fn log(&self) {
        let Self { from, to, reason, held, ends_start: _ } = self;
        let (from, to, held_seconds) = (from.as_str(), to.as_str(), held.as_secs_f64());
        if self.to == State::Healthy {
            tracing::info!(from, to, reason, held_seconds, "health changed");
        } else {
            tracing::warn!(from, to, reason, held_seconds, "health changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_start_lacks_is_no_trouble_unless_it_lasts() {
        use State::{Degraded, Failing, Healthy};
        let told = |to, held, is_first| {
            let held = Duration::from_secs(held);
            let change =
                Transition::new(Failing, to, "no longer: NATS disconnected".to_owned(), held, is_first);
            (change.before(), change.why().to_owned())
        };
        let reason = || "no longer: NATS disconnected".to_owned();
        assert_eq!(told(Healthy, 1, true), (None, "for the first time since the start".to_owned()));
        assert_eq!(told(Degraded, 10, true), (None, reason()));
        assert_eq!(told(Healthy, 11, true), (Some(Failing), reason()));
        assert_eq!(told(Healthy, 1, false), (Some(Failing), reason()));
    }
}
