//! The service: what it is made of, and in which order it starts and stops. Read this first.

mod parts;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::bus::Bus;
use crate::bus::link::{LinkFailure, LinkKeeper};
use crate::clock::Clock;
use crate::config::Config;
use crate::decider::DeciderLoop;
use crate::health::{Component, HealthMonitor};
use crate::heartbeat::{BeatNow, HeartbeatPublisher};
use crate::lifecycle::control::Listeners;
use crate::lifecycle::{Lifecycle, LifecycleParts};
use crate::llm::Router;
use crate::ops::http;
use crate::outbox::Tools;
use crate::reply::ReplyTools;
use crate::robot::RobotWatch;
use crate::shutdown::{Shutdown, StopReason};
use crate::tasks::{Task, spawn};
use parts::{about, controls, http_state, identity, intakes, listen, outboxes};

/// Notices that may wait for the lifecycle or the robot's watch; whoever brings one waits then.
const NOTICES: usize = 64;
/// What a task of the last stage gets when the deadline has passed already.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// How the service ended.
#[derive(Debug)]
pub struct Ended {
    /// Why.
    pub reason: StopReason,
    /// Whether replies were cut off.
    pub abandoned: bool,
}

/// Why the service could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The HTTP port can't be had.
    #[error(
        "can't listen on {address} for HTTP: {error}; change metrics.port, or set metrics.enabled to false"
    )]
    Http {
        /// The address as configured.
        address: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The link to NATS is given up.
    #[error(transparent)]
    Link(#[from] LinkFailure),
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
}

/// Runs the service until somebody asks it to stop, or it can't go on.
///
/// # Errors
/// See [`ServiceError`].
pub async fn run(config: Arc<Config>, clock: Clock) -> Result<Ended, ServiceError> {
    let shutdown = Shutdown::default();
    let signals = spawn("signals", &shutdown, shutdown.clone().listen());
    let listener = listen(&config).await?;
    let service = Service::start(config, clock, shutdown.clone(), listener);
    shutdown.stop_taking.cancelled().await;
    let ended = service.stop().await;
    drop(signals);
    ended
}

/// Everything that runs, in the order of its end.
struct Service {
    clock: Clock,
    config: Arc<Config>,
    shutdown: Shutdown,
    health: HealthMonitor,
    bus: Bus,
    giving_up: Task,
    intakes: Vec<Task>,
    decider: Task,
    outboxes: Vec<Task>,
    heartbeat: Option<Task>,
    stop_beating: CancellationToken,
    lifecycle: Task<bool>,
    farewell: CancellationToken,
    link: Task<Result<(), LinkFailure>>,
    rest: Vec<Task>,
    close: CancellationToken,
}

impl Service {
    /// Starts everything. Nothing here waits: announcing begins when the link is proven, which is
    /// when every subscription is confirmed; the first beat follows the first announcement.
    fn start(config: Arc<Config>, clock: Clock, shutdown: Shutdown, listener: Option<TcpListener>) -> Self {
        let identity = Arc::new(identity(&config, clock));
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let about = about(&config, address);
        let health = HealthMonitor::new(
            clock.now(),
            config.llm_providers.iter().map(|provider| provider.name.clone()),
            [Component::Outbox, Component::LlmProviders, Component::Robot, Component::Instances],
        );
        let (mut keeper, bus) =
            LinkKeeper::new(config.nats.clone(), &identity.service, clock, health.clone());
        let close = CancellationToken::new();
        let mut rest = Vec::new();

        // Chat: intake → queue per room → decider → reply tasks → outbox per room.
        let (decider_loop, decider, queues) = DeciderLoop::new(config.clone(), clock, health.clone());
        let intakes = intakes(&config, queues, &mut keeper, clock, &health, &shutdown);
        let (robot_notices, robot_inbox) = mpsc::channel(NOTICES);
        let (robot_watch, robots) =
            RobotWatch::new(&config.rooms, bus.clone(), clock, health.clone(), decider.clone(), robot_inbox);
        let tools = Tools {
            config: config.clone(),
            identity: identity.clone(),
            bus: bus.clone(),
            clock,
            health: health.clone(),
            decider: decider.clone(),
            give_up: shutdown.give_up.clone(),
        };
        let (outboxes, outbox_handles) = outboxes(robots, &tools, &shutdown);
        let router = Router::new(
            &config.llm_providers,
            &config.default_provider_priority,
            config.retry_strategy.clone(),
            config.circuit_breaker.clone(),
            health.clone(),
            clock,
        );
        let warm_up = router.clone();
        rest.push(spawn("warm-up", &shutdown, async move { warm_up.warm_up().await }));
        let reply_tools =
            ReplyTools { router, outboxes: Arc::new(outbox_handles), give_up: shutdown.give_up.clone() };
        let decider_task = spawn("decider", &shutdown, decider_loop.run(reply_tools, shutdown.clone()));

        // Control: a lane of its own.
        let (notices, inbox) = mpsc::channel(NOTICES);
        let listeners = Listeners { lifecycle: notices, robot: robot_notices };
        rest.extend(controls(&config, &identity.service, &mut keeper, &listeners, &shutdown));
        drop(listeners);
        rest.push(spawn("robot watch", &shutdown, until(close.clone(), robot_watch.run())));

        // Truth about ourselves: lifecycle, heartbeat, HTTP, the second's tick.
        let beat_now = BeatNow::default();
        let (lifecycle, announced) = Lifecycle::new(LifecycleParts {
            identity: (*identity).clone(),
            about: about.clone(),
            discovery: config.service.enable_service_discovery,
            group_restart: config.group_restart.enabled,
            bus: bus.clone(),
            clock,
            health: health.clone(),
            notices: inbox,
            beat_now: beat_now.clone(),
            shutdown: shutdown.clone(),
        });
        let (farewell, stop_beating) = (CancellationToken::new(), CancellationToken::new());
        let heartbeat = config.service.enable_heartbeats.then(|| {
            let publisher = HeartbeatPublisher {
                identity: (*identity).clone(),
                about,
                interval: config.service.heartbeat_interval,
                spam_detection: config.spam_detection.enabled,
                bus: bus.clone(),
                clock,
                health: health.clone(),
                decider: decider.clone(),
                beat_now,
            };
            spawn("heartbeat", &shutdown, publisher.run(stop_beating.clone()))
        });
        if let Some(listener) = listener {
            let state = http_state(&config, &identity, clock, &health, &shutdown, announced);
            rest.push(spawn("http", &shutdown, http::serve(listener, state, close.clone())));
        }
        rest.push(spawn("health tick", &shutdown, until(close.clone(), tick(health.clone(), clock))));

        let lifecycle = spawn("lifecycle", &shutdown, lifecycle.run(farewell.clone()));
        let link = spawn("link", &shutdown, keep_link(keeper, close.clone(), shutdown.clone()));
        let deadline = config.service.graceful_shutdown_timeout;
        let giving_up = shutdown.clone().give_up_in_time(bus.clone(), clock, deadline);
        let giving_up = spawn("deadline", &shutdown, until(close.clone(), giving_up));
        Self {
            clock,
            config,
            shutdown,
            health,
            bus,
            giving_up,
            intakes,
            decider: decider_task,
            outboxes,
            heartbeat,
            stop_beating,
            lifecycle,
            farewell,
            link,
            rest,
            close,
        }
    }

    /// Stops everything, in stages: whatever owes something is waited for before what it needs.
    async fn stop(self) -> Result<Ended, ServiceError> {
        let deadline = self.config.service.graceful_shutdown_timeout;
        let reason = self.shutdown.reason().cloned().unwrap_or(StopReason::Sigterm);
        info!(%reason, deadline_seconds = deadline.as_secs_f64(), "stopping");
        let left = || deadline.saturating_sub(self.shutdown.asked_ago()).max(LAST_MOMENT);

        // 1. No more chat. 2. What is queued is refused, replies are finished. 3. Lines are said.
        for intake in self.intakes {
            intake.ended_within(left()).await;
        }
        self.decider.ended_within(left()).await;
        for outbox in self.outboxes {
            outbox.ended_within(left()).await;
        }
        // 4. The last beat, then 5. the shutdown event and a round trip behind it.
        self.stop_beating.cancel();
        if let Some(heartbeat) = self.heartbeat {
            heartbeat.ended_within(left()).await;
        }
        let snapshot = self.health.snapshot(self.clock.now());
        self.farewell.cancel();
        self.lifecycle.ended_within(left()).await;
        // 6. Nobody needs the link any more.
        self.close.cancel();
        let link = self.link.ended_within(left()).await;
        self.giving_up.ended_within(LAST_MOMENT).await;
        for task in self.rest {
            task.ended_within(LAST_MOMENT).await;
        }
        drop(self.bus);
        let ledger = &snapshot.ledger;
        info!(
            %reason,
            messages_processed = snapshot.messages_processed,
            responses_sent = snapshot.responses_sent,
            errors = snapshot.errors,
            replies_abandoned = ledger.abandoned + ledger.in_flight,
            replies_in_doubt = ledger.in_doubt,
            "stopped"
        );
        match (link, &reason) {
            (Some(Err(failure)), _) => Err(failure.into()),
            (_, StopReason::Error(text)) => Err(ServiceError::Internal(text.clone())),
            _ => Ok(Ended { reason, abandoned: ledger.abandoned + ledger.in_flight > 0 }),
        }
    }
}

/// Keeps the link until `close`; a link that is given up for good ends the service.
async fn keep_link(
    keeper: LinkKeeper,
    close: CancellationToken,
    shutdown: Shutdown,
) -> Result<(), LinkFailure> {
    let ended = keeper.run(close).await;
    if let Err(failure) = &ended {
        error!(%failure, "giving up on NATS");
        shutdown.request(StopReason::Error(failure.to_string()));
    }
    ended
}

async fn tick(health: HealthMonitor, clock: Clock) {
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        health.tick(clock.now());
    }
}

async fn until(close: CancellationToken, future: impl Future<Output = ()>) {
    close.run_until_cancelled_owned(future).await;
}
