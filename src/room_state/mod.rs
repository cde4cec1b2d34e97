//! What outlives us of the rooms: read once at the start, and our own part of it written down.

mod keep;
mod load;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::chat::films::MediaMemory;
use crate::clock::Clock;
use crate::config::Config;
use crate::decider::DeciderHandle;
use crate::names::RoomName;
use crate::state_file::StateFile;
use keep::Keeper;

/// The file in `state_dir` that stands in for JetStream.
const FILE: &str = "last_qualifying_media.json";

/// The last film of each room, as far as one is known.
type Memories = HashMap<RoomName, MediaMemory>;

/// Where our own part is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Our bucket: JetStream was there when we started, and films were to be commented on.
    Bucket,
    /// The file, also when comments on films are switched on while we run: what is in it moves to the
    /// bucket at the next start.
    File,
}

/// Tells what is to be written down. Never waits; of a room's films only the latest counts.
#[derive(Debug)]
pub struct MediaMemoryHandle(watch::Sender<Memories>);

impl MediaMemoryHandle {
    /// This is the last film of a room from now on.
    pub fn remember(&self, room: RoomName, memory: MediaMemory) {
        self.0.send_modify(|memories| drop(memories.insert(room, memory)));
    }
}

/// What the task needs.
pub struct RoomStateParts {
    /// Which rooms there are, and whether there are comments on films.
    pub config: Arc<Config>,
    /// Where JetStream is.
    pub bus: Bus,
    /// The time.
    pub clock: Clock,
    /// Who gets to know it.
    pub decider: DeciderHandle,
    /// Told when the decider knows all that can be known.
    pub loaded: watch::Sender<bool>,
    /// Ends the waiting for a first link.
    pub stop_taking: CancellationToken,
}

/// The task. See [`RoomState::run`].
pub struct RoomState {
    memories: watch::Receiver<Memories>,
}

impl RoomState {
    /// The task, and how to tell it what is to be written down.
    pub fn new() -> (Self, MediaMemoryHandle) {
        let (sender, memories) = watch::channel(Memories::new());
        (Self { memories }, MediaMemoryHandle(sender))
    }

    /// Reads when the link first comes up, then writes what is to be written down until nobody can
    /// tell it anything any more, that is, until the decider has ended.
    pub async fn run(self, parts: RoomStateParts) {
        let RoomStateParts { config, bus, clock, decider, loaded, stop_taking } = parts;
        let file = StateFile::new(&config.state_dir, FILE);
        let loading = load::load(&config, &bus, clock, &file, &decider);
        // Whoever stops before the first link has heard nothing that could be written down.
        let Some(found) = stop_taking.run_until_cancelled(loading).await else { return };
        loaded.send_replace(true);
        drop(decider);
        Keeper::new(config, bus, file, found, self.memories).run().await;
    }
}

/// Runs what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
