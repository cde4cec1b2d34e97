//! What a decision says: a silence with its reason, or a reply with all that it needs.

use std::sync::Arc;

use crate::config::Config;
use crate::names::{RoomName, Username};
use crate::outcome::Reason;

use super::context::Line;
use super::rules::Rules;
use super::triggers::Trigger;

/// What to do about a message.
#[derive(Debug)]
pub enum Decision {
    /// Nothing.
    Ignore(Reason),
    /// Answer it.
    Reply(Box<ReplyPlan>),
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
    /// Where the question was asked, and where the answer goes.
    pub room: RoomName,
    /// What [`super::decide::Decider::settle`] wants to see again.
    pub ticket: Ticket,
    /// Who asked.
    pub user: Username,
    /// The message without the words that triggered.
    pub message: String,
    /// The message as it was written.
    pub original: String,
    /// What made us answer.
    pub trigger: Trigger,
    /// The conversation up to and with this message, oldest first; empty when it is not wanted.
    pub history: Vec<Line>,
    /// Follows the message through logs, records and headers.
    pub correlation_id: String,
}

impl ReplyPlan {
    /// The configuration that this reply sees.
    pub fn config(&self) -> &Config {
        self.rules.config()
    }
}
