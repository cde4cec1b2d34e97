//! `metrics`: the HTTP server.

use std::net::IpAddr;

use secrecy::SecretString;
use serde_json::json;

use super::environment::WhenUnset;
use super::reader::{Fault, Item};
use super::section::Section;
use crate::loopback::is_loopback_host;

/// `metrics`.
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
            host: s.field("host", "127.0.0.1".into(), |host| json!(host).to_string(), host),
            port: s.integer("port", 28286, 0..=65535),
            health_path: http_path(s, "health_path", "/health"),
            metrics_path: http_path(s, "metrics_path", "/metrics"),
            token: s.bearer_token("token", "token_file"),
            advertise: s.optional("advertise", |text| json!(text).to_string(), host_and_port),
        };
        if metrics.health_path == metrics.metrics_path {
            s.problem("metrics_path", "the path of health_path", "another path", "change one of them");
        }
        if metrics.enabled && metrics.token.is_none() && !is_loopback_host(&metrics.host) {
            s.warning(
                "host",
                "whoever can reach it reads what is said in the rooms and why the bot was silent; \
                 set metrics.token or metrics.token_file, or listen on 127.0.0.1",
            );
        }
        metrics
    }
}

/// An address or a name, alone: the port has a key of its own.
fn host(item: &Item<'_>) -> Result<String, Fault> {
    let host = item.filled_text()?;
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if host.parse::<IpAddr>().is_ok() || host.chars().all(of_a_name) {
        Ok(host)
    } else {
        Err(item.wrong("an address or a host's name, without brackets or a port"))
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
