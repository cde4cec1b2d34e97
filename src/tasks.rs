//! The service's long-lived tasks. None is detached: each has a name and is waited for.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{error, warn};

use crate::shutdown::{Shutdown, StopReason};

/// A long-lived task.
pub struct Task<T = ()> {
    name: &'static str,
    handle: JoinHandle<Option<T>>,
}

/// Starts a long-lived task. If it panics, the service stops and says which it was; the service
/// manager starts it anew.
pub fn spawn<T: Send + 'static>(
    name: &'static str,
    shutdown: &Shutdown,
    future: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    let shutdown = shutdown.clone();
    let handle = tokio::spawn(async move {
        match AssertUnwindSafe(future).catch_unwind().await {
            Ok(output) => Some(output),
            Err(_) => {
                error!(task = name, "a task panicked; this is a bug, please report it");
                shutdown.request(StopReason::Error(format!("the task {name} panicked")));
                None
            }
        }
    });
    Task { name, handle }
}

impl<T> Task<T> {
    /// Waits for the task's end, for `patience` at most; then it is cut off, by name.
    pub async fn ended_within(mut self, patience: Duration) -> Option<T> {
        match timeout(patience, &mut self.handle).await {
            Ok(output) => output.ok().flatten(),
            Err(_) => {
                warn!(task = self.name, "still at work at the deadline: cut off");
                self.handle.abort();
                None
            }
        }
    }
}
