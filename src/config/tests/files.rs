//! The files that operators have: the example, and one of the Python original.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::super::testing::make_pipe;
use super::super::{Loaded, load, load_file};

const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.json"));
const LEGACY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/legacy-config.json"));

fn with_every_variable(text: &str) -> Loaded {
    load(text, &|name| Some(format!("value-of-{name}"))).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn req_009_a_file_of_the_python_original_loads_with_exactly_its_four_warnings() {
    let environment = |name: &str| match name {
        "ZETA_KEY" | "ALPHA_KEY" => Some("key".to_owned()),
        _ => None,
    };
    let loaded = load(LEGACY, &environment).unwrap();
    let places: Vec<&str> = loaded.warnings.iter().map(|warning| warning.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "llm_providers.alpha.fallback",
            "triggers[1].llm_provider",
            "triggers[1].preferred_tier",
            "service_metadata.service_version",
        ]
    );
    let config = loaded.config;
    let providers: Vec<(&str, bool)> =
        config.llm_providers.iter().map(|p| (p.name.as_str(), p.usable.is_ok())).collect();
    assert_eq!(providers, [("zeta", true), ("alpha", true)]);
    assert_eq!(config.llm_providers[0].base_url, "http://127.0.0.1:8080/v1");
    assert_eq!((config.llm_providers[1].max_tokens, config.llm_providers[1].temperature), (200, Some(0.7)));
    assert_eq!(config.personality.character_name, "Vera");
    assert_eq!(config.triggers.len(), 2);
    assert!(config.triggers[1].enabled);
    assert_eq!(config.triggers[1].preferred_provider.as_ref().map(|name| name.as_str()), Some("zeta"));
    assert_eq!(config.formatting.artifact_patterns.len(), 4);
    assert_eq!(config.spam_detection.mention_spam_window.as_secs(), 30);
}

#[test]
fn req_009_the_example_loads_without_a_warning() {
    let loaded = with_every_variable(EXAMPLE);
    assert_eq!(loaded.warnings, []);
    let unusable: Vec<_> = loaded.config.llm_providers.iter().filter(|p| p.usable.is_err()).collect();
    assert!(unusable.is_empty(), "{unusable:?}");
    assert!(!loaded.config.triggers.is_empty());
}

#[test]
fn req_009_the_example_has_every_field() {
    let loaded = with_every_variable(EXAMPLE);
    let left_to_default: BTreeSet<&str> =
        loaded.effective.iter().filter(|field| field.is_default).map(|field| field.place.as_str()).collect();
    let said: BTreeSet<String> = loaded
        .effective
        .iter()
        .filter(|field| !field.is_default)
        .map(|field| general(&field.place))
        .collect();
    let missing: Vec<&str> =
        left_to_default.into_iter().filter(|place| !said.contains(&general(place))).collect();
    assert_eq!(missing, [""; 0]);
    // Optional objects are there at least once, so that their fields are.
    for object in ["price.input_per_million", "health_check.kind"] {
        assert!(said.contains(&format!("llm_providers.*.{object}")), "{object}");
    }
    assert!(said.contains("spam_detection.identical_message_window.seconds"));
}

#[test]
fn the_example_has_no_field_that_is_not_read() {
    let loaded = with_every_variable(EXAMPLE);
    let read: Vec<String> = loaded.effective.iter().map(|field| field.place.clone()).collect();
    let example: Value = serde_json::from_str(EXAMPLE).unwrap();
    let mut leaves = Vec::new();
    collect_leaves(&example, String::new(), &mut leaves);
    assert!(leaves.len() > 150, "{}", leaves.len());
    // That one is for editors.
    leaves.retain(|leaf| leaf != "$schema");
    for leaf in leaves {
        let covered = read.iter().any(|place| {
            leaf.strip_prefix(place.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        assert!(covered, "{leaf}");
    }
}

#[test]
fn the_example_explains_every_section() {
    let example: Value = serde_json::from_str(EXAMPLE).unwrap();
    let sections = example.as_object().unwrap().iter().filter(|(_, value)| value.is_object());
    for (name, section) in sections {
        assert!(section.get("_comment").is_some_and(Value::is_string), "{name}");
    }
}

/// A path without the provider's name and without indices.
fn general(place: &str) -> String {
    let mut parts: Vec<&str> = place.split('.').collect();
    if parts[0] == "llm_providers" && parts.len() > 1 {
        parts[1] = "*";
    }
    let general = parts.join(".");
    general.chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn collect_leaves(value: &Value, place: String, leaves: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members.iter().filter(|(key, _)| !key.starts_with('_')) {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                collect_leaves(value, place, leaves);
            }
        }
        Value::Array(values) if values.iter().any(Value::is_object) => {
            for (index, value) in values.iter().enumerate() {
                collect_leaves(value, format!("{place}[{index}]"), leaves);
            }
        }
        _ => leaves.push(place),
    }
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting_for_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("config.json");
    make_pipe(&pipe);
    for path in [&*pipe, folder.path(), Path::new("/dev/zero")] {
        let error = load_file(path).expect_err("no regular file").to_string();
        assert!(error.ends_with("the file can't be read: it is no regular file"), "{error}");
    }
}
