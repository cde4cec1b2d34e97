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
        while self.spoken.front().is_some_and(|first| at.saturating_sub(*first) > kept) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::at;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn spoken(seconds: &[f64]) -> Replies {
        let mut replies = Replies::default();
        for second in seconds {
            replies.open();
            replies.close(Some(Duration::from_secs_f64(*second)), HOUR);
        }
        replies
    }

    #[test]
    fn what_left_the_longest_window_is_forgotten_but_for_the_last_one() {
        assert_eq!(spoken(&[0.0, 3_600.0]).spoken.len(), 2, "not older than an hour");
        assert_eq!(spoken(&[0.0, 3_600.1]).spoken.len(), 1);
        assert_eq!(spoken(&[0.0, 10.0, 9_000.0]).spoken, [Duration::from_secs(9_000)]);
        // One that was spoken before another, but is told later, finds its place.
        assert_eq!(spoken(&[20.0, 10.0]).spoken, [10, 20].map(Duration::from_secs));
    }

    #[test]
    fn a_window_ends_before_the_moment_that_is_as_long_ago_as_it_is_long() {
        let replies = spoken(&[0.0, 10.0, 20.0]);
        for (second, count) in [(20.0, 3), (59.9, 3), (60.0, 2), (70.0, 1), (80.0, 0)] {
            assert_eq!(replies.count(at(second), Duration::from_secs(60)), count, "{second}");
        }
    }

    #[test]
    fn a_full_window_says_when_there_is_room() {
        let wait = |replies: &Replies, second, most| {
            replies.wait_for_room(at(second), Duration::from_secs(60), most).map(|wait| wait.as_secs_f64())
        };
        let mut replies = spoken(&[0.0, 10.0, 20.0]);
        assert_eq!(wait(&replies, 30.0, 4), None);
        assert_eq!(wait(&replies, 30.0, 3), Some(30.0), "the oldest leaves at 60");
        assert_eq!(wait(&replies, 30.0, 1), Some(50.0), "all three have to leave");
        assert_eq!(wait(&replies, 65.0, 3), None);
        assert_eq!(wait(&replies, 65.0, 2), Some(5.0));
        assert_eq!(wait(&replies, 30.0, 0), Some(60.0), "never");
        replies.open();
        assert_eq!(wait(&replies, 30.0, 1), Some(60.0), "the one under way is the youngest");
    }

    #[test]
    fn a_reply_matters_while_it_is_under_way_and_until_it_is_so_long_ago() {
        let mut replies = spoken(&[0.0]);
        assert!(replies.matters(at(3_599.9), HOUR));
        assert!(!replies.matters(at(3_600.0), HOUR));
        replies.open();
        assert!(replies.matters(at(9_000.0), HOUR));
        assert_eq!(replies.settled_since(), None);
        replies.close(None, HOUR);
        assert!(!replies.matters(at(9_000.0), HOUR));
        assert_eq!(spoken(&[7.0]).settled_since(), Some(Duration::from_secs(7)));
        assert!(!Replies::default().matters(at(0.0), HOUR));
    }

    #[test]
    fn a_cooldown_is_over_when_the_last_reply_is_so_long_ago() {
        let wait = |replies: &Replies, second| {
            replies.wait_for_cooldown(at(second), Duration::from_secs(60)).map(|wait| wait.as_secs_f64())
        };
        let mut replies = spoken(&[0.0, 10.0]);
        assert_eq!(
            [wait(&replies, 10.0), wait(&replies, 69.5), wait(&replies, 70.0)],
            [Some(60.0), Some(0.5), None]
        );
        replies.open();
        assert_eq!(wait(&replies, 900.0), Some(60.0), "the one under way counts as spoken now");
        assert_eq!(wait(&Replies::default(), 0.0), None);
    }
}
