//! The one task that writes the history's file.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::warn;

use super::store::{Entry, Store, StoreError};
use super::{Losses, WAITING};
use crate::clock::Clock;
use crate::health::{Component, HealthMonitor};
use crate::seldom::Seldom;

/// What could not be written is tried again with what comes next: so much of it, the latest.
const KEPT_TO_TRY_AGAIN: usize = 1024;
/// A write that has not returned for so long is told: the disk hangs.
const HANGS_AFTER: Duration = Duration::from_secs(10);

/// The task that writes. See [`Writer::run`].
#[derive(Debug)]
pub struct Writer {
    clock: Clock,
    store: Store,
    waiting: mpsc::Receiver<Entry>,
    told: Told,
}

impl Writer {
    pub(super) fn new(
        clock: Clock,
        health: HealthMonitor,
        store: Store,
        waiting: mpsc::Receiver<Entry>,
        losses: Arc<Losses>,
    ) -> Self {
        let told = Told { clock, health, losses, warnings: Seldom::default() };
        Self { clock, store, waiting, told }
    }

    /// Writes until the recorder is gone and all is written. The file is not opened before there is something
    /// to write: the start of the service has other things to do.
    pub async fn run(mut self) {
        let mut batch: Vec<Entry> = Vec::new();
        while self.waiting.recv_many(&mut batch, WAITING).await > 0 {
            let (mut store, now) = (self.store, self.clock.now());
            let write = move || {
                let result = store.write(now, &batch);
                (store, batch, result)
            };
            let Some((returned, written, result)) = self.told.end_of(spawn_blocking(write)).await else {
                return;
            };
            (self.store, batch) = (returned, written);
            match &result {
                Ok(()) => batch.clear(),
                Err(_) => _ = batch.drain(..batch.len().saturating_sub(KEPT_TO_TRY_AGAIN)),
            }
            self.told.written(self.store.path(), result);
        }
    }
}

/// Tells health and the log how writing goes.
#[derive(Debug)]
struct Told {
    clock: Clock,
    health: HealthMonitor,
    losses: Arc<Losses>,
    /// Tells that the file can't be written.
    warnings: Seldom,
}

impl Told {
    /// Waits for a write to return, however long that takes: a file system that hangs holds up nobody else.
    /// None when it panicked.
    async fn end_of<T>(&self, mut write: JoinHandle<T>) -> Option<T> {
        let ended = match timeout(HANGS_AFTER, &mut write).await {
            Ok(ended) => ended,
            Err(_) => {
                let failure = format!("a write has not returned for {} s", HANGS_AFTER.as_secs());
                warn!(failure, "the history is not kept; nothing else depends on it");
                self.condition(Some(failure));
                write.await
            }
        };
        if ended.is_err() {
            self.losses.failures.fetch_add(1, Ordering::Relaxed);
            warn!("writing the history panicked; this is a bug, please report it");
            self.condition(Some("writing panicked; none is kept until the next start".to_owned()));
        }
        ended.ok()
    }

    /// A write has returned.
    fn written(&mut self, path: &Path, result: Result<(), StoreError>) {
        let failure = result.err().map(|error| format!("the last write failed: {error}"));
        if let Some(failure) = &failure {
            self.losses.failures.fetch_add(1, Ordering::Relaxed);
            if self.warnings.is_due(self.clock.now().elapsed) {
                warn!(path = %path.display(), failure, "the history is not kept; nothing else depends on it");
            }
        }
        self.condition(failure);
    }

    fn condition(&self, failure: Option<String>) {
        self.health.condition(self.clock.now(), Component::History, "writing", failure, None);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn told() -> Told {
        let clock = Clock::start();
        let health = HealthMonitor::new(clock.now(), [], std::iter::empty::<Component>());
        Told { clock, health, losses: Arc::default(), warnings: Seldom::default() }
    }

    fn unhealthy(told: &Told) -> Option<String> {
        let components = told.health.snapshot(told.clock.now()).components;
        components.into_iter().find(|known| known.component == Component::History)?.unhealthy
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_hangs_is_told_until_one_returns() {
        let mut told = told();
        let (returns, returned) = oneshot::channel();
        let write = tokio::spawn(async move { returned.await.ok() });
        let watch = async {
            tokio::time::sleep(HANGS_AFTER - Duration::from_millis(1)).await;
            let before = unhealthy(&told);
            tokio::time::sleep(Duration::from_millis(2)).await;
            let after = unhealthy(&told);
            returns.send("written").expect("it is waited for");
            (before, after)
        };
        let (ended, watched) = tokio::join!(told.end_of(write), watch);
        assert_eq!(watched, (None, Some("a write has not returned for 10 s".to_owned())));
        assert_eq!(ended, Some(Some("written")));
        told.written(Path::new("history.db"), Ok(()));
        assert_eq!(unhealthy(&told), None);
    }

    #[tokio::test]
    async fn a_write_that_panics_is_told() {
        let told = told();
        let write = tokio::spawn(async { panic!("as a test") });
        assert_eq!(told.end_of::<()>(write).await, None);
        assert!(unhealthy(&told).is_some_and(|why| why.contains("panicked")), "{:?}", unhealthy(&told));
    }
}
