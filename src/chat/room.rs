//! What the decider keeps of one room.

use crate::clock::Moment;
use crate::config::Config;
use crate::names::Username;

use super::clock_check::ClockCheck;
use super::context::{Context, Line};
use super::duplicates::Duplicates;
use super::event::ChatMessage;
use super::films::Films;
use super::identity::Identity;
use super::loop_guard::LoopGuard;
use super::participation::Participation;
use super::pause::Pause;
use super::people::People;
use super::plan::Scene;
use super::screen::Screen;
use super::spam::Spam;

/// The state of one room. Limits that hold for the whole service are kept elsewhere.
#[derive(Debug, Default)]
pub struct Room {
    pub(super) context: Context,
    pub(super) identity: Identity,
    pub(super) duplicates: Duplicates,
    pub(super) clock_check: ClockCheck,
    pub(super) pause: Pause,
    pub(super) loop_guard: LoopGuard,
    pub(super) participation: Participation,
    pub(super) spam: Spam,
    pub(super) screen: Screen,
    pub(super) people: People,
    pub(super) films: Films,
}

impl Room {
    /// The rank of whoever says something: the message's, else the user list's, else 0.
    pub(super) fn rank_of(&self, message: &ChatMessage) -> f64 {
        message.rank.or_else(|| self.people.rank_of(&message.user)).unwrap_or_default()
    }

    /// The last lines, as many as there may be; none when they are not wanted.
    pub(super) fn history(&self, config: &Config, most: usize) -> Vec<Line> {
        match config.context.chat_history_priority {
            Some(_) => self.context.last(most),
            None => Vec::new(),
        }
    }

    /// What is going on besides the chat; media only when wanted.
    pub(super) fn scene(&self, now: Moment, config: &Config, with_media: bool) -> Scene {
        let active_users: Vec<Username> = self.people.active();
        Scene {
            current_media: with_media.then(|| self.screen.current(now, &config.context)).flatten(),
            next_media: with_media.then(|| self.screen.next(&config.context)).flatten(),
            channel_users: self.people.count(),
            active_users,
        }
    }
}
