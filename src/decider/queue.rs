//! The queue of one room, from the intake to the decider.
//!
//! Chat and changes share it, so that their order holds: a film that began before a question is
//! known when the question is answered. But each has places of its own, so that no flood of chat
//! costs us the film or somebody's rank, nor the other way round.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::chat::event::ChatMessage;
use crate::chat::event::change::{Media, RoomChange, Visitor};
use crate::metrics::depth::Depth;
use crate::names::Username;

/// Messages that may wait.
const CHAT: usize = 512;
/// Changes that may wait.
const CHANGES: usize = 128;
/// What a place holds, in bytes; what is larger takes several, and what is larger than all of them
/// waits alone.
const PLACE: usize = 16 << 10;
/// What a text on the heap takes besides its letters.
const TEXT_BYTES: usize = 32;

/// What a room says.
#[derive(Debug)]
pub enum RoomInput {
    /// Somebody said something.
    Chat(ChatMessage),
    /// Something else plays, or somebody came or went.
    Change(RoomChange),
}

/// Why something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// There is no room: the decider is behind.
    Full,
    /// The decider takes nothing any more.
    Closed,
}

/// Where the intake puts what a room says.
#[derive(Debug, Clone)]
pub struct RoomQueue {
    inputs: mpsc::Sender<Queued>,
    chat: Arc<Semaphore>,
    changes: Arc<Semaphore>,
}

/// What a room has said.
#[derive(Debug)]
pub(super) struct Arrived {
    pub input: RoomInput,
    /// When it was read, since start.
    pub read: Duration,
}

#[derive(Debug)]
struct Queued {
    arrived: Arrived,
    _places: OwnedSemaphorePermit,
}

/// A queue, and where it comes out.
pub(super) fn channel() -> (RoomQueue, BoxStream<'static, Arrived>) {
    let (inputs, mut queued) = mpsc::channel::<Queued>(CHAT + CHANGES);
    let (chat, changes) = (Arc::new(Semaphore::new(CHAT)), Arc::new(Semaphore::new(CHANGES)));
    let outlet = stream::poll_fn(move |context| queued.poll_recv(context)).map(|queued| queued.arrived);
    (RoomQueue { inputs, chat, changes }, outlet.boxed())
}

impl RoomQueue {
    /// How much waits.
    pub fn depth(&self) -> Depth {
        Depth::of_channel(&self.inputs)
    }

    /// Puts something at the end that was read then, since start; never waits.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn put(&self, read: Duration, input: RoomInput) -> Result<(), NotTaken> {
        if self.inputs.is_closed() {
            return Err(NotTaken::Closed);
        }
        let (places, all, bytes) = match &input {
            RoomInput::Chat(message) => (&self.chat, CHAT, chat_bytes(message)),
            RoomInput::Change(change) => (&self.changes, CHANGES, change_bytes(change)),
        };
        let wanted = u32::try_from((1 + bytes / PLACE).min(all)).unwrap_or(u32::MAX);
        let places = places.clone().try_acquire_many_owned(wanted).map_err(|_| NotTaken::Full)?;
        let arrived = Arrived { input, read };
        self.inputs.try_send(Queued { arrived, _places: places }).map_err(|error| match error {
            TrySendError::Full(_) => NotTaken::Full,
            TrySendError::Closed(_) => NotTaken::Closed,
        })
    }
}

fn chat_bytes(message: &ChatMessage) -> usize {
    let id = message.correlation_id.as_ref().map_or(0, |id| id.len() + TEXT_BYTES);
    size_of::<Queued>() + name_bytes(&message.user) + message.text.len() + TEXT_BYTES + id
}

fn change_bytes(change: &RoomChange) -> usize {
    let visitor = |visitor: &Visitor| size_of::<Visitor>() + name_bytes(&visitor.user);
    let media = |media: &Media| {
        let queued_by = media.queued_by.as_ref().map_or(0, String::len);
        media.title.len() + media.kind.len() + media.id.len() + queued_by + 4 * TEXT_BYTES
    };
    size_of::<Queued>()
        + match change {
            RoomChange::Media(played) => media(played),
            RoomChange::Progress(_) => 0,
            RoomChange::Users(visitors) => visitors.iter().map(visitor).sum(),
            RoomChange::Joined(one) => visitor(one),
            RoomChange::Left(user) | RoomChange::Ranked(user, _) | RoomChange::Away(user, _) => {
                name_bytes(user)
            }
        }
}

