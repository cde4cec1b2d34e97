//! How the service shows itself on the bus: `service_metadata`, `group_restart`.

use std::time::Duration;

use serde_json::json;

use super::reader::{Fault, Item};
use super::section::Section;
use crate::names::service_token;

/// `service_metadata`.
#[derive(Debug, Clone)]
pub struct ServiceMetadata {
    /// As it stands in subjects.
    pub service_name: String,
    pub heartbeat_interval: Duration,
    pub enable_service_discovery: bool,
    pub enable_heartbeats: bool,
    pub graceful_shutdown_timeout: Duration,
}

/// Names whose subjects belong to others.
const TAKEN_NAMES: [&str; 4] = ["robot", "group", "system", "service"];

impl ServiceMetadata {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        super::legacy::service_version(s);
        Self {
            service_name: s.field("service_name", "llm".into(), |n| json!(n).to_string(), service_name),
            heartbeat_interval: s.whole_seconds("heartbeat_interval_seconds", 10, 1..=60),
            enable_service_discovery: s.boolean("enable_service_discovery", true),
            enable_heartbeats: s.boolean("enable_heartbeats", true),
            graceful_shutdown_timeout: s.whole_seconds("graceful_shutdown_timeout_seconds", 30, 5..=120),
        }
    }
}

fn service_name(item: &Item<'_>) -> Result<String, Fault> {
    let wrong = |found: &str| Fault::Wrong {
        found: found.to_owned(),
        allowed: format!("a name that can stand in a subject, but for {}", TAKEN_NAMES.join(", ")),
    };
    let name =
        service_token(&item.filled_text()?).map_err(|_| wrong("a text of special characters alone"))?;
    if TAKEN_NAMES.contains(&name.as_str()) {
        return Err(wrong("a name whose subjects belong to others"));
    }
    Ok(name)
}

/// `group_restart`.
#[derive(Debug, Clone)]
pub struct GroupRestart {
    /// Whether the group's restart notices are followed.
    pub enabled: bool,
}

impl GroupRestart {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self { enabled: s.boolean("enabled", true) }
    }
}
