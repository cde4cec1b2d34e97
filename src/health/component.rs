//! The parts of the service that health speaks of, and what is wrong with each.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::text::{cut, message};

/// Conditions kept for one component; what comes beyond them is only counted.
pub(super) const CONDITIONS_PER_COMPONENT: usize = 64;
/// The longest key kept of a condition, in bytes; a room's token fits.
const KEY_BYTES: usize = 512;

/// A part of the service with a health of its own (REQ-010).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The link to the bus.
    Nats,
    /// Reading events from the bus.
    Intake,
    /// Deciding what to answer.
    Decider,
    /// The heartbeat's loop.
    Heartbeat,
    /// Sending lines.
    Outbox,
    /// Whether any provider can be used at all.
    LlmProviders,
    /// The robot that says our lines.
    Robot,
    /// Whether we are alone under our name.
    Instances,
    /// The configuration in force.
    Config,
    /// Our clock against that of the messages.
    Clock,
    /// The response log.
    ResponseLog,
    /// The history file.
    History,
}

impl Component {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Nats,
        Self::Intake,
        Self::Decider,
        Self::Heartbeat,
        Self::Outbox,
        Self::LlmProviders,
        Self::Robot,
        Self::Instances,
        Self::Config,
        Self::Clock,
        Self::ResponseLog,
        Self::History,
    ];

    /// The name as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Intake => "intake",
            Self::Decider => "decider",
            Self::Heartbeat => "heartbeat",
            Self::Outbox => "outbox",
            Self::LlmProviders => "llm_providers",
            Self::Robot => "robot",
            Self::Instances => "instances",
            Self::Config => "config",
            Self::Clock => "clock",
            Self::ResponseLog => "response_log",
            Self::History => "history",
        }
    }

    /// Whether the service can't do its work while this is down or stalled.
    pub fn is_critical(self) -> bool {
        matches!(self, Self::Nats | Self::Intake | Self::Decider | Self::Heartbeat)
    }
}

/// Some of the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ComponentSet(u16);

impl ComponentSet {
    /// Adds one.
    pub fn insert(&mut self, component: Component) {
        self.0 |= 1 << component as u16;
    }

    /// Whether it is among them.
    pub fn contains(self, component: Component) -> bool {
        self.0 & (1 << component as u16) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of them that are critical.
    pub fn critical(self) -> Self {
        self.iter().filter(|component| component.is_critical()).collect()
    }

    /// All of them, in the order in which they are shown.
    pub fn iter(self) -> impl Iterator<Item = Component> {
        Component::ALL.into_iter().filter(move |component| self.contains(*component))
    }
}

impl FromIterator<Component> for ComponentSet {
    fn from_iter<I: IntoIterator<Item = Component>>(components: I) -> Self {
        let mut set = Self::default();
        components.into_iter().for_each(|component| set.insert(component));
        set
    }
}

/// The names, separated by commas.
impl fmt::Display for ComponentSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, component) in self.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(formatter, "{separator}{}", component.as_str())?;
        }
        Ok(())
    }
}

/// What is wrong with one component: a text for each key, some of them only for a while.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    standing: BTreeMap<Cow<'static, str>, Condition>,
    /// Conditions for which there was no room.
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Condition {
    message: String,
    /// When it heals by itself.
    until: Option<Duration>,
}

impl Conditions {
    /// Sets what is wrong under a key, or heals it.
    pub(super) fn set(
        &mut self,
        now: Duration,
        key: Cow<'static, str>,
        unhealthy: Option<String>,
        lasts: Option<Duration>,
    ) {
        self.heal(now);
        let key = match key {
            Cow::Borrowed(key) => Cow::Borrowed(cut(key, KEY_BYTES)),
            Cow::Owned(key) => Cow::Owned(cut(&key, KEY_BYTES).to_owned()),
        };
        let Some(unhealthy) = unhealthy else {
            self.standing.remove(&key);
            return;
        };
        if self.standing.len() >= CONDITIONS_PER_COMPONENT && !self.standing.contains_key(&key) {
            self.dropped += 1;
            return;
        }
        let until = lasts.map(|lasts| now.saturating_add(lasts));
        self.standing.insert(key, Condition { message: message(&unhealthy), until });
    }

    /// Forgets what has healed by itself.
    pub(super) fn heal(&mut self, now: Duration) {
        self.standing.retain(|_, condition| condition.until.is_none_or(|until| now < until));
    }

    /// Whether nothing is wrong.
    pub(super) fn is_healthy(&self) -> bool {
        self.standing.is_empty()
    }

    /// What is wrong, in the order of the keys.
    pub(super) fn messages(&self) -> impl Iterator<Item = &str> {
        self.standing.values().map(|condition| condition.message.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn req_010_every_component_has_a_name_of_its_own_and_its_place() {
        let names: Vec<&str> = Component::ALL.iter().map(|component| component.as_str()).collect();
        assert_eq!(
            names,
            [
                "nats",
                "intake",
                "decider",
                "heartbeat",
                "outbox",
                "llm_providers",
                "robot",
                "instances",
                "config",
                "clock",
                "response_log",
                "history"
            ]
        );
        let critical: ComponentSet = Component::ALL.into_iter().collect::<ComponentSet>().critical();
        assert_eq!(critical.to_string(), "nats, intake, decider, heartbeat");
    }

    #[test]
    fn a_set_holds_what_was_put_into_it_and_nothing_else() {
        for component in Component::ALL {
            let set: ComponentSet = [component, component].into_iter().collect();
            assert!(!set.is_empty());
            assert_eq!(set.iter().collect::<Vec<_>>(), [component]);
            assert!(Component::ALL.iter().all(|other| set.contains(*other) == (*other == component)));
        }
        assert!(ComponentSet::default().is_empty());
    }
}
