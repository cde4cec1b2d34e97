//! What the answers hold, as JSON.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::chat::decisions::{End, Entry};
use crate::chat::rate_limits::Usage;
use crate::clock::{Moment, iso};
use crate::config::{Config, Pattern, Personality, RateLimits, Trigger};
use crate::names::Username;
use crate::outcome::Reason;
use crate::settings::{ChangedValue, NotChanged, Taken};

/// What goes with values that were changed by command.
const UNTIL: &str = "in force until the next reload or restart";

pub fn personality(personality: &Personality) -> Value {
    json!({
        "character_name": personality.character_name,
        "character_description": personality.character_description,
        "personality_traits": personality.personality_traits,
        "expertise": personality.expertise,
        "response_style": personality.response_style,
        "name_variations": personality.name_variations,
    })
}

pub fn trigger(trigger: &Trigger) -> Value {
    json!({
        "name": trigger.name,
        "patterns": trigger.patterns,
        "regex": trigger.regex.iter().map(Pattern::as_str).collect::<Vec<_>>(),
        "probability": trigger.probability,
        "cooldown_seconds": trigger.cooldown.as_secs(),
        "context": trigger.context,
        "response_style": trigger.response_style,
        "max_responses_per_hour": trigger.max_responses_per_hour,
        "priority": trigger.priority,
        "enabled": trigger.enabled,
        "preferred_provider": trigger.preferred_provider.as_ref().map(|name| name.as_str()),
    })
}

pub fn triggers(config: &Config) -> Value {
    json!({"triggers": config.triggers.iter().map(trigger).collect::<Vec<_>>()})
}

/// The limits as configured.
pub fn limits(limits: &RateLimits) -> Value {
    json!({
        "global_max_per_minute": limits.global_max_per_minute,
        "global_max_per_hour": limits.global_max_per_hour,
        "global_cooldown_seconds": limits.global_cooldown.as_secs(),
        "user_max_per_hour": limits.user_max_per_hour,
        "user_cooldown_seconds": limits.user_cooldown.as_secs(),
        "mention_cooldown_seconds": limits.mention_cooldown.as_secs(),
        "admin_cooldown_multiplier": limits.admin_cooldown_multiplier,
        "admin_limit_multiplier": limits.admin_limit_multiplier,
    })
}

/// The limits, and how far they are used up.
pub fn limits_in_use(now: Moment, configured: &RateLimits, usage: Usage) -> Value {
    let time = |since_start: Duration| {
        let ago = TimeDelta::from_std(now.elapsed.saturating_sub(since_start)).unwrap_or(TimeDelta::MAX);
        now.wall.checked_sub_signed(ago).map(iso)
    };
    json!({
        "config": limits(configured),
        "live": {
            "global_responses_minute": usage.minute,
            "global_responses_hour": usage.hour,
            "tracked_users": usage.users,
            "tracked_triggers": usage.triggers,
            "last_response_time": usage.last_reply.and_then(time),
            "last_mention_response": usage.last_mention.and_then(time),
        },
    })
}

/// What a reload came to.
pub fn reload(result: &Result<Taken, NotChanged>) -> Value {
    match result {
        Ok(taken) => {
            let changed = |ChangedValue { place, from, to }: &ChangedValue| {
                (place.clone(), json!({"from": from, "to": to}))
            };
            let mut warnings: Vec<String> = taken.warnings.iter().map(ToString::to_string).collect();
            let needs_restart = |place: &String| format!("{place}: only a restart takes up the file's value");
            warnings.extend(taken.needs_restart.iter().map(needs_restart));
            if taken.commands_undone {
                warnings.push("what was changed by command is as in the file again".to_owned());
            }
            json!({
                "success": true,
                "message": format!("Configuration reloaded: {} values changed", taken.changes.len()),
                "changes": taken.changes.iter().map(changed).collect::<Map<_, _>>(),
                "warnings": warnings,
                "errors": [],
            })
        }
        Err(failure) => json!({
            "success": false,
            "message": "Nothing was changed: the file can't be used",
            "changes": {},
            "warnings": [],
            "errors": failure.to_string().lines().collect::<Vec<_>>(),
        }),
    }
}

/// Adds for how long a change by command lasts.
pub fn until_reload(mut values: Value) -> Value {
    values["note"] = json!(UNTIL);
    values
}

/// Decisions, in the order in which they are given.
pub fn decisions(entries: &[Entry]) -> Value {
    json!({"decisions": entries.iter().map(decision).collect::<Vec<_>>()})
}

/// A decision, as people read it.
fn decision(entry: &Entry) -> Value {
    let (decision, reason) = match entry.end {
        End::Reply(reason) => ("reply", reason),
        End::Silence(reason) => ("silence", Some(reason)),
    };
    json!({
        "timestamp": iso(entry.at),
        "correlation_id": entry.correlation_id,
        "channel": entry.room.channel(),
        "username": entry.user.as_ref().map(Username::as_str),
        "message": entry.message,
        "decision": decision,
        "reason": reason.map(Reason::as_str),
        "detail": entry.detail,
        "retry_after_seconds": entry.retry_after,
    })
}

/// A number, written without a point where it is whole.
pub fn number(number: f64) -> Value {
    let is_whole = number.fract() == 0.0 && (0.0..9e15).contains(&number);
    if is_whole { json!(number as u64) } else { json!(number) }
}

/// A paused room; without an end it lasts until it is resumed.
pub fn pause(channel: &str, until: Option<DateTime<Utc>>) -> Value {
    let mut pause = json!({"channel": channel});
    if let Some(until) = until {
        pause["until"] = json!(iso(until));
    }
    pause
}
