//! A list that only grows and that one can wait on: log lines, messages, requests, lines said.

use std::fmt::{self, Display, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Error, Result};

/// How many of the latest entries an error shows.
const SHOWN: usize = 12;

/// A shared, growing list. Cloning it gives another handle on the same list.
#[derive(Debug)]
pub struct Journal<T> {
    entries: Arc<Mutex<Vec<T>>>,
    length: watch::Sender<usize>,
}

/// A place in a journal: what came after it is `since` it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

impl Mark {
    /// The beginning of every journal.
    pub const START: Mark = Mark(0);
}

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Journal { entries: self.entries.clone(), length: self.length.clone() }
    }
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Journal { entries: Arc::default(), length: watch::Sender::new(0) }
    }
}

impl<T: Clone + Display> Journal<T> {
    fn entries(&self) -> MutexGuard<'_, Vec<T>> {
        // A story that panicked must not hide what was recorded.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry and wakes whoever waits.
    pub fn push(&self, entry: T) {
        let mut entries = self.entries();
        entries.push(entry);
        self.length.send_replace(entries.len());
    }

    /// The place behind the latest entry.
    pub fn mark(&self) -> Mark {
        Mark(self.entries().len())
    }

    /// All entries behind `mark`, oldest first.
    pub fn since(&self, mark: Mark) -> Vec<T> {
        self.entries().get(mark.0..).unwrap_or_default().to_vec()
    }

    /// All entries, oldest first.
    pub fn all(&self) -> Vec<T> {
        self.since(Mark::START)
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.entries().len()
    }

    /// The first entry behind `mark` that `wanted` accepts, waiting for it at most `deadline`.
    ///
    /// # Errors
    /// When none came in time: names `what` and shows the latest entries behind `mark`.
    pub async fn wait_since(
        &self,
        mark: Mark,
        what: impl Display,
        deadline: Duration,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<T> {
        let mut next = mark;
        let search = async {
            let mut length = self.length.subscribe();
            loop {
                length.borrow_and_update();
                for entry in self.since(next) {
                    next = Mark(next.0 + 1);
                    if wanted(&entry) {
                        return entry;
                    }
                }
                // The sender lives in `self`, so this ends only with a new entry.
                let _ = length.changed().await;
            }
        };
        match tokio::time::timeout(deadline, search).await {
            Ok(entry) => Ok(entry),
            Err(_) => Err(self.missed(mark, what, deadline)),
        }
    }

    /// The first entry of all that `wanted` accepts; see [`Journal::wait_since`].
    pub async fn wait(
        &self,
        what: impl Display,
        deadline: Duration,
        wanted: impl FnMut(&T) -> bool,
    ) -> Result<T> {
        self.wait_since(Mark::START, what, deadline, wanted).await
    }

    /// The error of a wait that ended without its entry.
    pub(crate) fn missed(&self, mark: Mark, what: impl Display, deadline: Duration) -> Error {
        let seen = self.since(mark);
        let mut message = format!("waited {deadline:?} for {what}: it did not come.");
        if seen.is_empty() {
            message.push_str(" Nothing at all was seen instead.");
        } else {
            let _ = write!(message, " {} seen instead, the latest:", seen.len());
            for entry in seen.iter().skip(seen.len().saturating_sub(SHOWN)) {
                let _ = write!(message, "\n  {}", Shortened(entry));
            }
        }
        Error::new(message)
    }
}

/// Keeps one entry of an error on one readable line.
struct Shortened<'a, T>(&'a T);

impl<T: Display> Display for Shortened<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 400;
        let text = self.0.to_string();
        match text.char_indices().nth(MOST) {
            Some((cut, _)) => write!(formatter, "{}… ({} bytes)", &text[..cut], text.len()),
            None => formatter.write_str(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_wait_finds_what_was_there_before_and_what_comes_later() -> Result {
        let journal = Journal::default();
        journal.push("early".to_owned());
        assert_eq!(journal.wait("early", SOON, |entry| entry == "early").await?, "early");
        let later = journal.clone();
        let writer = async { later.push("late".to_owned()) };
        // The wait is polled first.
        let (found, ()) = tokio::join!(journal.wait("late", SOON, |entry| entry == "late"), writer);
        assert_eq!(found?, "late");
        Ok(())
    }

    #[tokio::test]
    async fn a_wait_in_vain_says_what_it_wanted_and_what_it_saw() {
        let journal = Journal::default();
        journal.push("before the mark".to_owned());
        let mark = journal.mark();
        journal.push("something else".to_owned());
        let deadline = Duration::from_millis(5);
        let error = journal.wait_since(mark, "a beat", deadline, |_| false).await.unwrap_err().to_string();
        assert!(error.contains("waited 5ms for a beat"), "{error}");
        assert!(error.contains("something else"), "{error}");
        assert!(!error.contains("before the mark"), "{error}");
    }
}
