//! Every field with a range: just outside fails, the ends pass (REQ-009).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::survey::{ANY_NAME, Field, Kind};
use super::super::{Problem, load, testing::text};
use super::places;

/// How a field counts.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Whole,
    Fraction,
}
use Unit::{Fraction, Whole};

/// No upper end: this passes.
const OPEN: f64 = f64::INFINITY;
const LARGE: f64 = 4_000_000_000.0;

/// Path, least, most.
const RANGES: &[(&str, Unit, f64, f64)] = &[
    ("nats.connect_timeout", Whole, 1.0, OPEN),
    ("nats.reconnect_time_wait", Whole, 1.0, OPEN),
    ("nats.ping_interval", Whole, 1.0, OPEN),
    ("nats.max_reconnect_attempts", Whole, -1.0, OPEN),
    ("retry_attempts", Whole, 0.0, 10.0),
    ("retry_delay", Fraction, 0.1, OPEN),
    ("handler_timeout", Fraction, 1.0, OPEN),
    ("max_concurrent_handlers", Whole, 1.0, OPEN),
    ("chat_min_delay", Fraction, 0.0, OPEN),
    ("chat_jitter", Fraction, 0.0, OPEN),
    ("llm_providers.local.max_tokens", Whole, 1.0, 4096.0),
    ("llm_providers.local.temperature", Fraction, 0.0, 2.0),
    ("llm_providers.local.timeout_seconds", Whole, 1.0, 120.0),
    ("llm_providers.local.max_retries", Whole, 0.0, 10.0),
    ("llm_providers.local.priority", Whole, 1.0, OPEN),
    ("llm_providers.local.price.input_per_million", Fraction, 0.0, OPEN),
    ("llm_providers.local.price.output_per_million", Fraction, 0.0, OPEN),
    ("llm_providers.local.health_check.interval_seconds", Fraction, 10.0, OPEN),
    ("llm_providers.local.hedge_after_seconds", Fraction, 0.0, OPEN),
    ("retry_strategy.initial_delay", Fraction, 0.1, 10.0),
    ("retry_strategy.multiplier", Fraction, 1.0, 5.0),
    ("retry_strategy.max_delay", Fraction, 1.0, 120.0),
    ("retry_strategy.rate_limit_delay", Fraction, 1.0, 600.0),
    ("triggers[0].probability", Fraction, 0.0, 1.0),
    ("triggers[0].cooldown_seconds", Whole, 0.0, OPEN),
    ("triggers[0].max_responses_per_hour", Whole, 0.0, OPEN),
    ("triggers[0].priority", Whole, 1.0, 10.0),
    ("rate_limits.global_max_per_minute", Whole, 0.0, OPEN),
    ("rate_limits.global_max_per_hour", Whole, 0.0, OPEN),
    ("rate_limits.global_cooldown_seconds", Whole, 0.0, OPEN),
    ("rate_limits.user_max_per_hour", Whole, 0.0, OPEN),
    ("rate_limits.user_cooldown_seconds", Whole, 0.0, OPEN),
    ("rate_limits.mention_cooldown_seconds", Whole, 0.0, OPEN),
    ("rate_limits.admin_cooldown_multiplier", Fraction, 0.0, 1.0),
    ("rate_limits.admin_limit_multiplier", Fraction, 1.0, OPEN),
    ("message_processing.max_message_length", Whole, 1.0, 255.0),
    ("message_processing.split_delay_seconds", Whole, 0.0, 15.0),
    ("message_processing.max_emoji_per_message", Whole, 0.0, OPEN),
    ("context.chat_history_size", Whole, 0.0, 100.0),
    ("context.context_window_chars", Whole, 1000.0, OPEN),
    ("context.max_video_title_length", Whole, 50.0, 500.0),
    ("context.max_chat_history_in_prompt", Whole, 0.0, 50.0),
    ("context.reconnection_grace_period", Whole, 30.0, 300.0),
    ("context.correlation_id_cache_size", Whole, 100.0, 10_000.0),
    ("formatting.max_message_length", Whole, 100.0, 500.0),
    ("formatting.max_emoji_per_message", Whole, 1.0, OPEN),
    ("validation.min_length", Whole, 1.0, OPEN),
    ("validation.max_length", Whole, 100.0, OPEN),
    ("validation.repetition_history_size", Whole, 1.0, 50.0),
    ("validation.repetition_threshold", Fraction, 0.0, 1.0),
    ("validation.relevance_threshold", Fraction, 0.0, 1.0),
    ("spam_detection.message_windows[0].seconds", Whole, 1.0, OPEN),
    ("spam_detection.message_windows[0].max_messages", Whole, 1.0, OPEN),
    ("spam_detection.identical_message_threshold", Whole, 1.0, OPEN),
    ("spam_detection.identical_message_window.seconds", Whole, 1.0, OPEN),
    ("spam_detection.identical_message_window.max_messages", Whole, 1.0, OPEN),
    ("spam_detection.mention_spam_threshold", Whole, 1.0, OPEN),
    ("spam_detection.mention_spam_window", Whole, 1.0, OPEN),
    ("spam_detection.initial_penalty", Whole, 1.0, OPEN),
    ("spam_detection.penalty_multiplier", Fraction, 1.0, OPEN),
    ("spam_detection.max_penalty", Whole, 60.0, OPEN),
    ("spam_detection.penalty_durations[0]", Whole, 0.0, OPEN),
    ("spam_detection.clean_period", Whole, 60.0, OPEN),
    ("media_change.min_duration_minutes", Whole, 1.0, 240.0),
    ("media_change.chat_context_depth", Whole, 1.0, 50.0),
    ("auto_participation.base_message_interval", Whole, 1.0, 100.0),
    ("auto_participation.probability_range", Fraction, 0.0, 0.5),
    ("metrics.port", Whole, 0.0, 65_535.0),
    ("service_metadata.heartbeat_interval_seconds", Whole, 1.0, 60.0),
    ("service_metadata.graceful_shutdown_timeout_seconds", Whole, 5.0, 120.0),
    ("loop_guard.max_replies_in_a_row", Whole, 0.0, 100.0),
    ("loop_guard.window_seconds", Fraction, 10.0, 3600.0),
    ("spend.max_calls_per_minute", Whole, 0.0, OPEN),
    ("spend.max_calls_per_day", Whole, 0.0, OPEN),
    ("spend.max_tokens_per_day", Whole, 0.0, OPEN),
    ("spend.max_tokens_per_user_per_day", Whole, 0.0, OPEN),
    ("spend.max_cost_per_day", Fraction, 0.0, OPEN),
    ("spend.soft_percent", Whole, 1.0, 100.0),
    ("circuit_breaker.failures", Whole, 1.0, 100.0),
    ("circuit_breaker.open_seconds", Fraction, 1.0, 3600.0),
    ("outbox.stale_seconds", Fraction, 1.0, 3600.0),
    ("outbox.max_lines", Whole, 1.0, 10_000.0),
    ("limits.max_event_bytes", Whole, 4096.0, OPEN),
    ("limits.users_bytes", Whole, 1_048_576.0, OPEN),
    ("history.retention_days", Whole, 1.0, 3650.0),
    ("history.max_mib", Whole, 1.0, 10_000.0),
    ("alerts.hold_seconds", Fraction, 0.0, 3600.0),
];

