//! Health at one moment, for everybody who shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::component::{Component, ComponentSet};
use super::ledger::{Ledger, LineCounts, ReasonCounts, TokenCounts};
use super::state::{ProviderStatus, State};
use crate::clock::Moment;
use crate::names::ProviderName;
use crate::outcome::Reason;

/// Health at one moment: all of it was true together.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The moment.
    pub at: Moment,
    /// The state.
    pub state: State,
    /// Why it is not healthy; `None` when it is.
    pub reason: Option<String>,
    /// The wall clock when it took this state.
    pub since: DateTime<Utc>,
    /// How often each state was followed by each other since the start; pairs that never were are left out.
    pub transitions: BTreeMap<(State, State), u64>,
    /// Whether the link to the bus is up and proven.
    pub nats_connected: bool,
    /// All configured providers, in the order of the configuration.
    pub providers: Vec<ProviderHealth>,
    /// Well-formed chat messages of our rooms since the start.
    pub messages_processed: u64,
    /// Replies said since the start.
    pub responses_sent: u64,
    /// Replies that should have gone out and did not, since the start.
    pub errors: u64,
    /// Those of the last five minutes.
    pub errors_last_5min: u64,
    /// Those of the last hour.
    pub errors_last_hour: u64,
    /// Errors per message of the last five minutes, 0 to 1; 0 when there was no message.
    pub error_rate: f64,
    /// What is watched, in the order of [`Component::ALL`].
    pub components: Vec<ComponentHealth>,
    /// Which of intake, decider and heartbeat make no progress.
    pub stalled: ComponentSet,
    /// Conditions that could not be kept because a component had too many.
    pub conditions_dropped: u64,
    /// What became of the replies.
    pub ledger: Ledger,
    /// What became of the lines that were handed over.
    pub lines: LineCounts,
    /// What the providers read and wrote, as far as they told.
    pub tokens: TokenCounts,
    /// Messages that began no reply, by reason.
    pub ignored: ReasonCounts,
    /// Events that could not be read, by what is wrong with them.
    pub malformed: BTreeMap<&'static str, u64>,
    /// Different users who got an answer, counted up to 10,000.
    pub unique_users: u64,
    /// Changes of the media in our rooms since the start.
    pub media_changes: u64,
    /// The channels in which we are told to be silent.
    pub paused: Vec<String>,
    /// Changes of what plays or who is there that found no room in their queue.
    pub changes_dropped: u64,
    /// Alerts, and what became of them.
    pub alerts: AlertCounts,
}

impl Snapshot {
    /// How many messages and replies ended in silence for reasons of a kind.
    pub fn silences(&self, is_of_kind: impl Fn(Reason) -> bool) -> u64 {
        self.ignored.of(&is_of_kind) + self.ledger.silenced.of(&is_of_kind)
    }

    /// What is wrong with a component.
    pub fn unhealthy(&self, component: Component) -> Option<&str> {
        self.components.iter().find(|health| health.component == component)?.unhealthy.as_deref()
    }

    /// How many providers have this status.
    pub fn providers_with(&self, status: ProviderStatus) -> usize {
        self.providers.iter().filter(|provider| provider.status == status).count()
    }
}

/// Alerts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// A worse state had held.
    pub alerts: u64,
    /// It had been left for as long.
    pub ends: u64,
    /// Messages about either that the bus or the webhook did not get.
    pub undelivered: u64,
}

/// A provider and how its latest completed attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderHealth {
    /// Its name.
    pub name: ProviderName,
    /// Its status.
    pub status: ProviderStatus,
}

/// A room in which an operator wants silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedRoom {
    /// Its channel.
    pub channel: String,
    /// When the silence ends, since start; none when somebody has to end it.
    pub until: Option<Duration>,
}

/// A component and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentHealth {
    /// Which.
    pub component: Component,
    /// What is wrong, at most 256 bytes; `None` when it is healthy.
    pub unhealthy: Option<String>,
}