fn name_bytes(user: &Username) -> usize {
    user.as_str().len() + user.folded().len() + 2 * TEXT_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::event::change::Progress;
    use crate::chat::testing::{at, message};

    fn chat(bytes: usize) -> RoomInput {
        RoomInput::Chat(message(at(0.0), "bob", &"x".repeat(bytes)))
    }

    fn progress(position: f64) -> RoomInput {
        RoomInput::Change(RoomChange::Progress(Progress { position, is_paused: false }))
    }

    fn users(count: usize) -> RoomInput {
        let visitor =
            |number| Visitor { user: Username::new(&format!("user{number}")), rank: 1.0, is_away: false };
        RoomInput::Change(RoomChange::Users((0..count).map(visitor).collect()))
    }

    /// How many of them are taken before the queue is full.
    fn fitting(queue: &RoomQueue, input: impl Fn() -> RoomInput) -> usize {
        (0..100_000).take_while(|_| queue.put(Duration::ZERO, input()).is_ok()).count()
    }

    #[tokio::test]
    async fn chat_and_changes_come_out_in_the_order_in_which_they_were_put_in() {
        let (queue, outlet) = channel();
        for input in [chat(1), progress(2.0), chat(3), progress(4.0)] {
            queue.put(Duration::ZERO, input).expect("taken");
        }
        drop(queue);
        let order: Vec<f64> = outlet
            .map(|arrived| match arrived.input {
                RoomInput::Chat(message) => message.text.len() as f64,
                RoomInput::Change(RoomChange::Progress(progress)) => progress.position,
                RoomInput::Change(other) => panic!("{other:?}"),
            })
            .collect()
            .await;
        assert_eq!(order, [1.0, 2.0, 3.0, 4.0]);
    }

    #[tokio::test]
    async fn chat_and_changes_leave_each_other_room_and_reading_makes_room() {
        let (queue, mut outlet) = channel();
        assert_eq!(fitting(&queue, || chat(10)), CHAT);
        assert_eq!(fitting(&queue, || progress(1.0)), CHANGES);
        drop(outlet.next().await);
        assert_eq!(queue.put(Duration::ZERO, progress(1.0)), Err(NotTaken::Full), "a message was read");
        assert_eq!(queue.put(Duration::ZERO, chat(10)), Ok(()));
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_bytes_too() {
        let (queue, _outlet) = channel();
        assert_eq!(fitting(&queue, || chat(64 << 10)), CHAT / 5);
        let taken = fitting(&queue, || users(1_000));
        assert!((10..=20).contains(&taken), "{taken} lists of 1,000 users in 2 MiB");
    }

    #[tokio::test]
    async fn what_is_larger_than_all_that_may_wait_waits_alone() {
        let (queue, mut outlet) = channel();
        assert_eq!(queue.put(Duration::ZERO, users(100_000)), Ok(()));
        assert_eq!(queue.put(Duration::ZERO, chat(2 * CHAT * PLACE)), Ok(()));
        assert_eq!(queue.put(Duration::ZERO, chat(1)), Err(NotTaken::Full));
        assert_eq!(queue.put(Duration::ZERO, progress(1.0)), Err(NotTaken::Full));
        drop((outlet.next().await, outlet.next().await));
        assert_eq!(queue.put(Duration::ZERO, chat(1)), Ok(()));
    }

    #[tokio::test]
    async fn a_queue_that_nobody_reads_any_more_says_so() {
        let (queue, outlet) = channel();
        drop(outlet);
        assert_eq!(queue.put(Duration::ZERO, chat(1)), Err(NotTaken::Closed));
        assert_eq!(queue.put(Duration::ZERO, progress(1.0)), Err(NotTaken::Closed));
    }
}
