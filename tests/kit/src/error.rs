//! What goes wrong in a story, in words: what was awaited, and what was seen instead.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// Everything in the kit fails with an [`Error`], so that a story can be written with `?`.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// A sentence for whoever reads the failed test. `Debug` prints it as it is, because a test that
/// returns an error is shown by its `Debug` form.
pub struct Error(String);

thread_local! {
    /// Did a story on this thread fail already? Then its daemon prints what it logged when it goes.
    static FAILED: Cell<bool> = const { Cell::new(false) };
}

impl Error {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Error {
        FAILED.set(true);
        Error(message.into())
    }
}

/// True while this thread's story is failing: it panics, or one of its waits ended in an error.
pub(crate) fn story_failed() -> bool {
    std::thread::panicking() || FAILED.get()
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Puts what was being done in front of an error from elsewhere.
pub trait Context<T> {
    /// `what` is being done, e.g. "connecting to the server".
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Error::new(format!("{what}: {error}")))
    }
}

/// `future`'s value, or an error that names `what` when it takes longer than `deadline`.
pub async fn within<T>(
    deadline: Duration,
    what: impl fmt::Display,
    future: impl Future<Output = T>,
) -> Result<T> {
    match tokio::time::timeout(deadline, future).await {
        Ok(value) => Ok(value),
        Err(_) => Err(Error::new(format!("waited {deadline:?} for {what}: it did not come"))),
    }
}
