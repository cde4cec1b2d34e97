//! Does a message look exactly like its golden file? Which keys there are, and what kind of value
//! each has.

use std::collections::BTreeSet;
use std::path::Path;

use kryten_testkit::Message;
use serde_json::Value;

/// Objects whose keys are names of the operator's or of components: any name does.
const BY_NAME: [&str; 2] = ["/status/llm_providers", "/status/components"];

/// Checks a message against `tests/golden/{golden}`, but for the paths in `absent`, which must not
/// be there.
pub fn assert_like(golden: &str, message: &Message, absent: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let golden: Value = serde_json::from_str(&text).expect("a golden file is JSON");
    let mut expected = shape(&golden);
    expected.retain(|line| !absent.iter().any(|absent| line.starts_with(absent)));
    assert_eq!(shape(&message.json), expected, "{message}");
}

/// A line for each value: its path and its kind.
fn shape(value: &Value) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    collect(value, "", &mut lines);
    lines
}

fn collect(value: &Value, path: &str, lines: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(list) => {
            list.iter().for_each(|entry| collect(entry, &format!("{path}[]"), lines));
            "list"
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = if BY_NAME.contains(&path) { "*" } else { key };
                collect(field, &format!("{path}/{key}"), lines);
            }
            "object"
        }
    };
    lines.insert(format!("{path} {kind}"));
}
