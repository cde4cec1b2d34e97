//! How the service shows itself: `service_metadata`, `group_restart`, `metrics`.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use super::environment::WhenUnset;
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

/// `metrics`: the HTTP server.
#[derive(Debug, Clone)]
pub struct MetricsConfig {
    pub enabled: bool,
    pub host: String,
    /// 0 takes a free one.
    pub port: u16,
    pub health_path: String,
    pub metrics_path: String,
    /// When there is one, requests must bear it.
    pub token: Option<SecretString>,
    /// `host:port` where others reach us, when that isn't `host` and `port`.
    pub advertise: Option<String>,
}

impl MetricsConfig {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        s.when_unset(|key| if key == "token" { WhenUnset::Refuse } else { WhenUnset::Keep });
        let metrics = Self {
            enabled: s.boolean("enabled", true),
            host: s.field("host", "127.0.0.1".into(), |host| json!(host).to_string(), Item::filled_text),
            port: s.integer("port", 28286, 0..=65535),
            health_path: http_path(s, "health_path", "/health"),
            metrics_path: http_path(s, "metrics_path", "/metrics"),
            token: s.required_secret("token", "token_file"),
            advertise: s.optional("advertise", |text| json!(text).to_string(), host_and_port),
        };
        if metrics.health_path == metrics.metrics_path {
            s.problem("metrics_path", "the path of health_path", "another path", "change one of them");
        }
        metrics
    }
}

/// The paths of our own pages.
const TAKEN_PATHS: [&str; 3] = ["/", "/livez", "/readyz"];
/// What the names of the dashboard's files end with.
const TAKEN_ENDS: [&str; 3] = [".css", ".js", ".svg"];

fn http_path(s: &mut Section<'_>, key: &'static str, default: &str) -> String {
    s.field(
        key,
        default.to_owned(),
        |path| json!(path).to_string(),
        |item| {
            let path = item.filled_text()?;
            let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
            let free = !TAKEN_PATHS.contains(&path.as_str())
                && !path.starts_with("/api/")
                && !TAKEN_ENDS.iter().any(|end| path.ends_with(end));
            if path.starts_with('/') && free && path.chars().all(plain) {
                Ok(path)
            } else {
                let allowed = format!(
                    "a path that begins with / and is not {} or under /api/, nor ends with {}",
                    TAKEN_PATHS.join(", "),
                    TAKEN_ENDS.join(" or ")
                );
                Err(item.wrong(&allowed))
            }
        },
    )
}

fn host_and_port(item: &Item<'_>) -> Result<String, Fault> {
    let text = item.filled_text()?;
    let parts = text.rsplit_once(':').map(|(host, port)| (host.is_empty(), port.parse::<u16>()));
    match parts {
        Some((false, Ok(1..))) => Ok(text),
        _ => Err(item.wrong("\"host:port\"")),
    }
}
