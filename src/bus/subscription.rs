//! A subscription that outlives connections.

use std::ops::Deref;

use async_nats::Subscriber;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A message from the bus.
pub struct Message(async_nats::Message);

impl Message {
    /// The subject that it was published on.
    pub fn subject(&self) -> &str {
        self.0.subject.as_str()
    }
}

impl Deref for Message {
    type Target = [u8];

    /// The message's bytes.
    fn deref(&self) -> &[u8] {
        &self.0.payload
    }
}

/// One connection's share of a subscription.
struct Share {
    subscriber: Subscriber,
    connection_ended: CancellationToken,
}

/// The keeper's end: hands over a share for each connection.
pub(super) struct Feed {
    pub(super) subject: String,
    shares: mpsc::Sender<Share>,
}

impl Feed {
    /// Hands the present connection's share to whoever holds the [`Subscription`]; a holder that
    /// is gone wants no more. False when the holder has been stalled for many connections.
    pub(super) fn hand_over(&self, subscriber: Subscriber, connection_ended: CancellationToken) -> bool {
        let handed = self.shares.try_send(Share { subscriber, connection_ended });
        !matches!(handed, Err(mpsc::error::TrySendError::Full(_)))
    }

    /// Whether nobody holds the [`Subscription`] any longer.
    pub(super) fn is_closed(&self) -> bool {
        self.shares.is_closed()
    }
}

/// The messages on one subject, over all connections. Dropping it unsubscribes.
pub struct Subscription {
    shares: mpsc::Receiver<Share>,
    current: Option<Share>,
}

/// A subscription for `subject` and the end that its keeper feeds.
pub(super) fn channel(subject: String) -> (Feed, Subscription) {
    // Room for a few: the keeper never waits for a task that is busy with one message.
    let (shares, receiver) = mpsc::channel(8);
    (Feed { subject, shares }, Subscription { shares: receiver, current: None })
}

impl Subscription {
    /// The next message. None when the bus is closed for good. May be dropped at any time
    /// without losing a message.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let Some(share) = &mut self.current else {
                self.current = Some(self.shares.recv().await?);
                continue;
            };
            tokio::select! {
                // A dead connection's client must be let go, or it goes on reconnecting.
                biased;
                () = share.connection_ended.cancelled() => self.current = None,
                newer = self.shares.recv() => self.current = Some(newer?),
                message = share.subscriber.next() => match message {
                    Some(message) => return Some(Message(message)),
                    None => self.current = None,
                },
            }
        }
    }
}
