//! When a state is worth a message. No I/O: time is an argument.
//!
//! There are two worse states, degraded and failing, and each is watched by itself. One holds while we are
//! in it or in a worse one.
//!
//! - One that has held for [`Hold::worse`] is told: `alert`. What is shorter is not told.
//! - A told one that has been left for [`Hold::better`] is over: `alert_end`, which says what we are now. What is
//!   shorter leaves the alert open.
//! - Where both have held at once, as after a leap from healthy to failing, only the worse one is told. It
//!   covers the lesser one until it is over: one that is still there then is told right after that end.
//! - Where degraded was told before, failing that holds is told too, as a second alert. Each has its own end,
//!   unless both are left at once: then there is one, for the worse.
//!
//! So there is exactly one message when it gets worse than was told, each is followed by one end, or shares that
//! of a worse one, and nothing that has held goes on untold.
//!
//! What is open outlives us: a book goes on from what its predecessor had told. A state that still holds then is
//! not told again, and one that is left has its end, by the same rules. How long it is left counts from our
//! start, for nobody knows how we were before it. How long it had held is told with the time that we were
//! away, by the wall clock.

mod open;

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::bus::wire::{Alert, AlertEvent};
use crate::clock::Moment;
use crate::health::{State, Transition};
pub use open::Open;

/// What was told of our state, and what may have to be told next.
#[derive(Debug)]
pub struct AlertBook {
    state: State,
    reason: String,
    /// From the lesser to the worse.
    watched: [Watched; 2],
}

/// How long something must last before it is told.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// A worse state.
    pub worse: Duration,
    /// That a told one has been left.
    pub better: Duration,
}

/// A worse state.
#[derive(Debug)]
struct Watched {
    state: State,
    trouble: Option<Trouble>,
}

/// A time in which we are in a worse state.
#[derive(Debug)]
struct Trouble {
    /// The wall clock when it began.
    since: DateTime<Utc>,
    /// From when on we measure it, and how long it had held by then: it may have begun before our start.
    measured_from: Duration,
    held_before: Duration,
    previous: Option<State>,
    reason: String,
    /// When it was left, if it has held; else it is forgotten then.
    left: Option<Moment>,
    has_held: bool,
    /// Whether it was told, and not covered by a worse one.
    was_told: bool,
}

impl AlertBook {
    /// Begins in a state, of which nothing has been told but what is open from before our start.
    pub fn new(now: Moment, state: State, reason: &str, open: Open) -> Self {
        let watched =
            [(State::Degraded, open.degraded), (State::Failing, open.failing)].map(|(state, since)| {
                Watched { state, trouble: since.map(|since| Trouble::told_before(now, since)) }
            });
        let mut book = Self { state, reason: reason.to_owned(), watched };
        book.enter(now, state, None, reason);
        book
    }

    /// The state that we are in, as far as was heard.
    pub fn state(&self) -> State {
        self.state
    }

    /// What was told and has not ended.
    pub fn open(&self) -> Open {
        let [degraded, failing] = &self.watched;
        Open { degraded: degraded.open_since(), failing: failing.open_since() }
    }

    /// Our state has changed. Gives what was due until then, in its order.
    pub fn hear(&mut self, at: Moment, change: &Transition, hold: Hold) -> Vec<Alert> {
        let due = self.due(at, hold);
        self.enter(at, change.to, Some(self.state), &change.reason);
        self.state = change.to;
        change.why().clone_into(&mut self.reason);
        due
    }

    fn enter(&mut self, at: Moment, state: State, previous: Option<State>, reason: &str) {
        for watched in &mut self.watched {
            let holds = state >= watched.state;
            match &mut watched.trouble {
                None if holds => {
                    let reason = reason.to_owned();
                    watched.trouble = Some(Trouble {
                        since: at.wall,
                        measured_from: at.elapsed,
                        held_before: Duration::ZERO,
                        previous,
                        reason,
                        left: None,
                        has_held: false,
                        was_told: false,
                    });
                }
                Some(trouble) if holds => {
                    trouble.left = None;
                    if state == watched.state {
                        reason.clone_into(&mut trouble.reason);
                    }
                }
                Some(trouble) if trouble.has_held => _ = trouble.left.get_or_insert(at),
                _ => watched.trouble = None,
            }
        }
    }

    /// What is to be told now, in its order.
    pub fn due(&mut self, now: Moment, hold: Hold) -> Vec<Alert> {
        std::iter::from_fn(|| self.raise(now, hold).or_else(|| self.end(now, hold))).collect()
    }

    fn raise(&mut self, now: Moment, hold: Hold) -> Option<Alert> {
        let in_trouble = self.watched.iter_mut().filter_map(|Watched { state, trouble }| {
            let trouble = trouble.as_mut()?;
            let holds = trouble.left.is_none() && trouble.held(now) >= hold.worse;
            trouble.has_held |= holds;
            (holds || trouble.was_told).then_some((*state, trouble))
        });
        // One that is told covers the lesser one.
        let (state, trouble) = in_trouble.last().filter(|(_, worst)| !worst.was_told)?;
        trouble.was_told = true;
        Some(Alert {
            event: AlertEvent::Alert,
            health: state,
            previous: trouble.previous,
            reason: trouble.reason.clone(),
            since: trouble.since,
            held: trouble.held(now),
        })
    }

    fn end(&mut self, now: Moment, hold: Hold) -> Option<Alert> {
        let mut worst = None;
        for Watched { state, trouble } in &mut self.watched {
            let is_over = |trouble: &mut Trouble| {
                trouble.left.is_some_and(|left| now.elapsed.saturating_sub(left.elapsed) >= hold.better)
            };
            if let Some(trouble) = trouble.take_if(is_over).filter(|trouble| trouble.was_told) {
                worst = Some((*state, trouble));
            }
        }
        let (state, trouble) = worst?;
        let left = trouble.left?;
        Some(Alert {
            event: AlertEvent::AlertEnd,
            health: self.state,
            previous: Some(state),
            reason: self.reason.clone(),
            since: left.wall,
            held: trouble.held(left),
        })
    }
}

impl Watched {
    fn open_since(&self) -> Option<i64> {
        let trouble = self.trouble.as_ref().filter(|trouble| trouble.was_told)?;
        Some(trouble.since.timestamp_millis())
    }
}

impl Trouble {
    /// One that was told before our start; since when, in milliseconds since the epoch.
    fn told_before(now: Moment, since: i64) -> Self {
        let since = DateTime::from_timestamp_millis(since).unwrap_or(now.wall);
        Self {
            since,
            measured_from: now.elapsed,
            // None if the wall clock was set back meanwhile.
            held_before: (now.wall - since).to_std().unwrap_or_default(),
            previous: None,
            reason: String::new(),
            left: None,
            has_held: true,
            was_told: true,
        }
    }

    fn held(&self, until: Moment) -> Duration {
        self.held_before.saturating_add(until.elapsed.saturating_sub(self.measured_from))
    }
}

#[cfg(test)]
mod tests;
