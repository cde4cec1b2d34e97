//! kryten-llm: a chat bot on a NATS bus that tells the truth about itself.
//!
//! Read [`service`] first: it wires everything and holds the order of start and stop.

pub mod about;
pub mod alerts;
pub mod bus;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod config;
pub mod context_log;
pub mod decider;
pub mod group;
pub mod health;
pub mod heartbeat;
pub mod history;
pub mod intake;
pub mod lifecycle;
pub mod llm;
#[cfg(test)]
mod logged;
pub mod loopback;
pub mod metrics;
pub mod names;
pub mod ops;
pub mod outbox;
pub mod outcome;
pub mod quantile;
pub mod reply;
pub mod response_log;
pub mod robot;
pub mod room_state;
pub mod seldom;
pub mod service;
pub mod settings;
pub mod shutdown;
pub mod spend_book;
pub mod state_file;
pub mod tasks;
pub mod templates;
#[cfg(feature = "test-hooks")]
pub mod test_hooks;
pub mod timings;
