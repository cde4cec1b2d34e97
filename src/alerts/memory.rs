//! What is open, in a file that outlives us, so that neither a restart nor a kill leaves somebody with an alert
//! that has no end.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::{info, warn};

use super::book::Open;
use crate::clock::Moment;
use crate::seldom::Seldom;
use crate::state_file::StateFile;

/// The name of the file in `state_dir`.
const FILE: &str = "alerts.json";
/// A disk that takes longer holds no alert up; what it misses is in a later write.
const PATIENCE: Duration = Duration::from_secs(1);

/// Keeps the file.
pub(super) struct Memory {
    file: StateFile,
    /// What the file holds. Without a file nothing is open.
    kept: Open,
    /// The write that is under way: one at a time.
    writing: Option<JoinHandle<io::Result<Open>>>,
    /// Tells that the file can't be written.
    warnings: Seldom,
}

impl Memory {
    /// Reads the file at once: it is small. A broken one is set aside, and nothing is open then.
    pub(super) fn read(state_dir: &Path) -> Self {
        let file = StateFile::new(state_dir, FILE);
        let read = file.read_or_set_aside();
        let kept = read.map(Option::unwrap_or_default).unwrap_or_else(|error| {
            let path = file.path().display();
            warn!(%path, error, "which alerts are open can't be read: what was told before has no end");
            Open::default()
        });
        if kept != Open::default() {
            info!("an alert was open before the start: its end will be told");
        }
        Self { file, kept, writing: None, warnings: Seldom::default() }
    }

    /// What the file holds, as far as is known.
    pub(super) fn kept(&self) -> Open {
        self.kept
    }

    /// Writes what is open, unless the file holds that. Returns when it is written or can't be, or the disk takes
    /// too long. What could not be written is tried again by the next call.
    pub(super) async fn keep(&mut self, now: Moment, open: Open) {
        if self.writing.is_none() {
            self.write(now, open).await;
        } else if !self.has_ended(now, Duration::ZERO).await {
            self.warn(now, &"its disk does not answer");
        }
    }

    /// The same at the end, when no call comes after it: a write under way is waited for first.
    pub(super) async fn finish(&mut self, now: Moment, open: Open) {
        if self.has_ended(now, PATIENCE).await {
            self.write(now, open).await;
        }
    }

    async fn write(&mut self, now: Moment, open: Open) {
        if open != self.kept {
            let file = self.file.clone();
            self.writing = Some(spawn_blocking(move || file.write(&open).map(|()| open)));
            self.has_ended(now, PATIENCE).await;
        }
    }

    /// Whether no write is under way any more, after waiting for so long.
    async fn has_ended(&mut self, now: Moment, patience: Duration) -> bool {
        let Some(writing) = &mut self.writing else { return true };
        let Ok(written) = timeout(patience, writing).await else { return false };
        self.writing = None;
        match written.map_err(io::Error::other).flatten() {
            Ok(written) => self.kept = written,
            Err(error) => self.warn(now, &error),
        }
        true
    }

    fn warn(&mut self, now: Moment, error: &dyn Display) {
        if self.warnings.is_due(now.elapsed) {
            let path = self.file.path().display();
            warn!(%path, %error, "which alerts are open can't be written down: a restart forgets them");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chrono::{DateTime, TimeDelta};

    use super::*;

    fn at(seconds: u64) -> Moment {
        let elapsed = Duration::from_secs(seconds);
        Moment { elapsed, wall: DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + elapsed }
    }

    fn degraded(at: Moment) -> Open {
        Open { degraded: Some(at.wall.timestamp_millis()), failing: None }
    }

    /// However slow the disk is.
    async fn written(memory: &mut Memory, now: Moment, open: Open) {
        while memory.kept() != open {
            memory.finish(now, open).await;
        }
    }

    #[tokio::test]
    async fn what_is_open_is_read_again_and_without_any_there_is_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut memory = Memory::read(folder.path());
        memory.keep(at(1), Open::default()).await;
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
        for open in [degraded(at(2)), Open { failing: Some(3), ..degraded(at(2)) }, Open::default()] {
            written(&mut memory, at(3), open).await;
            assert_eq!(Memory::read(folder.path()).kept(), open);
        }
        assert_eq!(fs::read_to_string(folder.path().join(FILE)).expect("the file"), "{}");
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_set_aside_and_nothing_is_open() {
        let folder = tempfile::tempdir().expect("a folder");
        for text in ["", "{", "[]]", "{\"unwell\":1}"] {
            fs::write(folder.path().join(FILE), text).expect("written");
            assert_eq!(Memory::read(folder.path()).kept(), Open::default(), "{text}");
            assert_eq!(fs::read_to_string(folder.path().join("alerts.broken")).expect("set aside"), text);
            assert!(!folder.path().join(FILE).exists(), "{text}");
        }
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let state_dir = folder.path().join("state");
        fs::write(&state_dir, "no folder").expect("written");
        let mut memory = Memory::read(&state_dir);
        for second in 1..4 {
            memory.keep(at(second), degraded(at(1))).await;
            assert_eq!(memory.kept(), Open::default());
        }
        fs::remove_file(&state_dir).expect("removed");
        written(&mut memory, at(5), degraded(at(1))).await;
        assert_eq!(Memory::read(&state_dir).kept(), degraded(at(1)));
    }

    /// A disk on which nothing ends until somebody reads there.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_disk_that_hangs_holds_one_alert_up_for_a_second_and_what_it_missed_is_written_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let hanging = folder.path().join("alerts.new");
        let made = std::process::Command::new("mkfifo").arg(&hanging).status();
        assert!(made.is_ok_and(|status| status.success()));
        let mut memory = Memory::read(folder.path());
        let first = degraded(at(1));
        let second = Open { failing: Some(2), ..first };
        let began = tokio::time::Instant::now();
        memory.keep(at(1), first).await;
        let took = began.elapsed();
        for second_later in 2..1_000 {
            memory.keep(at(second_later), second).await;
        }
        let (kept, is_told) = (memory.kept(), !memory.warnings.is_due(at(1_000).elapsed));

        // It answers, with an error for the write that it kept. Before that no assertion may end the test, for
        // it would wait for the disk.
        let aside = folder.path().join("aside");
        fs::rename(hanging, &aside).expect("renamed");
        spawn_blocking(move || fs::read(aside)).await.expect("it ends").expect("read");
        assert!(took >= PATIENCE && took < 5 * PATIENCE, "{took:?}");
        assert!(kept == Open::default() && is_told);
        written(&mut memory, at(1_000), second).await;
        assert_eq!(Memory::read(folder.path()).kept(), second);
    }
}
