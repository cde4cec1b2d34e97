//! A config for the daemon that keeps out of a story's way.

use serde_json::{Map, Value, json};

use crate::chat::Room;
use crate::nats::Server;
use crate::provider::Provider;

/// The character's name in [`base`]: a line with it is a mention.
pub const CHARACTER: &str = "Cynthia";

/// Limits so wide that none is met, no gaps between lines, answers that may be said again, a beat each
/// second, one try a provider, HTTP on a port that the system chooses. Providers are named "first", "second", … and are asked
/// in this order.
pub fn base(server: &Server, rooms: &[Room], providers: &[Provider]) -> Value {
    let names = provider_names(providers.len());
    let list: Map<String, Value> = providers
        .iter()
        .zip(&names)
        .map(|(provider, name)| (name.clone(), provider_section(name, &provider.base_url())))
        .collect();
    let rooms: Vec<Value> =
        rooms.iter().map(|room| json!({ "domain": room.domain, "channel": room.channel })).collect();
    json!({
        "nats": server.config_section(server.address()),
        "channels": rooms,
        "chat_min_delay": 0,
        "chat_jitter": 0,
        "personality": { "character_name": CHARACTER, "name_variations": ["cynthia"] },
        "llm_providers": list,
        "default_provider": names.first(),
        "default_provider_priority": names,
        "retry_strategy": { "initial_delay": 0.1, "max_delay": 1 },
        "rate_limits": {
            "global_max_per_minute": 1_000_000,
            "global_max_per_hour": 1_000_000,
            "global_cooldown_seconds": 0,
            "user_max_per_hour": 1_000_000,
            "user_cooldown_seconds": 0,
            "mention_cooldown_seconds": 0,
        },
        "message_processing": { "split_delay_seconds": 0 },
        "spam_detection": { "enabled": false },
        "validation": { "check_repetition": false },
        "loop_guard": { "max_replies_in_a_row": 0 },
        "metrics": { "port": 0 },
        "service_metadata": { "heartbeat_interval_seconds": 1 },
    })
}

/// One entry of `llm_providers`.
pub fn provider_section(name: &str, base_url: &str) -> Value {
    json!({
        "name": name,
        "type": "openai_compatible",
        "base_url": base_url,
        "api_key": format!("key-of-{name}"),
        "model": format!("model-of-{name}"),
        "max_retries": 0,
    })
}

fn provider_names(count: usize) -> Vec<String> {
    const NAMES: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
    (0..count)
        .map(|at| NAMES.get(at).map_or_else(|| format!("provider-{at}"), |name| (*name).to_owned()))
        .collect()
}

/// Puts `changes` over `config`: objects are merged key by key, everything else is replaced.
pub fn merge(config: &mut Value, changes: Value) {
    match (config, changes) {
        (Value::Object(config), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(config.entry(key).or_insert(Value::Null), change);
            }
        }
        (config, changes) => *config = changes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_what_is_not_named_and_replaces_lists() {
        let mut config = json!({ "a": { "b": 1, "c": [1, 2] }, "d": true });
        merge(&mut config, json!({ "a": { "c": [3], "e": {} }, "d": null }));
        assert_eq!(config, json!({ "a": { "b": 1, "c": [3], "e": {} }, "d": null }));
    }
}
