//! The service: what it is made of, and in which order it starts and stops. Read this first.

mod chat;
mod ended;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::about::AboutUs;
use crate::alerts::{AlertParts, Alerts};
use crate::bus::link::{LinkFailure, LinkKeeper};
use crate::clock::Clock;
use crate::context_log::ContextLog;
use crate::group::GroupTask;
use crate::health::{Component, HealthMonitor};
use crate::heartbeat::{BeatNow, HeartbeatPublisher};
use crate::history::History;
use crate::lifecycle::control::Listeners;
use crate::lifecycle::{Lifecycle, LifecycleParts};
use crate::metrics::Metrics;
use crate::ops::http;
use crate::ops::systemd::Systemd;
use crate::settings::{SettingsTask, Source, reload_on};
use crate::shutdown::{LAST_MOMENT, Shutdown, Signals, StopReason};
use crate::tasks::{Task, spawn};
use chat::Chat;
pub use ended::{Ended, ServiceError};
use parts::{Common, Shown, commands, controls, http_state, identity, listen};

/// Notices that may wait for the lifecycle or the robot's watch; whoever brings one waits then.
const NOTICES: usize = 64;

/// How long the history may take for its last minute.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Runs the service until somebody asks it to stop, or it can't go on.
///
/// # Errors
/// See [`ServiceError`].
pub async fn run(source: Source, clock: Clock) -> Result<Ended, ServiceError> {
    let signals = Signals::install().map_err(ServiceError::Signals)?;
    let listener = listen(&source.loaded.config).await?;
    let shutdown = Shutdown::default();
    let service = Service::start(source, clock, shutdown.clone(), signals, listener);
    shutdown.stop_taking.cancelled().await;
    service.stop().await
}

/// Everything that runs, in the order of its end.
struct Service {
    clock: Clock,
    deadline: Duration,
    shutdown: Shutdown,
    health: HealthMonitor,
    /// Intakes, decider, room state, outboxes, spend writer, response log: each ends by itself once those
    /// before it have ended.
    work: Vec<Task>,
    /// Recorder and writer of the history, in the order in which they end.
    history: Vec<Task>,
    stop_recording: CancellationToken,
    heartbeat: Option<Task>,
    stop_beating: CancellationToken,
    lifecycle: Task<bool>,
    farewell: CancellationToken,
    link: Task<Result<(), LinkFailure>>,
    /// What nobody waits for: it ends with the link.
    rest: Vec<Task>,
    close: CancellationToken,
}

