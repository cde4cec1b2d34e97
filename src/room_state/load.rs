//! Reading what is known of the rooms: from JetStream when there is one, our own part else from a
//! file.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{FutureExt, join, join_all};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::{Memories, Place, blocking};
use crate::bus::Bus;
use crate::bus::key_value::{self, BucketError, CURRENT, ITEMS, OWN_BUCKET, USERS};
use crate::chat::films::MediaMemory;
use crate::chat::stored::{self, StoredState};
use crate::clock::Clock;
use crate::config::Config;
use crate::decider::DeciderHandle;
use crate::health::cut;
use crate::names::RoomName;
use crate::state_file::StateFile;

/// How long the start may wait for all of it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longer lists are not read.
const LIST_BYTES: usize = 1 << 20;
/// Longer objects are not read.
const OBJECT_BYTES: usize = 64 << 10;
/// What is told of one thing that could not be read, and of all of them together.
const TOLD_BYTES: usize = 200;
const ALL_TOLD_BYTES: usize = 2_000;

/// What was found of ours.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Where it is written to from now on.
    pub place: Place,
    /// What is known of each room.
    pub memories: Memories,
    /// What is written down there already.
    pub written: Memories,
    /// Whether the file still holds what belongs into the bucket.
    pub is_left_in_file: bool,
}

/// One reading of everything, with a deadline.
pub(super) struct Loader<'a> {
    config: &'a Config,
    bus: &'a Bus,
    file: &'a StateFile,
    deadline: Instant,
    /// What could not be read, in words.
    unread: Mutex<Vec<String>>,
}

/// A value, and where it stood.
struct Text {
    place: String,
    bytes: Vec<u8>,
}

/// Waits for the first link, reads, and tells the decider, which takes what the rooms say from then
/// on. A link that is lost meanwhile is waited for again: nobody speaks on it either.
pub(super) async fn load(
    config: &Config,
    bus: &Bus,
    clock: Clock,
    file: &StateFile,
    decider: &DeciderHandle,
) -> Found {
    let mut connection = 0;
    loop {
        connection = bus.up_after(connection).await;
        let began = Instant::now();
        let deadline = began + PATIENCE;
        let loader = Loader { config, bus, file, deadline, unread: Mutex::default() };
        let found = loader.load(decider).await;
        let unread = loader.unread.into_inner().unwrap_or_else(PoisonError::into_inner).join("; ");
        if unread.is_empty() {
            debug!(place = ?found.place, took = ?began.elapsed(), "what is known of the rooms is read");
        } else if bus.proves(connection, clock.now().elapsed).await {
            // Requests end as soon as their connection does, before the link is told to be lost.
            let unread = cut(&unread, ALL_TOLD_BYTES);
            warn!(unread, "not all that is known of the rooms could be read: we begin without it");
        } else {
            info!("the link was lost while what is known of the rooms was read: once more");
            continue;
        }
        decider.begin().await;
        return found;
    }
}

