//! An operator asked for silence in a room.

use std::time::Duration;

use crate::clock::Moment;
use crate::names::RoomName;

/// Whether and until when a room is paused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pause {
    /// It is not.
    #[default]
    Off,
    /// Until somebody ends it.
    Open,
    /// Until this moment, since start.
    Until(Duration),
}

impl Pause {
    /// A pause that begins now, for so long, or until somebody ends it.
    pub fn begin(now: Moment, duration: Option<Duration>) -> Self {
        duration.map_or(Self::Open, |duration| Self::Until(now.elapsed.saturating_add(duration)))
    }

    /// Whether the pause lasts.
    pub fn is_on(self, now: Moment) -> bool {
        match self {
            Self::Off => false,
            Self::Open => true,
            Self::Until(end) => now.elapsed < end,
        }
    }

    /// The pause in words.
    pub fn in_words(self, now: Moment) -> String {
        match self {
            Self::Until(end) if self.is_on(now) => {
                format!("paused for another {:.0} s", (end - now.elapsed).as_secs_f64().ceil())
            }
            Self::Open => "paused until it is resumed".to_owned(),
            Self::Off | Self::Until(_) => "not paused".to_owned(),
        }
    }
}

/// The rooms that are paused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PausedRooms(pub Vec<(RoomName, Pause)>);

impl PausedRooms {
    /// Whether a room is one of them.
    pub fn hold(&self, now: Moment, room: &RoomName) -> bool {
        self.of(room).is_on(now)
    }

    /// A room's pause.
    pub fn of(&self, room: &RoomName) -> Pause {
        self.0.iter().find(|(paused, _)| paused == room).map_or(Pause::Off, |(_, pause)| *pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::at;

    #[test]
    fn a_pause_lasts_until_its_end_or_until_it_is_ended() {
        for (pause, second, is_on, words) in [
            (Pause::default(), 5.0, false, "not paused"),
            (Pause::begin(at(5.0), None), 1e6, true, "paused until it is resumed"),
            (Pause::begin(at(5.0), Some(Duration::from_secs(10))), 14.5, true, "paused for another 1 s"),
            (Pause::begin(at(5.0), Some(Duration::from_secs(10))), 15.0, false, "not paused"),
        ] {
            assert_eq!((pause.is_on(at(second)), &*pause.in_words(at(second))), (is_on, words));
        }
        assert!(Pause::begin(at(5.0), Some(Duration::MAX)).is_on(at(1e9)));
    }

    #[test]
    fn a_room_is_held_as_long_as_its_own_pause_lasts() {
        let [one, two] = ["One", "Two"].map(|channel| RoomName::new("cytu.be", channel).expect("a room"));
        let paused = PausedRooms(vec![(one.clone(), Pause::begin(at(5.0), Some(Duration::from_secs(10))))]);
        assert!(paused.hold(at(14.0), &one));
        assert!(!paused.hold(at(15.0), &one));
        assert!(!paused.hold(at(14.0), &two));
    }
}
