//! Writing down the last film of each room, so that a restart doesn't comment on it again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::load::Found;
use super::{Memories, Place, blocking};
use crate::bus::Bus;
use crate::chat::films::MediaMemory;
use crate::config::Config;
use crate::names::RoomName;
use crate::state_file::StateFile;

/// How long JetStream may take to take one.
const PATIENCE: Duration = Duration::from_secs(2);
/// When it is tried again after a failure, if the link doesn't come back before.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// One warning in so long.
const WARN_AGAIN: Duration = Duration::from_secs(60);

pub(super) struct Keeper {
    config: Arc<Config>,
    bus: Bus,
    file: StateFile,
    place: Place,
    /// What is to be written down.
    wanted: Memories,
    /// What is written down already.
    written: Memories,
    is_left_in_file: bool,
    memories: watch::Receiver<Memories>,
    warned: Option<Instant>,
    /// When it failed, and on which connection; none when it went well.
    failed: Option<(Instant, u64)>,
}

impl Keeper {
    pub(super) fn new(
        config: Arc<Config>,
        bus: Bus,
        file: StateFile,
        found: Found,
        memories: watch::Receiver<Memories>,
    ) -> Self {
        let Found { place, memories: wanted, written, is_left_in_file } = found;
        Self {
            config,
            bus,
            file,
            place,
            wanted,
            written,
            is_left_in_file,
            memories,
            warned: None,
            failed: None,
        }
    }

    /// Writes whatever is new, until nobody can bring anything new any more.
    pub(super) async fn run(mut self) {
        let mut is_over = false;
        loop {
            self.wanted.extend(self.memories.borrow_and_update().clone());
            match self.write().await {
                Ok(()) => {
                    if self.failed.take().is_some() {
                        info!("the last film of each room is written down again");
                    }
                }
                Err(error) => {
                    self.failed = Some((Instant::now(), self.bus.link().connection));
                    if self.warned.is_none_or(|warned| warned.elapsed() >= WARN_AGAIN) || is_over {
                        self.warned = Some(Instant::now());
                        warn!(
                            place = ?self.place, error,
                            "the last film of a room can't be written down: a restart may comment on it again"
                        );
                    }
                }
            }
            if is_over {
                return;
            }
            is_over = tokio::select! {
                changed = self.memories.changed() => changed.is_err(),
                () = again(&self.bus, self.failed) => false,
            };
        }
    }

    async fn write(&mut self) -> Result<(), String> {
        let is_new = |(room, memory): &(&RoomName, &MediaMemory)| self.written.get(*room) != Some(*memory);
        let news = self.wanted.iter().filter(is_new);
        let news: Vec<(RoomName, MediaMemory)> =
            news.map(|(room, memory)| (room.clone(), memory.clone())).collect();
        match self.place {
            Place::Bucket => {
                for (room, memory) in news {
                    let value = serde_json::to_vec(&memory).map_err(|error| error.to_string())?;
                    let written = self.bus.write_key(&self.key(&room), value, PATIENCE).await;
                    written.map_err(|error| error.to_string())?;
                    self.written.insert(room, memory);
                }
                if self.is_left_in_file {
                    self.write_file(BTreeMap::new()).await?;
                    self.is_left_in_file = false;
                }
                Ok(())
            }
            Place::File if news.is_empty() => Ok(()),
            Place::File => {
                let all = self.wanted.clone();
                self.write_file(all.iter().map(|(room, memory)| (self.key(room), memory.clone())).collect())
                    .await?;
                self.written = all;
                Ok(())
            }
        }
    }

    async fn write_file(&self, by_key: BTreeMap<String, MediaMemory>) -> Result<(), String> {
        let file = self.file.clone();
        let path = file.path().display().to_string();
        blocking(move || file.write(&by_key)).await.map_err(|error| format!("{path}: {error}"))
    }

    fn key(&self, room: &RoomName) -> String {
        MediaMemory::key(&self.config.rooms, room)
    }
}

/// Waits until something that failed is to be tried again; for ever when nothing did.
async fn again(bus: &Bus, failed: Option<(Instant, u64)>) {
    let Some((at, connection)) = failed else { return std::future::pending().await };
    tokio::select! {
        () = sleep_until(at + AGAIN_AFTER) => {}
        _ = bus.up_after(connection) => {}
    }
}
