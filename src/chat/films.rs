//! Which film a room was told about last, so that each is commented on once.

use serde::Serialize;
use serde_json::Value;

use crate::config::MediaChange as Settings;
use crate::names::RoomName;

use super::event::change::{self, Media};

/// Under which key the first room's memory is kept; other rooms' have their token behind it.
const KEY: &str = "last_qualifying_media";

/// The last film of a room that was long enough for a comment. It is written down, so that a
/// restart doesn't comment again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MediaMemory {
    /// Its title, at most 500 characters.
    pub title: String,
    /// How long it is, in whole seconds.
    pub duration: u64,
}

impl MediaMemory {
    /// Under which key a room's memory is kept. `rooms` are all of the configuration, in its order:
    /// the first has the plain key, others have their token behind it, and their domain behind that
    /// when a room before them has the same token.
    pub fn key(rooms: &[RoomName], room: &RoomName) -> String {
        if rooms.first() == Some(room) {
            return KEY.to_owned();
        }
        let mut before = rooms.iter().take_while(|other| *other != room);
        let token = as_key(room.token());
        if before.any(|other| other.token() == room.token()) {
            format!("{KEY}.{token}.{}", as_key(&room.domain().to_ascii_lowercase()))
        } else {
            format!("{KEY}.{token}")
        }
    }

    /// Reads what was written down; `None` without a title. A duration may be absent.
    pub fn read(value: &Value) -> Option<Self> {
        let title = change::media(value)?.title;
        let duration = value.get("duration").and_then(Value::as_f64).unwrap_or_default();
        // The cast saturates.
        Some(Self { title, duration: duration as u64 })
    }

    fn of(media: &Media) -> Self {
        Self { title: media.title.clone(), duration: media.duration.as_secs() }
    }

    fn is_of(&self, media: &Media) -> bool {
        self.title.trim().to_lowercase() == media.title.trim().to_lowercase()
    }
}

/// A name as a key of the bucket can hold it: every other character as `=` and two digits for each
/// of its bytes. Different names stay different, since no name in a subject has a `=`.
fn as_key(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    name.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("={byte:02x}") })
        .collect()
}

/// The films of one room.
#[derive(Debug, Default)]
pub struct Films {
    last: Option<MediaMemory>,
    /// Whether anything is known of what played before.
    is_begun: bool,
}

/// A film long enough for a comment that the room was not told about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFilm {
    /// The title of the last such film.
    pub previous_title: Option<String>,
    /// Whether to comment: what plays when we come is taken as commented on.
    pub is_news: bool,
}

impl Films {
    /// Takes what was written down before a restart.
    pub fn remember(&mut self, memory: MediaMemory) {
        self.last = Some(memory);
        self.is_begun = true;
    }

    /// What is to be written down.
    pub fn last(&self) -> Option<&MediaMemory> {
        self.last.as_ref()
    }

    /// Takes what plays at our start: it needs no comment.
    pub fn playing_at_start(&mut self, settings: &Settings, media: &Media) {
        self.is_begun = true;
        if qualifies(settings, media) {
            self.last = Some(MediaMemory::of(media));
        }
    }

    /// Takes a change of what plays; `None` when it is no new film. Without any knowledge of what
    /// played before, the first counts as playing at our start.
    pub fn changed(&mut self, settings: &Settings, media: &Media) -> Option<NewFilm> {
        let is_news = std::mem::replace(&mut self.is_begun, true);
        if !qualifies(settings, media) || self.last.as_ref().is_some_and(|last| last.is_of(media)) {
            return None;
        }
        let previous = self.last.replace(MediaMemory::of(media));
        Some(NewFilm { previous_title: previous.map(|film| film.title), is_news })
    }
}

