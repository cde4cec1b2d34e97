//! When replies were spoken, and how many are under way.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

/// The replies that one limit counts.
#[derive(Debug, Default)]
pub struct Replies {
    /// Under way; each counts as spoken now.
    open: usize,
    /// When the first line of each went out, oldest first. The last one stays, however old.
    spoken: VecDeque<Duration>,
}

impl Replies {
    /// A reply is under way.
    pub fn open(&mut self) {
        self.open += 1;
    }

    /// A reply under way was spoken at a moment, or not at all. What is older than `kept` before it
    /// is forgotten.
    pub fn close(&mut self, spoken: Option<Duration>, kept: Duration) {
        self.open = self.open.saturating_sub(1);
        let Some(at) = spoken else { return };
        let place = self.spoken.partition_point(|earlier| *earlier <= at);
        self.spoken.insert(place, at);
        while self.spoken.len() > 1
            && self.spoken.front().is_some_and(|first| at.saturating_sub(*first) > kept)
        {
            self.spoken.pop_front();
        }
    }

    /// How long until fewer than `most` are in the window; `None` when that is so now.
    pub fn wait_for_room(&self, now: Moment, window: Duration, most: u32) -> Option<Duration> {
        let expired = self.expired(now, window);
        let too_many =
            (self.count(now, window) + 1).checked_sub(most as usize).filter(|too_many| *too_many > 0)?;
        // So many of the oldest have to leave the window; those under way are the youngest.
        let last_to_leave = self.spoken.get(expired + too_many - 1);
        Some(last_to_leave.map_or(window, |at| (*at + window).saturating_sub(now.elapsed)))
    }

    /// How many are in the window, those under way included.
    pub fn count(&self, now: Moment, window: Duration) -> usize {
        self.spoken.len() - self.expired(now, window) + self.open
    }

    /// How many of those that were spoken have left the window.
    fn expired(&self, now: Moment, window: Duration) -> usize {
        self.spoken.partition_point(|at| now.elapsed.saturating_sub(*at) >= window)
    }

    /// How long until the last one is so long ago; `None` when it is.
    pub fn wait_for_cooldown(&self, now: Moment, cooldown: Duration) -> Option<Duration> {
        let last = if self.open > 0 { now.elapsed } else { *self.spoken.back()? };
        let since = now.elapsed.saturating_sub(last);
        cooldown.checked_sub(since).filter(|wait| !wait.is_zero())
    }

    /// Whether anything here may still hold somebody back.
    pub fn matters(&self, now: Moment, longest: Duration) -> bool {
        let is_recent = |last: &Duration| now.elapsed.saturating_sub(*last) < longest;
        self.open > 0 || self.spoken.back().is_some_and(is_recent)
    }

    /// When the last one was spoken; `None` while one is under way.
    pub fn settled_since(&self) -> Option<Duration> {
        (self.open == 0).then(|| self.spoken.back().copied().unwrap_or_default())
    }

    /// When the last one was spoken.
    pub fn last(&self) -> Option<Duration> {
        self.spoken.back().copied()
    }

    /// Forgets those that were spoken; those under way still count.
    pub fn reset(&mut self) {
        self.spoken.clear();
    }

    /// What it takes besides itself.
    pub fn heap_bytes(&self) -> usize {
        self.spoken.capacity() * size_of::<Duration>()
    }
}
