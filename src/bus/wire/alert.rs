//! Alerts: a state that has held, and its end.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::base::{Base, Identity, bytes, rounded};
use crate::clock::{Moment, iso};
use crate::health::State;

/// What an alert tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertEvent {
    /// A worse state has held.
    Alert,
    /// It has been left for as long.
    AlertEnd,
}

/// One message about a state of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it tells.
    pub event: AlertEvent,
    /// The state that has held; of an end the state that we are in now.
    pub health: State,
    /// The state before. `None` for a state that we have been in since our start.
    pub previous: Option<State>,
    /// Why.
    pub reason: String,
    /// The wall clock when the worse state began; of an end, when it was left.
    pub since: DateTime<Utc>,
    /// How long the worse state has held; of an end, how long it had held when it was left.
    pub held: Duration,
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    event: AlertEvent,
    health: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<State>,
    reason: &'a str,
    since: String,
    held_seconds: f64,
}

impl Alert {
    /// The message for [`crate::bus::subjects::alert`] and the webhook.
    pub fn to_bytes(&self, identity: &Identity, now: Moment) -> Vec<u8> {
        bytes(&Message {
            base: Base::new(identity, now),
            event: self.event,
            health: self.health,
            previous: self.previous,
            reason: &self.reason,
            since: iso(self.since),
            held_seconds: rounded(self.held.as_secs_f64(), 3),
        })
    }
}
