//! The one task that writes the history's file.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::{error, warn};

use super::WAITING;
use super::losses::{LossTeller, Losses};
use super::store::{Entry, Store, StoreError};
use crate::clock::Clock;
use crate::health::{Component, HealthMonitor};
use crate::seldom::Seldom;

/// What could not be written is tried again with what comes next: so much of it, the latest. The rest is lost.
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
        Self { store, waiting, teller: Teller::new(clock, health, path, losses) }
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
                self.waiting.close();
                return self
                    .teller
                    .lose(self.waiting.len(), "nobody writes it any more until the next start");
            };
            (self.store, batch) = (returned, written);
            match &result {
                Ok(()) => batch.clear(),
                Err(_) => self.teller.lose(keep_to_try_again(&mut batch), "it can't be written for so long"),
            }
            self.teller.written(result);
        }
        self.teller.lose(batch.len(), "it could not be written up to the end");
        // SQLite puts its log in order and waits for the disk as it closes.
        self.teller.end_of(spawn_blocking(move || drop(self.store)), 0).await;
    }
}

/// Leaves what is worth another try: of one and the same minute the newest, which holds all that the others do,
/// and only so much in all. Returns how much is lost by that.
fn keep_to_try_again(batch: &mut Vec<Entry>) -> usize {
    let mut is_newer_there = HashSet::new();
    batch.reverse();
    batch.retain(|entry| match entry {
        Entry::Minute(minute) => is_newer_there.insert((minute.at, minute.part)),
        Entry::Start(_) | Entry::News(_) => true,
    });
    batch.reverse();
    let lost = batch.len().saturating_sub(KEPT_TO_TRY_AGAIN);
    batch.drain(..lost);
    lost
}

/// Tells health and the log how writing goes.
#[derive(Debug)]
struct Teller {
    clock: Clock,
    health: HealthMonitor,
    path: PathBuf,
    losses: LossTeller,
    /// Tells that the file can't be written.
    warnings: Seldom,
    /// Whether the latest write took, or takes, so long that it counts as hanging.
    hangs: bool,
}

impl Teller {
    fn new(clock: Clock, health: HealthMonitor, path: PathBuf, losses: Arc<Losses>) -> Self {
        let losses = LossTeller::new(losses);
        Self { clock, health, path, losses, warnings: Seldom::default(), hangs: false }
    }

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
            self.losses.write_failed();
            self.lose(count, "writing it panicked");
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
                self.losses.write_failed();
                self.warn(&failure);
                Some(failure)
            }
        };
        self.condition(failure);
    }

    fn lose(&mut self, count: usize, why: &str) {
        self.losses.lose(self.clock.now().elapsed, count as u64, why);
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
    use std::pin::pin;
    use std::sync::atomic::Ordering;

    use futures_util::FutureExt;
    use tokio::runtime::Builder;
    use tokio::sync::oneshot;

    use super::*;
    use crate::health::State;
    use crate::history::minute::{Figures, Minute};

    fn teller() -> Teller {
        let clock = Clock::start();
        let health = HealthMonitor::new(clock.now(), [], std::iter::empty::<Component>());
        Teller::new(clock, health, PathBuf::new(), Arc::default())
    }

    fn counted(losses: &Losses) -> [u64; 2] {
        [&losses.failures, &losses.lost].map(|count| count.load(Ordering::Relaxed))
    }

    fn minute(at: i64, part: i64, messages: u64) -> Entry {
        let figures = Figures { messages, ..Figures::default() };
        Entry::Minute(Minute { at, part, state: State::Healthy, figures })
    }

    /// When, which part, and how many messages.
    fn minutes(entries: &[Entry]) -> Vec<(i64, i64, u64)> {
        let minutes = entries.iter().map(|entry| match entry {
            Entry::Minute(minute) => (minute.at, minute.part, minute.figures.messages),
            other => panic!("no minute: {other:?}"),
        });
        minutes.collect()
    }

    fn unhealthy(health: &HealthMonitor, clock: Clock) -> Option<String> {
        health.snapshot(clock.now()).unhealthy(Component::History).map(str::to_owned)
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
        let losses = Arc::new(Losses::default());
        let mut teller = Teller { losses: LossTeller::new(losses.clone()), ..teller() };
        let write = tokio::spawn(async { panic!("as a test") });
        assert_eq!(teller.end_of::<()>(write, 7).await, None);
        let unhealthy = unhealthy(&teller.health, teller.clock);
        assert!(unhealthy.as_ref().is_some_and(|why| why.contains("panicked")), "{unhealthy:?}");
        assert_eq!(counted(&losses), [1, 7]);
    }

    #[test]
    fn of_what_could_not_be_written_each_minute_is_kept_once_as_it_was_last() {
        let parts = [(60, 1, 3), (120, 1, 1), (60, 1, 5), (60, 2, 2), (120, 1, 4)];
        let mut batch = vec![Entry::Start(Clock::start().now())];
        batch.extend(parts.map(|(at, part, messages)| minute(at, part, messages)));
        assert_eq!(keep_to_try_again(&mut batch), 0, "none of that is lost");
        assert!(matches!(batch[0], Entry::Start(_)), "{batch:?}");
        assert_eq!(minutes(&batch[1..]), [(60, 1, 5), (60, 2, 2), (120, 1, 4)]);
    }

    #[test]
    fn of_too_much_that_could_not_be_written_the_latest_is_kept_and_the_rest_counted() {
        let mut batch: Vec<Entry> = (0..1_100).flat_map(|at| [minute(at, 1, 1), minute(at, 1, 2)]).collect();
        assert_eq!(keep_to_try_again(&mut batch), 76);
        let kept: Vec<_> = (76..1_100).map(|at| (at, 1, 2)).collect();
        assert_eq!(minutes(&batch), kept);
    }

    #[test]
    fn the_file_is_closed_on_a_thread_that_may_block() {
        let runtime = Builder::new_current_thread().enable_time().max_blocking_threads(1).build();
        runtime.expect("a runtime").block_on(async {
            let (release, released) = std::sync::mpsc::channel::<()>();
            // The only such thread is busy.
            let busy = spawn_blocking(move || released.recv().is_ok());
            let (clock, health) = (Clock::start(), teller().health);
            let store = Store::new(PathBuf::new(), Duration::from_secs(86_400), 1 << 20);
            let (_, nothing) = mpsc::channel(1);
            let mut writing = pin!(Writer::new(clock, health, store, nothing, Arc::default()).run());
            assert_eq!(writing.as_mut().now_or_never(), None);
            release.send(()).expect("it is waited for");
            writing.await;
            assert!(busy.await.expect("no panic"));
        });
    }

    #[tokio::test]
    async fn a_file_that_can_never_be_written_costs_every_entry_and_each_is_counted_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, losses) = (Clock::start(), Arc::new(Losses::default()));
        let health = HealthMonitor::new(clock.now(), [], std::iter::empty::<Component>());
        let store = Store::new(folder.path().to_owned(), Duration::from_secs(86_400), 1 << 20);
        let (entries, waiting) = mpsc::channel(WAITING);
        let writer = Writer::new(clock, health, store, waiting, losses.clone());
        let fill = async move {
            for at in 0..1_100 {
                entries.send(minute(at, 1, 1)).await.expect("somebody writes");
            }
        };
        tokio::join!(writer.run(), fill);
        let [failures, lost] = counted(&losses);
        assert_eq!((failures > 1, lost), (true, 1_100));
    }
}
