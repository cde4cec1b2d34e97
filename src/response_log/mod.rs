//! The response log: a line of JSON for everything that fired, with what became of it.
//!
//! Replies hand their records in and go on; one task writes. What doesn't fit into its queue, or
//! can't be written, is counted and told, and never holds up a reply.

mod file;
pub mod record;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::clock::Clock;
use crate::config::Testing as Settings;
use crate::health::{Component, HealthMonitor};
use crate::metrics::depth::Depth;
use file::LogFile;
pub use record::{Course, Record};

/// Records that may wait.
const WAITING: usize = 1024;
/// The bytes that they may take.
const WAITING_BYTES: usize = 4 * 1024 * 1024;
/// Losses are told at most this often, and shown for this long.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Takes records. Cheap to clone.
#[derive(Clone)]
pub struct ResponseLog(Option<Queue>);

#[derive(Clone)]
struct Queue {
    entries: mpsc::Sender<Entry>,
    bytes: Arc<Semaphore>,
    losses: Arc<Losses>,
}

/// A line, and the room that it takes.
struct Entry {
    line: Vec<u8>,
    _bytes: OwnedSemaphorePermit,
}

impl ResponseLog {
    /// A log that nobody wants.
    pub fn off() -> Self {
        Self(None)
    }

    /// Where records are handed in, and the task that writes them; no task when the configuration
    /// doesn't want any.
    pub fn new(settings: &Settings, clock: Clock, health: HealthMonitor) -> (Self, Option<LogWriter>) {
        if !settings.log_responses {
            return (Self::off(), None);
        }
        let (entries, received) = mpsc::channel(WAITING);
        let losses = Arc::new(Losses { clock, health, lost: AtomicU64::new(0), told: AtomicU64::new(0) });
        let bytes = Arc::new(Semaphore::new(WAITING_BYTES));
        let writer = LogWriter {
            file: LogFile::new(settings.log_file.clone()),
            entries: received,
            losses: losses.clone(),
        };
        (Self(Some(Queue { entries, bytes, losses })), Some(writer))
    }

    /// How many records wait; none of a log that nobody wants.
    pub fn depth(&self) -> Option<Depth> {
        self.0.as_ref().map(|queue| Depth::of_channel(&queue.entries))
    }

    /// Hands in a record; never waits. When the queue is full it is lost, and counted.
    pub fn write(&self, record: &Record<'_>) {
        let Some(Queue { entries, bytes, losses }) = &self.0 else { return };
        let line = record.line();
        let room = u32::try_from(line.len()).ok();
        let taken = room.and_then(|room| bytes.clone().try_acquire_many_owned(room).ok());
        let sent = taken.map(|bytes| entries.try_send(Entry { line, _bytes: bytes }));
        if !matches!(sent, Some(Ok(()))) {
            losses.overflow();
        }
    }
}

/// Counts what is lost, and tells it now and then.
struct Losses {
    clock: Clock,
    health: HealthMonitor,
    lost: AtomicU64,
    /// When it was last told, in milliseconds since start, plus one; 0 is never.
    told: AtomicU64,
}

impl Losses {
    fn overflow(&self) {
        self.lose(1, "the queue is full");
        let message = "the queue is full: records are lost".to_owned();
        self.condition("queue", Some(message), Some(TOLD_EVERY));
    }

    fn not_written(&self, records: usize, path: &Path, error: &std::io::Error) {
        let message = format!("can't write {}: {error}", path.display());
        self.lose(u64::try_from(records).unwrap_or(u64::MAX), &message);
        self.condition("writing", Some(message), None);
    }

    fn written(&self) {
        self.condition("writing", None, None);
    }

    fn lose(&self, records: u64, why: &str) {
        let lost = self.lost.fetch_add(records, Ordering::Relaxed) + records;
        let now = u64::try_from(self.clock.now().elapsed.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let pause = u64::try_from(TOLD_EVERY.as_millis()).unwrap_or(u64::MAX);
        let is_due = |told| (told == 0 || now >= told + pause).then_some(now);
        if self.told.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due).is_ok() {
            warn!(lost_since_start = lost, why, "the response log is incomplete; replies go on");
        }
    }

    fn condition(&self, key: &'static str, message: Option<String>, lasts: Option<Duration>) {
        self.health.condition(self.clock.now(), Component::ResponseLog, key, message, lasts);
    }
}

/// The task that writes. See [`LogWriter::run`].
pub struct LogWriter {
    file: LogFile,
    entries: mpsc::Receiver<Entry>,
    losses: Arc<Losses>,
}

impl LogWriter {
    /// Writes until nobody can hand anything in any more, and all is written. The file is opened at
    /// once, so that a log that can't be written is known before the first reply.
    pub async fn run(self) {
        let Self { mut file, mut entries, losses } = self;
        let mut batch: Vec<Entry> = Vec::new();
        loop {
            let lines: Vec<u8> = batch.iter().flat_map(|entry| &entry.line).copied().collect();
            let path = file.path().to_owned();
            // A file system that hangs holds up this task alone.
            let append = move || {
                let result = file.append(&lines);
                (file, result)
            };
            let Ok((returned, result)) = spawn_blocking(append).await else {
                warn!("writing the response log panicked; this is a bug, please report it");
                return;
            };
            file = returned;
            match result {
                Ok(()) => losses.written(),
                Err(error) => losses.not_written(batch.len(), &path, &error),
            }
            batch.clear();
            if entries.recv_many(&mut batch, WAITING).await == 0 {
                break;
            }
        }
        // There is nothing more that could be done about it.
        let _ = spawn_blocking(move || file.sync()).await;
    }
}

#[cfg(test)]
mod tests;
