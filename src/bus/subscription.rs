//! A subscription that outlives connections.
//!
//! For each connection a pump moves its messages into one queue, which is bounded in messages and
//! in bytes. So a task that is held up by one message costs a known amount of memory, whatever the
//! bus throws at it; what finds no room is dropped, newest first, and told (slow consumer).

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::warn;

use crate::clock::Clock;
use crate::health::{Component, HealthMonitor};

/// Messages of one subscription that may wait.
const QUEUE_MESSAGES: usize = 4096;
/// Their bytes together, besides one message of the largest size that the configuration allows.
const QUEUE_BYTES: usize = 8 << 20;
/// What a message costs besides its bytes.
const MESSAGE_COST: usize = 128;
/// How long an overflow keeps the component unhealthy; it is logged as often at most.
const OVERFLOW_LASTS: Duration = Duration::from_secs(60);
/// Health is told of a lasting overflow this often.
const OVERFLOW_AGAIN: Duration = Duration::from_secs(1);

/// A message from the bus.
pub struct Message {
    subject: String,
    payload: Vec<u8>,
    length: usize,
    reply: Option<String>,
    _place: OwnedSemaphorePermit,
}

impl Message {
    /// The subject that it was published on.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// How many bytes it had on the bus.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Where an answer is expected; none when nobody asked for one.
    pub fn reply(&self) -> Option<&str> {
        self.reply.as_deref()
    }

    /// Its bytes; none of a message over the subscription's limit.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// The messages on one subject, over all connections. Dropping it unsubscribes.
pub struct Subscription {
    queue: mpsc::Receiver<Message>,
}

impl Subscription {
    /// The next message. None when the bus is closed for good. May be dropped at any time
    /// without losing a message.
    pub async fn next(&mut self) -> Option<Message> {
        self.queue.recv().await
    }

    /// The messages as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Message> + Unpin {
        let mut queue = self.queue;
        stream::poll_fn(move |context| queue.poll_recv(context))
    }

    /// Unsubscribes, and gives what waited already.
    pub fn into_rest(mut self) -> impl Iterator<Item = Message> {
        self.queue.close();
        iter::from_fn(move || self.queue.try_recv().ok())
    }
}

/// The keeper's end.
#[derive(Clone)]
pub(super) struct Feed {
    pub(super) subject: String,
    max_bytes: usize,
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    /// Whether it is a trouble when messages are dropped.
    pub(super) is_needed: bool,
}

/// A subscription for `subject` and the end that its keeper feeds. Of messages over `max_bytes`
/// only the length is kept.
pub(super) fn channel(subject: String, max_bytes: usize) -> (Feed, Subscription) {
    let (queue, receiver) = mpsc::channel(QUEUE_MESSAGES);
    let room = QUEUE_BYTES.saturating_add(max_bytes).min(Semaphore::MAX_PERMITS);
    let room = Arc::new(Semaphore::new(room));
    (Feed { subject, max_bytes, queue, room, is_needed: true }, Subscription { queue: receiver })
}

impl Feed {
    /// Whether nobody holds the [`Subscription`] any longer.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Moves one connection's messages into the queue, until the connection ends or nobody holds
    /// the subscription any longer. It never waits for whoever reads them.
    pub(super) async fn pump(self, mut subscriber: Subscriber, clock: Clock, health: HealthMonitor) {
        let mut told: Option<Duration> = None;
        let mut logged: Option<Duration> = None;
        loop {
            let message = tokio::select! {
                message = subscriber.next() => message,
                () = self.queue.closed() => None,
            };
            let Some(message) = message else { return };
            if self.put(message) || !self.is_needed {
                continue;
            }
            let now = clock.now();
            let is_due = |last: Option<Duration>, again| {
                last.is_none_or(|last| now.elapsed.saturating_sub(last) >= again)
            };
            if is_due(told, OVERFLOW_AGAIN) {
                told = Some(now.elapsed);
                let why = format!("slow consumer: messages on {} dropped", self.subject);
                health.condition(now, Component::Nats, "slow consumer", Some(why), Some(OVERFLOW_LASTS));
            }
            if is_due(logged, OVERFLOW_LASTS) {
                logged = Some(now.elapsed);
                warn!(
                    subject = self.subject,
                    "more messages than can be read: new ones are dropped (slow consumer)"
                );
            }
        }
    }

