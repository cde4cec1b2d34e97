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

use std::time::Duration;

use crate::bus::wire::{Alert, AlertEvent};
use crate::clock::Moment;
use crate::health::{State, Transition};

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
    began: Moment,
    previous: Option<State>,
    reason: String,
    /// When it was left, if it has held; else it is forgotten then.
    left: Option<Moment>,
    has_held: bool,
    /// Whether it was told, and not covered by a worse one.
    was_told: bool,
}

impl AlertBook {
    /// Begins in a state, of which nothing has been told.
    pub fn new(now: Moment, state: State, reason: &str) -> Self {
        let watched = [State::Degraded, State::Failing].map(|worse| Watched { state: worse, trouble: None });
        let mut book = Self { state, reason: reason.to_owned(), watched };
        book.enter(now, state, None, reason);
        book
    }

    /// The state that we are in, as far as was heard.
    pub fn state(&self) -> State {
        self.state
    }

    /// Our state has changed. Gives what was due until then, in its order.
    pub fn hear(&mut self, at: Moment, change: &Transition, hold: Hold) -> Vec<Alert> {
        let due = self.due(at, hold);
        self.enter(at, change.to, Some(self.state), &change.reason);
        self.state = change.to;
        self.reason.clone_from(&change.reason);
        due
    }

    fn enter(&mut self, at: Moment, state: State, previous: Option<State>, reason: &str) {
        for watched in &mut self.watched {
            let holds = state >= watched.state;
            match &mut watched.trouble {
                None if holds => {
                    let reason = reason.to_owned();
                    watched.trouble = Some(Trouble {
                        began: at,
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
            since: trouble.began.wall,
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

impl Trouble {
    fn held(&self, until: Moment) -> Duration {
        until.elapsed.saturating_sub(self.began.elapsed)
    }
}

#[cfg(test)]
mod tests;
