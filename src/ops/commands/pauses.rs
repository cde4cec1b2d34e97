//! Which rooms are paused, and that a restart keeps them silent.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tracing::warn;

use super::documents;
use crate::chat::decide::Decider;
use crate::chat::pause::Pause;
use crate::clock::Moment;
use crate::decider::DeciderHandle;
use crate::health::{Component, HealthMonitor, PausedRoom};
use crate::names::{self, RoomName};
use crate::state_file::StateFile;

/// The name of the file in `state_dir`.
const FILE: &str = "pauses.json";

/// The rooms that can be paused, and where it is written down which are.
#[derive(Debug, Clone)]
pub struct Pauses {
    rooms: Vec<RoomName>,
    file: StateFile,
}

/// A pause, as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Saved {
    domain: String,
    channel: String,
    /// None until it is resumed. Seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// A room and when its pause ends.
type Paused = (RoomName, Pause);

impl Pauses {
    /// For these rooms, with a file in that folder.
    pub fn new(rooms: Vec<RoomName>, state_dir: &Path) -> Self {
        Self { rooms, file: StateFile::new(state_dir, FILE) }
    }

    /// Pauses again what was paused before a restart. Reads the file at once: it is small. When it can't
    /// be read no room is paused, and health says so until somebody pauses or resumes.
    pub fn restore(&self, now: Moment, decider: &mut Decider, health: &HealthMonitor) {
        let saved: Vec<Saved> = match self.file.read_or_set_aside() {
            Ok(saved) => saved.unwrap_or_default(),
            Err(error) => {
                let file = self.file.path().display();
                warn!(%file, error, "which rooms were paused can't be read: none is");
                unreadable(health, now, Some(format!("which rooms were paused can't be read: {error}")));
                return;
            }
        };
        for (room, duration) in lasting(now.wall, &self.rooms, saved) {
            warn!(%room, "the room was paused before the restart, and still is");
            decider.pause(now, &room, duration);
        }
        tell(health, &paused(now, decider));
    }

    /// Pauses one room or all, for so long or until it is resumed. The answer is what is paused.
    ///
    /// # Errors
    /// When there is no such room, or the service is stopping.
    pub async fn pause(
        &self,
        decider: &DeciderHandle,
        health: &HealthMonitor,
        channel: Option<&str>,
        duration: Option<Duration>,
    ) -> Result<Value, String> {
        self.change(decider, health, channel, move |now, decider, room| decider.pause(now, room, duration))
            .await
    }

    /// Lets the bot speak again in one room or all. The answer is what is still paused.
    ///
    /// # Errors
    /// When there is no such room, or the service is stopping.
    pub async fn resume(
        &self,
        decider: &DeciderHandle,
        health: &HealthMonitor,
        channel: Option<&str>,
    ) -> Result<Value, String> {
        self.change(decider, health, channel, |_, decider, room| decider.resume(room)).await
    }

    /// The rooms of that name: as it is written, as a token, or with its domain.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(&self, name: &str) -> Result<Vec<RoomName>, String> {
        let rooms: Vec<RoomName> = self.rooms.iter().filter(|room| room.is_called(name)).cloned().collect();
        if rooms.is_empty() {
            let known: Vec<String> = self.rooms.iter().map(ToString::to_string).collect();
            return Err(format!("Channel not found: {name:.100}; there are: {}", known.join(", ")));
        }
        Ok(rooms)
    }

    async fn change(
        &self,
        decider: &DeciderHandle,
        health: &HealthMonitor,
        channel: Option<&str>,
        make: impl Fn(Moment, &mut Decider, &RoomName) + Send + 'static,
    ) -> Result<Value, String> {
        let rooms = channel.map_or_else(|| Ok(self.rooms.clone()), |channel| self.named(channel))?;
        let changed = decider.operate(move |now, decider, _| {
            rooms.iter().for_each(|room| make(now, decider, room));
            (now, paused(now, decider))
        });
        let (now, paused) = changed.await.ok_or("The service is stopping")?;
        tell(health, &paused);
        unreadable(health, now, None);
        let mut answer = in_words(now, &paused);
        let (file, saved) = (self.file.clone(), to_save(now, &paused));
        let written = spawn_blocking(move || file.write(&saved)).await;
        if let Err(error) = written.map_err(std::io::Error::other).flatten() {
            warn!(file = %self.file.path().display(), %error, "which rooms are paused can't be written down");
            answer["warning"] = json!("this could not be written down; a restart forgets it");
        }
        Ok(answer)
    }
}

fn paused(now: Moment, decider: &Decider) -> Vec<Paused> {
    let mut paused: Vec<Paused> = decider.paused(now).map(|(room, pause)| (room.clone(), pause)).collect();
    paused.sort_by_key(|(room, _)| room.to_string());
    paused
}

fn tell(health: &HealthMonitor, paused: &[Paused]) {
    let room = |(room, pause): &Paused| PausedRoom {
        channel: room.channel().to_owned(),
        until: match pause {
            Pause::Until(end) => Some(*end),
            Pause::Off | Pause::Open => None,
        },
    };
    health.paused(paused.iter().map(room).collect());
}

/// Nobody knows which rooms should be silent, or it is known again.
fn unreadable(health: &HealthMonitor, now: Moment, why: Option<String>) {
    health.condition(now, Component::Config, "pauses", why, None);
}

