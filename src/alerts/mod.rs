//! Alerts without another server: a worse state that has held is told on the bus and to a webhook, and so is
//! its end. [`book`] decides; two tellers bring it out, each at its own pace. What is open is remembered over a
//! restart. An alert is written down before it is told, and until the tellers have done with its end: a stop may make
//! an end all that arrives, or make it come twice, but it comes, unless a teller has given it up.

pub mod book;
mod memory;
mod on_bus;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bus::wire::{Alert, AlertEvent, Identity};
use crate::bus::{Bus, subjects};
use crate::clock::{Clock, Moment};
use crate::health::{Change, HealthMonitor, Transition, missed};
use crate::settings::InForce;
use book::{AlertBook, Hold, Open};
use memory::Memory;
use webhook::Webhook;

/// So many messages may wait for the bus or the webhook; of more the oldest are dropped.
const WAITING: usize = 16;
/// How often what has changed is looked at. Within a second nothing is lost: each change has its time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What alerts need.
#[derive(Clone)]
pub struct AlertParts {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// How long a state must hold, and the webhook.
    pub in_force: InForce,
    /// Where alerts are published.
    pub bus: Bus,
    /// What they are about, and where they are counted.
    pub health: HealthMonitor,
    /// When it is.
    pub clock: Clock,
}

/// Watches over our state. See [`Alerts::run`].
pub struct Alerts {
    parts: AlertParts,
    book: AlertBook,
    memory: Memory,
    /// Ends that a teller may still have in hand; no more than wait for one.
    ending: Vec<Arc<Alert>>,
    /// The number of the latest news that was heard.
    heard: u64,
    tellers: Sender<Arc<Alert>>,
    /// Told when a teller has done with one.
    done: Arc<Notify>,
}

impl Alerts {
    /// Begins with the state that we are in, and what is open from before our start, which is read at once. To be
    /// called before anything reports to health.
    pub fn new(parts: AlertParts) -> Self {
        let now = parts.clock.now();
        let memory = Memory::read(&parts.in_force.borrow().config().state_dir);
        let snapshot = parts.health.snapshot(now);
        let reason = snapshot.reason.as_deref().unwrap_or_default();
        let book = AlertBook::new(now, snapshot.state, reason, memory.kept());
        Self {
            parts,
            book,
            memory,
            ending: Vec::new(),
            heard: 0,
            tellers: Sender::new(WAITING),
            done: Arc::default(),
        }
    }

    /// The subject that alerts are published on.
    pub fn subject(identity: &Identity) -> String {
        subjects::alert(&identity.service)
    }

    /// Watches and tells until `stop`. Then nothing more is told, for our end is no end of a trouble, and what has
    /// no end yet is written down.
    pub async fn run(mut self, stop: CancellationToken) {
        let AlertParts { identity, bus, clock, health, .. } = self.parts.clone();
        let on_bus = on_bus::tell(self.waiting("the bus"), identity, bus, clock, health);
        let to_webhook = Webhook::new(&self.parts).tell(self.waiting("the webhook"));
        tokio::select! {
            ((), ()) = async { tokio::join!(on_bus, to_webhook) } => {}
            () = self.watch(&stop) => {}
        }
    }

    async fn watch(&mut self, stop: &CancellationToken) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = look.tick() => {}
                () = self.done.notified() => {}
            }
            let due = self.look();
            let open = self.without_end();
            self.memory.keep(self.parts.clock.now(), open).await;
            due.into_iter().for_each(|alert| self.tell(alert));
        }
        let open = self.without_end();
        self.memory.finish(self.parts.clock.now(), open).await;
    }

    fn waiting(&self, place: &'static str) -> Waiting {
        let (alerts, health) = (self.tellers.subscribe(), self.parts.health.clone());
        Waiting { alerts, done: self.done.clone(), health, place }
    }

    /// What somebody may still wait for the end of.
    fn without_end(&mut self) -> Open {
        self.ending.retain(|end| Arc::strong_count(end) > 1);
        let open = self.book.open();
        if self.ending.is_empty() { open } else { open.or(self.memory.kept()) }
    }

    /// Hears what is new. Gives what is to be told, in its order.
    fn look(&mut self) -> Vec<Arc<Alert>> {
        let now = self.parts.clock.now();
        let hold = self.hold();
        let news = self.parts.health.news_since(self.heard);
        let mut due = Vec::new();
        let has_gap = missed(&news, self.heard) > 0;
        for news in news {
            self.heard = news.number;
            if let Change::State(transition) = &news.change {
                due.extend(self.book.hear(news.at, transition, hold));
            }
        }
        if has_gap {
            due.extend(self.catch_up(now, hold));
        }
        due.extend(self.book.due(now, hold));
        let due: Vec<Arc<Alert>> = due.into_iter().map(Arc::new).collect();
        self.ending.extend(due.iter().filter(|alert| alert.event == AlertEvent::AlertEnd).cloned());
        due
    }

    fn hold(&self) -> Hold {
        let rules = self.parts.in_force.borrow();
        let alerts = &rules.config().alerts;
        // Switched off, nothing ever has held long enough to be told. What was told still gets its end, also
        // when that was before our start.
        Hold { worse: if alerts.enabled { alerts.hold } else { Duration::MAX }, better: alerts.hold }
    }

    /// There was more news than is kept. What we are now is known all the same.
    fn catch_up(&mut self, now: Moment, hold: Hold) -> Vec<Alert> {
        let snapshot = self.parts.health.snapshot(now);
        let from = self.book.state();
        if snapshot.state == from {
            return Vec::new();
        }
        let reason = snapshot.reason.unwrap_or_default();
        let (to, held) = (snapshot.state, Duration::ZERO);
        let transition = Transition { from, to, reason, held, ends_start: false };
        self.book.hear(now, &transition, hold)
    }

    fn tell(&self, alert: Arc<Alert>) {
        let (health, reason) = (alert.health.as_str(), alert.reason.as_str());
        let held_seconds = alert.held.as_secs_f64();
        match alert.event {
            AlertEvent::Alert => {
                self.parts.health.alert_raised();
                warn!(health, reason, held_seconds, "alert");
            }
            AlertEvent::AlertEnd => {
                self.parts.health.alert_ended();
                info!(health, reason, held_seconds, "end of an alert");
            }
        }
        // Both tellers live as long as we do.
        let _ = self.tellers.send(alert);
    }
}

/// What waits for one teller.
struct Waiting {
    alerts: Receiver<Arc<Alert>>,
    done: Arc<Notify>,
    health: HealthMonitor,
    place: &'static str,
}

impl Waiting {
    /// The next one. Whoever asks has done with the one before, and let it go. Waits for ever when nobody can
    /// raise any more.
    async fn next(&mut self) -> Arc<Alert> {
        self.done.notify_one();
        loop {
            match self.alerts.recv().await {
                Ok(alert) => return alert,
                Err(RecvError::Lagged(dropped)) => {
                    warn!(dropped, "more alerts than {} takes: the oldest are dropped", self.place);
                    self.health.alerts_undelivered(dropped);
                }
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
