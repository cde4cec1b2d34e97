//! Deciders for the tests of those who ask them.

use tokio::sync::mpsc;

use super::handle::{DeciderHandle, Note};
use crate::chat::decide::Decider;
use crate::chat::decisions::Decisions;
use crate::clock::{Clock, Moment};

/// What was told to a decider that is not there.
pub struct Unanswered(mpsc::Receiver<Note>);

impl Unanswered {
    /// How many notes wait.
    pub fn waiting(&self) -> usize {
        self.0.len()
    }

    /// Loses what waits.
    pub fn drop_all(&mut self) {
        while self.0.try_recv().is_ok() {}
    }

    /// Waits for a note, and answers this one question as this decider would.
    pub async fn answer(&mut self, now: Moment, decider: &mut Decider) {
        if let Some(Note::Operate(operation)) = self.0.recv().await {
            operation(now, decider, &mut Decisions::default());
        }
    }

    /// Waits for a note, and loses it.
    pub async fn come(&mut self) {
        let _ = self.0.recv().await;
    }
}

impl DeciderHandle {
    /// Nobody answers.
    pub fn unanswered() -> (Self, Unanswered) {
        let (handle, notes, _) = Self::new();
        (handle, Unanswered(notes))
    }

    /// This decider answers, and does nothing else. Ends with its runtime.
    pub fn answering(clock: Clock, mut decider: Decider, mut decisions: Decisions) -> Self {
        let (handle, mut notes, paused) = Self::new();
        tokio::spawn(async move {
            let _paused = paused;
            while let Some(note) = notes.recv().await {
                if let Note::Operate(operation) = note {
                    operation(clock.now(), &mut decider, &mut decisions);
                }
            }
        });
        handle
    }
}
