//! Configurations for tests.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Config, Loaded, Problem, load};

/// A minimal configuration with the given value merged over it: one room,
/// `cytu.be/MovieNight`, and one provider, `local`.
///
/// # Panics
/// When the result is no valid configuration.
pub fn config(over: Value) -> Config {
    loaded(over).config
}

/// That configuration with its warnings.
///
/// # Panics
/// When the result is no valid configuration.
pub fn loaded(over: Value) -> Loaded {
    load(&text(over), &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// What is wrong with the result.
pub fn problems(over: Value) -> Vec<Problem> {
    load(&text(over), &|_| None).err().unwrap_or_default()
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

/// A named pipe; opening it waits for a writer.
///
/// # Panics
/// When it can't be made.
pub fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success()));
}
