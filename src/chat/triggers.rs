//! What makes the bot speak.

pub mod mention;

use std::sync::Arc;

use crate::names::ProviderName;

/// The kinds of triggers; their names select operators' templates and label metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TriggerKind {
    /// Somebody said the bot's name.
    Mention,
    /// A configured trigger's pattern was found, and its chance fell right.
    TriggerWord,
}

impl TriggerKind {
    /// The name as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mention => "mention",
            Self::TriggerWord => "trigger_word",
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

/// A trigger found in a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Which.
    pub trigger: Trigger,
    /// The message without the words that triggered.
    pub cleaned: String,
}