impl Loader<'_> {
    async fn load(&self, decider: &DeciderHandle) -> Found {
        let ours = self.ours().shared();
        let rooms = self.config.rooms.iter().map(|room| async {
            let (state, ours) = join(self.theirs(room), ours.clone()).await;
            let state = StoredState { memory: ours.memories.get(room).cloned(), ..state };
            decider.state(room.clone(), state).await;
        });
        join_all(rooms).await;
        ours.await
    }

    /// What the robot of a room wrote down.
    async fn theirs(&self, room: &RoomName) -> StoredState {
        // The buckets' names say nothing of the domain.
        let is_shared =
            self.config.rooms.iter().filter(|other| other.channel() == room.channel()).count() > 1;
        if is_shared {
            self.could_not_read(&room.to_string(), &"another room has a channel of the same name");
            return StoredState::default();
        }
        let playlist = self.texts(key_value::playlist_bucket(room), &[CURRENT, ITEMS]);
        let userlist = self.texts(key_value::userlist_bucket(room), &[USERS]);
        let (mut playlist, mut userlist) = join(playlist, userlist).await;
        let (items, current) = (playlist.pop().flatten(), playlist.pop().flatten());
        let users = userlist.pop().flatten();
        StoredState {
            current: self.read(current, OBJECT_BYTES, stored::current).flatten(),
            items: self.read(items, LIST_BYTES, stored::items).unwrap_or_default(),
            users: self.read(users, LIST_BYTES, stored::users),
            memory: None,
        }
    }

    /// The values of a bucket's keys, in their order; nothing where there is no such bucket.
    async fn texts(&self, bucket: Option<String>, keys: &[&str]) -> Vec<Option<Text>> {
        let Some(bucket) = bucket else { return Vec::new() };
        let text = |(key, bytes): (&&str, Option<Vec<u8>>)| {
            bytes.map(|bytes| Text { place: format!("{bucket} {key}"), bytes })
        };
        match self.bus.read_keys(&bucket, keys, self.left()).await {
            Ok(values) => keys.iter().zip(values).map(text).collect(),
            Err(BucketError::NoBucket | BucketError::NoJetStream) => Vec::new(),
            Err(error) => {
                self.could_not_read(&bucket, &error);
                Vec::new()
            }
        }
    }

    fn read<T>(
        &self,
        text: Option<Text>,
        most_bytes: usize,
        read: fn(&[u8]) -> serde_json::Result<T>,
    ) -> Option<T> {
        let Text { place, bytes } = text?;
        if bytes.len() > most_bytes {
            self.could_not_read(&place, &format_args!("{} bytes are too many", bytes.len()));
            return None;
        }
        read(&bytes).map_err(|error| self.could_not_read(&place, &error)).ok()
    }

    /// What we wrote down ourselves. The file is emptied as soon as the bucket has what is in it, so
    /// that what it holds is the newer: from a run that could not read the bucket, or whose comments on
    /// films were switched on later.
    async fn ours(&self) -> Found {
        let rooms = &self.config.rooms;
        let keys: Vec<String> = rooms.iter().map(|room| MediaMemory::key(rooms, room)).collect();
        let in_file = self.written().await;
        let in_file = rooms
            .iter()
            .zip(&keys)
            .filter_map(|(room, key)| Some((room.clone(), MediaMemory::read(in_file.get(key)?)?)));
        let in_file: Memories = in_file.collect();
        let file_alone = Found {
            place: Place::File,
            memories: in_file.clone(),
            written: in_file.clone(),
            is_left_in_file: false,
        };
        if !self.config.media_change.enabled {
            return file_alone;
        }
        let borrowed: Vec<&str> = keys.iter().map(String::as_str).collect();
        let values = match self.bus.read_keys(OWN_BUCKET, &borrowed, self.left()).await {
            Ok(values) => values,
            Err(BucketError::NoBucket) => Vec::new(),
            Err(BucketError::NoJetStream) => return file_alone,
            Err(error) => {
                self.could_not_read(OWN_BUCKET, &error);
                return file_alone;
            }
        };
        let mut written = Memories::new();
        for ((room, key), bytes) in rooms.iter().zip(&keys).zip(values) {
            let text = bytes.map(|bytes| Text { place: format!("{OWN_BUCKET} {key}"), bytes });
            if let Some(memory) = self.read(text, OBJECT_BYTES, stored::memory).flatten() {
                written.insert(room.clone(), memory);
            }
        }
        let mut memories = written.clone();
        let is_left_in_file = !in_file.is_empty();
        memories.extend(in_file);
        Found { place: Place::Bucket, memories, written, is_left_in_file }
    }

    /// What the file holds, by key.
    async fn written(&self) -> Map<String, Value> {
        let file = self.file.clone();
        let read = timeout_at(self.deadline, blocking(move || file.read()));
        let read = read.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let place = self.file.path().display().to_string();
        read.map_err(|error| self.could_not_read(&place, &error)).ok().flatten().unwrap_or_default()
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn could_not_read(&self, place: &str, why: &dyn std::fmt::Display) {
        let told = format!("{place}: {why}").replace(char::is_control, " ");
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).push(cut(&told, TOLD_BYTES).to_owned());
    }
}
