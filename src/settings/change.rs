//! A change of the settings by command.

use serde_json::{Map, Value, json};

use crate::config::{Config, Written};

/// The fields of `personality` that a command may change.
pub const PERSONALITY_FIELDS: [&str; 6] = [
    "character_name",
    "character_description",
    "personality_traits",
    "expertise",
    "response_style",
    "name_variations",
];
/// The fields of a trigger that a command may change.
pub const TRIGGER_FIELDS: [&str; 10] = [
    "patterns",
    "regex",
    "probability",
    "cooldown_seconds",
    "context",
    "response_style",
    "max_responses_per_hour",
    "priority",
    "enabled",
    "preferred_provider",
];
/// The fields of `rate_limits`; a command may change all.
pub const RATE_LIMIT_FIELDS: [&str; 8] = [
    "global_max_per_minute",
    "global_max_per_hour",
    "global_cooldown_seconds",
    "user_max_per_hour",
    "user_cooldown_seconds",
    "mention_cooldown_seconds",
    "admin_cooldown_multiplier",
    "admin_limit_multiplier",
];

/// New values for some fields.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Of `personality`.
    Personality(Map<String, Value>),
    /// Of the trigger of that name.
    Trigger(String, Map<String, Value>),
    /// The trigger of that name is switched on or off, whichever it is not.
    ToggleTrigger(String),
    /// Of `rate_limits`.
    RateLimits(Map<String, Value>),
}

/// Why a change can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has no field.
    #[error("No {0} fields provided to update")]
    Nothing(&'static str),
    /// A field is none of those that can be changed.
    #[error("Unknown field: {0}; there are: {1}")]
    UnknownField(String, String),
    /// No trigger has that name.
    #[error("Trigger not found: {0}")]
    NoTrigger(String),
    /// A text would be replaced by what the environment holds.
    #[error("{0}: variables (${{NAME}}) are only replaced in the file")]
    Variable(String),
    /// The values are none that the configuration could hold. One line for each problem.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

impl Change {
    /// Puts the change over a configuration as it was parsed; `config` is what that came to.
    ///
    /// # Errors
    /// When it has no field, unknown ones, or names a trigger that isn't there.
    pub(super) fn put_over(&self, written: &mut Written, config: &Config) -> Result<(), Refused> {
        let Written(written) = written;
        match self {
            Self::Personality(fields) => {
                check(fields, "personality", &PERSONALITY_FIELDS)?;
                merge(written.entry("personality").or_insert_with(|| json!({})), fields);
            }
            Self::RateLimits(fields) => {
                check(fields, "rate limit", &RATE_LIMIT_FIELDS)?;
                merge(written.entry("rate_limits").or_insert_with(|| json!({})), fields);
            }
            Self::Trigger(name, fields) => {
                let index = trigger(config, name)?;
                check(fields, "trigger", &TRIGGER_FIELDS)?;
                merge(&mut written["triggers"][index], fields);
            }
            Self::ToggleTrigger(name) => {
                let index = trigger(config, name)?;
                let enabled = json!(!config.triggers[index].enabled);
                merge(&mut written["triggers"][index], &Map::from_iter([("enabled".to_owned(), enabled)]));
            }
        }
        Ok(())
    }
}

/// Where a trigger of that name stands; every entry of a valid list became a trigger.
fn trigger(config: &Config, name: &str) -> Result<usize, Refused> {
    let found = config.triggers.iter().position(|trigger| trigger.name == name);
    found.ok_or_else(|| Refused::NoTrigger(name.chars().take(100).collect()))
}

fn check(fields: &Map<String, Value>, what: &'static str, known: &[&str]) -> Result<(), Refused> {
    if fields.is_empty() {
        return Err(Refused::Nothing(what));
    }
    for (field, value) in fields {
        if !known.contains(&&**field) {
            return Err(Refused::UnknownField(field.chars().take(100).collect(), known.join(", ")));
        }
        if holds_variable(value) {
            return Err(Refused::Variable(field.clone()));
        }
    }
    Ok(())
}

/// A secret of the environment must not be had by naming it in a command.
fn holds_variable(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${") || text.contains('\u{7f}'),
        Value::Array(values) => values.iter().any(holds_variable),
        Value::Object(members) => members.values().any(holds_variable),
        _ => false,
    }
}

fn merge(target: &mut Value, fields: &Map<String, Value>) {
    if let Value::Object(members) = target {
        members.extend(fields.clone());
    }
}
