//! What a decision says: a silence with its reason, or a reply with all that it needs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::names::{RoomName, Username};
use crate::outcome::Reason;

use super::context::Line;
use super::rules::Rules;
use super::screen::{CurrentMedia, NextMedia};
use super::spam::Rule;
use super::spend::Near;
use super::triggers::Trigger;

/// What to do about a message, or about a new film.
#[derive(Debug)]
pub enum Decision {
    /// Nothing.
    Silence(Silence),
    /// Answer it.
    Reply(Box<ReplyPlan>),
}

/// Why nothing is said.
#[derive(Debug)]
pub struct Silence {
    /// The first check that failed.
    pub reason: Reason,
    /// Its figures, where it has some.
    pub detail: Detail,
    /// What had fired before; `None` when nothing did.
    pub fired: Option<Box<Fired>>,
}

impl Silence {
    pub(super) fn new(reason: Reason, detail: Detail) -> Self {
        Self { reason, detail, fired: None }
    }
}

/// A trigger that fired, for an answer that something held back.
#[derive(Debug)]
pub struct Fired {
    /// What fired.
    pub trigger: Trigger,
    /// The message without the words that triggered; empty for a comment on a film.
    pub message: String,
    /// The user's rank as it was used: the message's, else the user list's, else 0.
    pub rank: f64,
    /// Follows the message through logs and records.
    pub correlation_id: String,
}

/// The figures of a check that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// There is no more to say.
    None,
    /// Why, in words.
    Because(&'static str),
    /// After how many seconds the limit won't hold any more, if nothing else is said.
    RetryAfter(u64),
    /// Which spend limit is near.
    Spend(Near),
    /// By which rule a message is spam, and how long the user's penalty still lasts.
    Spam(Rule, Duration),
}

impl Detail {
    /// After how many seconds the limit won't hold any more, where that is known.
    pub fn retry_after(self) -> Option<u64> {
        match self {
            Self::RetryAfter(seconds) => Some(seconds),
            Self::Spam(_, remaining) => Some(remaining.as_secs_f64().ceil() as u64),
            Self::None | Self::Because(_) | Self::Spend(_) => None,
        }
    }
}

/// Where there is a [`Detail::retry_after`], the text ends with "again in … s".
impl fmt::Display for Detail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Because(why) => formatter.write_str(why),
            Self::RetryAfter(seconds) => write!(formatter, "again in {seconds} s"),
            Self::Spend(near) => near.fmt(formatter),
            Self::Spam(rule, _) => {
                write!(formatter, "{}: again in {} s", rule.as_str(), self.retry_after().unwrap_or(0))
            }
        }
    }
}

/// By which a reply's outcome finds what was reserved for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// A reply that shall be made. It brings the rules under which it was decided, so that one reply
/// sees one configuration from beginning to end.
#[derive(Debug)]
pub struct ReplyPlan {
    /// The configuration and what was compiled from it.
    pub rules: Arc<Rules>,
    /// Where the question was asked or the film began, and where the answer goes.
    pub room: RoomName,
    /// What [`super::decide::Decider::settle`] wants to see again.
    pub ticket: Ticket,
    /// Who asked; `None` for a comment on a film.
    pub user: Option<Username>,
    /// The user's rank: the message's, else the user list's, else 0.
    pub rank: f64,
    /// The message without the words that triggered; empty for a comment on a film.
    pub message: String,
    /// The message as it was written; empty for a comment on a film.
    pub original: String,
    /// What made us answer.
    pub trigger: Trigger,
    /// The conversation up to and with this message, oldest first; empty when it is not wanted.
    pub history: Vec<Line>,
    /// What else is known of the room.
    pub scene: Scene,
    /// For a comment on a film, the title of the last one; `None` when nothing is known of it.
    pub previous_title: Option<String>,
    /// Follows the message through logs, records and headers.
    pub correlation_id: String,
}

/// What is going on in a room besides its chat.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// What plays; `None` when that is unknown or not wanted in prompts.
    pub current_media: Option<CurrentMedia>,
    /// What comes next, likewise.
    pub next_media: Option<NextMedia>,
    /// How many users are there.
    pub channel_users: usize,
    /// Those of them who are not away from the keyboard, by name; of a huge crowd 500.
    pub active_users: Vec<Username>,
}

impl ReplyPlan {
    /// The configuration that this reply sees.
    pub fn config(&self) -> &Config {
        self.rules.config()
    }
}
