//! Now and then the bot joins in without being asked.

use crate::config::AutoParticipation as Settings;

/// An interval is never longer than so many messages.
const LONGEST: f64 = 100.0;
/// Products like 0.1 × 30 are a hair off the whole number that is meant.
const HAIR: f64 = 1e-9;

/// How many messages of a room went by without a trigger firing.
#[derive(Debug, Default)]
pub struct Participation {
    heard: u32,
    /// At how many the bot joins in; drawn when it is first needed.
    wanted: Option<u32>,
}

impl Participation {
    /// Takes a message for which nothing fired, and says whether the bot joins in now. `chance` gives
    /// a number in [0, 1).
    pub fn heard(&mut self, settings: &Settings, chance: impl FnOnce() -> f64) -> bool {
        if !settings.enabled {
            self.fired();
            return false;
        }
        let wanted = *self.wanted.get_or_insert_with(|| draw(settings, chance()));
        self.heard += 1;
        let joins_in = self.heard >= wanted;
        if joins_in {
            self.fired();
        }
        joins_in
    }

    /// Something fired: the count begins anew, with another interval.
    pub fn fired(&mut self) {
        *self = Self::default();
    }

    /// How far the count is, in words.
    pub fn in_words(&self, joins_in: bool) -> String {
        match self.wanted {
            _ if joins_in => "nothing fired, but the bot joins in without being asked".to_owned(),
            Some(wanted) => {
                format!("nothing fired; message {} of the {wanted} before joining in", self.heard)
            }
            None => "nothing fired".to_owned(),
        }
    }
}

/// A whole number of messages from the base's range, each as likely as the others.
fn draw(settings: &Settings, chance: f64) -> u32 {
    let base = f64::from(settings.base_message_interval);
    let fewest = (base * (1.0 - settings.probability_range) - HAIR).ceil().max(1.0);
    let most = (base * (1.0 + settings.probability_range) + HAIR).floor().clamp(fewest, LONGEST.max(fewest));
    let drawn = fewest + ((most - fewest + 1.0) * chance).floor();
    drawn.clamp(1.0, LONGEST) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(base_message_interval: u32, probability_range: f64) -> Settings {
        Settings { enabled: true, base_message_interval, probability_range }
    }

    #[test]
    fn the_interval_is_a_whole_number_round_the_base() {
        for (base, range, lowest, highest) in [
            (20, 0.2, 16, 24),
            (20, 0.0, 20, 20),
            (30, 0.1, 27, 33),
            (7, 0.2, 6, 8),
            (1, 0.5, 1, 1),
            (2, 0.5, 1, 3),
            (100, 0.5, 50, 100),
            (80, 0.5, 40, 100),
        ] {
            let settings = settings(base, range);
            let drawn = [0.0, 1.0 - f64::EPSILON].map(|chance| draw(&settings, chance));
            assert_eq!(drawn, [lowest, highest], "{base} {range}");
        }
    }

    #[test]
    fn every_interval_of_the_range_is_drawn() {
        let drawn: std::collections::BTreeSet<u32> =
            (0..90).map(|step| draw(&settings(20, 0.2), f64::from(step) / 90.0)).collect();
        assert_eq!(drawn, (16..=24).collect());
    }

    #[test]
    fn the_bot_joins_in_at_the_last_message_of_the_interval_drawn_anew_each_time() {
        let mut participation = Participation::default();
        let mut chances = [0.0, 0.99, 0.5].into_iter();
        let settings = settings(2, 0.5);
        let mut heard = || participation.heard(&settings, || chances.next().expect("one an interval"));
        // Intervals of 1, 3 and 2.
        let joins: Vec<bool> = (0..6).map(|_| heard()).collect();
        assert_eq!(joins, [true, false, false, true, false, true]);
    }

    #[test]
    fn a_firing_begins_the_count_anew() {
        let mut participation = Participation::default();
        let settings = settings(3, 0.0);
        let mut heard = || participation.heard(&settings, || 0.0);
        assert_eq!([heard(), heard()], [false, false]);
        participation.fired();
        let mut heard = || participation.heard(&settings, || 0.0);
        assert_eq!([heard(), heard(), heard()], [false, false, true]);
    }

    #[test]
    fn while_it_is_off_nothing_is_counted() {
        let mut participation = Participation::default();
        let off = Settings { enabled: false, ..settings(1, 0.0) };
        assert!((0..50).all(|_| !participation.heard(&off, || panic!("no chance is taken"))));
        assert_eq!(participation.in_words(false), "nothing fired");
    }

    proptest! {
        #[test]
        fn an_interval_is_within_its_range_and_bounds(base in 1..=100u32, range in 0.0..=0.5f64, chance in 0.0..1.0f64) {
            let drawn = f64::from(draw(&settings(base, range), chance));
            let base = f64::from(base);
            prop_assert!((1.0..=100.0).contains(&drawn));
            prop_assert!(drawn >= base * (1.0 - range) - 1e-6 && drawn <= (base * (1.0 + range) + 1e-6).max(1.0));
        }
    }
}
