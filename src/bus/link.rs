//! The keeper of the one connection: connects, subscribes, proves, and starts over.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Event, ServerError};
use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::connect::{ConnectFailure, connect};
use super::patience::{OutOfPatience, Patience};
use super::proof::{ECHO_INTERVAL, LinkProof, Proof, Tick};
use super::subscription::{self, Feed, Subscription};
use super::{Bus, Link};
use crate::clock::Clock;
use crate::config::NatsConfig;
use crate::health::{Component, HealthMonitor, LinkHealth};

/// Each attempt after the first connection, in seconds.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause between two attempts; drawn anew each time, so that many services don't come at once.
const RETRY_PAUSE_MILLISECONDS: std::ops::RangeInclusive<u64> = 50..=250;
/// The same trouble is logged again after so long.
const LOG_AGAIN: Duration = Duration::from_secs(30);
/// How long a slow consumer or a refused publish keeps the component unhealthy.
const TROUBLE_LASTS: Duration = Duration::from_secs(60);
/// How often a denied subscription is tried again: permissions can be given back.
const DENIED_AGAIN: Duration = Duration::from_secs(30);
/// Events of the client that may wait for the keeper.
const EVENT_CAPACITY: usize = 256;

/// Why the link is given up for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkFailure {
    /// Attempts used up.
    #[error("NATS unavailable: {0} attempts (nats.max_reconnect_attempts) are used up; last: {1}")]
    Unavailable(u64, String),
    /// Credentials refused.
    #[error("{0}")]
    Refused(String),
    /// A file of the configuration can't be used.
    #[error("{0}")]
    Settings(String),
}

/// Owns the connection. See [`LinkKeeper::run`].
pub struct LinkKeeper {
    settings: NatsConfig,
    service: String,
    clock: Clock,
    health: HealthMonitor,
    feeds: Vec<Feed>,
    link: watch::Sender<Link>,
    echo_now: Arc<Notify>,
}

impl LinkKeeper {
    /// A keeper and the handle that everybody else gets.
    pub fn new(settings: NatsConfig, service: &str, clock: Clock, health: HealthMonitor) -> (Self, Bus) {
        let (link, watch) = watch::channel(Link::default());
        let echo_now = Arc::new(Notify::new());
        let bus = Bus { link: watch, echo_now: echo_now.clone(), clock };
        (
            Self { settings, service: service.to_owned(), clock, health, feeds: Vec::new(), link, echo_now },
            bus,
        )
    }

    /// A subscription that every connection will have before it counts as up.
    pub fn subscribe(&mut self, subject: String) -> Subscription {
        let (feed, subscription) = subscription::channel(subject);
        self.feeds.push(feed);
        subscription
    }

