//! What only a restart changes.

use crate::config::{Config, Effective};

/// The places whose values are taken up at the start and never again.
const FIXED: [&str; 18] = [
    "nats",
    "channels",
    "state_dir",
    "log_level",
    "logging",
    "limits",
    "history",
    "alerts",
    "templates",
    "metrics",
    "outbox.max_lines",
    "testing.log_responses",
    "testing.log_file",
    "service_metadata.service_name",
    "service_metadata.enable_service_discovery",
    "service_metadata.enable_heartbeats",
    "service_metadata.graceful_shutdown_timeout_seconds",
    "group_restart",
];

/// Whether a place is one of those.
pub(super) fn is_fixed(field: &Effective) -> bool {
    is_at(field, &FIXED)
}

/// Whether a place is one of these, or within one.
pub(super) fn is_at(field: &Effective, places: &[&str]) -> bool {
    places.iter().any(|place| {
        let rest = field.place.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// A configuration with what the service started with, wherever that is fixed.
pub(super) fn as_started(new: Config, started: &Config) -> Config {
    let mut config = Config {
        nats: started.nats.clone(),
        rooms: started.rooms.clone(),
        state_dir: started.state_dir.clone(),
        log_level: started.log_level,
        logging: started.logging.clone(),
        limits: started.limits.clone(),
        history: started.history.clone(),
        alerts: started.alerts.clone(),
        templates: started.templates.clone(),
        metrics: started.metrics.clone(),
        group_restart: started.group_restart.clone(),
        ..new
    };
    config.outbox.max_lines = started.outbox.max_lines;
    config.testing.log_responses = started.testing.log_responses;
    config.testing.log_file.clone_from(&started.testing.log_file);
    let heartbeat_interval = config.service.heartbeat_interval;
    config.service = started.service.clone();
    config.service.heartbeat_interval = heartbeat_interval;
    config
}
