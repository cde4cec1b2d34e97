//! What the service runs with, but says.

use serde_json::{Value, json};

use super::super::testing::loaded;

#[test]
fn req_009_unknown_keys_are_told_with_the_nearest_known_one() {
    for (over, place, message) in [
        (json!({"trigers": []}), "trigers", "unknown key; the nearest known one is triggers"),
        (json!({"nats": {"severs": []}}), "nats.severs", "unknown key; the nearest known one is servers"),
        (json!({"nats": {"url": "a"}}), "nats.url", "unknown key; the servers stand in nats.servers, a list"),
        (
            json!({"llm_providers": {"local": {"max_token": 5}}}),
            "llm_providers.local.max_token",
            "unknown key; the nearest known one is max_tokens",
        ),
        (
            json!({"triggers": [{"name": "a", "pattern": []}]}),
            "triggers[0].pattern",
            "unknown key; the nearest known one is patterns",
        ),
        (
            json!({"spam_detection": {"message_windows": [{"seconds": 5, "max_messages": 5, "max": 5}]}}),
            "spam_detection.message_windows[0].max",
            "unknown key; the nearest known one is max_messages",
        ),
        (json!({"two\nlines": 5}), "[\"two\\nlines\"]", "unknown key; the nearest known one is "),
    ] {
        let warnings = loaded(over).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].place, place);
        assert!(warnings[0].message.starts_with(message), "{}", warnings[0]);
    }
}

#[test]
fn req_009_comments_are_no_unknown_keys() {
    let warnings = loaded(json!({
        "_comment": 5, "nats": {"_": []}, "llm_providers": {"_note": "none", "local": {"_a": {"b": 5}}},
        "channels": [{"_": 1, "domain": "a", "channel": "b", "any": "other"}],
        "triggers": [{"name": "a", "_why": null}],
    }))
    .warnings;
    assert_eq!(warnings, []);
}

#[test]
fn req_009_what_does_nothing_or_does_it_in_another_way_is_told() {
    let enabled = json!({"enabled": true});
    for (over, place) in [
        (json!({"routing": enabled}), "routing"),
        (json!({"retention": enabled}), "retention"),
        (json!({"confidence_drift": enabled}), "confidence_drift"),
        (json!({"compaction": enabled}), "compaction"),
        (json!({"memory_commands": {"enabled": "yes"}}), "memory_commands"),
        (json!({"self_service": enabled}), "self_service"),
        (
            json!({"context": {"providers": [{"type": "long_term_memory"}, {"type": "video"}]}}),
            "context.providers[0].enabled",
        ),
        (json!({"context": {"providers": [{"type": "weather", "city": "x"}]}}), "context.providers[0].type"),
        (json!({"message_processing": {"filter_emoji": true}}), "message_processing.filter_emoji"),
        (
            json!({"message_processing": {"max_emoji_per_message": 4}}),
            "message_processing.max_emoji_per_message",
        ),
        (json!({"auto_participation": {"eagerness": 0.5}}), "auto_participation.eagerness"),
        (json!({"auto_participation": {"force_interval": 30}}), "auto_participation.force_interval"),
        (json!({"auto_participation": {"engagement": enabled}}), "auto_participation.engagement"),
        (json!({"auto_participation": {"precheck": {"model": "m"}}}), "auto_participation.precheck"),
        (json!({"service_metadata": {"service_version": "0.0.1"}}), "service_metadata.service_version"),
        (json!({"llm_providers": {"local": {"fallback": "x"}}}), "llm_providers.local.fallback"),
        (json!({"llm_providers": {"local": {"name": "other"}}}), "llm_providers.local.name"),
        (json!({"llm_providers": {"local": {"type": "ollama"}}}), "llm_providers.local.type"),
        (json!({"llm_providers": {"local": {"type": "openai"}}}), "llm_providers.local.api_key"),
        (json!({"llm_providers": {"local": {"api_key": "a\nb"}}}), "llm_providers.local.api_key"),
        (
            json!({"llm_providers": {"local": {"api_key_file": "/nowhere"}}}),
            "llm_providers.local.api_key_file",
        ),
        (json!({"triggers": [{"name": "a", "preferred_provider": "x"}]}), "triggers[0].preferred_provider"),
        (json!({"triggers": [{"name": "a", "llm_provider": "local"}]}), "triggers[0].llm_provider"),
        (json!({"triggers": [{"name": "a", "preferred_tier": "x"}]}), "triggers[0].preferred_tier"),
        (json!({"default_provider_priority": ["local", "x"]}), "default_provider_priority[1]"),
        (json!({"log_level": "LOUD"}), "log_level"),
        (json!({"nats": {"tls_ca": "/nowhere.pem"}}), "nats.tls_ca"),
        (json!({"metrics": {"host": "0.0.0.0"}}), "metrics.host"),
        (json!({"metrics": {"host": "::", "token": null}}), "metrics.host"),
        (json!({"metrics": {"host": "bots.example"}}), "metrics.host"),
        (json!({"metrics": {"host": "::ffff:10.0.0.7"}}), "metrics.host"),
        (json!({"spend": {"max_tokens_per_day": 255}}), "spend.max_tokens_per_day"),
        (json!({"spend": {"max_tokens_per_user_per_day": 1}}), "spend.max_tokens_per_user_per_day"),
        (json!({"validation": {"min_length": 500, "max_length": 400}}), "validation.min_length"),
    ] {
        let warnings = loaded(over.clone()).warnings;
        assert_eq!(warnings.len(), 1, "{over}: {warnings:?}");
        assert_eq!(warnings[0].place, place);
        assert!(!warnings[0].to_string().contains('\n'));
    }
}

