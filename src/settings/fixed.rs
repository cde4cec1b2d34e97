//! What stays as it was at the start.

use crate::config::Config;

/// A configuration with what the service started with, wherever [`crate::config::is_fixed`].
pub(super) fn as_started(new: Config, started: &Config) -> Config {
    let mut config = Config {
        nats: started.nats.clone(),
        rooms: started.rooms.clone(),
        state_dir: started.state_dir.clone(),
        log_level: started.log_level,
        logging: started.logging.clone(),
        limits: started.limits.clone(),
        history: started.history.clone(),
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
