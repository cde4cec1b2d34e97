//! Who we are, told to whoever listens: startup, discovery, polls, robot starts, group restart,
//! other instances, farewell. Only this handler hears that the link is back; it announces, then
//! lets the heartbeat beat.

pub mod control;
pub mod gate;
pub mod instances;
pub mod restart;

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::about::AboutUs;
use crate::bus::wire::{self, GroupRestart, Identity, Occasion};
use crate::bus::{Bus, PublishError, subjects};
use crate::clock::{Clock, Moment};
use crate::health::{Component, HealthMonitor, cut};
use crate::heartbeat::BeatNow;
use crate::shutdown::{LINK_HOPE, Shutdown, StopReason};
use control::Notice;
use gate::{AnnounceGate, PollCounter};
use instances::Instances;
use restart::PendingRestart;

/// Everything that the lifecycle needs.
pub struct LifecycleParts {
    /// Who we are.
    pub identity: Identity,
    /// What we say about ourselves.
    pub about: AboutUs,
    /// Whether we are on the discovery subject and answer polls and robot starts.
    pub discovery: bool,
    /// Whether a group restart ends us.
    pub group_restart: bool,
    /// Where we say it.
    pub bus: Bus,
    /// When we say it.
    pub clock: Clock,
    /// Who hears of other instances.
    pub health: HealthMonitor,
    /// What the control subjects bring.
    pub notices: mpsc::Receiver<Notice>,
    /// Whether all is known that can be known at our start: nothing is announced before.
    pub state_loaded: watch::Receiver<bool>,
    /// Lets the heartbeat beat at once; none when heartbeats are switched off.
    pub beat_now: Option<BeatNow>,
    /// Told when the announcement is out, where no beat follows it as the last step of the start.
    pub ready: watch::Sender<bool>,
    /// What a group restart asks for.
    pub shutdown: Shutdown,
}

/// The lifecycle handler. See [`Lifecycle::run`].
pub struct Lifecycle {
    parts: LifecycleParts,
    gate: AnnounceGate,
    polls: PollCounter,
    restart: PendingRestart,
    instances: Instances,
    /// The number of the connection for which an announcement was wanted last.
    known_connection: u64,
}

impl Lifecycle {
    /// The handler; [`Self::run`] has to be called.
    pub fn new(parts: LifecycleParts) -> Self {
        let instances = Instances::new(parts.identity.instance_id.clone());
        Self {
            parts,
            gate: AnnounceGate::default(),
            polls: PollCounter::default(),
            restart: PendingRestart::default(),
            instances,
            known_connection: 0,
        }
    }

    /// Announces, answers and listens until `farewell`; then says goodbye. Returns whether the
    /// goodbye has provably left.
    pub async fn run(mut self, farewell: CancellationToken) -> bool {
        loop {
            self.hear_link();
            let now = self.parts.clock.now();
            let may_announce = self.parts.bus.link().is_up() && *self.parts.state_loaded.borrow();
            if may_announce && let Some(occasion) = self.gate.take(now.elapsed) {
                self.announce(now, occasion).await;
                continue;
            }
            let announce_in = self.gate.due().filter(|_| may_announce);
            let restart_in = self.restart.end();
            tokio::select! {
                biased;
                () = farewell.cancelled() => return self.say_goodbye().await,
                () = until(&self.parts.clock, restart_in) => self.restart_now(),
                notice = self.parts.notices.recv() => match notice {
                    Some(notice) => self.hear(notice),
                    None => return self.say_goodbye().await,
                },
                _ = self.parts.bus.changed() => {}
                Ok(()) = self.parts.state_loaded.changed() => {}
                () = until(&self.parts.clock, announce_in) => {}
            }
        }
    }

    fn hear_link(&mut self) {
        let link = self.parts.bus.link();
        if !link.is_up() {
            // What was asked for meanwhile is answered by the announcement at its return.
            if self.known_connection > 0 {
                self.gate.forget();
            }
        } else if link.connection != self.known_connection {
            let is_first = self.known_connection == 0;
            self.known_connection = link.connection;
            self.gate.want(if is_first {
                Occasion::Start
            } else {
                Occasion::LinkBack(link.outage.unwrap_or_default())
            });
        }
    }

