//! `${NAME}`: where it is replaced, and what follows when it isn't set.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::super::testing::text;
use super::super::{Loaded, Problem, load};
use super::places;

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "PORT" => "28300",
        "YES" => "yes",
        "TRUE" => "true",
        "HOST" => "nats.example",
        "NAME" => "Ve\"ra\\",
        "KEY" => "secret-key",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

fn load_over(over: Value) -> Result<Loaded, Vec<Problem>> {
    load(&text(over), &environment)
}

#[test]
fn req_009_variables_stand_in_texts_and_for_numbers_and_booleans() {
    let file = text(json!({
        "nats": {"servers": ["nats://${HOST}:4222"]},
        "personality": {"character_name": "${NAME}", "_note": "${NOPE}"},
        "metrics": {"port": "PORT_HERE", "enabled": "${YES}"},
        "testing": {"dry_run": "TRUE_HERE"},
        "llm_providers": {"local": {
            "api_key": "${KEY}",
            "extra_body": {"seed": "PORT_HERE", "user": "${PORT}", "list": ["${HOST}"]},
        }},
        "_comment": "${NOPE}",
    }));
    let file = file.replace("\"PORT_HERE\"", "${PORT}").replace("\"TRUE_HERE\"", "${TRUE}");
    let loaded = load(&file, &environment).unwrap();
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.nats.servers, ["nats://nats.example:4222"]);
    assert_eq!(config.personality.character_name, "Ve\"ra\\");
    assert_eq!((config.metrics.port, config.metrics.enabled), (28300, true));
    assert!(config.testing.dry_run);
    let provider = &config.llm_providers[0];
    assert_eq!(provider.api_key.as_ref().map(ExposeSecret::expose_secret), Some("secret-key"));
    let body = Value::from(provider.extra_body.clone());
    assert_eq!(body, json!({"seed": 28300, "user": "28300", "list": ["nats.example"]}));
}

#[test]
fn req_009_an_unset_variable_is_an_error_where_nothing_may_be_guessed() {
    for (over, place) in [
        (json!({"nats": {"servers": ["nats://${NOPE}:4222"]}}), "nats.servers[0]"),
        (json!({"nats": {"servers": "${NOPE}"}}), "nats.servers"),
        (json!({"nats": {"user": "${NOPE}"}}), "nats.user"),
        (json!({"nats": {"password": "${NOPE}"}}), "nats.password"),
        (json!({"nats": {"token_file": "${NOPE}"}}), "nats.token_file"),
        (json!({"nats": {"connect_timeout": "${NOPE}"}}), "nats.connect_timeout"),
        (
            json!({"llm_providers": {"local": {"base_url": "http://${NOPE}/v1"}}}),
            "llm_providers.local.base_url",
        ),
        (json!({"metrics": {"token": "${NOPE}"}}), "metrics.token"),
    ] {
        let problems = load_over(over).unwrap_err();
        assert_eq!(places(&problems), [place]);
        assert!(problems[0].found.contains("the variable NOPE, which is not set"), "{}", problems[0]);
    }
}

#[test]
fn an_empty_variable_opens_no_door() {
    let problems = load_over(json!({"metrics": {"token": "${EMPTY}"}})).unwrap_err();
    assert_eq!(places(&problems), ["metrics.token"]);
}

#[test]
fn req_009_a_provider_whose_key_is_not_set_is_unusable_and_the_service_runs() {
    let loaded = load_over(json!({"llm_providers": {"local": {"api_key": "${NOPE}"}}})).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert_eq!(loaded.warnings[0].place, "llm_providers.local.api_key");
    assert_eq!(loaded.config.llm_providers[0].usable, Err("the variable NOPE is not set".to_owned()));
    assert!(loaded.config.llm_providers[0].api_key.is_none());
}

#[test]
fn req_009_elsewhere_an_unset_variable_is_a_warning_and_the_text_stays() {
    let headers = json!({"local": {"custom_headers": {"api_key": "${NOPE}"}}});
    let loaded = load_over(json!({
        "personality": {"character_name": "${NOPE} ${NAME}"},
        "llm_providers": headers,
    }))
    .unwrap();
    let places: Vec<&str> = loaded.warnings.iter().map(|warning| warning.place.as_str()).collect();
    assert_eq!(places, ["personality.character_name", "llm_providers.local.custom_headers.api_key"]);
    assert_eq!(loaded.config.personality.character_name, "${NOPE} Ve\"ra\\");
    assert_eq!(loaded.config.llm_providers[0].custom_headers[0].1.expose_secret(), "${NOPE}");

    let file = text(json!({"personality": {"character_name": "HERE"}})).replace("\"HERE\"", "${NOPE}");
    assert_eq!(load(&file, &environment).unwrap().config.personality.character_name, "${NOPE}");

    let problems = load_over(json!({"metrics": {"port": "${NOPE}"}})).unwrap_err();
    assert_eq!(problems[0].found, "a text with the variable NOPE, which is not set");
}

#[test]
fn req_009_an_empty_variable_is_an_empty_text() {
    let loaded = load_over(json!({
        "nats": {"user": "${EMPTY}"},
        "personality": {"response_style": "${EMPTY}"},
        "llm_providers": {"local": {"api_key": "${EMPTY}"}},
    }))
    .unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.personality.response_style, "");
    assert_eq!(loaded.config.nats.user, None);
    assert!(loaded.config.llm_providers[0].api_key.is_none());
    let problems = load_over(json!({"metrics": {"port": "${EMPTY}"}})).unwrap_err();
    assert_eq!(problems[0].found, "an empty text");
}

#[test]
fn req_009_what_has_no_effect_is_not_looked_into() {
    let loaded = load_over(json!({
        "service": {"name": "${NOPE}", "heartbeat": {"interval": []}},
        "routing": {"tiers": "${NOPE}"},
        "retention": null,
        "context": {"providers": [
            {"type": "video"},
            {"type": "long_term_memory", "enabled": false, "extractor": {"api_key": "${NOPE}"}},
        ]},
        "auto_participation": {"engagement": {"enabled": false, "prompt": "${NOPE}"}},
    }))
    .unwrap();
    assert_eq!(loaded.warnings, []);
}
