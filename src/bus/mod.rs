//! NATS: connecting, proving, subscribing, publishing. Nothing else names the client library.
//!
//! One task, [`link::LinkKeeper`], owns the connection. Everybody else holds a [`Bus`]: it says
//! how the link is and publishes on it, but only while the link is proven. So nothing waits
//! inside the client for a server that is away: a heartbeat that arrives late would be a lie.

mod connect;
mod dial;
pub mod key_value;
pub mod link;
pub mod patience;
pub mod proof;
pub mod subjects;
pub mod subscription;
mod trouble;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::{Client, HeaderMap};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::clock::Clock;
use proof::Proof;

/// The header that carries a message's correlation id on what we publish.
pub const CORRELATION_HEADER: &str = "Kryten-Correlation-Id";

/// How long a publish may wait for room in the client's queue.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait for a fresh proof on a link that is up.
const FRESH_PATIENCE: Duration = Duration::from_secs(1);

/// How the link is. One value, replaced as a whole by the link's keeper.
#[derive(Clone, Default)]
pub struct Link {
    /// The client of the present connection; none while there is no proven one.
    client: Option<Client>,
    /// The latest answered echo on it.
    proof: Option<Proof>,
    /// Since when the present connection, or the latest one, has been proven, since start.
    pub up_since: Duration,
    /// How many connections have been proven so far: a change means "the link is back".
    pub connection: u64,
    /// When the link was lost, since start; none while it is up or has never been up.
    pub lost_at: Option<Duration>,
    /// How long the outage before the present connection lasted; none on the first connection.
    pub outage: Option<Duration>,
}

impl Link {
    /// Whether the link is up: connected and proven.
    pub fn is_up(&self) -> bool {
        self.client.is_some()
    }
}

/// Why something could not be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection, or no fresh proof that it lives.
    #[error("the link to NATS is down or unproven")]
    LinkDown,
    /// The client took nothing within a second.
    #[error("the client's queue to NATS is full")]
    Stuck,
    /// The client or the server's limits refused it.
    #[error("NATS refused the message (too large for the server?)")]
    Refused,
}

/// What came of a request.
#[derive(Debug)]
pub enum Reply {
    /// Somebody answered with these bytes.
    Answered(Vec<u8>),
    /// The server says that nobody listens: it is proven that nobody got it.
    NoResponders,
    /// Nobody answered in time. Whether somebody got it is unknown; [`Bus::proves`] may tell.
    TimedOut {
        /// The connection that it was handed to.
        connection: u64,
    },
}

/// A handle on the bus. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    link: watch::Receiver<Link>,
    echo_now: Arc<Notify>,
    clock: Clock,
}

impl Bus {
    /// How the link is now.
    pub fn link(&self) -> Link {
        self.link.borrow().clone()
    }

    /// Waits for the next change of the link (of its proof too). False when its keeper is gone.
    pub async fn changed(&mut self) -> bool {
        self.link.changed().await.is_ok()
    }

    /// Waits until the link is up on another connection than `known`, and gives its number. Waits for
    /// ever when its keeper is gone.
    pub async fn up_after(&self, known: u64) -> u64 {
        let mut link = self.link.clone();
        let is_news = |link: &Link| link.is_up() && link.connection != known;
        let connection = link.wait_for(is_news).await.map(|link| link.connection);
        match connection {
            Ok(connection) => connection,
            Err(_) => std::future::pending().await,
        }
    }

    /// Whether the link's keeper is gone, so that the link can't come back.
    pub fn is_closed(&self) -> bool {
        self.link.has_changed().is_err()
    }

    /// The latest answered echo, while the link is up.
    pub fn proof(&self) -> Option<Proof> {
        let link = self.link.borrow();
        link.proof.filter(|_| link.is_up())
    }

    /// The latest round trip, while the link is up.
    pub fn round_trip(&self) -> Option<Duration> {
        self.proof().map(|proof| proof.round_trip())
    }