/// A file in which every optional object is there.
pub fn full() -> Value {
    let over = json!({
        "triggers": [{"name": "popcorn"}],
        "spam_detection": {
            "message_windows": [{"seconds": 60, "max_messages": 5}],
            "identical_message_window": {"seconds": 60, "max_messages": 5},
            "penalty_durations": [30],
        },
        "context": {"providers": [{"type": "video", "priority": 1}, {"type": "chat_history"}]},
        "llm_providers": {"local": {
            "price": {"input_per_million": 1, "output_per_million": 2},
            "health_check": {"interval_seconds": 60},
        }},
    });
    serde_json::from_str(&text(over)).unwrap()
}

/// What is wrong when one value of the full file is another one. The schema must say the same.
fn problems_with(path: &str, value: f64, unit: Unit) -> Vec<Problem> {
    let mut file = full();
    let mut place = &mut file;
    for key in path.replace('[', ".").replace(']', "").split('.') {
        place = match key.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[key],
        };
    }
    *place = if unit == Whole { json!(value as i64) } else { json!(value) };
    let problems = load(&file.to_string(), &|_| None).err().unwrap_or_default();
    let errors = super::schema::errors(&file);
    assert_eq!(problems.is_empty(), errors.is_empty(), "{path} = {value}: {problems:?}, {errors:?}");
    problems
}

