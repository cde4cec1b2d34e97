//! Configurations for tests.

use serde_json::{Value, json};

use super::{Config, load};

/// A minimal configuration with the given value merged over it: one room,
/// `cytu.be/MovieNight`, and one provider, `local`.
///
/// # Panics
/// When the result is no valid configuration.
pub fn config(over: Value) -> Config {
    load(&text(over), &|_| None).map(|loaded| loaded.config).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

/// The text of that configuration.
pub fn text(over: Value) -> String {
    let mut base = json!({
        "nats": {"servers": ["nats://127.0.0.1:4222"]},
        "channels": [{"domain": "cytu.be", "channel": "MovieNight"}],
        "llm_providers": {
            "local": {"type": "openai_compatible", "base_url": "http://127.0.0.1:8080/v1", "model": "small"}
        }
    });
    merge(&mut base, over);
    base.to_string()
}

/// Merges objects member by member; everything else replaces what was there.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}
