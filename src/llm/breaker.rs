//! The circuit breaker: a provider that keeps failing is left alone for a while.

use std::time::Duration;

use crate::config::CircuitBreaker;

/// Whether a provider may be called now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// As usual.
    Yes,
    /// This one call decides whether it is back. The caller owes [`Breaker::end_probe`].
    Probe,
    /// Not now.
    Skip,
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Calls go through.
    Closed,
    /// Calls are skipped.
    Open {
        /// Until a probe goes, unless nobody else can be asked.
        left: Duration,
    },
    /// A probe is under way, or the next call is one.
    HalfOpen,
}

/// Counts failed calls in a row, and lets one probe through at a time once they were too many.
#[derive(Debug, Clone)]
pub struct Breaker {
    limits: CircuitBreaker,
    failed_in_a_row: u32,
    /// Since when it is open; it stays open until a call succeeds.
    opened_at: Option<Duration>,
    probing: bool,
    failed_probes: u64,
}

impl Breaker {
    /// A closed one.
    pub fn new(limits: CircuitBreaker) -> Self {
        Self { limits, failed_in_a_row: 0, opened_at: None, probing: false, failed_probes: 0 }
    }

    /// Keeps to other limits from now on.
    pub fn adopt(&mut self, limits: CircuitBreaker) {
        self.limits = limits;
    }

    /// Whether calls are let through as usual.
    pub fn is_closed(&self) -> bool {
        self.opened_at.is_none()
    }

    /// How it stands, for people.
    pub fn position(&self, now: Duration) -> Position {
        match (self.opened_at, self.outlook(now)) {
            (None, _) => Position::Closed,
            (Some(at), Admit::Skip) if !self.probing => {
                Position::Open { left: (at + self.limits.open).saturating_sub(now) }
            }
            _ => Position::HalfOpen,
        }
    }

    /// From when on a probe may go, since the service started; nothing while it is closed, or one is
    /// under way.
    pub fn probe_due(&self) -> Option<Duration> {
        self.opened_at.filter(|_| !self.probing).map(|at| at + self.limits.open)
    }

    /// What [`Breaker::admit`] would say, without taking the probe's slot.
    pub fn outlook(&self, now: Duration) -> Admit {
        match self.opened_at {
            None => Admit::Yes,
            Some(_) if self.probing => Admit::Skip,
            Some(at) if now >= at + self.limits.open => Admit::Probe,
            Some(_) => Admit::Skip,
        }
    }

    /// Asks to call, at `now` since the service started.
    pub fn admit(&mut self, now: Duration) -> Admit {
        let admit = self.outlook(now);
        self.probing |= admit == Admit::Probe;
        admit
    }

    /// Asks to call because there is nobody else to ask: an open breaker gives its probe early,
    /// but still only one at a time.
    pub fn admit_as_last_resort(&mut self) -> Admit {
        if self.is_closed() {
            Admit::Yes
        } else if self.probing {
            Admit::Skip
        } else {
            self.probing = true;
            Admit::Probe
        }
    }

    /// How many probes have failed so far, by which a waiter knows that one did.
    pub fn failed_probes(&self) -> u64 {
        self.failed_probes
    }

    /// A call failed. True when that opened the breaker.
    pub fn failed(&mut self, now: Duration, probe: bool) -> bool {
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        if probe {
            self.failed_probes = self.failed_probes.wrapping_add(1);
            self.opened_at = Some(now);
            return false;
        }
        let opens = self.is_closed() && self.failed_in_a_row >= self.limits.failures;
        if opens {
            self.opened_at = Some(now);
        }
        opens
    }

    /// A call succeeded. True when that closed the breaker.
    pub fn succeeded(&mut self) -> bool {
        self.failed_in_a_row = 0;
        self.opened_at.take().is_some()
    }

    /// A call should succeed, but none has been made: calls go through again, and the first failed one opens
    /// it. True when that closed the breaker.
    pub fn close_on_trial(&mut self) -> bool {
        self.failed_in_a_row = self.limits.failures.saturating_sub(1);
        self.opened_at.take().is_some()
    }

