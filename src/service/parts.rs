//! The parts that the service is put together from.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;
use uuid::Uuid;

use super::ServiceError;
use crate::bus::link::LinkKeeper;
use crate::bus::subjects;
use crate::bus::wire::{About, Endpoint, Endpoints, Identity, Model};
use crate::clock::Clock;
use crate::config::Config;
use crate::decider::RoomQueue;
use crate::health::HealthMonitor;
use crate::intake::Intake;
use crate::lifecycle::control::{self, Control, Listeners};
use crate::names::RoomName;
use crate::ops::http::{Facts, HttpState};
use crate::outbox::{Outbox, OutboxHandle, Tools};
use crate::robot::RoomRobot;
use crate::shutdown::Shutdown;
use crate::tasks::{Task, spawn};

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

/// What is said about us: only what is there, and only where others reach it.
pub(super) fn about(config: &Config, http: Option<SocketAddr>) -> About {
    let mut features = vec!["chat"];
    if http.is_some() {
        features.push("http");
    }
    About {
        personality: config.personality.character_name.clone(),
        providers: config
            .llm_providers
            .iter()
            .map(|provider| Model { name: provider.name.clone(), model: provider.model.clone() })
            .collect(),
        triggers_loaded: config.triggers.len(),
        channels: config.rooms.clone(),
        features,
        heartbeat_interval_seconds: config.service.heartbeat_interval.as_secs(),
        endpoints: http.and_then(|address| endpoints(config, address)),
    }
}

fn endpoints(config: &Config, bound: SocketAddr) -> Option<Endpoints> {
    let advertised = config.metrics.advertise.as_ref().and_then(|advertise| {
        let (host, port) = advertise.rsplit_once(':')?;
        Some((Some(host.to_owned()), port.parse().ok()?))
    });
    let (host, port) = match advertised {
        Some(advertised) => advertised,
        None if bound.ip().is_loopback() => return None,
        None => (None, bound.port()),
    };
    let path = config.metrics.health_path.clone();
    Some(Endpoints { health: Endpoint { host, port, path }, metrics: None })
}

/// What the HTTP pages are made of.
pub(super) fn http_state(
    config: &Config,
    identity: &Identity,
    clock: Clock,
    health: &HealthMonitor,
    shutdown: &Shutdown,
    announced: watch::Receiver<bool>,
) -> HttpState {
    let advertised = config.metrics.advertise.as_ref().and_then(|advertise| advertise.rsplit_once(':'));
    let own_hosts = [Some(config.metrics.host.clone()), advertised.map(|(host, _)| host.to_owned())];
    HttpState {
        identity: identity.clone(),
        facts: Facts {
            personality: config.personality.character_name.clone(),
            default_provider: config.default_provider.to_string(),
            dry_run: config.testing.dry_run,
            triggers_configured: config.triggers.len(),
        },
        health: health.clone(),
        clock,
        ready: announced,
        stopping: shutdown.stop_taking.clone(),
        health_path: config.metrics.health_path.clone(),
        token: config.metrics.token.clone(),
        own_hosts: own_hosts.into_iter().flatten().collect(),
    }
}

/// One intake for all rooms whose names are equal as tokens.
pub(super) fn intakes(
    config: &Config,
    queues: Vec<(RoomName, RoomQueue)>,
    keeper: &mut LinkKeeper,
    clock: Clock,
    health: &HealthMonitor,
    shutdown: &Shutdown,
) -> Vec<Task> {
    let mut by_token: BTreeMap<String, Vec<(RoomName, RoomQueue)>> = BTreeMap::new();
    for (room, queue) in queues {
        by_token.entry(room.token().to_owned()).or_default().push((room, queue));
    }
    by_token
        .into_iter()
        .map(|(token, rooms)| {
            let subscription = keeper.subscribe(subjects::events(&token));
            let intake = Intake::new(rooms, config.limits.max_event_bytes, clock, health.clone());
            spawn("intake", shutdown, intake.run(subscription, shutdown.stop_taking.clone()))
        })
        .collect()
}

pub(super) fn outboxes(
    robots: HashMap<RoomName, RoomRobot>,
    tools: &Tools,
    shutdown: &Shutdown,
) -> (Vec<Task>, HashMap<RoomName, OutboxHandle>) {
    robots
        .into_iter()
        .map(|(room, robot)| {
            let (outbox, handle) = Outbox::new(room.clone(), tools.clone(), robot);
            (spawn("outbox", shutdown, outbox.run()), (room, handle))
        })
        .unzip()
}

/// One task for each control subject.
pub(super) fn controls(
    config: &Config,
    service: &str,
    keeper: &mut LinkKeeper,
    listeners: &Listeners,
    shutdown: &Shutdown,
) -> Vec<Task> {
    let mut controls = vec![
        (Control::RobotStartup, subjects::ROBOT_STARTUP.to_owned()),
        (Control::RobotConnected, subjects::ROBOT_CONNECTED.to_owned()),
        (Control::RobotDisconnected, subjects::ROBOT_DISCONNECTED.to_owned()),
        (Control::GroupRestart, subjects::GROUP_RESTART.to_owned()),
        (Control::Heartbeat, subjects::heartbeat(service)),
    ];
    if config.service.enable_service_discovery {
        controls.push((Control::Poll, subjects::DISCOVERY_POLL.to_owned()));
    }
    controls
        .into_iter()
        .map(|(control, subject)| {
            let subscription = keeper.subscribe(subject);
            spawn("control", shutdown, control::listen(control, subscription, listeners.clone()))
        })
        .collect()
}