fn in_words(now: Moment, paused: &[Paused]) -> Value {
    let entry = |(room, pause): &Paused| documents::pause(room.channel(), until(now, *pause));
    json!({"paused": paused.iter().map(entry).collect::<Vec<_>>()})
}

fn to_save(now: Moment, paused: &[Paused]) -> Vec<Saved> {
    let saved = |(room, pause): &Paused| Saved {
        domain: room.domain().to_owned(),
        channel: room.channel().to_owned(),
        // Rather a moment too long than too short.
        until: until(now, *pause).map(|until| until.timestamp().saturating_add(1)),
    };
    paused.iter().map(saved).collect()
}

/// When a pause ends on the wall clock; none when it has no end.
pub fn until(now: Moment, pause: Pause) -> Option<DateTime<Utc>> {
    let Pause::Until(end) = pause else { return None };
    let left = TimeDelta::from_std(end.saturating_sub(now.elapsed)).ok()?;
    now.wall.checked_add_signed(left)
}

/// The pauses of known rooms that still last, and for how long. A room is known in any spelling that
/// is the same in subjects, so that one whose case was changed stays silent.
fn lasting(
    wall: DateTime<Utc>,
    rooms: &[RoomName],
    saved: Vec<Saved>,
) -> impl Iterator<Item = (RoomName, Option<Duration>)> {
    saved.into_iter().filter_map(move |Saved { domain, channel, until }| {
        let token = names::token(&channel).ok()?;
        let is_it = |room: &&RoomName| room.domain().eq_ignore_ascii_case(&domain) && room.token() == token;
        let room = rooms.iter().find(is_it)?.clone();
        match until {
            None => Some((room, None)),
            Some(until) => {
                let left = DateTime::from_timestamp(until, 0)? - wall;
                Some((room, Some(left.to_std().ok().filter(|left| !left.is_zero())?)))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::{OneRoom, at, start};

    fn room(channel: &str) -> RoomName {
        RoomName::new("cytu.be", channel).expect("a room")
    }

    #[test]
    fn a_room_is_found_by_name_token_or_with_its_domain() {
        let rooms =
            vec![room("Movie Night"), RoomName::new("other.tv", "movie-night").expect("a room"), room("B")];
        let pauses = Pauses::new(rooms, Path::new("/nowhere"));
        for (name, expected) in [
            ("Movie Night", 2),
            ("MOVIE-NIGHT", 2),
            ("cytu.be/Movie Night", 1),
            ("other.tv/movie-night", 1),
            ("b", 1),
        ] {
            assert_eq!(pauses.named(name).map(|rooms| rooms.len()), Ok(expected), "{name}");
        }
        for name in ["c", "", "?"] {
            let error = pauses.named(name).expect_err("no such room");
            assert!(error.starts_with("Channel not found: "), "{error}");
        }
    }

    #[test]
    fn what_was_written_down_is_paused_again_for_what_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut before = OneRoom::new(json!({}));
        let health = HealthMonitor::new(at(0.0), [], []);
        let pauses = Pauses::new(vec![before.room.clone()], folder.path());
        before.decider.pause(at(5.0), &before.room, Some(Duration::from_secs(60)));
        let saved = to_save(at(5.0), &paused(at(5.0), &before.decider));
        pauses.file.write(&saved).expect("written");
        assert_eq!(
            in_words(at(5.0), &paused(at(5.0), &before.decider)),
            json!({"paused": [{"channel": "MovieNight", "until": iso_at(65.0)}]})
        );

        let mut after = OneRoom::new(json!({}));
        // A minute later by the wall clock than the pause, but the service has just started.
        let now = Moment { elapsed: Duration::from_secs(1), wall: at(35.0).wall };
        pauses.restore(now, &mut after.decider, &health);
        let ends = Pause::Until(Duration::from_secs(32));
        assert_eq!(paused(now, &after.decider), [(after.room.clone(), ends)]);
        assert_eq!(lasting(at(66.0).wall, &pauses.rooms, saved).count(), 0, "it is over");
    }

    #[test]
    fn a_pause_without_end_or_of_an_unknown_room_and_a_broken_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut one = OneRoom::new(json!({}));
        let health = HealthMonitor::new(at(0.0), [], []);
        let pauses = Pauses::new(vec![one.room.clone()], folder.path());
        let saved = json!([
            {"domain": "Cytu.be", "channel": "movienight"}, {"domain": "cytu.be", "channel": "Gone"}
        ]);
        pauses.file.write(&saved).expect("written");
        pauses.restore(at(1.0), &mut one.decider, &health);
        assert_eq!(paused(at(1.0), &one.decider), [(one.room.clone(), Pause::Open)]);

        std::fs::write(pauses.file.path(), "{").expect("written");
        let mut one = OneRoom::new(json!({}));
        pauses.restore(at(1.0), &mut one.decider, &health);
        assert_eq!(paused(at(1.0), &one.decider), []);
        let aside = folder.path().join("pauses.broken");
        assert_eq!(std::fs::read_to_string(aside).expect("set aside"), "{");
        let snapshot = health.snapshot(at(1.0));
        let why = snapshot.unhealthy(Component::Config).unwrap_or_default();
        assert!(why.contains("which rooms were paused can't be read"), "{why}");
    }

    fn iso_at(seconds: f64) -> String {
        crate::clock::iso(
            start() + TimeDelta::from_std(Duration::from_secs_f64(seconds)).expect("a time span"),
        )
    }
}
