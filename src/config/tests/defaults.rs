//! What is in force when the file says nothing, and what each kind of value becomes.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::super::testing::{config, loaded, text};
use super::super::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn req_009_a_minimal_file_has_the_documented_defaults() {
    let loaded = loaded(json!({}));
    assert_eq!(loaded.warnings, []);
    let left_to_default = loaded.effective.iter().filter(|field| field.is_default);
    let shown: Vec<String> =
        left_to_default.map(|field| format!("{} = {}", field.place, field.value)).collect();
    let expected: Vec<&str> = include_str!("defaults.txt").lines().collect();
    for (shown, expected) in shown.iter().zip(&expected) {
        assert_eq!(shown, expected);
    }
    assert_eq!(shown.len(), expected.len());
}

#[test]
fn defaults_have_their_units() {
    let config = config(json!({}));
    assert_eq!(config.nats.connect_timeout, seconds(10));
    assert_eq!(config.nats.reconnect_time_wait, seconds(2));
    assert_eq!(config.nats.max_reconnect_attempts, None);
    assert_eq!(config.handler_timeout, seconds(30));
    assert_eq!(config.chat_jitter, Duration::from_millis(500));
    assert_eq!(config.llm_providers[0].timeout, seconds(30));
    assert_eq!(config.llm_providers[0].temperature, Some(0.8));
    assert_eq!(config.retry_strategy.max_delay, seconds(30));
    assert_eq!(config.media_change.min_duration, seconds(600));
    assert_eq!(config.service.heartbeat_interval, seconds(10));
    assert_eq!(config.history.retention, seconds(30 * 86_400));
    assert_eq!(config.outbox.stale, seconds(60));
    assert_eq!(config.spam_detection.mention_spam_window, seconds(30));
    let windows = &config.spam_detection.message_windows;
    assert_eq!(windows.iter().map(|w| w.max_messages).collect::<Vec<_>>(), [5, 10, 20]);
    assert_eq!(windows[2].length, seconds(900));
    assert_eq!(config.context.video_priority, Some(60));
    assert_eq!(config.context.chat_history_priority, Some(50));
    assert!(config.error_handling.fallback_messages.len() == 3);
}

#[test]
fn the_default_artifacts_are_found() {
    let config = config(json!({}));
    let found = |text: &str| config.formatting.artifact_patterns.iter().any(|p| p.is_match(text));
    for text in
        ["Here's one", "let me see", "SURE! ok", "I think so", "In my opinion it is", "well, as an AI"]
    {
        assert!(found(text), "{text}");
    }
    for text in ["There's one", "so let me see", "Not sure!", "as an AIM", "fine"] {
        assert!(!found(text), "{text}");
    }
}

#[test]
fn req_009_lenient_spellings_are_read() {
    let config = config(json!({
        "nats": {"max_reconnect_attempts": "5", "connect_timeout": "20"},
        "handler_timeout": "1.5",
        "metrics": {"port": "28287", "enabled": "off"},
        "validation": {"min_length": 30.0},
        "testing": {"dry_run": "YES"},
        "triggers": [{"name": "t", "enabled": 0, "probability": 1}],
        "log_level": "warning",
    }));
    assert_eq!(config.nats.max_reconnect_attempts, Some(5));
    assert_eq!(config.nats.connect_timeout, seconds(20));
    assert_eq!(config.handler_timeout, Duration::from_millis(1500));
    assert_eq!((config.metrics.port, config.metrics.enabled), (28287, false));
    assert_eq!(config.validation.min_length, 30);
    assert!(config.testing.dry_run && !config.triggers[0].enabled);
    assert_eq!(config.log_level, LogLevel::Warning);
}

#[test]
fn a_provider_is_read_whole() {
    let config = config(json!({"llm_providers": {
        "zeta": {
            "type": "anthropic", "base_url": "https://example.org/v1//", "api_key": "key", "model": "big",
            "max_tokens": 100, "max_tokens_field": "none", "temperature": null, "timeout_seconds": 5,
            "max_retries": 0, "priority": 1, "custom_headers": {"X-Title": "vera", "_note": 5},
            "extra_body": {"top_p": 0.5, "_note": "no", "nested": {"list": [1, "a"]}},
            "price": {"input_per_million": 1, "output_per_million": "2.5"},
            "health_check": {"interval_seconds": 10, "kind": "completion"}, "hedge_after_seconds": 2.5,
        },
        "alpha": {"type": "openai", "base_url": "http://a", "api_key": "k", "model": "m",
                  "custom_headers": null, "max_tokens_field": "max_completion_tokens"},
    }}));
    let names: Vec<&str> = config.llm_providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["local", "zeta", "alpha"], "the file's order");
    let zeta = &config.llm_providers[1];
    assert_eq!(zeta.kind, ProviderKind::Anthropic);
    assert_eq!(zeta.base_url, "https://example.org/v1");
    assert_eq!(zeta.api_key.as_ref().map(ExposeSecret::expose_secret), Some("key"));
    assert_eq!(zeta.usable, Ok(()));
    assert_eq!((zeta.max_tokens, zeta.max_tokens_field), (100, MaxTokensField::None));
    assert_eq!((zeta.temperature, zeta.max_retries, zeta.priority), (None, 0, 1));
    assert_eq!(zeta.custom_headers.len(), 1);
    assert_eq!(zeta.custom_headers[0].0, "X-Title");
    assert_eq!(Value::from(zeta.extra_body.clone()), json!({"top_p": 0.5, "nested": {"list": [1, "a"]}}));
    assert_eq!(zeta.price, Some(Price { input_per_million: 1.0, output_per_million: 2.5 }));
    let check = HealthCheck { interval: seconds(10), kind: HealthCheckKind::Completion };
    assert_eq!(zeta.health_check, Some(check));
    assert_eq!(zeta.hedge_after, Some(Duration::from_millis(2500)));
    assert_eq!(config.llm_providers[2].max_tokens_field, MaxTokensField::MaxCompletionTokens);
}