    /// Keeps the link until `stop`.
    ///
    /// # Errors
    /// When trying again makes no sense: attempts used up, credentials refused.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), LinkFailure> {
        stop.run_until_cancelled_owned(self.keep()).await.unwrap_or(Ok(()))
    }

    async fn keep(&mut self) -> Result<(), LinkFailure> {
        let mut patience =
            Patience::new(self.settings.max_reconnect_attempts, self.settings.reconnect_time_wait);
        loop {
            let (sender, events) = mpsc::channel(EVENT_CAPACITY);
            let client = self.connect(&mut patience, sender).await?;
            // Cancelled when this connection is let go, however that happens.
            let ended = CancellationToken::new();
            let _ends = ended.clone().drop_guard();
            let why = self.hold(client, events, &mut patience, ended).await;
            self.lost(why);
        }
    }

    /// Tries until there is a connection. It is not proven yet.
    async fn connect(
        &mut self,
        patience: &mut Patience,
        events: mpsc::Sender<Event>,
    ) -> Result<Client, LinkFailure> {
        let mut logged: Option<(Duration, String)> = None;
        loop {
            let limit = if patience.is_first() {
                self.settings.connect_timeout
            } else {
                self.settings.connect_timeout.min(RECONNECT_TIMEOUT)
            };
            let events = events.clone();
            let on_event = move |event| {
                let _ = events.try_send(event);
            };
            let failure = match connect(&self.settings, &self.service, limit, on_event).await {
                Ok(client) => return Ok(client),
                Err(ConnectFailure::Settings(text)) if patience.is_first() => {
                    return Err(LinkFailure::Settings(text));
                }
                Err(failure) => failure,
            };
            let now = self.clock.now();
            let text = failure.to_string();
            self.health.link(now, LinkHealth::Down { why: text.clone() });
            let refused = matches!(failure, ConnectFailure::Refused(_));
            match patience.failed(now.elapsed, refused) {
                Some(OutOfPatience::Refused) => return Err(LinkFailure::Refused(text)),
                Some(OutOfPatience::Attempts(limit)) => return Err(LinkFailure::Unavailable(limit, text)),
                None => {}
            }
            let repeated = logged
                .as_ref()
                .is_some_and(|(at, last)| *last == text && now.elapsed.saturating_sub(*at) < LOG_AGAIN);
            if !repeated {
                warn!(reason = %text, "no connection to NATS; trying on");
                logged = Some((now.elapsed, text));
            }
            sleep(Duration::from_millis(rand::random_range(RETRY_PAUSE_MILLISECONDS))).await;
        }
    }

    /// Subscribes and proves one connection until it is lost. Returns why.
    async fn hold(
        &mut self,
        client: Client,
        mut events: mpsc::Receiver<Event>,
        patience: &mut Patience,
        ended: CancellationToken,
    ) -> String {
        if let Err(error) = self.subscribe_all(&client, &ended).await {
            return error;
        }
        let inbox = client.new_inbox();
        let Ok(mut echoes) = client.subscribe(inbox.clone()).await else {
            return "the connection closed while subscribing".to_owned();
        };
        let mut proof = LinkProof::default();
        let mut tick = interval(ECHO_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut denied_again = interval(DENIED_AGAIN);
        denied_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut denied: Vec<String> = Vec::new();
        let mut first_answer_due = Box::pin(sleep(self.settings.connect_timeout));
        loop {
            let number = tokio::select! {
                event = events.recv() => {
                    match event {
                        None | Some(Event::Disconnected | Event::Closed) => return "the connection closed".to_owned(),
                        Some(event) => self.hear(event, &mut denied),
                    }
                    continue;
                }
                message = echoes.next() => {
                    let Some(message) = message else { return "the connection closed".to_owned() };
                    let number = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse().ok());
                    let now = self.clock.now();
                    if let Some(proven) = number.and_then(|number| proof.answered(now.elapsed, number)) {
                        self.proven(&client, proven, patience);
                    }
                    continue;
                }
                () = &mut first_answer_due, if !self.link.borrow().is_up() => {
                    return "connected, but nothing comes back".to_owned();
                }
                _ = denied_again.tick() => {
                    self.try_denied_again(&client, &ended, &mut denied).await;
                    continue;
                }
                _ = tick.tick() => match proof.tick(self.clock.now().elapsed) {
                    Tick::Dead => return "four echoes in a row unanswered".to_owned(),
                    Tick::Send(number) => number,
                },
                () = self.echo_now.notified() => match proof.extra(self.clock.now().elapsed) {
                    Some(number) => number,
                    None => continue,
                },
            };
            // With a full write buffer a publish waits; the ticks behind it find the link dead.
            let publish = client.publish(inbox.clone(), number.to_string().into());
            if matches!(timeout(ECHO_INTERVAL, publish).await, Ok(Err(_))) {
                return "the connection closed".to_owned();
            }
        }
    }

    async fn subscribe_all(&mut self, client: &Client, ended: &CancellationToken) -> Result<(), String> {
        self.feeds.retain(|feed| !feed.is_closed());
        for feed in &self.feeds {
            let subscriber = client
                .subscribe(feed.subject.clone())
                .await
                .map_err(|error| format!("can't subscribe to {}: {error}", feed.subject))?;
            if !feed.hand_over(subscriber, ended.clone()) {
                return Err(format!("nobody takes the messages of {}", feed.subject));
            }
        }
        Ok(())
    }

    async fn try_denied_again(&self, client: &Client, ended: &CancellationToken, denied: &mut Vec<String>) {
        for subject in denied.drain(..) {
            self.health.condition(self.clock.now(), Component::Nats, denied_key(&subject), None, None);
            for feed in self.feeds.iter().filter(|feed| feed.subject == subject && !feed.is_closed()) {
                if let Ok(subscriber) = client.subscribe(subject.clone()).await {
                    feed.hand_over(subscriber, ended.clone());
                }
            }
        }
    }

    /// An echo came back: everything written before it has reached the server.
    fn proven(&mut self, client: &Client, proof: Proof, patience: &mut Patience) {
        let now = self.clock.now();
        let comes_up = !self.link.borrow().is_up();
        if comes_up {
            // Before anybody can speak on the link: a first beat that calls it down would be a lie.
            self.health.link(now, LinkHealth::Up);
        }
        self.link.send_modify(|link| {
            link.proof = Some(proof);
            if comes_up {
                link.client = Some(client.clone());
                link.connection += 1;
                link.outage = link.lost_at.take().map(|lost_at| now.elapsed.saturating_sub(lost_at));
            }
        });
        if comes_up {
            patience.connected();
            let server = client.server_info();
            info!(
                server = %format_args!("{}:{}", server.host, server.port),
                version = %server.version,
                round_trip_ms = proof.round_trip().as_secs_f64() * 1_000.0,
                "connected to NATS; subscriptions confirmed"
            );
        }
    }

    fn lost(&self, why: String) {
        let now = self.clock.now();
        let was_up = self.link.send_if_modified(|link| {
            let was_up = link.client.take().is_some();
            if was_up {
                link.lost_at = Some(now.elapsed);
                link.proof = None;
            }
            was_up
        });
        if was_up {
            warn!(reason = %why, "the link to NATS is lost; connecting anew");
        } else {
            debug!(reason = %why, "a connection to NATS was lost before it was proven");
        }
        self.health.link(now, LinkHealth::Down { why });
    }

    /// What the client says about the connection, besides its end.
    fn hear(&self, event: Event, denied: &mut Vec<String>) {
        let now = self.clock.now();
        match event {
            Event::SlowConsumer(_) => {
                warn!("a subscription overflowed: messages from NATS were dropped (slow consumer)");
                let why = "slow consumer: messages dropped".to_owned();
                self.health.condition(now, Component::Nats, "slow consumer", Some(why), Some(TROUBLE_LASTS));
            }
            Event::LameDuckMode => {
                warn!("the NATS server announces its shutdown (lame duck mode)");
                let why = "the server is shutting down".to_owned();
                self.health.condition(now, Component::Nats, "lame duck", Some(why), Some(TROUBLE_LASTS));
            }
            Event::ServerError(ServerError::Other(text)) => match denied_subject(&text) {
                Some((subject, Denied::Subscribe)) => {
                    error!(subject, "NATS denies the subscription; check the account's permissions");
                    let why = format!("may not subscribe to {subject}");
                    self.health.condition(now, Component::Nats, denied_key(subject), Some(why), None);
                    if !denied.iter().any(|known| known == subject) {
                        denied.push(subject.to_owned());
                    }
                }
                Some((subject, Denied::Publish)) => {
                    error!(subject, "NATS denies publishing; check the account's permissions");
                    let why = format!("may not publish to {subject}");
                    self.health.condition(
                        now,
                        Component::Nats,
                        denied_key(subject),
                        Some(why),
                        Some(TROUBLE_LASTS),
                    );
                }
                None => warn!(error = %text, "NATS reports an error"),
            },
            Event::ServerError(error) => warn!(%error, "NATS reports an error"),
            Event::ClientError(error) => debug!(%error, "the NATS client reports an error"),
            Event::Connected | Event::Disconnected | Event::Draining | Event::Closed => {}
        }
    }
}

fn denied_key(subject: &str) -> String {
    format!("denied {subject}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    Subscribe,
    Publish,
}

/// The subject in the server's `Permissions Violation for Subscription to "…"`.
fn denied_subject(text: &str) -> Option<(&str, Denied)> {
    let (what, rest) = text.split_once('"')?;
    let what = what.to_lowercase();
    let (subject, _) = rest.split_once('"')?;
    if !what.contains("permissions violation") {
        return None;
    }
    Some((subject, if what.contains("subscription") { Denied::Subscribe } else { Denied::Publish }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_denied_subject_is_read_from_the_servers_words() {
        for (text, expected) in [
            ("Permissions Violation for Subscription to \"a.>\"", Some(("a.>", Denied::Subscribe))),
            ("Permissions Violation for Publish to \"a.b\"", Some(("a.b", Denied::Publish))),
            (
                "permissions violation for subscription to \"a\" using queue \"q\"",
                Some(("a", Denied::Subscribe)),
            ),
            ("Stale Connection", None),
            ("say \"hello\"", None),
            ("Permissions Violation for Publish to \"a", None),
        ] {
            assert_eq!(denied_subject(text), expected, "{text}");
        }
    }
}
