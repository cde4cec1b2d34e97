//! The JSON Schema says what the loader says, and where it can't that is listed here.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::schema::{self, descriptions};
use super::super::survey::{ANY_NAME, survey};
use super::super::testing::text;
use super::super::{Problem, load};
use super::ranges::full;

static SCHEMA: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(&schema::schema()).expect("a schema"));

/// What the schema has against a file.
pub fn errors(file: &Value) -> Vec<String> {
    SCHEMA.iter_errors(file).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// What no schema can say of a text; the loader does.
const BEYOND_A_SCHEMA: &[(&str, &str)] = &[
    ("nats.servers[]", "whether it is an address"),
    ("nats.password_file", "whether the file can be read"),
    ("nats.token_file", "whether the file can be read"),
    ("metrics.host", "whether it is an address or a name"),
    ("metrics.token", "whether a header can hold it"),
    ("metrics.token_file", "whether the file can be read"),
    ("alerts.webhook_token_file", "whether the file can be read"),
    ("nats.tls_cert", "whether both are there"),
    ("nats.tls_key", "whether both are there"),
    ("channels[].channel", "whether a letter is in it"),
    ("llm_providers.NAME.base_url", "whether it is a URL"),
    ("llm_providers.NAME.custom_headers.NAME", "whether a header can be so"),
    ("default_provider", "whether there is such a provider"),
    ("triggers[].name", "whether it is unique"),
    ("triggers[].regex[]", "whether it compiles"),
    ("formatting.artifact_patterns[]", "whether it compiles"),
    ("validation.inappropriate_patterns[]", "whether it compiles"),
    ("formatting.continuation_indicator", "whether the line has room for it"),
    ("service_metadata.service_name", "whether a subject can have it"),
    ("metrics.health_path", "whether it is a path of its own"),
    ("metrics.metrics_path", "whether it is a path of its own"),
    ("metrics.advertise", "whether it is an address"),
    ("history.file", "whether it is a plain name with one of the endings"),
    ("alerts.webhook_url", "whether it is a URL"),
];

/// The path with `[]` for each index, and a name for each name.
fn general(path: &str) -> String {
    let mut general = String::new();
    for part in path.replace('[', ".[").split('.') {
        match part {
            "" => {}
            _ if part.starts_with('[') => general.push_str("[]"),
            _ if matches!(general.as_str(), "llm_providers") || general.ends_with("custom_headers") => {
                general.push_str(".NAME");
            }
            _ => {
                let dot = if general.is_empty() { "" } else { "." };
                general.push_str(&format!("{dot}{part}"));
            }
        }
    }
    general
}

/// Whether a problem is one that a schema could see.
fn is_for_a_schema(file: &Value, problem: &Problem) -> bool {
    // A number in a text is only known to be a number.
    let is_number_in_text =
        problem.found.starts_with("the number") && place(file, &problem.place).is_some_and(Value::is_string);
    let path = general(&problem.place);
    let is_beyond = BEYOND_A_SCHEMA.iter().any(|(beyond, _)| *beyond == path);
    // Null is as good as absent.
    let is_of_the_right_kind =
        place(file, &problem.place).is_none_or(|value| value.is_string() || value.is_null());
    !(is_number_in_text || is_beyond && is_of_the_right_kind)
}

/// The value at a path of the loader.
fn place<'file>(file: &'file Value, path: &str) -> Option<&'file Value> {
    let mut value = file;
    for key in path.replace('[', ".").replace(']', "").split('.') {
        value = match key.parse::<usize>() {
            Ok(index) => value.get(index)?,
            Err(_) => value.get(key.trim_matches('"'))?,
        };
    }
    Some(value)
}

/// Whether `context.providers` has an entry of a type without effect: the loader takes anything in it.
fn has_part_without_effect(file: &Value) -> bool {
    let parts = file["context"]["providers"].as_array();
    parts.is_some_and(|parts| {
        let kinds = parts.iter().filter_map(|part| part.get("type"));
        kinds.into_iter().any(|kind| *kind != "video" && *kind != "chat_history")
    })
}

/// The loader and the schema agree on a file.
fn check(file: &Value) -> Result<(), String> {
    if has_part_without_effect(file) {
        return Ok(());
    }
    let (problems, unknown_keys) = match load(&file.to_string(), &|_| None) {
        Ok(loaded) => {
            let unknown = loaded.warnings.iter().filter(|warning| {
                // For the sake of those without effect the schema takes any key there.
                warning.message.starts_with("unknown key") && !warning.place.starts_with("context.providers[")
            });
            (Vec::new(), unknown.count())
        }
        Err(problems) => (problems, 0),
    };
    let errors = errors(file);
    let seen = problems.iter().any(|problem| is_for_a_schema(file, problem)) || unknown_keys > 0;
    // Whoever has problems that no schema sees may have unknown keys besides; they are not told then.
    if seen != errors.is_empty() || (!problems.is_empty() && !errors.is_empty()) {
        return Ok(());
    }
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(format!(
        "the loader says {problems:?} and {unknown_keys} unknown keys, the schema {errors:?}\n{file:#}"
    ))
}

