//! The one retry loop of the program, as a plan that says what to do next and does nothing.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;

use super::GaveUp;
use super::breaker::Admit;
use super::failure::{Cure, Failure, Kind};
use super::provider::ProviderState;
use super::retry::delay;
use crate::chat::spend::Denied;
use crate::config::RetryStrategy;

/// A retry with less time than this is not worth making: it would only blame the provider.
const SHORTEST_RETRY: Duration = Duration::from_millis(100);

/// A provider that may be asked, in the order of asking.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Its place among the provider states.
    pub provider: usize,
    /// The longest that one try may take.
    pub timeout: Duration,
    /// How many tries there may be after the first.
    pub max_retries: u32,
    /// After how long without an answer the next one is asked too; `None` is never.
    pub hedge_after: Option<Duration>,
}

/// What the shell has to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Call the provider; tell the plan when it fails, or when it may not be called after all.
    Call(PlannedCall),
    /// Wait, then ask again.
    Wait(Duration),
    /// Another request's probe decides whether anybody can be asked: wait until one has ended,
    /// at most this long, then ask again.
    AwaitProbe(Duration),
    /// Nobody else is left: wait for the call that was left running, then tell how it failed.
    AwaitLeft,
    /// Nobody answered.
    GiveUp(GaveUp),
}

/// A call to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedCall {
    /// Its place among the provider states.
    pub provider: usize,
    /// From connecting to the last byte of the body.
    pub timeout: Duration,
    /// Counted from 1.
    pub attempt: u32,
    /// Whether the breaker waits for the verdict of this call.
    pub probe: bool,
    /// After so long without an answer [`Plan::leave`] may be asked; `None` is never.
    pub hedge_after: Option<Duration>,
}

/// One request on its way through the providers.
#[derive(Debug)]
pub struct Plan {
    strategy: RetryStrategy,
    deadline: Duration,
    first: Option<Candidate>,
    not_asked: VecDeque<Candidate>,
    turn: Option<Turn>,
    next: Next,
    /// Whether a call is left running while others are asked; never more than one.
    has_left: bool,
    failures: Vec<(usize, Failure)>,
    /// The first spend limit that kept a call from being made.
    denied: Option<Denied>,
}

/// The provider that is being asked.
#[derive(Debug, Clone, Copy)]
struct Turn {
    candidate: Candidate,
    ends: Duration,
    tries: u32,
    retried_once: bool,
    probe: bool,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Provider,
    Wait(Duration),
    Retry,
    LastResort { failed_probes: u64 },
}

impl Plan {
    /// Plans to ask `candidates` in their order until `deadline` (since the service started).
    pub fn new(strategy: RetryStrategy, candidates: Vec<Candidate>, deadline: Duration) -> Self {
        Self {
            strategy,
            deadline,
            first: candidates.first().copied(),
            not_asked: candidates.into(),
            turn: None,
            next: Next::Provider,
            has_left: false,
            failures: Vec::new(),
            denied: None,
        }
    }

    /// The next step.
    pub fn next(&mut self, now: Duration, states: &mut [ProviderState]) -> Step {
        loop {
            match (self.next, self.turn) {
                (Next::Wait(delay), _) => {
                    self.next = Next::Retry;
                    return Step::Wait(delay);
                }
                (Next::Retry, Some(turn)) if now + SHORTEST_RETRY <= turn.ends => {
                    return self.call(turn, now);
                }
                (Next::Retry, _) => self.next = Next::Provider,
                (Next::Provider, _) => match self.not_asked.pop_front() {
                    Some(candidate) if now < self.deadline => {
                        match states[candidate.provider].breaker.admit(now) {
                            Admit::Skip => self.remember_skip(candidate.provider),
                            admit => return self.begin(candidate, admit, now, states),
                        }
                    }
                    None if self.turn.is_none() && self.first.is_some() => {
                        self.next = Next::LastResort { failed_probes: self.failed_probes(states) };
                    }
                    _ if self.has_left => return Step::AwaitLeft,
                    left => return self.give_up(left.is_some(), states),
                },
                (Next::LastResort { failed_probes }, _) => {
                    let Some(first) = self.first.filter(|_| now < self.deadline) else {
                        return self.give_up(true, states);
                    };
                    if self.failed_probes(states) != failed_probes {
                        return self.give_up(false, states);
                    }
                    match states[first.provider].breaker.admit_as_last_resort() {
                        Admit::Skip => return Step::AwaitProbe(self.deadline - now),
                        admit => return self.begin(first, admit, now, states),
                    }
                }
            }
        }
    }