    /// The probe is over, with or without a verdict; the next one may go.
    pub fn end_probe(&mut self) {
        self.probing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Duration = Duration::from_secs(30);

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened_at_zero() -> Breaker {
        let mut breaker = Breaker::new(CircuitBreaker { failures: 2, open: OPEN });
        assert!(!breaker.failed(second(0), false));
        assert!(breaker.failed(second(0), false));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::new(CircuitBreaker { failures: 2, open: OPEN });
        breaker.failed(second(0), false);
        breaker.succeeded();
        breaker.failed(second(1), false);
        assert_eq!(breaker.admit(second(1)), Admit::Yes);
        assert!(breaker.failed(second(1), false));
        assert_eq!(breaker.admit(second(1)), Admit::Skip);
    }

    #[test]
    fn after_its_time_one_probe_goes_and_a_second_only_when_the_first_has_ended() {
        let mut breaker = opened_at_zero();
        assert_eq!(breaker.admit(OPEN - Duration::from_nanos(1)), Admit::Skip);
        assert_eq!(breaker.admit(OPEN), Admit::Probe);
        assert_eq!(breaker.admit(OPEN), Admit::Skip);
        breaker.end_probe();
        assert_eq!(breaker.admit(OPEN), Admit::Probe, "a probe without a verdict leaves the next one to go");
    }

    #[test]
    fn on_trial_the_first_failed_call_opens_it_and_a_good_one_ends_the_trial() {
        let mut breaker = opened_at_zero();
        assert!(breaker.close_on_trial());
        assert_eq!(breaker.admit(second(31)), Admit::Yes);
        assert!(breaker.failed(second(31), false));
        assert_eq!(breaker.admit(second(32)), Admit::Skip);
        assert!(breaker.close_on_trial());
        breaker.succeeded();
        assert!(!breaker.failed(second(33), false), "it takes as many as ever");
    }

    #[test]
    fn its_position_is_told_without_moving_it() {
        let mut breaker = Breaker::new(CircuitBreaker { failures: 1, open: OPEN });
        assert_eq!((breaker.position(second(0)), breaker.probe_due()), (Position::Closed, None));
        breaker.failed(second(0), false);
        assert_eq!(breaker.position(second(12)), Position::Open { left: second(18) });
        assert_eq!(breaker.position(OPEN), Position::HalfOpen);
        assert_eq!(breaker.probe_due(), Some(OPEN));
        assert_eq!(breaker.admit(OPEN), Admit::Probe);
        assert_eq!((breaker.position(OPEN), breaker.probe_due()), (Position::HalfOpen, None));
        breaker.failed(OPEN, true);
        breaker.end_probe();
        assert_eq!(breaker.probe_due(), Some(OPEN + OPEN));
        assert_eq!(breaker.position(OPEN), Position::Open { left: OPEN });
        breaker.succeeded();
        assert_eq!(breaker.position(OPEN), Position::Closed);
    }

    #[test]
    fn a_failed_probe_opens_it_for_as_long_again() {
        let mut breaker = opened_at_zero();
        assert_eq!(breaker.admit(OPEN), Admit::Probe);
        breaker.failed(OPEN + second(1), true);
        breaker.end_probe();
        assert_eq!(breaker.admit(OPEN + OPEN), Admit::Skip);
        assert_eq!(breaker.admit(OPEN + OPEN + second(1)), Admit::Probe);
        assert_eq!(breaker.failed_probes(), 1);
    }

    #[test]
    fn any_success_closes_it() {
        let mut breaker = opened_at_zero();
        assert!(breaker.succeeded());
        assert!(!breaker.succeeded());
        assert_eq!(breaker.admit(second(1)), Admit::Yes);
        assert!(!breaker.failed(second(1), false), "the count began anew");
    }

    #[test]
    fn failures_of_calls_that_began_before_do_not_prolong_it() {
        let mut breaker = opened_at_zero();
        assert!(!breaker.failed(second(20), false));
        assert_eq!(breaker.admit(OPEN), Admit::Probe);
    }

    #[test]
    fn as_a_last_resort_the_probe_goes_early_but_still_alone() {
        let mut breaker = opened_at_zero();
        assert_eq!(breaker.admit_as_last_resort(), Admit::Probe);
        assert_eq!(breaker.admit_as_last_resort(), Admit::Skip);
        breaker.succeeded();
        assert_eq!(breaker.admit_as_last_resort(), Admit::Yes);
    }
}
