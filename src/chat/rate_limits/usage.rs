//! How far the limits are used up, for people to see and to reset.

use std::time::Duration;

use super::{HOUR, MINUTE, RateLimits, Replies};
use crate::clock::Moment;
use crate::names::Username;

/// What the limits count now; replies under way are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Replies of the last minute.
    pub minute: usize,
    /// Replies of the last hour.
    pub hour: usize,
    /// Users of whom something is remembered.
    pub users: usize,
    /// Trigger words of which something is remembered.
    pub triggers: usize,
    /// When something was said last, since start.
    pub last_reply: Option<Duration>,
    /// When a mention was answered last, since start.
    pub last_mention: Option<Duration>,
}

impl RateLimits {
    /// What is used up.
    pub fn usage(&self, now: Moment) -> Usage {
        Usage {
            minute: self.all.count(now, MINUTE),
            hour: self.all.count(now, HOUR),
            users: self.users.len(),
            triggers: self.triggers.len(),
            last_reply: self.all.last(),
            last_mention: self.mentions.last(),
        }
    }

    /// Forgets what was said to one user, or everything. Replies under way still count.
    pub fn reset(&mut self, user: Option<&Username>) {
        match user {
            Some(user) => self.users.get_mut(user).into_iter().for_each(Replies::reset),
            None => {
                let shared = [&mut self.all, &mut self.mentions];
                let counts =
                    shared.into_iter().chain(self.users.values_mut()).chain(self.triggers.values_mut());
                counts.for_each(Replies::reset);
            }
        }
    }
}