    /// False when there is no room.
    fn put(&self, message: async_nats::Message) -> bool {
        let length = message.payload.len();
        // Copied: a slice of the client's read buffer would keep the whole buffer alive.
        let payload = if length > self.max_bytes { Vec::new() } else { message.payload.to_vec() };
        let subject = message.subject.to_string();
        let reply = message.reply.map(|reply| reply.to_string());
        let reply_bytes = reply.as_ref().map_or(0, String::len);
        let cost =
            u32::try_from(payload.len() + subject.len() + reply_bytes + MESSAGE_COST).unwrap_or(u32::MAX);
        let Ok(place) = self.room.clone().try_acquire_many_owned(cost) else { return false };
        let message = Message { subject, payload, length, reply, _place: place };
        !matches!(self.queue.try_send(message), Err(TrySendError::Full(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, bytes: usize) -> async_nats::Message {
        async_nats::Message {
            subject: subject.into(),
            reply: None,
            payload: vec![b'x'; bytes].into(),
            headers: None,
            status: None,
            description: None,
            length: bytes,
        }
    }

    #[tokio::test]
    async fn messages_come_out_as_they_were_put_in() {
        let (feed, mut subscription) = channel("a.>".into(), 1_000);
        assert!(feed.put(message("a.b", 1_000)));
        let taken = subscription.next().await.expect("one is there");
        assert_eq!((taken.subject(), taken.payload().len(), taken.length()), ("a.b", 1_000, 1_000));
    }

    #[tokio::test]
    async fn what_waits_at_the_end_comes_out_and_nothing_comes_behind_it() {
        let (feed, subscription) = channel("a.>".into(), 1_000);
        assert!(feed.put(message("a.1", 1)) && feed.put(message("a.2", 1)));
        let mut rest = subscription.into_rest();
        assert!(feed.is_closed());
        assert!(feed.put(message("a.3", 1)), "dropped, and no overflow");
        assert_eq!(rest.next().map(|message| message.subject), Some("a.1".to_owned()));
        assert_eq!(rest.next().map(|message| message.subject), Some("a.2".to_owned()));
        assert!(rest.next().is_none());
    }

    #[tokio::test]
    async fn of_a_message_over_the_limit_only_the_length_is_kept() {
        let (feed, mut subscription) = channel("a".into(), 1_000);
        assert!(feed.put(message("a", 1_001)));
        let taken = subscription.next().await.expect("one is there");
        assert_eq!((taken.payload().len(), taken.length()), (0, 1_001));
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_bytes_and_in_number_and_reading_makes_room() {
        let by_bytes = (QUEUE_BYTES + 65_536) / (65_536 + MESSAGE_COST + 1);
        for (bytes, expected) in [(0, QUEUE_MESSAGES), (65_536, by_bytes)] {
            let (feed, mut subscription) = channel("a".into(), 65_536);
            let fitting = (0..2 * QUEUE_MESSAGES).take_while(|_| feed.put(message("a", bytes))).count();
            assert_eq!(fitting, expected, "{bytes} bytes");
            drop(subscription.next().await);
            assert!(feed.put(message("a", bytes)), "one was read");
            assert!(!feed.put(message("a", bytes)));
        }
    }

    #[tokio::test]
    async fn the_largest_message_that_is_allowed_always_fits() {
        let (feed, _subscription) = channel("a".into(), 2 * QUEUE_BYTES);
        assert!(feed.put(message("a", 2 * QUEUE_BYTES)));
    }

    #[tokio::test]
    async fn what_nobody_reads_any_more_is_no_overflow() {
        let (feed, subscription) = channel("a".into(), 10);
        drop(subscription);
        assert!(feed.put(message("a", 1)));
        assert!(feed.is_closed());
    }
}
