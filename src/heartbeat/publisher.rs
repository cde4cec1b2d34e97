//! The publisher's task: prove, look, publish, and go on whatever happens.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::BeatSchedule;
use crate::about::AboutUs;
use crate::bus::wire::{self, Beat, Identity, Proof};
use crate::bus::{Bus, PublishError, subjects};
use crate::clock::Clock;
use crate::decider::DeciderHandle;
use crate::health::{Component, HealthMonitor, Progress};
use crate::metrics::Metrics;
use crate::settings::InForce;

/// How long the decider may take to answer before a beat.
const DECIDER_PATIENCE: Duration = Duration::from_secs(1);

/// Asks for a beat at once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct BeatNow(watch::Sender<u64>);

impl BeatNow {
    /// The link's connection with this number has been announced: beats at once, besides the
    /// regular beats, if that is news. Beats go out on no other connection, since nobody heeds the
    /// beats of a service that has not said who it is.
    pub fn beat_now(&self, connection: u64) {
        self.0.send_if_modified(|announced| std::mem::replace(announced, connection) != connection);
    }
}

/// Publishes heartbeats (REQ-002). See [`HeartbeatPublisher::run`].
pub struct HeartbeatPublisher {
    /// Who we are.
    pub identity: Identity,
    /// What we say about ourselves.
    pub about: AboutUs,
    /// The time between two beats, and whether spam detection is switched on.
    pub in_force: InForce,
    /// Where the beats go.
    pub bus: Bus,
    /// When they go.
    pub clock: Clock,
    /// What they say.
    pub health: HealthMonitor,
    /// Where they are counted.
    pub metrics: Metrics,
    /// Who has to answer before each.
    pub decider: DeciderHandle,
    /// Who asks for one at once.
    pub beat_now: BeatNow,
    /// Told when the first beat is out, the last step of the start.
    pub ready: watch::Sender<bool>,
}

impl HeartbeatPublisher {
    /// Beats from the first [`BeatNow::beat_now`] until `stop`; the last beat is sent then.
    ///
    /// A beat that can't be published is logged and skipped: none is kept for later, since a
    /// late one would lie.
    pub async fn run(mut self, stop: CancellationToken) {
        let progress = self.health.progress(Component::Heartbeat);
        let mut decider = ProvenDecider::new(&self);
        let mut announced = self.beat_now.0.subscribe();
        if stop.run_until_cancelled(announced.changed()).await.is_none() {
            return;
        }
        let mut interval = self.interval();
        let mut schedule = self.schedule(interval);
        // When the beat that is taken was due; none of one that somebody asked for.
        let mut due = None;
        'beats: loop {
            progress.due(self.clock.now().elapsed + DECIDER_PATIENCE);
            #[cfg(feature = "test-hooks")]
            crate::test_hooks::stall_heartbeat().await;
            let connection = *announced.borrow_and_update();
            if self.beat(&mut decider, connection, due.take()).await {
                self.ready.send_replace(true);
            }
            loop {
                let next = schedule.next();
                progress.due(next);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break 'beats,
                    _ = announced.changed() => break,
                    () = sleep(next.saturating_sub(self.clock.now().elapsed)) => {
                        schedule.take(self.clock.now().elapsed);
                        due = Some(next);
                        break;
                    }
                    Ok(()) = self.in_force.changed() => {
                        let wanted = self.interval();
                        if std::mem::replace(&mut interval, wanted) != wanted {
                            // The new schedule begins with a beat at once.
                            schedule = self.schedule(interval);
                            break;
                        }
                    }
                }
            }
        }
        progress.end();
        let connection = *announced.borrow();
        self.beat(&mut decider, connection, None).await;
    }

    fn interval(&mut self) -> Duration {
        self.in_force.borrow_and_update().config().service.heartbeat_interval
    }

    /// The beats from now on; the first one is out, or about to be.
    fn schedule(&self, interval: Duration) -> BeatSchedule {
        let now = self.clock.now().elapsed;
        let mut schedule = BeatSchedule::new(now, interval);
        schedule.take(now);
        schedule
    }

    /// Whether the beat is out that was due then, since start.
    async fn beat(&self, decider: &mut ProvenDecider, connection: u64, due: Option<Duration>) -> bool {
        let (decider, is_fresh) = tokio::join!(decider.probe(&self.clock), self.bus.is_fresh());
        if !is_fresh {
            debug!("no heartbeat: the link to NATS is down or unproven");
            return false;
        }
        if self.bus.link().connection != connection {
            debug!("no heartbeat: the link to NATS is back, and will be announced before");
            return false;
        }
        let snapshot = self.health.snapshot(self.clock.now());
        let beat = Beat {
            rate_limiter_active: decider.is_some(),
            spam_detector_active: decider.is_some() && self.in_force.borrow().config().spam_detection.enabled,
            proof: Proof { decider, link: self.bus.round_trip() },
        };
        let service = &self.identity.service;
        let heartbeat = wire::heartbeat(&self.identity, &snapshot, &beat);
        let lifecycle = wire::lifecycle_heartbeat(&self.identity, &self.about.now(), &snapshot);
        // Each has listeners of its own, so neither hangs on the other's success.
        let one_is_out = self.publish(&subjects::heartbeat(service), heartbeat).await;
        let is_out = self.publish(&subjects::lifecycle_heartbeat(service), lifecycle).await || one_is_out;
        if is_out {
            let now = self.clock.now();
            self.metrics.beat(now.wall, due.map(|due| now.elapsed.saturating_sub(due)));
        }
        is_out
    }

    async fn publish(&self, subject: &str, payload: Vec<u8>) -> bool {
        let published = self.bus.publish(subject, payload).await;
        match published {
            Ok(()) => {}
            Err(PublishError::LinkDown) => debug!(subject, "no heartbeat: the link to NATS went down"),
            Err(error) => {
                warn!(subject, %error, "a heartbeat could not be published; the next one is tried as usual");
            }
        }
        published.is_ok()
    }
}

/// Asks the decider for a sign of life; while it owes one, health knows.
struct ProvenDecider {
    decider: DeciderHandle,
    owes: Progress,
    is_owing: bool,
}

impl ProvenDecider {
    fn new(publisher: &HeartbeatPublisher) -> Self {
        let owes = publisher.health.progress(Component::Decider);
        Self { decider: publisher.decider.clone(), owes, is_owing: false }
    }

    async fn probe(&mut self, clock: &Clock) -> Option<Duration> {
        if !self.is_owing {
            self.owes.begin(clock.now());
        }
        let answered_after = self.decider.probe(DECIDER_PATIENCE).await;
        self.is_owing = answered_after.is_none();
        if !self.is_owing {
            self.owes.end();
        }
        answered_after
    }
}

/// Behind the last beat nobody asks any more, and the decider owes nothing.
impl Drop for ProvenDecider {
    fn drop(&mut self) {
        self.owes.end();
    }
}
