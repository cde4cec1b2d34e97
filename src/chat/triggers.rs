//! What makes the bot speak.

mod literals;
pub mod mention;
mod phrase;
pub mod words;

use std::sync::Arc;
use std::time::Duration;

use crate::names::ProviderName;

/// The kinds of triggers; their names select operators' templates and label metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TriggerKind {
    /// Somebody said the bot's name.
    Mention,
    /// A configured trigger's pattern was found, and its chance fell right.
    TriggerWord,
    /// Enough messages went by without a trigger.
    AutoParticipant,
    /// A new film began.
    MediaChange,
}

impl TriggerKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mention, Self::TriggerWord, Self::AutoParticipant, Self::MediaChange];

    /// The name as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mention => "mention",
            Self::TriggerWord => "trigger_word",
            Self::AutoParticipant => "auto_participant",
            Self::MediaChange => "media_change",
        }
    }
}

/// A trigger that fired, with all that a reply needs to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// What kind it is.
    pub kind: TriggerKind,
    /// The name variation in lower case, or the configured trigger's name.
    pub name: Arc<str>,
    /// 1 to 10; higher is more urgent.
    pub priority: u8,
    /// What the operator wants the prompt to say besides; may be empty.
    pub context: Arc<str>,
    /// The provider to ask first.
    pub preferred_provider: Option<ProviderName>,
    /// The style that replaces the character's.
    pub response_style: Option<Arc<str>>,
}

impl Trigger {
    /// One that no operator has anything to say about.
    pub(super) fn plain(kind: TriggerKind, name: Arc<str>, priority: u8) -> Self {
        let context = "".into();
        Self { kind, name, priority, context, preferred_provider: None, response_style: None }
    }

    /// Enough messages went by.
    pub(super) fn auto_participation() -> Self {
        Self::plain(TriggerKind::AutoParticipant, "auto_participation".into(), 1)
    }

    /// A new film began.
    pub(super) fn media_change() -> Self {
        Self::plain(TriggerKind::MediaChange, "media_change".into(), 5)
    }

    /// Whether somebody asked for the answer.
    pub fn is_asked_for(&self) -> bool {
        self.kind == TriggerKind::Mention
    }
}

/// A trigger found in a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Which.
    pub trigger: Trigger,
    /// The message without the words that triggered.
    pub cleaned: String,
    /// The trigger's own limits, where it has some.
    pub limits: Option<OwnLimits>,
}

/// How often one trigger may make the bot speak, for all users together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnLimits {
    /// `max_responses_per_hour`; 0 is never.
    pub max_per_hour: u32,
    /// `cooldown_seconds`.
    pub cooldown: Duration,
}
