//! The one task that writes the history's file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::{error, warn};

use super::store::{Entry, Store, StoreError};
use super::{Losses, WAITING};
use crate::clock::Clock;
use crate::health::{Component, HealthMonitor};
use crate::seldom::Seldom;

/// What could not be written is tried again with what comes next: so much of it, the latest.
const KEPT_TO_TRY_AGAIN: usize = 1024;
/// A write that has not returned for so long is told: the disk hangs.
const HANGS_AFTER: Duration = Duration::from_secs(10);
const HANGS: &str = "a write takes more than 10 s";

/// The task that writes. See [`Writer::run`].
#[derive(Debug)]
pub struct Writer {
    store: Store,
    waiting: mpsc::Receiver<Entry>,
    teller: Teller,
}

impl Writer {
    pub(super) fn new(
        clock: Clock,
        health: HealthMonitor,
        store: Store,
        waiting: mpsc::Receiver<Entry>,
        losses: Arc<Losses>,
    ) -> Self {
        let path = store.path().to_owned();
        let teller = Teller { clock, health, path, losses, warnings: Seldom::default(), hangs: false };
        Self { store, waiting, teller }
    }

    /// Writes until the recorder is gone and all is written. The file is not opened before there is something
    /// to write: the start of the service has other things to do.
    pub async fn run(mut self) {
        let mut batch: Vec<Entry> = Vec::new();
        while self.waiting.recv_many(&mut batch, WAITING).await > 0 {
            let (mut store, now, count) = (self.store, self.teller.clock.now(), batch.len());
            let write = move || {
                let result = store.write(now, &batch);
                (store, batch, result)
            };
            let Some((returned, written, result)) = self.teller.end_of(spawn_blocking(write), count).await
            else {
                return;
            };
            (self.store, batch) = (returned, written);
            match &result {
                Ok(()) => batch.clear(),
                Err(_) => _ = batch.drain(..batch.len().saturating_sub(KEPT_TO_TRY_AGAIN)),
            }
            self.teller.written(result);
        }
    }
}

/// Tells health and the log how writing goes.
#[derive(Debug)]
struct Teller {
    clock: Clock,
    health: HealthMonitor,
    path: PathBuf,
    losses: Arc<Losses>,
    /// Tells that the file can't be written.
    warnings: Seldom,
    /// Whether the latest write took, or takes, so long that it counts as hanging.
    hangs: bool,
}

impl Teller {
    /// Waits for a write of `count` entries to return, however long that takes: a file system that hangs holds
    /// up nobody else. None when it panicked.
    async fn end_of<T>(&mut self, mut write: JoinHandle<T>, count: usize) -> Option<T> {
        let in_time = timeout(HANGS_AFTER, &mut write).await;
        self.hangs = in_time.is_err();
        let ended = match in_time {
            Ok(ended) => ended,
            Err(_) => {
                self.warn(HANGS);
                self.condition(Some(HANGS.to_owned()));
                write.await
            }
        };
        if ended.is_err() {
            self.losses.failures.fetch_add(1, Ordering::Relaxed);
            self.losses.lost.fetch_add(count as u64, Ordering::Relaxed);
            error!("writing the history panicked; this is a bug, please report it");
            self.condition(Some("writing panicked; none is kept until the next start".to_owned()));
        }
        ended.ok()
    }

    /// A write has returned. One that took too long does not end what was told: the next one may.
    fn written(&mut self, result: Result<(), StoreError>) {
        let failure = match result {
            Ok(()) => self.hangs.then(|| HANGS.to_owned()),
            Err(error) => {
                let failure = format!("the last write failed: {error}");
                self.losses.failures.fetch_add(1, Ordering::Relaxed);
                self.warn(&failure);
                Some(failure)
            }
        };
        self.condition(failure);
    }

    fn warn(&mut self, failure: &str) {
        if self.warnings.is_due(self.clock.now().elapsed) {
            warn!(path = %self.path.display(), failure, "the history is not kept; nothing else depends on it");
        }
    }

    fn condition(&self, failure: Option<String>) {
        self.health.condition(self.clock.now(), Component::History, "writing", failure, None);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn teller() -> Teller {
        let clock = Clock::start();
        let health = HealthMonitor::new(clock.now(), [], std::iter::empty::<Component>());
        let (path, warnings) = (PathBuf::new(), Seldom::default());
        Teller { clock, health, path, losses: Arc::default(), warnings, hangs: false }
    }

    fn unhealthy(health: &HealthMonitor, clock: Clock) -> Option<String> {
        let components = health.snapshot(clock.now()).components;
        components.into_iter().find(|known| known.component == Component::History)?.unhealthy
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_hangs_is_told_until_one_returns_in_time() {
        let mut teller = teller();
        let (clock, health) = (teller.clock, teller.health.clone());
        let (returns, returned) = oneshot::channel();
        let write = tokio::spawn(async move { returned.await.ok() });
        let watch = async {
            tokio::time::sleep(HANGS_AFTER - Duration::from_millis(1)).await;
            let before = unhealthy(&health, clock);
            tokio::time::sleep(Duration::from_millis(2)).await;
            let after = unhealthy(&health, clock);
            returns.send("written").expect("it is waited for");
            (before, after)
        };
        let (ended, watched) = tokio::join!(teller.end_of(write, 1), watch);
        assert_eq!(watched, (None, Some(HANGS.to_owned())));
        assert_eq!(ended, Some(Some("written")));
        teller.written(Ok(()));
        assert_eq!(unhealthy(&health, clock).as_deref(), Some(HANGS), "the next one may take as long");
        assert_eq!(teller.end_of(tokio::spawn(async {}), 1).await, Some(()));
        teller.written(Ok(()));
        assert_eq!(unhealthy(&health, clock), None);
    }

    #[tokio::test]
    async fn a_write_that_panics_is_told_and_counted() {
        let mut teller = teller();
        let write = tokio::spawn(async { panic!("as a test") });
        assert_eq!(teller.end_of::<()>(write, 7).await, None);
        let unhealthy = unhealthy(&teller.health, teller.clock);
        assert!(unhealthy.as_ref().is_some_and(|why| why.contains("panicked")), "{unhealthy:?}");
        let counted =
            [&teller.losses.failures, &teller.losses.lost].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(counted, [1, 7]);
    }
}
