//! What is said about us on the bus: only what is there, only where others reach it, and always as
//! it is in force.

use std::net::SocketAddr;

use crate::bus::wire::{About, Endpoint, Endpoints, Model};
use crate::config::Config;
use crate::loopback::is_loopback;
use crate::settings::InForce;

/// Says it. Cheap to clone.
#[derive(Clone)]
pub struct AboutUs {
    in_force: InForce,
    /// Where the HTTP server listens, when it does.
    http: Option<SocketAddr>,
    endpoints: Option<Endpoints>,
}

impl AboutUs {
    /// `http` is where the HTTP server listens, when it does.
    pub fn new(in_force: InForce, http: Option<SocketAddr>) -> Self {
        let endpoints = http.and_then(|address| endpoints(in_force.borrow().config(), address));
        Self { in_force, http, endpoints }
    }

    /// Where the metrics are, for people and tools near us: the advertised address, else the one that we
    /// are bound to, or our host's name where we are bound to all. None without HTTP.
    pub fn metrics_url(&self, hostname: &str) -> Option<String> {
        let bound = self.http?;
        let rules = self.in_force.borrow();
        let settings = &rules.config().metrics;
        let address = match &settings.advertise {
            Some(advertised) => advertised.clone(),
            None if bound.ip().is_unspecified() => format!("{hostname}:{}", bound.port()),
            None => bound.to_string(),
        };
        Some(format!("http://{address}{}", settings.metrics_path))
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
        None if is_loopback(bound.ip()) => return None,
        None => (None, bound.port()),
    };
    let endpoint = |path: &str| Endpoint { host: host.clone(), port, path: path.to_owned() };
    let (health, metrics) = (&config.metrics.health_path, &config.metrics.metrics_path);
    Some(Endpoints { health: endpoint(health), metrics: Some(endpoint(metrics)) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use tokio::sync::watch;

    use super::*;
    use crate::chat::rules::Rules;
    use crate::config::testing;

    fn about(metrics: Value, bound: Option<&str>) -> AboutUs {
        let config = testing::config(json!({ "metrics": metrics }));
        let in_force = watch::channel(Rules::new(Arc::new(config))).1;
        AboutUs::new(in_force, bound.map(|bound| bound.parse().expect("an address")))
    }

    #[test]
    fn the_metrics_are_announced_beside_health_only_where_others_reach_them() {
        let own = json!({"metrics_path": "/figures"});
        let advertised = json!({"advertise": "bot.example.org:80"});
        for (settings, bound, expected) in [
            (&own, Some("0.0.0.0:28286"), Some((None, 28_286, "/figures"))),
            (&own, Some("127.0.0.1:28286"), None),
            (&own, Some("[::1]:28286"), None),
            (&own, Some("[::ffff:127.0.0.1]:28286"), None),
            (&own, None, None),
            (&advertised, Some("127.0.0.1:28286"), Some((Some("bot.example.org"), 80, "/metrics"))),
            (&advertised, None, None),
        ] {
            let endpoints = about(settings.clone(), bound).now().endpoints;
            let metrics = endpoints.and_then(|endpoints| endpoints.metrics);
            let told = metrics.as_ref().map(|end| (end.host.as_deref(), end.port, end.path.as_str()));
            assert_eq!(told, expected, "{settings} {bound:?}");
        }
    }

    #[test]
    fn the_metrics_have_a_url_whenever_there_is_http() {
        for (settings, bound, expected) in [
            (json!({}), Some("127.0.0.1:28286"), Some("http://127.0.0.1:28286/metrics")),
            (json!({}), Some("[::1]:1"), Some("http://[::1]:1/metrics")),
            (json!({}), Some("0.0.0.0:28286"), Some("http://vera:28286/metrics")),
            (json!({"metrics_path": "/m"}), Some("10.0.0.7:80"), Some("http://10.0.0.7:80/m")),
            (
                json!({"advertise": "bot.example.org:80"}),
                Some("0.0.0.0:1"),
                Some("http://bot.example.org:80/metrics"),
            ),
            (json!({}), None, None),
        ] {
            let url = about(settings, bound).metrics_url("vera");
            assert_eq!(url.as_deref(), expected, "{bound:?}");
        }
    }
}
