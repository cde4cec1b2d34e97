//! Questions of people to the decider, which owns what is remembered: few at once, and none is waited
//! for longer than people wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::chat::decide::Decider;
use crate::chat::decisions::Decisions;
use crate::clock::Moment;
use crate::decider::DeciderHandle;

/// Questions that may wait for the decider at once. One that nobody waits for any more still counts
/// until the decider comes to it, so a stalled decider does not collect them.
const AT_ONCE: usize = 4;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks what is remembered. Cheap to clone; all clones share the bound.
#[derive(Clone)]
pub struct Remembered {
    decider: DeciderHandle,
    places: Arc<Semaphore>,
}

impl Remembered {
    /// Asks this decider.
    pub fn new(decider: DeciderHandle) -> Self {
        Self { decider, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The answer; none when the decider gives none within a second.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Moment, &Decider, &Decisions) -> T + Send + 'static,
    ) -> Option<T> {
        let asking = async {
            let place = self.places.clone().acquire_owned().await.ok()?;
            let asked = self.decider.operate(move |now, decider, decisions| {
                let _place = place;
                question(now, decider, decisions)
            });
            asked.await
        };
        timeout(PATIENCE, asking).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_decider_that_does_not_answer_is_not_waited_for_and_collects_no_questions() {
        let (decider, mut notes) = DeciderHandle::unanswered();
        let remembered = Remembered::new(decider);
        for _ in 0..20 {
            assert_eq!(remembered.ask(|_, _, _| ()).await, None);
        }
        assert_eq!(notes.waiting(), AT_ONCE);
        notes.drop_all();
        let asked = tokio::spawn(async move { remembered.ask(|_, _, _| ()).await });
        notes.come().await;
        assert_eq!(asked.await.expect("no panic"), None);
    }
}
