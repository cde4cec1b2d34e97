//! The users of one room, bounded in bytes.

use std::collections::HashMap;
use std::time::Duration;

use super::record::{Message, Record};
use super::remembered;
use crate::clock::Moment;
use crate::config::SpamDetection as Settings;
use crate::names::Username;

/// What the longest name takes: a hundred characters of four bytes, as written and in lower case.
const NAME_BYTES: usize = 832;
/// The fewest users, however small the bound.
const FEWEST: usize = 16;
/// When all have running penalties, another look is worth it only after a while.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

/// The records of users, by name.
#[derive(Debug, Default)]
pub struct Users {
    records: HashMap<Username, Record>,
    next_sweep: Duration,
}

impl Users {
    /// The record of a user who has one.
    pub fn get(&mut self, user: &Username) -> Option<&mut Record> {
        self.records.get_mut(user)
    }

    /// The record of a user; `None` when there is no room for another.
    pub fn get_or_insert(
        &mut self,
        user: &Username,
        settings: &Settings,
        max_bytes: usize,
    ) -> Option<&mut Record> {
        if self.records.len() >= most(settings, max_bytes) && !self.records.contains_key(user) {
            return None;
        }
        Some(self.records.entry(user.clone()).or_default())
    }

    /// When there is no room for another user, forgets those who no longer matter, then a quarter of
    /// the others, whom nothing was heard of for longest. Running penalties stay.
    pub fn tidy(&mut self, now: Moment, settings: &Settings, max_bytes: usize) {
        let most = most(settings, max_bytes);
        if self.records.len() < most || now.elapsed < self.next_sweep {
            return;
        }
        self.next_sweep = now.elapsed + BETWEEN_SWEEPS;
        let longest = longest(settings);
        self.records.retain(|_, record| {
            record.remaining_penalty(now).is_some()
                || now.elapsed.saturating_sub(record.last_seen()) < longest
        });
        let kept = most - most / 4;
        let Some(too_many) = self.records.len().checked_sub(kept).filter(|too_many| *too_many > 0) else {
            return;
        };
        let mut seen: Vec<Duration> = self
            .records
            .values()
            .filter(|record| record.remaining_penalty(now).is_none())
            .map(Record::last_seen)
            .collect();
        seen.sort_unstable();
        let Some(newest_to_go) = seen.get(too_many.min(seen.len()).saturating_sub(1)).copied() else {
            return;
        };
        self.records
            .retain(|_, record| record.remaining_penalty(now).is_some() || record.last_seen() > newest_to_go);
    }
}

/// After how long nothing of a user matters, but for a running penalty.
fn longest(settings: &Settings) -> Duration {
    let windows = settings.message_windows.iter().chain(&settings.identical_message_window);
    let windows = windows.map(|window| window.length);
    windows.chain([settings.mention_spam_window, settings.clean_period]).max().unwrap_or_default()
}

/// How many users fit into so many bytes.
fn most(settings: &Settings, max_bytes: usize) -> usize {
    // A ring may be allocated twice as long as it is.
    let ring = 2 * remembered(settings) * size_of::<Message>();
    let entry = 2 * size_of::<(Username, Record)>() + NAME_BYTES + ring;
    (max_bytes / entry).max(FEWEST)
}

#[cfg(test)]
mod tests;
