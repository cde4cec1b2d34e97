//! The keeper of the one connection: connects, subscribes, proves, and starts over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Event};
use futures_util::StreamExt;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::dial::{Dialled, Dialler};
use super::patience::Patience;
use super::proof::{ECHO_INTERVAL, LinkProof, Proof, Tick};
use super::subscription::{self, Feed, Subscription};
use super::trouble::Troubles;
use super::{Bus, Link};
use crate::clock::Clock;
use crate::config::NatsConfig;
use crate::health::{HealthMonitor, LinkHealth};

/// How often a denied subscription is tried again: permissions can be given back.
const DENIED_AGAIN: Duration = Duration::from_secs(30);

/// Why the link is given up for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkFailure {
    /// Attempts used up.
    #[error("NATS unavailable: {0} attempts (nats.max_reconnect_attempts) are used up; last: {1}")]
    Unavailable(u64, String),
    /// Credentials refused.
    #[error("{0}")]
    Refused(String),
    /// A part of the configuration can't be used.
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
    troubles: Troubles,
    /// The latest round trip of the latest link.
    round_trip: Option<Duration>,
}

/// How a connection ended.
struct Ended {
    why: String,
    /// The last moment at which it was surely alive.
    alive_until: Duration,
}

/// What moves the messages of one connection. Ends with it, however that ends.
#[derive(Default)]
struct Pumps {
    tasks: JoinSet<()>,
    by_subject: HashMap<String, AbortHandle>,
}

impl LinkKeeper {
    /// A keeper and the handle that everybody else gets.
    pub fn new(settings: NatsConfig, service: &str, clock: Clock, health: HealthMonitor) -> (Self, Bus) {
        let (link, watch) = watch::channel(Link::default());
        let echo_now = Arc::new(Notify::new());
        let bus = Bus { link: watch, echo_now: echo_now.clone(), clock };
        let keeper = Self {
            settings,
            service: service.to_owned(),
            clock,
            troubles: Troubles::new(clock, health.clone()),
            health,
            feeds: Vec::new(),
            link,
            echo_now,
            round_trip: None,
        };
        (keeper, bus)
    }

    /// A subscription that every connection will have before it counts as up; one for a subject. Of
    /// messages over `max_bytes` only the length is passed on.
    pub fn subscribe(&mut self, subject: String, max_bytes: usize) -> Subscription {
        let (feed, subscription) = subscription::channel(subject, max_bytes);
        self.feeds.push(feed);
        subscription
    }

    /// A subscription that we can do without: where it is denied, or more comes than is read, it brings
    /// less, and that is no trouble of ours.
    pub fn subscribe_if_allowed(&mut self, subject: String, max_bytes: usize) -> Subscription {
        self.do_without(subject.clone());
        let (mut feed, subscription) = subscription::channel(subject, max_bytes);
        feed.is_needed = false;
        self.feeds.push(feed);
        subscription
    }

    /// What a server denies us on this subject is logged once, and is no trouble of ours.
    pub fn do_without(&mut self, subject: String) {
        self.troubles.do_without(subject);
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
        let mut dialler =
            Dialler::new(self.settings.clone(), self.service.clone(), self.clock, self.health.clone())?;
        loop {
            let limit = dialler.attempt_limit(self.round_trip);
            let dialled = dialler.dial(&mut patience, limit).await?;
            let ended = self.hold(dialled, limit, &mut patience).await;
            let why = ended.why.clone();
            if self.lost(ended) {
                dialler.was_up();
            } else {
                dialler.unproven(&why, &mut patience).await?;
            }
        }
    }

    /// Subscribes and proves one connection until it is lost.
    async fn hold(&mut self, dialled: Dialled, first_answer: Duration, patience: &mut Patience) -> Ended {
        let (client, mut events) = dialled;
        let mut pumps = Pumps::default();
        self.troubles.begin();
        self.feeds.retain(|feed| !feed.is_closed());
        for feed in &self.feeds {
            if !self.feed(feed, &client, &mut pumps).await {
                return self.closed();
            }
        }
        let inbox = client.new_inbox();
        let Ok(mut echoes) = client.subscribe(inbox.clone()).await else { return self.closed() };
        let mut proof = LinkProof::default();
        let mut tick = interval(ECHO_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut denied_again = interval(DENIED_AGAIN);
        denied_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut first_answer_due = Box::pin(sleep(first_answer));
        loop {
            let number = tokio::select! {
                event = events.recv() => match event {
                    None | Some(Event::Disconnected | Event::Closed) => return self.closed(),
                    Some(event) => {
                        self.troubles.hear(event);
                        continue;
                    }
                },
                message = echoes.next() => {
                    let Some(message) = message else { return self.closed() };
                    let number = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse().ok());
                    let now = self.clock.now();
                    if let Some(proven) = number.and_then(|number| proof.answered(now.elapsed, number)) {
                        self.proven(&client, proven, patience);
                    }
                    continue;
                }
                () = &mut first_answer_due, if !self.link.borrow().is_up() => {
                    return self.ended("connected, but nothing comes back");
                }
                _ = denied_again.tick() => {
                    for subject in self.troubles.try_again() {
                        for feed in self.feeds.iter().filter(|feed| feed.subject == subject) {
                            self.feed(feed, &client, &mut pumps).await;
                        }
                    }
                    continue;
                }
                Some(_) = pumps.tasks.join_next() => continue,
                _ = tick.tick() => match proof.tick(self.clock.now().elapsed) {
                    Tick::Dead => {
                        let alive_until = proof.latest().map_or(Duration::ZERO, |proof| proof.answered);
                        return Ended { why: "four echoes in a row unanswered".to_owned(), alive_until };
                    }
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
                return self.closed();
            }
        }
    }

    /// Lets this connection fill a subscription; a denied one is made anew. False when the
    /// connection is closed.
    async fn feed(&self, feed: &Feed, client: &Client, pumps: &mut Pumps) -> bool {
        if let Some(denied) = pumps.by_subject.remove(&feed.subject) {
            denied.abort();
        }
        let Ok(subscriber) = client.subscribe(feed.subject.clone()).await else { return false };
        let pump = pumps.tasks.spawn(feed.clone().pump(subscriber, self.clock, self.health.clone()));
        pumps.by_subject.insert(feed.subject.clone(), pump);
        true
    }

    fn closed(&self) -> Ended {
        self.ended("the connection closed")
    }

    fn ended(&self, why: &str) -> Ended {
        Ended { why: why.to_owned(), alive_until: self.clock.now().elapsed }
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
                link.up_since = now.elapsed;
                link.outage = link.lost_at.take().map(|lost_at| now.elapsed.saturating_sub(lost_at));
            }
        });
        self.round_trip = Some(proof.round_trip());
        self.troubles.proven(proof);
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

    /// Tells everybody. Whether the link had been up.
    fn lost(&self, ended: Ended) -> bool {
        let Ended { why, alive_until } = ended;
        let was_up = self.link.send_if_modified(|link| {
            let was_up = link.client.take().is_some();
            if was_up {
                link.lost_at = Some(alive_until);
                link.proof = None;
            }
            was_up
        });
        if was_up {
            warn!(reason = %why, "the link to NATS is lost; connecting anew");
        }
        self.health.link(self.clock.now(), LinkHealth::Down { why });
        was_up
    }
}
