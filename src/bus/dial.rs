//! Trying the configured servers until one takes us.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{Client, Event, ServerAddr};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use super::connect::{ConnectFailure, connect};
use super::link::LinkFailure;
use super::patience::{OutOfPatience, Patience};
use crate::clock::Clock;
use crate::config::NatsConfig;
use crate::health::{HealthMonitor, LinkHealth, listed};

/// How long an attempt on a lost link may take, when the link was quick.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(2);
/// On a slow link it may take so many of its round trips: TCP, TLS and NATS each want some.
const ATTEMPT_ROUND_TRIPS: u32 = 6;
/// An attempt that has not ended by then gets company, so that none that hangs holds up others:
/// neither another server, nor the same one when it has just come back.
const COMPANY_AFTER: Duration = Duration::from_millis(500);
/// Attempts at the same time, at most.
const ATTEMPTS_AT_ONCE: usize = 16;
/// The pause after all servers were tried; drawn anew each time, so that many services don't come
/// at once.
const RETRY_PAUSE_MILLISECONDS: std::ops::RangeInclusive<u64> = 50..=250;
/// The same trouble is logged again after so long, a changed one after a second.
const LOG_AGAIN: Duration = Duration::from_secs(30);
const LOG_CHANGED: Duration = Duration::from_secs(1);
/// Events of the client that may wait for the keeper.
const EVENT_CAPACITY: usize = 256;

/// A connection that is not proven yet, and what its client says about it.
pub(super) type Dialled = (Client, mpsc::Receiver<Event>);

type Attempt = BoxFuture<'static, (usize, Result<Dialled, ConnectFailure>)>;

/// Tries the servers in turn.
pub(super) struct Dialler {
    settings: NatsConfig,
    service: String,
    servers: Vec<ServerAddr>,
    clock: Clock,
    health: HealthMonitor,
    logged: Option<(Duration, String)>,
}

/// The latest failure of each server, by its place in the list.
type Failures = BTreeMap<usize, ConnectFailure>;

impl Dialler {
    /// # Errors
    /// When an address in `nats.servers` is none.
    pub(super) fn new(
        settings: NatsConfig,
        service: String,
        clock: Clock,
        health: HealthMonitor,
    ) -> Result<Self, LinkFailure> {
        let servers = settings.servers.iter().enumerate().map(|(index, server)| {
            server.parse().map_err(|error| LinkFailure::Settings(format!("nats.servers[{index}]: {error}")))
        });
        let servers = servers.collect::<Result<_, _>>()?;
        Ok(Self { settings, service, servers, clock, health, logged: None })
    }

    /// How long an attempt may take. `round_trip`: of the link that was lost; none at the start.
    pub(super) fn attempt_limit(&self, round_trip: Option<Duration>) -> Duration {
        let limit = round_trip.map(|round_trip| ATTEMPT_LIMIT.max(round_trip * ATTEMPT_ROUND_TRIPS));
        limit.map_or(self.settings.connect_timeout, |limit| limit.min(self.settings.connect_timeout))
    }

    /// Tries until there is a connection; each attempt takes at most `limit`.
    ///
    /// # Errors
    /// When patience is used up, or a file can't be used at the first attempt.
    pub(super) async fn dial(
        &mut self,
        patience: &mut Patience,
        limit: Duration,
    ) -> Result<Dialled, LinkFailure> {
        let mut attempts: FuturesUnordered<Attempt> = FuturesUnordered::new();
        let mut failures = Failures::new();
        // Which server is first is drawn, so that many services spread over all of them.
        let first = rand::random_range(0..self.servers.len());
        let mut begun = 0;
        let mut next_begins = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some((server, outcome)) = attempts.next() => {
                    let failure = match outcome {
                        Ok(dialled) => return Ok(dialled),
                        Err(failure) => failure,
                    };
                    failures.insert(server, failure);
                    self.failed(&failures, patience)?;
                    let is_round_over = begun % self.servers.len() == 0;
                    let pause = if is_round_over { retry_pause() } else { Duration::ZERO };
                    next_begins = next_begins.min(Instant::now() + pause);
                }
                () = sleep_until(next_begins), if attempts.len() < ATTEMPTS_AT_ONCE => {
                    attempts.push(self.attempt((first + begun) % self.servers.len(), limit));
                    begun += 1;
                    next_begins = Instant::now() + COMPANY_AFTER;
                }
            }
        }
    }

    fn attempt(&self, index: usize, limit: Duration) -> Attempt {
        let (settings, service) = (self.settings.clone(), self.service.clone());
        let server = self.servers[index].clone();
        Box::pin(async move {
            let (sender, events) = mpsc::channel(EVENT_CAPACITY);
            let on_event = move |event| drop(sender.try_send(event));
            let client = connect(&settings, &service, &server, limit, on_event).await;
            (index, client.map(|client| (client, events)))
        })
    }

    /// The link was up meanwhile: its next trouble is news.
    pub(super) fn was_up(&mut self) {
        self.logged = None;
    }

    /// A connection was made, but ended before anything came back over it: a failed attempt too.
    ///
    /// # Errors
    /// When patience is used up.
    pub(super) async fn unproven(&mut self, why: &str, patience: &mut Patience) -> Result<(), LinkFailure> {
        if let Some(end) = patience.failed(self.clock.now().elapsed, false) {
            return Err(out_of_patience(end, why.to_owned()));
        }
        self.log(why.to_owned());
        sleep(retry_pause()).await;
        Ok(())
    }

    /// One attempt failed. As long as there is a server that has not been tried it counts for
    /// nothing: that one may take us.
    fn failed(&mut self, failures: &Failures, patience: &mut Patience) -> Result<(), LinkFailure> {
        let mut texts: Vec<String> = failures.values().map(ToString::to_string).collect();
        texts.dedup();
        let text = texts.join("; ");
        self.health.link(self.clock.now(), LinkHealth::Down { why: listed("", &texts) });
        if failures.len() == self.servers.len() {
            let settings = failures.values().find(|failure| matches!(failure, ConnectFailure::Settings(_)));
            if let (Some(failure), true) = (settings, patience.is_first()) {
                return Err(LinkFailure::Settings(failure.to_string()));
            }
            // A server that is away says nothing about the credentials.
            let is_refused = failures.values().any(|failure| matches!(failure, ConnectFailure::Refused(_)));
            if let Some(end) = patience.failed(self.clock.now().elapsed, is_refused) {
                return Err(out_of_patience(end, text));
            }
        }
        self.log(text);
        Ok(())
    }

    fn log(&mut self, text: String) {
        let now = self.clock.now().elapsed;
        let is_due = self.logged.as_ref().is_none_or(|(at, last)| {
            now.saturating_sub(*at) >= if *last == text { LOG_AGAIN } else { LOG_CHANGED }
        });
        if is_due {
            warn!(reason = %text, "no connection to NATS; trying on");
            self.logged = Some((now, text));
        }
    }
}

fn retry_pause() -> Duration {
    Duration::from_millis(rand::random_range(RETRY_PAUSE_MILLISECONDS))
}

fn out_of_patience(end: OutOfPatience, text: String) -> LinkFailure {
    match end {
        OutOfPatience::Refused => LinkFailure::Refused(text),
        OutOfPatience::Attempts(limit) => LinkFailure::Unavailable(limit, text),
    }
}
