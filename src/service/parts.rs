//! The parts that the service is put together from.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;
use uuid::Uuid;

use super::ServiceError;
use crate::bus::link::LinkKeeper;
use crate::bus::wire::{About, Endpoint, Endpoints, Identity, Model};
use crate::bus::{Bus, subjects};
use crate::clock::Clock;
use crate::config::Config;
use crate::health::HealthMonitor;
use crate::lifecycle::control::{self, Control, Listeners};
use crate::ops::http::{Facts, HttpState};
use crate::shutdown::Shutdown;
use crate::tasks::{Task, spawn};

/// What nearly every part needs.
pub(super) struct Common {
    pub config: Arc<Config>,
    pub identity: Arc<Identity>,
    pub clock: Clock,
    pub health: HealthMonitor,
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

/// What is said about us: only what is there, and only where others reach it.
pub(super) fn about(config: &Config, http: Option<SocketAddr>) -> About {
    let endpoints = http.and_then(|address| endpoints(config, address));
    let features = [
        ("chat", true),
        ("media_change", config.media_change.enabled),
        ("auto_participation", config.auto_participation.enabled),
        ("http", endpoints.is_some()),
    ];
    let features = features.into_iter().filter_map(|(name, is_on)| is_on.then_some(name)).collect();
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
        endpoints,
    }
}

fn endpoints(config: &Config, bound: SocketAddr) -> Option<Endpoints> {
    let advertised = config.metrics.advertise.as_ref().and_then(|advertise| {
        let (host, port) = advertise.rsplit_once(':')?;
        Some((Some(host.to_owned()), port.parse().ok()?))
    });
    let (host, port) = match advertised {
        Some(advertised) => advertised,
        None if bound.ip().to_canonical().is_loopback() => return None,
        None => (None, bound.port()),
    };
    let path = config.metrics.health_path.clone();
    Some(Endpoints { health: Endpoint { host, port, path }, metrics: None })
}

/// What the HTTP pages are made of.
pub(super) fn http_state(common: &Common, ready: watch::Receiver<bool>) -> HttpState {
    let Common { config, identity, clock, health, shutdown, .. } = common;
    let advertised = config.metrics.advertise.as_ref().and_then(|advertise| advertise.rsplit_once(':'));
    let own_hosts = [Some(config.metrics.host.clone()), advertised.map(|(host, _)| host.to_owned())];
    HttpState {
        identity: (**identity).clone(),
        facts: Facts {
            personality: config.personality.character_name.clone(),
            default_provider: config.default_provider.to_string(),
            dry_run: config.testing.dry_run,
            triggers_configured: config.triggers.len(),
        },
        health: health.clone(),
        clock: *clock,
        ready,
        stopping: shutdown.stop_taking.clone(),
        health_path: config.metrics.health_path.clone(),
        token: config.metrics.token.clone(),
        own_hosts: own_hosts.into_iter().flatten().collect(),
    }
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
