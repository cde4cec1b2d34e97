//! The file of the sums, and the task that writes it.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tracing::warn;

use super::{Inner, ToWriter};
use crate::chat::spend::Saved;
use crate::seldom::Seldom;
use crate::state_file::StateFile;

/// What was written down, if it can be read. A file that holds something else is put out of the way.
pub(super) fn read_or_set_aside(file: &StateFile) -> Option<Saved> {
    file.read_or_set_aside().unwrap_or_else(|error| {
        let path = file.path().display();
        warn!(%path, error, "what was spent today can't be read: counting from zero");
        None
    })
}

/// The task that writes. See [`SpendWriter::run`].
#[derive(Debug)]
pub struct SpendWriter {
    inner: Arc<Inner>,
    file: StateFile,
    wakes: mpsc::Receiver<()>,
    written: watch::Sender<u64>,
    /// Tells that the file can't be written.
    warnings: Seldom,
}

impl SpendWriter {
    /// The writer, and how it is reached.
    pub(super) fn new(inner: Arc<Inner>, file: StateFile) -> (Self, ToWriter) {
        let (wake, wakes) = mpsc::channel(1);
        let (written, progress) = watch::channel(0);
        (
            Self { inner, file, wakes, written, warnings: Seldom::default() },
            ToWriter { wake, written: progress },
        )
    }

    /// Writes whenever something has changed, all changes so far at once, until the last book is gone
    /// and everything is written.
    pub async fn run(mut self) {
        while self.wakes.recv().await.is_some() {
            let (saved, changes) = self.inner.save();
            let file = self.file.clone();
            // A file system that hangs holds up this task alone.
            match spawn_blocking(move || file.write(&saved)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.warn(&error.to_string()),
                Err(error) => self.warn(&error.to_string()),
            }
            self.written.send_replace(changes);
        }
    }

    fn warn(&mut self, error: &str) {
        if self.warnings.is_due(self.inner.clock.now().elapsed) {
            let path = self.file.path().display();
            warn!(%path, error, "what is spent can't be written down: the limits hold until the next start only");
        }
    }
}