    /// Takes in that the call which the last step asked for has failed.
    pub fn failed(&mut self, now: Duration, failure: Failure, random: &mut impl Rng) {
        let Some(turn) = &mut self.turn else { return };
        let worth_it = match failure.kind.cure() {
            Cure::Retry => true,
            Cure::RetryOnce => !std::mem::replace(&mut turn.retried_once, true),
            Cure::NextProvider => false,
        };
        let may_retry = worth_it && !turn.probe && turn.tries <= turn.candidate.max_retries;
        let wait = delay(&self.strategy, turn.tries, &failure, random);
        self.next = match now + wait + SHORTEST_RETRY <= turn.ends {
            true if may_retry => Next::Wait(wait),
            _ => Next::Provider,
        };
        let provider = turn.candidate.provider;
        self.remember(provider, failure);
    }

    /// Takes in that the call which the last step asked for was not made, because it might exceed this
    /// spend limit. The provider is passed over; a cheaper one may still be asked.
    pub fn denied(&mut self, limit: Denied) {
        self.denied.get_or_insert(limit);
        self.next = Next::Provider;
    }

    /// The call which the last step asked for takes longer than `hedge_after`: true when the plan goes
    /// on to the next provider and that call is left running. It may still answer first; when it fails,
    /// [`Plan::left_failed`] is told. False when there is nobody else to ask now.
    pub fn leave(&mut self, now: Duration, states: &[ProviderState]) -> bool {
        let can_be_asked = |other: &Candidate| states[other.provider].breaker.outlook(now) != Admit::Skip;
        let leaves = !self.has_left && now < self.deadline && self.not_asked.iter().any(can_be_asked);
        self.has_left |= leaves;
        leaves
    }

    /// Takes in that the call that was left running has failed, or was not made because of a spend
    /// limit. It is not tried again: the plan has moved on.
    pub fn left_failed(&mut self, provider: usize, failure: Result<Failure, Denied>) {
        self.has_left = false;
        match failure {
            Ok(failure) => self.remember(provider, failure),
            Err(limit) => _ = self.denied.get_or_insert(limit),
        }
    }

    /// Gives a provider its share of the time that is left: a first one that hangs must not eat
    /// the time of the next.
    fn begin(&mut self, candidate: Candidate, admit: Admit, now: Duration, states: &[ProviderState]) -> Step {
        let others = self
            .not_asked
            .iter()
            .filter(|other| states[other.provider].breaker.outlook(now) != Admit::Skip)
            .count();
        let left = self.deadline.saturating_sub(now);
        let share = left / u32::try_from(others + 1).unwrap_or(u32::MAX);
        let probe = admit == Admit::Probe;
        self.call(Turn { candidate, ends: now + share, tries: 0, retried_once: false, probe }, now)
    }

    fn call(&mut self, turn: Turn, now: Duration) -> Step {
        let turn = Turn { tries: turn.tries + 1, ..turn };
        self.turn = Some(turn);
        self.next = Next::Provider;
        let timeout = turn.candidate.timeout.min(turn.ends.saturating_sub(now));
        let may_hedge = !self.has_left && !self.not_asked.is_empty();
        Step::Call(PlannedCall {
            provider: turn.candidate.provider,
            timeout,
            attempt: turn.tries,
            probe: turn.probe,
            hedge_after: turn.candidate.hedge_after.filter(|after| may_hedge && *after < timeout),
        })
    }

    fn failed_probes(&self, states: &[ProviderState]) -> u64 {
        self.first.map_or(0, |first| states[first.provider].breaker.failed_probes())
    }

    fn remember_skip(&mut self, provider: usize) {
        self.remember(provider, Failure::new(Kind::BreakerOpen, "too many calls in a row have failed"));
    }

    /// Keeps the last failure of each provider.
    fn remember(&mut self, provider: usize, failure: Failure) {
        match self.failures.iter_mut().find(|(known, _)| *known == provider) {
            Some((_, last)) => *last = failure,
            None => self.failures.push((provider, failure)),
        }
    }

    fn give_up(&mut self, out_of_time: bool, states: &[ProviderState]) -> Step {
        if let Some(limit) = self.denied {
            return Step::GiveUp(GaveUp::Spent(limit));
        }
        let failures = std::mem::take(&mut self.failures);
        let refused = !failures.is_empty() && failures.iter().all(|(_, failure)| failure.is_refusal());
        if refused && !out_of_time {
            return Step::GiveUp(GaveUp::Refused);
        }
        let named = |(provider, failure): (usize, Failure)| (states[provider].name().clone(), failure);
        Step::GiveUp(GaveUp::Exhausted(failures.into_iter().map(named).collect()))
    }
}

#[cfg(test)]
mod tests;