impl Service {
    /// Starts everything. Nothing here waits: when the link is proven, which is when every
    /// subscription is confirmed, what is known of the rooms is read; then we are announced; the
    /// first beat follows the first announcement, and then we are ready.
    fn start(
        source: Source,
        clock: Clock,
        shutdown: Shutdown,
        signals: Signals,
        listener: Option<TcpListener>,
    ) -> Self {
        let config = &source.loaded.config;
        let identity = Arc::new(identity(config, clock));
        let health = HealthMonitor::new(
            clock.now(),
            config.llm_providers.iter().map(|provider| provider.name.clone()),
            [Component::Outbox, Component::LlmProviders, Component::Robot, Component::Instances],
        );
        let (mut keeper, bus) =
            LinkKeeper::new(config.nats.clone(), &identity.service, clock, health.clone());
        let (settings_task, settings, in_force) = SettingsTask::new(source, clock, health.clone());
        let config = in_force.borrow().shared_config().clone();
        let contexts = ContextLog::default();
        let metrics = Metrics::new();
        metrics.prepare(&config);
        let common = Common { config, in_force, contexts, identity, clock, health, metrics, bus, shutdown };
        let Common { config, identity, health, metrics, bus, shutdown, .. } = &common;
        let alerts = Alerts::new(AlertParts {
            identity: identity.clone(),
            in_force: common.in_force.clone(),
            bus: bus.clone(),
            health: health.clone(),
            clock,
        });
        keeper.do_without(Alerts::subject(identity));
        let close = CancellationToken::new();
        let on_close = |name, future| spawn(name, shutdown, until(close.clone(), future));

        // What we do: chat. What others tell us: control, in a lane of its own.
        let (robot_notices, robot_inbox) = mpsc::channel(NOTICES);
        let chat = Chat::start(&common, &mut keeper, robot_inbox);
        let (notices, inbox) = mpsc::channel(NOTICES);
        let listeners = Listeners { lifecycle: notices, robot: robot_notices };
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let about = AboutUs::new(common.in_force.clone(), address);
        let mut rest = controls(&common, &mut keeper, &listeners);
        rest.push(commands(
            &common,
            &mut keeper,
            settings.clone(),
            chat.decider.clone(),
            chat.pauses.clone(),
            chat.providers.clone(),
            about.metrics_url(&identity.hostname),
        ));
        rest.push(on_close("settings", settings_task.run().boxed()));
        rest.push(on_close("reloads", reload_on(signals.hang_up, settings).boxed()));

        // What is kept of how we are.
        let (history, keeping) = History::new(&config.history, &config.state_dir, clock, health);
        let stop_recording = CancellationToken::new();
        let history_tasks = keeping.map(|(recorder, writer)| {
            let recorder = spawn("history recorder", shutdown, recorder.run(stop_recording.clone()));
            [recorder, spawn("history writer", shutdown, writer.run())]
        });

        // What we say about ourselves: lifecycle, then heartbeat, then ready.
        let (ready, is_ready) = watch::channel(false);
        let beat_now = config.service.enable_heartbeats.then(BeatNow::default);
        let (farewell, stop_beating) = (CancellationToken::new(), CancellationToken::new());
        let heartbeat = beat_now.clone().map(|beat_now| {
            let publisher = HeartbeatPublisher {
                identity: (**identity).clone(),
                about: about.clone(),
                in_force: common.in_force.clone(),
                bus: bus.clone(),
                clock,
                health: health.clone(),
                metrics: metrics.clone(),
                decider: chat.decider.clone(),
                beat_now,
                ready: ready.clone(),
            };
            spawn("heartbeat", shutdown, publisher.run(stop_beating.clone()))
        });
        let lifecycle = Lifecycle::new(LifecycleParts {
            identity: (**identity).clone(),
            about,
            discovery: config.service.enable_service_discovery,
            group_restart: config.group_restart.enabled,
            bus: bus.clone(),
            clock,
            health: health.clone(),
            notices: inbox,
            state_loaded: chat.state_loaded,
            beat_now,
            ready,
            shutdown: shutdown.clone(),
        });
        let lifecycle = spawn("lifecycle", shutdown, lifecycle.run(farewell.clone()));

        // What lasts to the end.
        rest.push(on_close("robot watch", chat.robot_watch.run().boxed()));
        rest.push(on_close("templates", chat.templates));
        rest.push(on_close("warm-up", chat.warm_up.boxed()));
        rest.push(on_close("metrics", metrics.clone().keep(bus.clone()).boxed()));
        rest.push(spawn("alerts", shutdown, alerts.run(close.clone())));
        rest.push(on_close("health tick", tick(health.clone(), clock).boxed()));
        rest.push(on_close("signals", shutdown.clone().heed(signals.stop).boxed()));
        let deadline = config.service.graceful_shutdown_timeout;
        let giving_up = shutdown.clone().give_up_in_time(bus.clone(), clock, deadline);
        rest.push(on_close("deadline", giving_up.boxed()));
        if let Some(systemd) = Systemd::from_environment() {
            let told = systemd.run(health.clone(), clock, is_ready.clone(), shutdown.clone());
            rest.push(on_close("systemd", told.boxed()));
        }
        if let Some(listener) = listener {
            let max_bytes = config.limits.max_event_bytes;
            let group = GroupTask::new(&mut keeper, bus.clone(), identity.clone(), clock, max_bytes);
            let shown = Shown {
                decider: chat.decider,
                rooms: chat.pauses,
                figures: chat.figures,
                history,
                services: group.view(),
            };
            rest.push(on_close("group", group.run().boxed()));
            let state = http_state(&common, shown, is_ready);
            rest.push(spawn("http", shutdown, http::serve(listener, state, close.clone())));
        }
        let link = spawn("link", shutdown, keep_link(keeper, close.clone(), shutdown.clone()));
        let Common { health, shutdown, .. } = common;
        Self {
            clock,
            deadline,
            shutdown,
            health,
            work: chat.tasks,
            history: history_tasks.into_iter().flatten().collect(),
            stop_recording,
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
        let reason = self.shutdown.reason().cloned().unwrap_or(StopReason::Sigterm);
        info!(%reason, deadline_seconds = self.deadline.as_secs_f64(), "stopping");
        let in_doubt_before = self.health.snapshot(self.clock.now()).ledger.in_doubt;

        // 1. No more chat. 2. What is queued is refused, replies are finished. 3. Lines are said, and logged.
        let overdue = self.shutdown.clone().overdue().shared();
        for task in self.work {
            task.ended_before(overdue.clone()).await;
        }
        // What became of them all is kept. A disk that hangs holds up neither the last beat nor the goodbye.
        self.stop_recording.cancel();
        let too_late = sleep(self.shutdown.left_of(self.deadline).min(LAST_WRITES)).shared();
        let kept = join_all(self.history.into_iter().map(|task| task.ended_before(too_late.clone())));
        // 4. The last beat, then 5. the shutdown event and a round trip behind it.
        let goodbye = async {
            let left = || self.shutdown.left_of(self.deadline);
            self.stop_beating.cancel();
            if let Some(heartbeat) = self.heartbeat {
                heartbeat.ended_before(sleep(left())).await;
            }
            let snapshot = self.health.snapshot(self.clock.now());
            self.farewell.cancel();
            self.lifecycle.ended_before(sleep(left())).await;
            snapshot
        };
        let (snapshot, _) = tokio::join!(goodbye, kept);
        // 6. Nobody needs the link any more.
        self.close.cancel();
        let link = self.link.ended_before(sleep(LAST_MOMENT)).await;
        let overdue = sleep(LAST_MOMENT).shared();
        for task in self.rest {
            task.ended_before(overdue.clone()).await;
        }
        let ledger = &snapshot.ledger;
        let abandoned = ledger.abandoned + ledger.in_flight;
        // A line that was out when all was given up is in doubt, and was cut off as well.
        let was_cut_off = self.shutdown.give_up.is_cancelled() && ledger.in_doubt > in_doubt_before;
        info!(
            %reason,
            messages_processed = snapshot.messages_processed,
            responses_sent = snapshot.responses_sent,
            errors = snapshot.errors,
            replies_abandoned = abandoned,
            replies_in_doubt = ledger.in_doubt,
            "stopped"
        );
        match (link, self.shutdown.panicked_task()) {
            (Some(Err(failure)), _) => Err(failure.into()),
            (_, Some(task)) => Err(ServiceError::Panicked(task)),
            _ => Ok(Ended { reason, abandoned: abandoned > 0 || was_cut_off }),
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
        // Nothing that is in hand can be said any more.
        shutdown.give_up.cancel();
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