#[test]
fn req_009_every_range_ends_where_it_should() {
    for &(path, unit, least, most) in RANGES {
        let step = if unit == Whole { 1.0 } else { 0.001 };
        let mut outside = vec![least - 1.0, least - step];
        let mut inside = vec![least];
        if most == OPEN {
            inside.push(LARGE);
        } else {
            inside.push(most);
            outside.extend([most + 1.0, most + step]);
        }
        for value in outside {
            let problems = problems_with(path, value, unit);
            assert_eq!(places(&problems), [path], "{path} = {value}");
            assert_eq!(problems[0].found, format!("the number {value}"));
            let range = if most == OPEN { format!("{least} or more") } else { format!("{least} to {most}") };
            assert!(problems[0].allowed.ends_with(&range), "{}", problems[0]);
        }
        for value in inside {
            let problems = problems_with(path, value, unit);
            assert_eq!(places(&problems), [""; 0], "{path} = {value}");
        }
    }
}

#[test]
fn req_009_a_whole_number_has_no_fraction() {
    for &(path, _, least, _) in RANGES.iter().filter(|row| row.1 == Whole) {
        let problems = problems_with(path, least + 1.5, Fraction);
        assert_eq!(places(&problems), [path], "{path}");
    }
}

#[test]
fn no_number_is_missing_in_the_table() {
    let surveyed = super::super::survey::survey();
    let is_ranged = |field: &Field| {
        let ranges = field.kinds.iter().filter_map(|kind| match kind {
            Kind::Integer(range) | Kind::Number(range) => Some(range),
            _ => None,
        });
        ranges.into_iter().any(|range| range.least.is_some() || range.most.is_some())
    };
    let in_full = |path: &str| path.replace(ANY_NAME, "local").replace("[]", "[0]");
    let table: BTreeSet<&str> = RANGES.iter().map(|row| row.0).collect();
    for field in surveyed.iter().filter(|field| is_ranged(field)) {
        let path = in_full(&field.path);
        assert!(
            table.contains(path.as_str()) || path == "spam_detection.mention_spam_window.seconds",
            "{path}"
        );
    }

    let loaded = load(&full().to_string(), &|_| None).unwrap();
    let numbers = loaded.effective.iter().filter(|field| field.value.parse::<f64>().is_ok());
    let read: BTreeSet<&str> = numbers.map(|field| field.place.as_str()).collect();
    let table: BTreeSet<&str> = RANGES.iter().map(|row| row.0).collect();
    let without_range = ["context.providers[0].priority", "context.providers[1].priority"];
    let missing: Vec<_> = read.difference(&table).filter(|place| !without_range.contains(place)).collect();
    assert_eq!(missing, [&""; 0]);
}

#[test]
fn texts_with_a_longest_length_end_there() {
    for (length, expected) in [(200, 0), (201, 1)] {
        let over = json!({"media_change": {"transition_explanation": "é".repeat(length)}});
        assert_eq!(super::super::testing::problems(over).len(), expected, "{length}");
    }
}