fn qualifies(settings: &Settings, media: &Media) -> bool {
    media.duration >= settings.min_duration
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::chat::testing::media;
    use crate::config::testing::config;

    fn settings() -> Settings {
        config(json!({"media_change": {"enabled": true, "min_duration_minutes": 10}})).media_change
    }

    /// The film that was last before, for each change that is news.
    fn told(films: &mut Films, played: &[(&str, u64)]) -> Vec<Option<String>> {
        let news = |(title, minutes): &(&str, u64)| {
            films.changed(&settings(), &media(title, minutes * 60)).filter(|film| film.is_news)
        };
        played.iter().filter_map(news).map(|film| film.previous_title).collect()
    }

    #[test]
    fn a_film_whose_title_differs_from_the_last_long_one_is_news() {
        for (played, expected) in [
            (vec![("A", 90), ("B", 90)], vec![Some("A")]),
            (vec![("A", 90), ("Trailer", 9), ("A", 90)], vec![]),
            (vec![("A", 90), ("Trailer", 9), ("B", 10)], vec![Some("A")]),
            (vec![("A", 90), (" a ", 80), ("B", 90), ("A", 90)], vec![Some("A"), Some("B")]),
            (vec![("Trailer", 9), ("A", 90)], vec![None]),
            (vec![("A", 90), ("Stream", 0)], vec![]),
        ] {
            let told = told(&mut Films::default(), &played);
            let told: Vec<Option<&str>> = told.iter().map(Option::as_deref).collect();
            assert_eq!(told, expected, "{played:?}");
        }
    }

    #[test]
    fn what_plays_at_our_start_is_taken_as_commented_on() {
        let mut films = Films::default();
        films.playing_at_start(&settings(), &media("A", 6_000));
        assert!(told(&mut films, &[("A", 100)]).is_empty());
        assert_eq!(told(&mut films, &[("B", 100)]), [Some("A".to_owned())]);

        let mut films = Films::default();
        films.remember(MediaMemory { title: "Old".to_owned(), duration: 6_000 });
        films.playing_at_start(&settings(), &media("Trailer", 60));
        assert_eq!(told(&mut films, &[("A", 100)]), [Some("Old".to_owned())]);
    }

    #[test]
    fn a_restart_does_not_comment_again_and_misses_no_film() {
        let mut films = Films::default();
        films.remember(MediaMemory { title: "A".to_owned(), duration: 6_000 });
        assert!(told(&mut films, &[("A", 100)]).is_empty());
        let mut films = Films::default();
        films.remember(MediaMemory { title: "A".to_owned(), duration: 6_000 });
        assert_eq!(told(&mut films, &[("B", 100)]), [Some("A".to_owned())]);
    }

    #[test]
    fn the_memory_is_what_the_original_wrote_down() {
        let mut films = Films::default();
        films.changed(&settings(), &media("A Film", 5_400));
        let written = serde_json::to_value(films.last()).expect("plain data");
        assert_eq!(written, json!({"title": "A Film", "duration": 5400}));
        for (value, expected) in [
            (written, Some(("A Film", 5_400))),
            (json!({"title": "A", "duration": 61.5}), Some(("A", 61))),
            (json!({"title": "A", "duration": -1}), Some(("A", 0))),
            (json!({"title": "A"}), Some(("A", 0))),
            (json!({"title": " ", "duration": 5}), None),
            (json!({"duration": 5}), None),
            (json!("A"), None),
            (json!(null), None),
        ] {
            let expected =
                expected.map(|(title, duration)| MediaMemory { title: title.to_owned(), duration });
            assert_eq!(MediaMemory::read(&value), expected, "{value}");
        }
    }

    #[test]
    fn the_first_room_has_the_originals_key_and_no_two_rooms_share_one() {
        let names = [
            ("cytu.be", "MovieNight", ""),
            ("cytu.be", "Other Room", ".other-room"),
            ("other.tv", "movienight", ".movienight.other=2etv"),
            ("Third.TV", "Movie.Night", ".movienight.third=2etv"),
            ("cytu.be", "Kinó", ".kin=c3=b3"),
            ("cytu.be", "kino", ".kino"),
            ("cytu.be", "~a_b-c", ".=7ea_b-c"),
        ];
        let rooms: Vec<RoomName> = names
            .iter()
            .map(|(domain, channel, _)| RoomName::new(domain, channel).expect("a name"))
            .collect();
        for (room, (_, _, expected)) in rooms.iter().zip(names) {
            assert_eq!(MediaMemory::key(&rooms, room), format!("last_qualifying_media{expected}"), "{room}");
        }
    }

    proptest! {
        #[test]
        fn every_key_is_one_that_a_bucket_takes_and_stands_for_one_room(
            names in prop::collection::btree_set(("[a-c.]{1,3}", "\\PC{1,8}"), 1..8)
        ) {
            let rooms: Vec<RoomName> = names
                .iter()
                .filter_map(|(domain, channel)| RoomName::new(domain, channel).ok())
                .collect();
            // What is the same room is configured once.
            let mut seen = HashSet::new();
            let mut is_new = |room: &RoomName| seen.insert((room.domain().to_owned(), room.token().to_owned()));
            let rooms: Vec<RoomName> = rooms.into_iter().filter(|room| is_new(room)).collect();
            let keys: HashSet<String> = rooms.iter().map(|room| MediaMemory::key(&rooms, room)).collect();
            prop_assert_eq!(keys.len(), rooms.len());
            let fits = |letter: char| letter.is_ascii_alphanumeric() || "-/_=.".contains(letter);
            for key in keys {
                prop_assert!(key.chars().all(fits) && !key.starts_with('.') && !key.ends_with('.'), "{key}");
            }
        }
    }
}
