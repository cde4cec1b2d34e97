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
    /// What is written down already.
    written: Memories,
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
        let Found { place, memories: written } = found;
        Self { config, bus, file, place, written, memories, warned: None, failed: None }
    }

    /// Writes whatever is new, until nobody can bring anything new any more.
    pub(super) async fn run(mut self) {
        let mut is_over = false;
        while !is_over {
            is_over = tokio::select! {
                changed = self.memories.changed() => changed.is_err(),
                () = again(&self.bus, self.failed) => false,
            };
            let wanted = self.memories.borrow_and_update().clone();
            match self.write(wanted).await {
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
        }
    }

    async fn write(&mut self, wanted: Memories) -> Result<(), String> {
        let news = wanted.into_iter().filter(|(room, memory)| self.written.get(room) != Some(memory));
        let news: Vec<(RoomName, MediaMemory)> = news.collect();
        match self.place {
            _ if news.is_empty() => Ok(()),
            Place::Bucket => {
                for (room, memory) in news {
                    let value = serde_json::to_vec(&memory).map_err(|error| error.to_string())?;
                    let written = self.bus.write_key(&self.key(&room), value, PATIENCE).await;
                    written.map_err(|error| error.to_string())?;
                    self.written.insert(room, memory);
                }
                Ok(())
            }
            Place::File => {
                let mut all = self.written.clone();
                all.extend(news);
                let by_key: BTreeMap<String, MediaMemory> =
                    all.iter().map(|(room, memory)| (self.key(room), memory.clone())).collect();
                let file = self.file.clone();
                let path = file.path().display().to_string();
                let written = blocking(move || file.write(&by_key)).await;
                written.map_err(|error| format!("{path}: {error}"))?;
                self.written = all;
                Ok(())
            }
        }
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
