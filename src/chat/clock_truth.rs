//! Whether the messages' clock and ours agree. If they don't, messages look too old to be answered,
//! and the bot would fall silent without a word.

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Moment;

/// So far the clocks may be apart; so long a message may be on its way.
const TOLERATED: TimeDelta = TimeDelta::seconds(60);
/// So many messages in a row are no accident.
const IN_A_ROW: u32 = 5;

/// How the messages of one room look.
#[derive(Debug, Default)]
pub struct ClockTruth {
    /// The messages in a row that look wrong in the same direction, and the least of what they are
    /// off; behind us above zero, ahead below.
    wrong: Option<(u32, TimeDelta)>,
    is_told: bool,
}

/// What an operator should hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockNews {
    /// The messages are at least so much behind our clock.
    Behind(TimeDelta),
    /// The messages are at least so much ahead of our clock.
    Ahead(TimeDelta),
    /// They agree again.
    Right,
}

impl ClockNews {
    /// What the `clock` component says; `None` when all is well.
    pub fn message(self) -> Option<String> {
        match self {
            Self::Behind(by) => Some(format!("messages look {} s old: a clock is wrong", by.num_seconds())),
            Self::Ahead(by) => Some(format!("messages come {} s early: a clock is wrong", by.num_seconds())),
            Self::Right => None,
        }
    }
}

impl ClockTruth {
    /// Takes when a message was said that arrives now. Says something when that changes the picture.
    pub fn heard(&mut self, now: Moment, said: DateTime<Utc>) -> Option<ClockNews> {
        let off = now.wall - said;
        if off.abs() <= TOLERATED {
            self.wrong = None;
            return std::mem::take(&mut self.is_told).then_some(ClockNews::Right);
        }
        let is_behind = off > TimeDelta::zero();
        let (count, least) = match self.wrong {
            Some((count, least)) if (least > TimeDelta::zero()) == is_behind => {
                (count.saturating_add(1), if is_behind { least.min(off) } else { least.max(off) })
            }
            _ => (1, off),
        };
        self.wrong = Some((count, least));
        (count == IN_A_ROW).then(|| {
            self.is_told = true;
            if is_behind { ClockNews::Behind(least) } else { ClockNews::Ahead(-least) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::{at, start};

    /// What is said of messages that are so many seconds old on arrival.
    fn news(ages: &[i64]) -> Vec<Option<ClockNews>> {
        let mut clock = ClockTruth::default();
        ages.iter().map(|age| clock.heard(at(0.0), start() - TimeDelta::seconds(*age))).collect()
    }

    fn behind(seconds: i64) -> Option<ClockNews> {
        Some(ClockNews::Behind(TimeDelta::seconds(seconds)))
    }

    fn ahead(seconds: i64) -> Option<ClockNews> {
        Some(ClockNews::Ahead(TimeDelta::seconds(seconds)))
    }

    #[test]
    fn five_messages_in_a_row_that_look_wrong_are_news_with_by_how_much() {
        for (ages, expected) in [
            (vec![61, 90, 75, 80, 75], vec![None, None, None, None, behind(61)]),
            (vec![-70, -65, -61, -90, -100, -70], vec![None, None, None, None, ahead(61), None]),
            (vec![60, 60, 60, 60, -60, -60], vec![None; 6]),
            (vec![61, 61, 61, 61, 0, 61], vec![None; 6]),
            (vec![61, 61, 61, 61, -61, -61, -61, -61], vec![None; 8]),
        ] {
            assert_eq!(news(&ages), expected, "{ages:?}");
        }
    }

    #[test]
    fn a_good_message_heals_and_the_next_five_are_news_again() {
        let ages = [70, 70, 70, 70, 70, 70, 1, 1, 80, 80, 80, 80, 80];
        let news: Vec<ClockNews> = news(&ages).into_iter().flatten().collect();
        assert_eq!(Some(news), [behind(70), Some(ClockNews::Right), behind(80)].into_iter().collect());
    }

    #[test]
    fn when_the_direction_turns_the_new_one_is_told() {
        let ages = [70, 70, 70, 70, 70, -80, -80, -80, -80, -80];
        let news: Vec<ClockNews> = news(&ages).into_iter().flatten().collect();
        assert_eq!(Some(news), [behind(70), ahead(80)].into_iter().collect());
    }

    #[test]
    fn the_words_fit_into_a_heartbeat() {
        for (news, words) in [
            (behind(75), Some("messages look 75 s old: a clock is wrong")),
            (ahead(75), Some("messages come 75 s early: a clock is wrong")),
            (Some(ClockNews::Right), None),
        ] {
            assert_eq!(news.and_then(ClockNews::message).as_deref(), words);
        }
        let century = ClockNews::Ahead(TimeDelta::days(36_500)).message().expect("words");
        assert!(century.len() <= 60, "{century}");
    }
}