    fn hear(&mut self, notice: Notice) {
        let now = self.parts.clock.now();
        match notice {
            Notice::Asked if !self.parts.discovery => {}
            Notice::Asked => {
                if self.polls.is_flood(now.elapsed) {
                    warn!(
                        "more than ten discovery polls in a minute: those of a quarter second share an answer"
                    );
                }
                self.gate.want(Occasion::Asked);
            }
            Notice::GroupRestart(notice) => self.hear_restart(now.elapsed, &notice),
            Notice::Beat(beat) => {
                let Some(other) = beat
                    .instance_id
                    .as_deref()
                    .and_then(|instance_id| self.instances.beat(now.elapsed, instance_id))
                else {
                    return;
                };
                let hostname = beat.hostname.unwrap_or_default();
                if other.is_new {
                    warn!(
                        instance_id = ?other.instance_id,
                        ?hostname,
                        "another live instance uses our service name; both answer in chat"
                    );
                }
                let why = format!("another instance on {hostname} ({})", cut(&other.instance_id, 8));
                self.parts.health.condition(
                    now,
                    Component::Instances,
                    other.instance_id,
                    Some(why),
                    Some(other.believed_for),
                );
            }
        }
    }

    fn hear_restart(&mut self, now: Duration, notice: &GroupRestart) {
        let initiator = notice.initiator.as_deref().unwrap_or("unknown");
        let reason = notice.reason.as_str();
        if !self.parts.group_restart {
            info!(
                initiator,
                reason, "a group restart is announced; group_restart.enabled is false, so we stay"
            );
            return;
        }
        if let Some(warning) = &notice.warning {
            warn!(initiator, "the group restart's delay can't be used: {warning}");
        }
        let stop =
            StopReason::GroupRestart { reason: notice.reason.clone(), initiator: notice.initiator.clone() };
        let is_earlier = self.restart.notice(now, notice.delay, stop);
        info!(
            initiator,
            reason,
            delay_seconds = notice.delay.as_secs_f64(),
            is_earlier,
            "a group restart is announced"
        );
    }

    fn restart_now(&mut self) {
        if let Some(reason) = self.restart.take() {
            info!(%reason, "the delay is over: stopping");
            self.parts.shutdown.request(reason);
        }
    }

    async fn announce(&mut self, now: Moment, occasion: Occasion) {
        let LifecycleParts { identity, about, bus, .. } = &self.parts;
        let about = &about.now();
        let connection = bus.link().connection;
        let startup = bus
            .publish(
                &subjects::lifecycle_startup(&identity.service),
                wire::startup(identity, about, now, occasion),
            )
            .await;
        let discovery = if self.parts.discovery {
            bus.publish(subjects::DISCOVERY, wire::discovery(identity, about, now, occasion)).await
        } else {
            Ok(())
        };
        match startup.and(discovery) {
            Ok(()) => {
                info!(?occasion, "announced");
                match &self.parts.beat_now {
                    Some(beat_now) => beat_now.beat_now(connection),
                    None => _ = self.parts.ready.send_replace(true),
                }
            }
            // The link is gone, or not proven freshly enough: wanted still, and due in a moment.
            Err(PublishError::LinkDown | PublishError::Stuck) => self.gate.want(occasion),
            Err(error) => error!(%error, "the announcement could not be published"),
        }
    }

    /// One shutdown event (REQ-007), and a round trip behind it.
    async fn say_goodbye(&self) -> bool {
        let LifecycleParts { identity, bus, clock, health, shutdown, .. } = &self.parts;
        let reason = shutdown.reason();
        let initiator = match reason {
            Some(StopReason::GroupRestart { initiator, .. }) => initiator.as_deref(),
            _ => None,
        };
        let reason = reason.map(ToString::to_string).unwrap_or_default();
        let said = async {
            loop {
                bus.proven_since(clock.now().elapsed).await;
                let (now, connection) = (clock.now(), bus.link().connection);
                let event = wire::shutdown(identity, &health.snapshot(now), &reason, initiator);
                let subject = subjects::lifecycle_shutdown(&identity.service);
                if bus.publish(&subject, event).await.is_ok() {
                    bus.proven_since(clock.now().elapsed).await;
                    // A proof on another connection says nothing about what was said on this one.
                    return bus.link().connection == connection;
                }
            }
        };
        // A link that was away before is not hoped for twice, and never after giving up.
        let hope = if bus.link().is_up() {
            LINK_HOPE
        } else if bus.is_closed() || shutdown.give_up.is_cancelled() {
            Duration::ZERO
        } else {
            LINK_HOPE.saturating_sub(shutdown.asked_ago())
        };
        let has_left = tokio::select! {
            has_left = said => has_left,
            () = sleep(hope) => false,
            () = shutdown.clone().overdue() => false,
        };
        if !has_left {
            warn!("NATS is away: the shutdown event could not be proven to have left");
        }
        has_left
    }
}

/// Sleeps until a moment since start; for ever when there is none.
async fn until(clock: &Clock, at: Option<Duration>) {
    match at {
        Some(at) => sleep(at.saturating_sub(clock.now().elapsed)).await,
        None => std::future::pending().await,
    }
}
