//! The one task that writes the history's file.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::store::{Entry, Store};
use super::{Losses, WAITING};
use crate::clock::Clock;
use crate::health::{Component, HealthMonitor};
use crate::seldom::Seldom;

/// What could not be written is tried again with what comes next: so much of it, the latest.
const KEPT_TO_TRY_AGAIN: usize = 1024;

/// The task that writes. See [`Writer::run`].
#[derive(Debug)]
pub struct Writer {
    clock: Clock,
    health: HealthMonitor,
    store: Store,
    waiting: mpsc::Receiver<Entry>,
    losses: Arc<Losses>,
    /// Tells that the file can't be written.
    warnings: Seldom,
}

impl Writer {
    pub(super) fn new(
        clock: Clock,
        health: HealthMonitor,
        store: Store,
        waiting: mpsc::Receiver<Entry>,
        losses: Arc<Losses>,
    ) -> Self {
        Self { clock, health, store, waiting, losses, warnings: Seldom::default() }
    }

    /// Writes until the recorder is gone and all is written. The file is not opened before there is something
    /// to write: the start of the service has other things to do.
    pub async fn run(mut self) {
        let mut batch: Vec<Entry> = Vec::new();
        while self.waiting.recv_many(&mut batch, WAITING).await > 0 {
            let (mut store, now) = (self.store, self.clock.now().wall);
            // A file system that hangs holds up this task alone.
            let write = move || {
                let result = store.write(now, &batch);
                (store, batch, result)
            };
            let Ok((returned, written, result)) = spawn_blocking(write).await else {
                warn!("writing the history panicked; this is a bug, please report it");
                return;
            };
            (self.store, batch) = (returned, written);
            let failure = result.err().map(|error| format!("the last write failed: {error}"));
            match &failure {
                None => batch.clear(),
                Some(failure) => {
                    self.losses.failures.fetch_add(1, Ordering::Relaxed);
                    batch.drain(..batch.len().saturating_sub(KEPT_TO_TRY_AGAIN));
                    if self.warnings.is_due(self.clock.now().elapsed) {
                        let path = self.store.path().display();
                        warn!(%path, failure, "the history is not kept; nothing else depends on it");
                    }
                }
            }
            self.health.condition(self.clock.now(), Component::History, "writing", failure, None);
        }
    }
}
