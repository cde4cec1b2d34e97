//! The parts that the service is put together from.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;
use uuid::Uuid;

use super::ServiceError;
use crate::bus::link::LinkKeeper;
use crate::bus::wire::Identity;
use crate::bus::{Bus, subjects};
use crate::clock::Clock;
use crate::config::Config;
use crate::context_log::ContextLog;
use crate::decider::DeciderHandle;
use crate::group::ServicesView;
use crate::health::HealthMonitor;
use crate::history::History;
use crate::lifecycle::control::{self, Control, Listeners};
use crate::llm::ProvidersView;
use crate::metrics::Metrics;
use crate::ops::commands::{Commands, Pauses};
use crate::ops::figures::Figures;
use crate::ops::http::HttpState;
use crate::settings::{InForce, SettingsHandle};
use crate::shutdown::Shutdown;
use crate::tasks::{Task, spawn};

/// What nearly every part needs.
pub(super) struct Common {
    /// What was in force at the start: for what only a restart changes.
    pub config: Arc<Config>,
    /// What is in force.
    pub in_force: InForce,
    /// What providers were asked lately.
    pub contexts: ContextLog,
    pub identity: Arc<Identity>,
    pub clock: Clock,
    pub health: HealthMonitor,
    pub metrics: Metrics,
    pub bus: Bus,
    pub shutdown: Shutdown,
}

/// Takes the HTTP port before anything else is begun, so that a port in use is told at once.
pub(super) async fn listen(config: &Config) -> Result<Option<TcpListener>, ServiceError> {
    if !config.metrics.enabled {
        return Ok(None);
    }
    let (host, port) = (config.metrics.host.as_str(), config.metrics.port);
    let listener = TcpListener::bind((host, port)).await.map_err(|error| ServiceError::Http {
        address: format!("{host}:{port} (metrics.host, metrics.port)"),
        error,
    })?;
    if let Ok(address) = listener.local_addr() {
        info!(%address, "HTTP is up");
    }
    Ok(Some(listener))
}

pub(super) fn identity(config: &Config, clock: Clock) -> Identity {
    Identity {
        service: config.service.service_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: gethostname::gethostname().to_string_lossy().into_owned(),
        instance_id: Uuid::new_v4().to_string(),
        started: clock.now(),
    }
}

/// What the HTTP pages show besides what nearly every part needs.
pub(super) struct Shown {
    pub decider: DeciderHandle,
    pub rooms: Pauses,
    pub figures: Figures,
    pub history: History,
    pub services: ServicesView,
}

/// What the HTTP pages are made of.
pub(super) fn http_state(common: &Common, shown: Shown, ready: watch::Receiver<bool>) -> HttpState {
    let Common { config, shutdown, .. } = common;
    let Shown { decider, rooms, figures, history, services } = shown;
    let advertised = config.metrics.advertise.as_ref().and_then(|advertise| advertise.rsplit_once(':'));
    let own_hosts = [Some(config.metrics.host.clone()), advertised.map(|(host, _)| host.to_owned())];
    HttpState {
        figures,
        decider,
        rooms,
        history,
        ready,
        services,
        stopping: shutdown.stop_taking.clone(),
        health_path: config.metrics.health_path.clone(),
        metrics_path: config.metrics.metrics_path.clone(),
        token: config.metrics.token.clone(),
        own_hosts: own_hosts.into_iter().flatten().collect(),
    }
}

/// What follows commands: on the subject that all bots share, and on our own where that is another.
pub(super) fn commands(
    common: &Common,
    keeper: &mut LinkKeeper,
    settings: SettingsHandle,
    decider: DeciderHandle,
    pauses: Pauses,
    providers: ProvidersView,
    metrics_endpoint: Option<String>,
) -> Task {
    let Common { config, in_force, contexts, identity, clock, health, bus, shutdown, .. } = common;
    let mut subjects = vec![subjects::LLM_COMMAND.to_owned(), subjects::command(&identity.service)];
    subjects.dedup();
    let subscriptions = subjects
        .into_iter()
        .map(|subject| keeper.subscribe(subject, config.limits.max_event_bytes))
        .collect();
    let commands = Commands {
        identity: identity.clone(),
        settings,
        in_force: in_force.clone(),
        decider,
        pauses,
        providers,
        contexts: contexts.clone(),
        metrics_endpoint,
        health: health.clone(),
        bus: bus.clone(),
        clock: *clock,
    };
    spawn("commands", shutdown, commands.run(subscriptions))
}

/// One task for each control subject.
pub(super) fn controls(common: &Common, keeper: &mut LinkKeeper, listeners: &Listeners) -> Vec<Task> {
    let Common { config, identity, shutdown, .. } = common;
    let mut controls = vec![
        (Control::RobotStartup, subjects::ROBOT_STARTUP.to_owned()),
        (Control::RobotConnected, subjects::ROBOT_CONNECTED.to_owned()),
        (Control::RobotDisconnected, subjects::ROBOT_DISCONNECTED.to_owned()),
        (Control::GroupRestart, subjects::GROUP_RESTART.to_owned()),
        (Control::Heartbeat, subjects::heartbeat(&identity.service)),
    ];
    if config.service.enable_service_discovery {
        controls.push((Control::Poll, subjects::DISCOVERY_POLL.to_owned()));
    }
    controls
        .into_iter()
        .map(|(control, subject)| {
            let subscription = keeper.subscribe(subject, config.limits.max_event_bytes);
            spawn("control", shutdown, control::listen(control, subscription, listeners.clone()))
        })
        .collect()
}
