//! Alerts without another server: a worse state that has held is told on the bus and to a webhook, and so is
//! its end. [`book`] decides; two tellers bring it out, each at its own pace.

pub mod book;
mod on_bus;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::bus::wire::{Alert, AlertEvent, Identity};
use crate::bus::{Bus, subjects};
use crate::clock::{Clock, Moment};
use crate::health::{Change, HealthMonitor, Transition, missed};
use crate::settings::InForce;
use book::{AlertBook, Hold};
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
    /// The number of the latest news that was heard.
    heard: u64,
    tellers: Sender<Arc<Alert>>,
}

impl Alerts {
    /// Begins with the state that we are in. To be called before anything reports to health.
    pub fn new(parts: AlertParts) -> Self {
        let now = parts.clock.now();
        let snapshot = parts.health.snapshot(now);
        let book = AlertBook::new(now, snapshot.state, snapshot.reason.as_deref().unwrap_or_default());
        Self { parts, book, heard: 0, tellers: Sender::new(WAITING) }
    }

    /// The subject that alerts are published on.
    pub fn subject(identity: &Identity) -> String {
        subjects::alert(&identity.service)
    }

    /// Watches and tells. Never returns; when it is dropped nothing more is told, for our end is no end of
    /// a trouble.
    pub async fn run(mut self) {
        let AlertParts { identity, bus, clock, health, .. } = self.parts.clone();
        let waiting = Waiting { alerts: self.tellers.subscribe(), health: health.clone(), place: "the bus" };
        let on_bus = on_bus::tell(waiting, identity, bus, clock, health);
        let waiting = Waiting {
            alerts: self.tellers.subscribe(),
            health: self.parts.health.clone(),
            place: "the webhook",
        };
        let to_webhook = Webhook::new(&self.parts).tell(waiting);
        let watch = async {
            let mut look = interval(LOOK_EVERY);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                look.tick().await;
                self.look();
            }
        };
        tokio::join!(watch, on_bus, to_webhook);
    }

    fn look(&mut self) {
        let now = self.parts.clock.now();
        let hold = self.hold();
        let news = self.parts.health.news_since(self.heard);
        let has_gap = missed(&news, self.heard) > 0;
        for news in news {
            self.heard = news.number;
            if let Change::State(transition) = &news.change {
                let due = self.book.hear(news.at, transition, hold);
                self.tell(due);
            }
        }
        if has_gap {
            self.catch_up(now, hold);
        }
        let due = self.book.due(now, hold);
        self.tell(due);
    }

    fn hold(&self) -> Hold {
        let rules = self.parts.in_force.borrow();
        let alerts = &rules.config().alerts;
        // Switched off, nothing ever has held long enough to be told. What was told still gets its end.
        Hold { worse: if alerts.enabled { alerts.hold } else { Duration::MAX }, better: alerts.hold }
    }

    /// There was more news than is kept. What we are now is known all the same.
    fn catch_up(&mut self, now: Moment, hold: Hold) {
        let snapshot = self.parts.health.snapshot(now);
        let from = self.book.state();
        if snapshot.state != from {
            let reason = snapshot.reason.unwrap_or_default();
            let (to, held) = (snapshot.state, Duration::ZERO);
            let transition = Transition { from, to, reason, held, ends_start: false };
            let due = self.book.hear(now, &transition, hold);
            self.tell(due);
        }
    }

    fn tell(&self, due: Vec<Alert>) {
        due.into_iter().for_each(|alert| self.tell_one(alert));
    }

    fn tell_one(&self, alert: Alert) {
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
        let _ = self.tellers.send(Arc::new(alert));
    }
}

/// What waits for one teller.
struct Waiting {
    alerts: Receiver<Arc<Alert>>,
    health: HealthMonitor,
    place: &'static str,
}

impl Waiting {
    /// The next one. Waits for ever when nobody can raise any more.
    async fn next(&mut self) -> Arc<Alert> {
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
