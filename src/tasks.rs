//! The service's long-lived tasks. None is detached: each has a name and is waited for.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tracing::{error, warn};

use crate::shutdown::Shutdown;

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
                shutdown.task_panicked(name);
                None
            }
        }
    });
    Task { name, handle }
}

impl<T> Task<T> {
    /// Waits for the task's end. When `too_late` comes first it is cut off, by name. None also
    /// when it panicked: [`Shutdown::panicked_task`] knows.
    pub async fn ended_before(mut self, too_late: impl Future<Output = ()>) -> Option<T> {
        tokio::select! {
            biased;
            output = &mut self.handle => output.ok().flatten(),
            () = too_late => {
                warn!(task = self.name, "still at work when its time is over: cut off");
                self.handle.abort();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::shutdown::StopReason;

    #[tokio::test]
    async fn req_007_a_task_that_panics_takes_the_service_down_with_its_name() {
        let shutdown = Shutdown::default();
        let task = spawn("intake", &shutdown, async { panic!("on purpose") });
        shutdown.stop_taking.cancelled().await;
        assert_eq!(shutdown.reason(), Some(&StopReason::Error("the task intake panicked".into())));
        assert_eq!(shutdown.panicked_task(), Some("intake"));
        assert_eq!(task.ended_before(pending()).await, None::<()>);
        assert!(!shutdown.give_up.is_cancelled(), "what is in hand is finished all the same");
    }

    #[tokio::test]
    async fn a_panic_while_stopping_keeps_the_reason_but_is_not_lost() {
        let shutdown = Shutdown::default();
        shutdown.request(StopReason::Sigterm);
        let task = spawn("outbox", &shutdown, async { panic!("on purpose") });
        assert_eq!(task.ended_before(pending()).await, None::<()>);
        assert_eq!(shutdown.reason(), Some(&StopReason::Sigterm));
        assert_eq!(shutdown.panicked_task(), Some("outbox"));
    }

    #[tokio::test]
    async fn a_task_that_has_ended_is_heard_however_late_it_is() {
        let shutdown = Shutdown::default();
        let task = spawn("link", &shutdown, ready(7));
        while !task.handle.is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(task.ended_before(ready(())).await, Some(7));
        assert_eq!(shutdown.panicked_task(), None);
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_cut_off() {
        let (alive, mut is_alive) = tokio::sync::oneshot::channel::<()>();
        let task = spawn("stuck", &Shutdown::default(), async move {
            let _alive = alive;
            pending::<()>().await;
        });
        assert!(is_alive.try_recv().is_err());
        assert_eq!(task.ended_before(ready(())).await, None);
        assert!(is_alive.await.is_err(), "what it held is dropped");
    }
}