/// Sets what stands at a general path: in the first entry of lists, and in the provider `local`.
fn set(file: &mut Value, path: &str, new: Value) {
    let path = path.replace(ANY_NAME, "local").replace("[]", ".0").replace("[\"", "").replace("\"]", "");
    let mut value = file;
    for key in path.split('.') {
        value = match (key.parse::<usize>(), &*value) {
            (Ok(index), Value::Array(list)) if index < list.len() => &mut value[index],
            (Ok(_), _) => {
                *value = json!([null]);
                &mut value[0]
            }
            (Err(_), Value::Object(_)) => &mut value[key],
            (Err(_), _) => {
                *value = json!({});
                &mut value[key]
            }
        };
    }
    *value = new;
}

fn paths() -> Vec<String> {
    survey().into_iter().map(|field| field.path).filter(|path| !path.is_empty()).collect()
}

#[test]
fn every_field_has_a_description_and_every_description_a_field() {
    let is_entry = |path: &str| path.ends_with("[]") || path.ends_with(ANY_NAME);
    let fields: BTreeSet<String> = paths().into_iter().filter(|path| !is_entry(path)).collect();
    let described: BTreeSet<String> = descriptions().map(|(path, _)| path.to_owned()).collect();
    assert_eq!(fields.difference(&described).collect::<Vec<_>>(), [""; 0], "no description");
    assert_eq!(described.difference(&fields).collect::<Vec<_>>(), [""; 0], "no field");
    for (path, text) in descriptions() {
        assert!(text.ends_with('.') && text.len() > 8, "{path}: {text}");
    }
}

#[test]
fn the_example_and_a_file_of_the_original_fit_the_schema() {
    let example: Value = serde_json::from_str(include_str!("../../../config.example.json")).unwrap();
    assert_eq!(example["$schema"], "config.schema.json");
    let legacy = serde_json::from_str(include_str!("../../../tests/data/legacy-config.json")).unwrap();
    for file in [example, legacy, full(), serde_json::from_str(&text(json!({}))).unwrap()] {
        assert_eq!(errors(&file), [""; 0]);
    }
}

#[test]
fn the_schema_that_is_written_down_is_that_of_this_code() {
    let written: Value = serde_json::from_str(include_str!("../../../config.schema.json")).unwrap();
    assert!(written == schema::schema(), "config.schema.json is stale: run 'make docs'");
}

#[test]
fn what_is_beyond_the_schema_is_a_field() {
    let fields: BTreeSet<String> = paths().into_iter().collect();
    for (path, _) in BEYOND_A_SCHEMA.iter().filter(|(path, _)| !path.contains("custom_headers")) {
        assert!(fields.contains(*path), "{path}");
    }
}

#[test]
fn req_009_loader_and_schema_agree_on_every_kind_of_value_in_every_field() {
    let values = [
        json!(null),
        json!(true),
        json!(1),
        json!(5),
        json!(5.5),
        json!(30.0),
        json!(-2),
        json!(1e300),
        json!(" "),
        json!("x"),
        json!(" 5.0\n"),
        json!("1e1"),
        json!("YES"),
        json!([]),
        json!([null]),
        json!(["x"]),
        json!({}),
        json!({"x": 1}),
        json!({"_": 1}),
    ];
    let mut failures = Vec::new();
    let full = full();
    for path in paths() {
        for value in &values {
            let mut file = full.clone();
            set(&mut file, &path, value.clone());
            if let Err(why) = check(&file) {
                failures.push(format!("{path} = {value}: {}", why.lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(failures.is_empty(), "{}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn req_009_loader_and_schema_agree_on_what_is_missing_unknown_or_a_comment() {
    for path in paths() {
        let mut with_unknown = full();
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", &path));
        let sibling = |key: &str| if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        set(&mut with_unknown, &sibling(&format!("{}z", key.trim_matches(['[', ']', '"']))), json!(1));
        check(&with_unknown).unwrap();
        let mut with_comment = full();
        set(&mut with_comment, &sibling("_comment"), json!([{"any": "thing"}]));
        check(&with_comment).unwrap();
        let mut without = full();
        let holder = parent.replace(ANY_NAME, "local").replace("[]", "[0]");
        let holder = if parent.is_empty() { Some(&without) } else { place(&without, &holder) };
        if let Some(Value::Object(mut members)) = holder.cloned() {
            members.shift_remove(key);
            match parent {
                "" => without = Value::Object(members),
                _ => set(&mut without, parent, Value::Object(members)),
            }
        }
        check(&without).unwrap();
    }
}

#[test]
fn variables_may_stand_wherever_the_loader_replaces_them() {
    let set_to = |name: &str| match name {
        "PORT" => Some("28300".to_owned()),
        "YES" => Some("yes".to_owned()),
        "WORD" => Some("json".to_owned()),
        _ => None,
    };
    let over = json!({"metrics": {"port": "${PORT}", "enabled": "${YES}"}, "logging": {"format": "${WORD}"}});
    let file = text(over);
    load(&file, &set_to).unwrap();
    assert_eq!(errors(&serde_json::from_str(&file).unwrap()), [""; 0]);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-10..100_000_i64).prop_map(Value::from),
        (-2.0..400.0_f64).prop_map(Value::from),
        "[a-z0-9. ]{0,8}".prop_map(Value::from),
        Just(json!("on")),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("(_)?(type|enabled|seconds|name|x)", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn req_009_loader_and_schema_agree_on_any_small_change(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any_value()), 1..4)
    ) {
        let paths = paths();
        let mut file: Value = serde_json::from_str(include_str!("../../../config.example.json")).unwrap();
        for (path, value) in changes {
            set(&mut file, &paths[path.index(paths.len())], value);
        }
        check(&file).map_err(TestCaseError::fail)?;
    }
}
