//! The JSON Schema of `config.json`, made of what the fields tell of themselves.
//!
//! It is as lenient as the loader: numbers and booleans may be texts, `${NAME}` may stand in any of
//! them, keys that begin with `_` are comments. It is stricter in one thing, for the sake of
//! typos: an unknown key is an error in it, and a warning to the loader.

use serde_json::{Map, Value, json};

use super::survey::{Field, Kind, Range, survey};
use super::value::{FALSE_WORDS, TRUE_WORDS};

/// A text that is a number.
const NUMBER: &str = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$";
/// A text with a variable in it.
const VARIABLE: &str = r"\$\{[^}]+\}";
const COMMENT: &str = "^_";

/// What a field means, a line each: its path, a colon, the text.
const DESCRIPTIONS: &str = include_str!("descriptions.txt");

/// The JSON Schema (draft 2020-12) of the configuration file.
pub fn schema() -> Value {
    let fields = survey();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": concat!("config.json of kryten-llm ", env!("CARGO_PKG_VERSION")),
    });
    if let (Value::Object(schema), Some(root)) =
        (&mut schema, fields.iter().find(|field| field.path.is_empty()))
    {
        schema.extend(of_field(root, &fields));
    }
    schema
}

/// What a field means.
pub(super) fn description(path: &str) -> Option<&'static str> {
    descriptions().find(|(described, _)| *described == path).map(|(_, text)| text)
}

pub(super) fn descriptions() -> impl Iterator<Item = (&'static str, &'static str)> {
    DESCRIPTIONS.lines().filter_map(|line| line.split_once(": "))
}

/// What stands directly in a section, list or map.
pub(super) fn within<'f>(parent: &Field, fields: &'f [Field]) -> impl Iterator<Item = &'f Field> {
    let path = parent.path.clone();
    fields.iter().filter(move |field| !field.path.is_empty() && field.parent() == path)
}

fn of_field(field: &Field, fields: &[Field]) -> Map<String, Value> {
    let mut schema = Map::new();
    if let Some(text) = description(&field.path) {
        schema.insert("description".to_owned(), json!(text));
    }
    if field.is_outdated {
        schema.insert("deprecated".to_owned(), json!(true));
    }
    let mut types = Vec::new();
    for kind in &field.kinds {
        of_kind(kind, field, fields, &mut schema, &mut types);
    }
    if field.is_nullable {
        types.push("null");
    }
    match types[..] {
        [] => {}
        [one] => _ = schema.insert("type".to_owned(), json!(one)),
        _ => _ = schema.insert("type".to_owned(), json!(types)),
    }
    if !field.words.is_empty() {
        // Editors propose the words; others are no mistake.
        schema.insert("anyOf".to_owned(), json!([{"enum": field.words}, true]));
    }
    if let Some(longest) = field.longest {
        schema.insert("maxLength".to_owned(), json!(longest));
    }
    if let Some(default) = &field.default {
        schema.insert("default".to_owned(), default.clone());
    }
    schema
}

/// Each kind brings a JSON type and keywords that only count for this type, so that an editor's
/// message stays simple where a field takes several.
fn of_kind(
    kind: &Kind,
    field: &Field,
    fields: &[Field],
    schema: &mut Map<String, Value>,
    types: &mut Vec<&'static str>,
) {
    let entry = |fields: &[Field]| {
        let entry = within(field, fields).next();
        entry.map(|entry| Value::Object(of_field(entry, fields))).unwrap_or(json!(true))
    };
    let mut set = |key: &str, value: Value| _ = schema.insert(key.to_owned(), value);
    match kind {
        Kind::Integer(range) => {
            types.extend(["integer", "string"]);
            range_of(range, &mut set);
            set("pattern", json!(format!("{NUMBER}|{VARIABLE}")));
        }
        Kind::Number(range) => {
            types.extend(["number", "string"]);
            range_of(range, &mut set);
            set("pattern", json!(format!("{NUMBER}|{VARIABLE}")));
        }
        Kind::Boolean => {
            types.extend(["boolean", "integer", "string"]);
            set("minimum", json!(0));
            set("maximum", json!(1));
            set("pattern", json!(format!("{}|{VARIABLE}", booleans())));
        }
        Kind::Text => types.push("string"),
        Kind::FilledText => {
            types.push("string");
            if !field.may_be_empty {
                set("pattern", json!(r"\S"));
            }
        }
        Kind::Word(words) => {
            types.push("string");
            set("anyOf", json!([{"enum": words}, {"pattern": VARIABLE}]));
        }
        Kind::List => {
            types.push("array");
            set("items", entry(fields));
            if field.is_never_empty {
                set("minItems", json!(1));
            }
        }
        Kind::Map => {
            types.push("object");
            set("patternProperties", json!({COMMENT: true}));
            set("additionalProperties", entry(fields));
            if field.is_never_empty {
                set("not", json!({"propertyNames": {"pattern": COMMENT}}));
            }
        }
        Kind::Texts => {
            types.push("object");
            set("patternProperties", json!({COMMENT: true}));
            set("additionalProperties", json!({"type": "string"}));
        }
        Kind::Object => types.push("object"),
        Kind::Section => {
            types.push("object");
            let members = || within(field, fields);
            let properties: Map<String, Value> = members()
                .map(|member| (member.key().to_owned(), Value::Object(of_field(member, fields))))
                .collect();
            let required: Vec<&str> =
                members().filter(|member| is_needed(member, fields)).map(Field::key).collect();
            set("properties", Value::Object(properties));
            if !required.is_empty() {
                set("required", json!(required));
            }
            if !field.is_open {
                set("patternProperties", json!({COMMENT: true}));
                set("additionalProperties", json!(false));
            }
        }
    }
}

/// Whether a field must be there, itself or for the sake of one in it.
fn is_needed(field: &Field, fields: &[Field]) -> bool {
    let is_absent_for_defaults = field.is_nullable || field.kinds != [Kind::Section];
    field.is_required
        || !is_absent_for_defaults && within(field, fields).any(|member| is_needed(member, fields))
}

fn range_of(range: &Range, set: &mut impl FnMut(&str, Value)) {
    let handled = range.handled.as_ref();
    if let Some(least) = range.least.as_ref().or(handled.map(|(least, _)| least)) {
        set("minimum", json!(least));
    }
    if let Some(most) = range.most.as_ref().or(handled.map(|(_, most)| most)) {
        set("maximum", json!(most));
    }
}

/// The pattern of the texts that are booleans, in any case.
fn booleans() -> String {
    let in_any_case = |word: &str| -> String {
        let letter = |letter: char| match letter.is_ascii_alphabetic() {
            true => format!("[{letter}{}]", letter.to_ascii_uppercase()),
            false => letter.to_string(),
        };
        word.chars().map(letter).collect()
    };
    let words: Vec<String> = TRUE_WORDS.iter().chain(&FALSE_WORDS).map(|word| in_any_case(word)).collect();
    format!(r"^\s*({})\s*$", words.join("|"))
}
