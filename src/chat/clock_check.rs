//! Is our clock right? Told by the times that messages carry.

use chrono::{DateTime, TimeDelta, Utc};

use super::event::ChatMessage;
use crate::clock::Moment;

/// How far a message's time may be from ours.
const TOLERANCE: TimeDelta = TimeDelta::seconds(60);
/// So many messages in a row are no accident.
const IN_A_ROW: u32 = 5;

/// Watches the times of one room's messages.
#[derive(Debug, Default)]
pub struct ClockCheck {
    off_in_a_row: u32,
    is_off: bool,
}

impl ClockCheck {
    /// A message came in at `now`. Some when what we think of our clock changes: right, or off and
    /// how.
    ///
    /// A message is off when all times that it carries are. A robot that came back hands on old
    /// chat with a new time stamp, and a robot with a clock of its own may carry a right time from
    /// CyTube: neither says anything about our clock.
    pub fn judge(&mut self, now: Moment, message: &ChatMessage) -> Option<Result<(), String>> {
        let times = [message.posted, message.relayed];
        let mut distances = times.iter().flatten().map(|time| distance(now.wall, *time));
        let nearest = distances.by_ref().min_by_key(TimeDelta::abs)?;
        if nearest.abs() <= TOLERANCE {
            self.off_in_a_row = 0;
            return std::mem::take(&mut self.is_off).then_some(Ok(()));
        }
        self.off_in_a_row = self.off_in_a_row.saturating_add(1);
        if self.off_in_a_row < IN_A_ROW || std::mem::replace(&mut self.is_off, true) {
            return None;
        }
        let direction = if nearest > TimeDelta::zero() { "old" } else { "ahead" };
        Some(Err(format!("messages look {} s {direction}", nearest.num_seconds().unsigned_abs())))
    }
}

/// How old a message looks; negative when it is ahead.
fn distance(now: DateTime<Utc>, time: DateTime<Utc>) -> TimeDelta {
    now.signed_duration_since(time)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, message};
    use super::*;

    /// A message that arrives at ten minutes with its times so many seconds from there.
    fn judged(
        check: &mut ClockCheck,
        posted: Option<i64>,
        relayed: Option<i64>,
    ) -> Option<Result<(), String>> {
        let now = at(600.0);
        let time = |seconds: Option<i64>| seconds.map(|seconds| now.wall + TimeDelta::seconds(seconds));
        let message =
            ChatMessage { posted: time(posted), relayed: time(relayed), ..message(now, "bob", "hi") };
        check.judge(now, &message)
    }

    /// What six such messages in a row make of our clock.
    fn six(posted: Option<i64>, relayed: Option<i64>) -> Vec<Result<(), String>> {
        let mut check = ClockCheck::default();
        (0..6).filter_map(|_| judged(&mut check, posted, relayed)).collect()
    }

    #[test]
    fn five_messages_in_a_row_that_look_old_or_ahead_say_that_our_clock_is_off_once() {
        assert_eq!(six(Some(-61), None), [Err("messages look 61 s old".to_owned())]);
        assert_eq!(six(None, Some(3_600)), [Err("messages look 3600 s ahead".to_owned())]);
        assert_eq!(six(Some(-3_600), Some(-3_590)), [Err("messages look 3590 s old".to_owned())]);
    }

    #[test]
    fn times_within_a_minute_and_none_at_all_say_nothing() {
        for (posted, relayed) in [(Some(-60), None), (Some(60), Some(60)), (None, None)] {
            assert!(six(posted, relayed).is_empty(), "{posted:?} {relayed:?}");
        }
    }

    #[test]
    fn old_chat_that_is_handed_on_now_and_a_robot_with_a_clock_of_its_own_say_nothing() {
        assert!(six(Some(-600), Some(0)).is_empty());
        assert!(six(Some(0), Some(-600)).is_empty());
    }

    #[test]
    fn one_right_message_starts_the_row_anew_and_heals() {
        let mut check = ClockCheck::default();
        for _ in 0..3 {
            assert_eq!((0..4).find_map(|_| judged(&mut check, Some(-100), None)), None);
            assert_eq!(judged(&mut check, Some(0), None), None);
        }
        assert!((0..5).find_map(|_| judged(&mut check, Some(-100), None)).is_some());
        assert_eq!(judged(&mut check, Some(0), None), Some(Ok(())));
        assert_eq!(judged(&mut check, Some(0), None), None);
    }
}
