//! How much waits in a queue, seen from outside without keeping the queue open.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

/// Looks at one queue. Cheap to clone.
#[derive(Clone)]
pub struct Depth(Arc<dyn Fn() -> usize + Send + Sync>);

impl Depth {
    /// Of a channel: what was sent and not yet received; 0 when all its senders are gone.
    pub fn of_channel<T: Send + 'static>(sender: &mpsc::Sender<T>) -> Self {
        let sender = sender.downgrade();
        Self(Arc::new(move || sender.upgrade().map_or(0, |sender| sender.max_capacity() - sender.capacity())))
    }

    /// Of places that are taken, of so many.
    pub fn of_places(places: Arc<Semaphore>, all: usize) -> Self {
        Self(Arc::new(move || all.saturating_sub(places.available_permits())))
    }

    /// How much waits now.
    pub fn now(&self) -> usize {
        self.0()
    }
}

impl fmt::Debug for Depth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Depth").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_channel_is_looked_at_without_being_kept_open() {
        let (sender, mut receiver) = mpsc::channel(8);
        let depth = Depth::of_channel(&sender);
        assert_eq!(depth.now(), 0);
        for number in 0..3 {
            sender.try_send(number).expect("room");
        }
        receiver.recv().await;
        assert_eq!(depth.now(), 2);
        drop(sender);
        assert_eq!((receiver.recv().await, receiver.recv().await), (Some(1), Some(2)));
        assert_eq!(receiver.recv().await, None, "nobody keeps it open");
        assert_eq!(depth.now(), 0);
    }

    #[test]
    fn places_that_are_taken_count() {
        let places = Arc::new(Semaphore::new(5));
        let depth = Depth::of_places(places.clone(), 5);
        let taken = places.try_acquire_many_owned(2).expect("places");
        assert_eq!(depth.now(), 2);
        drop(taken);
        assert_eq!(depth.now(), 0);
    }
}