#[test]
fn what_does_nothing_is_not_told_at_its_default() {
    let warnings = loaded(json!({
        "retry_attempts": 5, "retry_delay": 2.0, "service": {"name": "x"},
        "routing": {"enabled": false}, "compaction": {},
        "message_processing": {"filter_emoji": "no", "max_emoji_per_message": "3"},
        "auto_participation": {"eagerness": 0.0, "force_interval": null, "engagement": {}, "precheck": {"enabled": false}},
        "service_metadata": {"service_version": env!("CARGO_PKG_VERSION")},
        "llm_providers": {"local": {"fallback": null, "name": "local"}},
        "triggers": [{"name": "a", "preferred_tier": null, "llm_provider": null}],
    }))
    .warnings;
    assert_eq!(warnings, []);
}

#[test]
fn listening_to_this_machine_alone_is_not_warned_of() {
    for host in ["127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(loaded(json!({"metrics": {"host": host}})).warnings, [], "{host}");
    }
}

#[test]
fn a_provider_of_an_unknown_type_is_not_used() {
    let over = json!({"llm_providers": {"local": {"type": "ollama"}}});
    assert_eq!(loaded(over).config.llm_providers[0].usable, Err("its type is unknown".to_owned()));
}

#[test]
fn a_key_is_needed_unless_the_headers_bring_one() {
    for (over, usable) in [
        (json!({"type": "openai"}), false),
        (json!({"type": "openrouter"}), false),
        (json!({"type": "anthropic", "api_key": ""}), false),
        (json!({"type": "openai", "custom_headers": {"authorization": "Bearer x"}}), true),
        (json!({"type": "anthropic", "custom_headers": {"X-API-Key": "x"}}), true),
        (json!({"type": "openai_compatible"}), true),
    ] {
        let loaded = loaded(json!({"llm_providers": {"local": over}}));
        assert_eq!(loaded.config.llm_providers[0].usable.is_ok(), usable, "{over}");
    }
}

#[test]
fn the_old_spelling_of_the_preferred_provider_still_counts() {
    let over = |trigger: Value| loaded(json!({"triggers": [trigger]})).config.triggers[0].clone();
    let old = over(json!({"name": "a", "llm_provider": "local"}));
    assert_eq!(old.preferred_provider.map(|name| name.to_string()), Some("local".to_owned()));
    let both = over(json!({"name": "a", "preferred_provider": "local", "llm_provider": "x"}));
    assert_eq!(both.preferred_provider.map(|name| name.to_string()), Some("local".to_owned()));
}

#[test]
fn what_listens_to_this_machine_alone_or_asks_for_a_token_is_not_told() {
    for metrics in [
        json!({"host": "127.0.0.2"}),
        json!({"host": "::1"}),
        json!({"host": "LocalHost"}),
        json!({"host": "0.0.0.0", "token": "a-token"}),
        json!({"host": "0.0.0.0", "enabled": false}),
    ] {
        assert_eq!(loaded(json!({"metrics": metrics})).warnings, [], "{metrics}");
    }
}

#[test]
fn a_limit_of_no_tokens_is_meant_so_and_one_that_holds_a_call_is_fair() {
    for limit in [0, 256] {
        assert_eq!(loaded(json!({"spend": {"max_tokens_per_user_per_day": limit}})).warnings, []);
    }
}
