//! What is said about us on the bus: only what is there, only where others reach it, and always as
//! it is in force.

use std::net::SocketAddr;

use crate::bus::wire::{About, Endpoint, Endpoints, Model};
use crate::config::Config;
use crate::settings::InForce;

/// Says it. Cheap to clone.
#[derive(Clone)]
pub struct AboutUs {
    in_force: InForce,
    endpoints: Option<Endpoints>,
}

impl AboutUs {
    /// `http` is where the HTTP server listens, when it does.
    pub fn new(in_force: InForce, http: Option<SocketAddr>) -> Self {
        let endpoints = http.and_then(|address| endpoints(in_force.borrow().config(), address));
        Self { in_force, endpoints }
    }

    /// What is to be said now.
    pub fn now(&self) -> About {
        let rules = self.in_force.borrow();
        let config = rules.config();
        let features = [
            ("chat", true),
            ("media_change", config.media_change.enabled),
            ("auto_participation", config.auto_participation.enabled),
            ("http", self.endpoints.is_some()),
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
            endpoints: self.endpoints.clone(),
        }
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