    /// Waits until an echo that began at or after `since` was answered: everything that was
    /// published before has reached the server. Waits for ever while the link is down.
    pub async fn proven_since(&self, since: Duration) {
        let mut link = self.link.clone();
        self.echo_now.notify_one();
        let proven = link
            .wait_for(|link| link.is_up() && link.proof.is_some_and(|proof| proof.began >= since))
            .await
            .is_ok();
        if !proven {
            // The keeper is gone: there will never be a proof.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until an echo on this very connection that began at or after `since` was answered:
    /// what was published on it before has reached the server. False when that connection is lost
    /// first; a later one proves nothing about it.
    pub async fn proves(&self, connection: u64, since: Duration) -> bool {
        let mut link = self.link.clone();
        let is_present = |link: &Link| link.is_up() && link.connection == connection;
        self.echo_now.notify_one();
        link.wait_for(|link| !is_present(link) || link.proof.is_some_and(|proof| proof.began >= since))
            .await
            .is_ok_and(|link| is_present(&link))
    }

    /// Whether the link is up with a fresh proof. After a pause of the whole process the last one
    /// is old though the link lives: then the next one is waited for, for a second at most.
    pub async fn is_fresh(&self) -> bool {
        self.fresh_client().await.is_some()
    }

    /// Publishes now, or refuses: only on a link whose last proof is fresh.
    ///
    /// # Errors
    /// When the link is down or unproven, the client takes nothing, or the message is refused.
    pub async fn publish(&self, subject: &str, payload: Vec<u8>) -> Result<(), PublishError> {
        self.publish_with(subject, payload, HeaderMap::new()).await
    }

    /// The same, with the correlation id of the chat message that it is about.
    ///
    /// # Errors
    /// See [`Bus::publish`].
    pub async fn publish_about(
        &self,
        subject: &str,
        payload: Vec<u8>,
        correlation_id: &str,
    ) -> Result<(), PublishError> {
        self.publish_with(subject, payload, headers(correlation_id)).await
    }

    async fn publish_with(
        &self,
        subject: &str,
        payload: Vec<u8>,
        headers: HeaderMap,
    ) -> Result<(), PublishError> {
        let (client, _) = self.fresh_client().await.ok_or(PublishError::LinkDown)?;
        let publishing = async {
            match headers.is_empty() {
                true => client.publish(subject.to_owned(), payload.into()).await,
                false => client.publish_with_headers(subject.to_owned(), headers, payload.into()).await,
            }
        };
        match timeout(PUBLISH_TIMEOUT, publishing).await {
            Err(_) => Err(PublishError::Stuck),
            // The client has ended with its connection.
            Ok(Err(error)) if error.kind() == PublishErrorKind::Send => Err(PublishError::LinkDown),
            Ok(Err(_)) => Err(PublishError::Refused),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Sends a request and waits up to `patience` for its answer.
    ///
    /// # Errors
    /// When the link is down or unproven: then nothing was handed over.
    pub async fn request(
        &self,
        subject: &str,
        payload: Vec<u8>,
        correlation_id: Option<&str>,
        patience: Duration,
    ) -> Result<Reply, PublishError> {
        use async_nats::client::RequestErrorKind;

        let (client, connection) = self.fresh_client().await.ok_or(PublishError::LinkDown)?;
        let mut request = async_nats::Request::new().payload(payload.into()).timeout(Some(patience));
        if let Some(headers) = correlation_id.map(headers).filter(|headers| !headers.is_empty()) {
            request = request.headers(headers);
        }
        match client.send_request(subject.to_owned(), request).await {
            Ok(message) => Ok(Reply::Answered(message.payload.to_vec())),
            Err(error) => match error.kind() {
                RequestErrorKind::NoResponders => Ok(Reply::NoResponders),
                RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                    Err(PublishError::Refused)
                }
                _ => Ok(Reply::TimedOut { connection }),
            },
        }
    }

    /// A client to be trusted, and the number of its connection.
    async fn fresh_client(&self) -> Option<(Client, u64)> {
        let is_fresh = |link: &Link| {
            !link.is_up() || link.proof.is_some_and(|proof| proof.is_fresh(self.clock.now().elapsed))
        };
        let mut link = self.link.clone();
        let fresh = timeout(FRESH_PATIENCE, link.wait_for(is_fresh)).await.ok()?.ok()?;
        fresh.client.clone().map(|client| (client, fresh.connection))
    }
}

/// The header with a correlation id; none when the id can't stand in one.
fn headers(correlation_id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(id) = correlation_id.parse::<async_nats::HeaderValue>()
        && !correlation_id.is_empty()
    {
        headers.insert(CORRELATION_HEADER, id);
    }
    headers
}

#[cfg(test)]
mod tests;
