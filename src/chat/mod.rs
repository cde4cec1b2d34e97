//! The bot's decisions: from a message in a room to a reply, or to a silence with a name.
//!
//! [`decide`] holds the order of the checks: read it first. Nothing here waits, sends, or looks at a
//! clock: time and chance come in as arguments.

pub mod answer;
pub mod clock_check;
pub mod context;
pub mod decide;
pub mod decisions;
pub mod duplicates;
pub mod event;
pub mod fallback;
pub mod films;
pub mod format;
pub mod html;
pub mod identity;
pub mod listener;
pub mod loop_guard;
pub mod participation;
pub mod pause;
pub mod people;
pub mod plan;
pub mod prompt;
pub mod rate_limits;
pub mod repetition;
pub mod room;
pub mod rules;
pub mod screen;
pub mod shares;
pub mod spam;
pub mod spend;
pub mod stored;
pub mod trace;
pub mod triggers;
pub mod validate;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
pub mod testing;