#[test]
fn rooms_count_once_and_are_trimmed() {
    let loaded = loaded(json!({"channels": [
        {"domain": " cytu.be ", "channel": " MovieNight ", "password": "x"},
        {"domain": "CYTU.BE", "channel": "movienight"},
        {"domain": "other.example", "channel": "MovieNight"},
    ]}));
    let rooms: Vec<String> = loaded.config.rooms.iter().map(ToString::to_string).collect();
    assert_eq!(rooms, ["cytu.be/MovieNight", "other.example/MovieNight"]);
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(loaded.warnings[0].place, "channels[1]");
}

#[test]
fn listed_context_providers_switch_the_others_off() {
    for (over, video, chat) in [
        (json!({"providers": null}), Some(60), Some(50)),
        (json!({"providers": []}), Some(60), Some(50)),
        (json!({"providers": [{"type": "video", "priority": 7}]}), Some(7), None),
        (json!({"providers": [{"type": "chat_history", "enabled": "no"}]}), None, None),
        (json!({"include_video_context": false}), None, Some(50)),
        (json!({"include_chat_history": false}), Some(60), None),
    ] {
        let context = config(json!({"context": over})).context;
        assert_eq!((context.video_priority, context.chat_history_priority), (video, chat), "{over}");
    }
}

#[test]
fn spam_windows_come_in_both_spellings() {
    let spam = config(json!({"spam_detection": {
        "message_windows": [],
        "mention_spam_window": {"seconds": 45, "max_messages": 3},
        "identical_message_window": {"seconds": 20, "max_messages": 4},
        "penalty_durations": [10, "60", 600],
        "admin_exempt_ranks": [2.5, "4"],
    }}))
    .spam_detection;
    assert_eq!(spam.message_windows, []);
    assert_eq!(spam.mention_spam_window, seconds(45));
    let window = MessageWindow { length: seconds(20), max_messages: 4 };
    assert_eq!(spam.identical_message_window, Some(window));
    assert_eq!(spam.penalty_durations, Some(vec![seconds(10), seconds(60), seconds(600)]));
    assert_eq!(spam.admin_exempt_ranks, [2.5, 4.0]);
    let spam = config(json!({"spam_detection": {"mention_spam_window": 15}})).spam_detection;
    assert_eq!(spam.mention_spam_window, seconds(15));
}

#[test]
fn a_duration_without_end_does_not_overflow() {
    let config = config(json!({"rate_limits": {"user_cooldown_seconds": u64::MAX}, "chat_min_delay": 1e300}));
    let now = std::time::Instant::now();
    assert!(now.checked_add(config.rate_limits.user_cooldown).is_some());
    assert!(now.checked_add(config.chat_min_delay).is_some());
}

#[test]
fn the_state_folder_is_systemds_unless_the_file_says_another() {
    let environment = |name: &str| (name == "STATE_DIRECTORY").then(|| "/var/lib/vera:/other".to_owned());
    let loaded = load(&text(json!({})), &environment).unwrap();
    assert_eq!(loaded.config.state_dir.to_str(), Some("/var/lib/vera"));
    let loaded = load(&text(json!({"state_dir": "mine"})), &environment).unwrap();
    assert_eq!(loaded.config.state_dir.to_str(), Some("mine"));
    assert_eq!(config(json!({})).state_dir.to_str(), Some("state"));
}

#[test]
fn empty_patterns_never_fire_and_names_are_trimmed() {
    let config = config(json!({
        "triggers": [{"name": "t", "patterns": ["", " ", "popcorn"], "preferred_provider": "local"}],
        "ignored_users": [" Bob ", ""],
        "bot_username": "",
    }));
    assert_eq!(config.triggers[0].patterns, ["popcorn"]);
    assert_eq!(config.triggers[0].preferred_provider.as_ref().map(|name| name.as_str()), Some("local"));
    assert_eq!(config.ignored_users, [Username::new("bob")]);
    assert_eq!(config.bot_username, None);
}

#[test]
fn the_service_name_is_the_one_on_the_subjects() {
    let config = config(json!({"service_metadata": {"service_name": " LLM.Vera "}}));
    assert_eq!(config.service.service_name, "llm-vera");
}
