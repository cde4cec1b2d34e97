//! Is our clock right? Told by the times that messages carry.

use chrono::{DateTime, TimeDelta, Utc};

use super::event::ChatMessage;
use crate::clock::Moment;

/// How far a message's time may be from ours.
const TOLERANCE: TimeDelta = TimeDelta::seconds(60);
/// So many messages in a row are no accident.
const IN_A_ROW: u32 = 5;
/// By how much the ages of a row may differ, if they look to be from before our start.
const EVEN: TimeDelta = TimeDelta::seconds(2);

/// Watches the times of one room's messages.
#[derive(Debug, Default)]
pub struct ClockCheck {
    off: Option<Row>,
    is_off: bool,
}

/// Messages in a row whose times are off.
#[derive(Debug, Clone, Copy)]
struct Row {
    first: TimeDelta,
    length: u32,
}

impl ClockCheck {
    /// A message came in at `now`. Some when what we think of our clock changes: right, or off and
    /// how.
    ///
    /// It is judged by the time that decides whether it is too old for an answer, so that we are
    /// never silent without a word about it. What a robot repeats after it came back (`is_in_grace`)
    /// is honestly old, and so is what it hands on late after our start: that is told from a clock
    /// that is off by its ages, which are not all the same.
    pub fn judge(
        &mut self,
        now: Moment,
        started: DateTime<Utc>,
        is_in_grace: bool,
        message: &ChatMessage,
    ) -> Option<Result<(), String>> {
        let time = message.time()?;
        let age = now.wall.signed_duration_since(time);
        if age.abs() <= TOLERANCE {
            self.off = None;
            return std::mem::take(&mut self.is_off).then_some(Ok(()));
        }
        if is_in_grace {
            return None;
        }
        let goes_on = |row: &Row| time >= started || (age - row.first).abs() <= EVEN;
        let row = self.off.filter(goes_on).unwrap_or(Row { first: age, length: 0 });
        let length = row.length.saturating_add(1);
        self.off = Some(Row { length, ..row });
        if length < IN_A_ROW || std::mem::replace(&mut self.is_off, true) {
            return None;
        }
        let direction = if age > TimeDelta::zero() { "old" } else { "ahead" };
        Some(Err(format!("messages look {} s {direction}", age.num_seconds().unsigned_abs())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, message, start};
    use super::*;

    /// A message that arrives twenty minutes after our start and is so many seconds old.
    fn judged(check: &mut ClockCheck, age: i64) -> Option<Result<(), String>> {
        let now = at(1_200.0);
        check.judge(now, start(), false, &aged(now, age))
    }

    fn aged(now: Moment, age: i64) -> ChatMessage {
        ChatMessage { posted: Some(now.wall - TimeDelta::seconds(age)), ..message(now, "bob", "hi") }
    }

    /// What messages of these ages make of our clock, right after our start.
    fn at_start(is_in_grace: bool, ages: [i64; 6]) -> Vec<Result<(), String>> {
        let mut check = ClockCheck::default();
        let now = at(3.0);
        ages.into_iter().filter_map(|age| check.judge(now, start(), is_in_grace, &aged(now, age))).collect()
    }

    #[test]
    fn five_messages_in_a_row_that_look_old_or_ahead_say_that_our_clock_is_off_once() {
        for (age, words) in [(61, "61 s old"), (-61, "61 s ahead"), (3_600, "3600 s old")] {
            let mut check = ClockCheck::default();
            let said: Vec<_> = (0..6).filter_map(|_| judged(&mut check, age)).collect();
            assert_eq!(said, [Err(format!("messages look {words}"))]);
        }
        let mut check = ClockCheck::default();
        let said: Vec<_> =
            [70, 200, 90, 300, 100].into_iter().filter_map(|age| judged(&mut check, age)).collect();
        assert_eq!(said, [Err("messages look 100 s old".to_owned())], "of any age");
    }

    #[test]
    fn the_time_counts_that_makes_a_message_stale() {
        let now = at(1_200.0);
        let right = Some(now.wall);
        let old = Some(now.wall - TimeDelta::seconds(100));
        for (posted, relayed, is_off) in
            [(old, right, true), (right, old, false), (None, old, true), (None, None, false)]
        {
            let mut check = ClockCheck::default();
            let message = ChatMessage { posted, relayed, ..message(now, "bob", "hi") };
            let said = (0..6).find_map(|_| check.judge(now, start(), false, &message));
            assert_eq!(said.is_some(), is_off, "{posted:?} {relayed:?}");
        }
    }

    #[test]
    fn times_within_a_minute_say_nothing() {
        for age in [-60, 0, 60] {
            let mut check = ClockCheck::default();
            assert_eq!((0..6).find_map(|_| judged(&mut check, age)), None, "{age}");
        }
    }

    #[test]
    fn old_chat_of_a_robot_that_came_back_says_nothing() {
        assert!(at_start(true, [100; 6]).is_empty());
        // Not after that, either: it did not begin a row.
        let mut check = ClockCheck::default();
        let now = at(1_200.0);
        (0..4).for_each(|_| assert_eq!(check.judge(now, start(), true, &aged(now, 100)), None));
        assert_eq!((0..4).find_map(|_| judged(&mut check, 100)), None);
        assert!(judged(&mut check, 100).is_some());
    }

    #[test]
    fn old_chat_that_is_handed_on_after_our_start_says_nothing() {
        assert!(at_start(false, [400, 320, 250, 190, 130, 70]).is_empty());
        assert!(at_start(false, [400, 399, 398, 397, 396, 395]).is_empty());
    }

    #[test]
    fn a_clock_that_was_off_before_our_start_is_told_from_old_chat() {
        assert_eq!(at_start(false, [100; 6]), [Err("messages look 100 s old".to_owned())]);
        assert_eq!(
            at_start(false, [101, 100, 99, 100, 100, 100]),
            [Err("messages look 100 s old".to_owned())]
        );
    }

    #[test]
    fn one_right_message_starts_the_row_anew_and_heals() {
        let mut check = ClockCheck::default();
        for _ in 0..3 {
            assert_eq!((0..4).find_map(|_| judged(&mut check, 100)), None);
            assert_eq!(judged(&mut check, 0), None);
        }
        assert!((0..5).find_map(|_| judged(&mut check, 100)).is_some());
        assert_eq!(judged(&mut check, 0), Some(Ok(())));
        assert_eq!(judged(&mut check, 0), None);
    }
}
