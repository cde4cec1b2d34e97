//! Who we are, told to whoever listens: startup, discovery, polls, robot starts, group restart,
//! other instances, farewell. Only this handler hears that the link is back; it announces, then
//! lets the heartbeat beat.

pub mod control;
pub mod gate;
pub mod instances;
pub mod restart;

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::bus::wire::{self, About, GroupRestart, Identity, Occasion};
use crate::bus::{Bus, PublishError, subjects};
use crate::clock::Clock;
use crate::health::{Component, HealthMonitor};
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
    pub about: About,
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
    /// Lets the heartbeat beat at once.
    pub beat_now: BeatNow,
    /// What a group restart asks for.
    pub shutdown: Shutdown,
}

/// The lifecycle handler. See [`Lifecycle::run`].
pub struct Lifecycle {
    parts: LifecycleParts,
    announced: watch::Sender<bool>,
    gate: AnnounceGate,
    polls: PollCounter,
    restart: PendingRestart,
    instances: Instances,
    /// The number of the connection that was announced last.
    announced_connection: u64,
}

impl Lifecycle {
    /// The handler, and whether it has announced the service yet.
    pub fn new(parts: LifecycleParts) -> (Self, watch::Receiver<bool>) {
        let (announced, receiver) = watch::channel(false);
        let instances = Instances::new(parts.identity.instance_id.clone());
        let lifecycle = Self {
            parts,
            announced,
            gate: AnnounceGate::default(),
            polls: PollCounter::default(),
            restart: PendingRestart::default(),
            instances,
            announced_connection: 0,
        };
        (lifecycle, receiver)
    }

    /// Announces, answers and listens until `farewell`; then says goodbye. Returns whether the
    /// goodbye has provably left.
    pub async fn run(mut self, farewell: CancellationToken) -> bool {
        loop {
            self.hear_link();
            let now = self.parts.clock.now().elapsed;
            if self.parts.bus.link().is_up()
                && let Some(occasion) = self.gate.take(now)
            {
                self.announce(occasion).await;
                continue;
            }
            let announce_in = self.gate.due().filter(|_| self.parts.bus.link().is_up());
            let restart_in = self.restart.end().map(|(end, _)| end);
            tokio::select! {
                biased;
                () = farewell.cancelled() => return self.say_goodbye().await,
                () = until(&self.parts.clock, restart_in) => self.restart_now(),
                notice = self.parts.notices.recv() => match notice {
                    Some(notice) => self.hear(notice),
                    None => return self.say_goodbye().await,
                },
                _ = self.parts.bus.changed() => {}
                () = until(&self.parts.clock, announce_in) => {}
            }
        }
    }

    fn hear_link(&mut self) {
        let link = self.parts.bus.link();
        if !link.is_up() {
            // What was asked for meanwhile is answered by the announcement at its return.
            if self.announced_connection > 0 {
                self.gate.forget();
            }
        } else if link.connection != self.announced_connection {
            let is_first = self.announced_connection == 0;
            self.announced_connection = link.connection;
            self.gate.want(match link.outage {
                _ if is_first => Occasion::Start,
                Some(outage) => Occasion::LinkBack(outage),
                None => Occasion::Asked,
            });
        }
    }

    fn hear(&mut self, notice: Notice) {
        let now = self.parts.clock.now();
        match notice {
            Notice::Asked if !self.parts.discovery => {}
            Notice::Asked => {
                if self.polls.is_flood(now.elapsed) {
                    warn!("more than ten discovery polls in a minute; each still gets its answer");
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
                let why = format!("another instance on {hostname}");
                self.parts.health.condition(
                    now,
                    Component::Instances,
                    "other",
                    Some(why),
                    Some(other.believed_for),
                );
            }
        }
    }

    fn hear_restart(&mut self, now: Duration, notice: &GroupRestart) {
        let initiator = notice.initiator.as_deref().unwrap_or("unknown");
        let reason = notice.reason.as_deref().unwrap_or("no reason given");
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
        let is_earlier = self.restart.notice(now, notice.delay, reason);
        info!(
            initiator,
            reason,
            delay_seconds = notice.delay.as_secs_f64(),
            is_earlier,
            "a group restart is announced"
        );
    }

    fn restart_now(&mut self) {
        if let Some((_, reason)) = self.restart.end() {
            info!(reason, "the group restart's delay is over: stopping");
            self.parts.shutdown.request(StopReason::GroupRestart(reason.to_owned()));
        }
        self.restart = PendingRestart::default();
    }

    async fn announce(&mut self, occasion: Occasion) {
        let now = self.parts.clock.now();
        let LifecycleParts { identity, about, bus, .. } = &self.parts;
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
                self.announced.send_replace(true);
                if occasion != Occasion::Asked {
                    self.parts.beat_now.beat_now();
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
        let reason = shutdown.reason().map(ToString::to_string).unwrap_or_default();
        let said = async {
            loop {
                bus.proven_since(clock.now().elapsed).await;
                let now = clock.now();
                let event = wire::shutdown(identity, &health.snapshot(now), &reason);
                let subject = subjects::lifecycle_shutdown(&identity.service);
                if bus.publish(&subject, event).await.is_ok() {
                    bus.proven_since(clock.now().elapsed).await;
                    return;
                }
            }
        };
        // A link that was away before is not hoped for twice.
        let hope = if bus.link().is_up() {
            LINK_HOPE
        } else if bus.is_closed() || shutdown.give_up.is_cancelled() {
            Duration::ZERO
        } else {
            LINK_HOPE.saturating_sub(shutdown.asked_ago())
        };
        let has_left = timeout(hope, said).await.is_ok();
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
