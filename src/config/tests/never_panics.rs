//! Whatever the file holds, loading answers with a configuration or with lines of text.

use proptest::prelude::*;
use serde_json::Value;

use super::super::load;

const LEGACY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/legacy-config.json"));

/// Loads, and checks that everything it says is one line.
fn check(text: &str, environment: &dyn Fn(&str) -> Option<String>) {
    match load(text, environment) {
        Ok(loaded) => {
            for line in loaded.warnings.iter().map(ToString::to_string) {
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
            for field in loaded.effective {
                assert!(!field.place.is_empty() && !field.value.contains('\n'), "{field:?}");
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for line in problems.iter().map(ToString::to_string) {
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}

/// Any JSON, with numbers at the ends and texts that mean something.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[${}A-Z(\\[\\\\?+*)|.\u{7f}\n-]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Every pointer into a value.
fn pointers(value: &Value, at: String, all: &mut Vec<String>) {
    all.push(at.clone());
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                pointers(value, format!("{at}/{key}"), all);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                pointers(value, format!("{at}/{index}"), all);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn req_009_no_text_makes_it_panic(text in any::<String>()) {
        check(&text, &|_| None);
    }

    #[test]
    fn no_piece_of_json_makes_it_panic(text in "[{}\\[\\]\":,0-9a-z$_\\\\ \n-]{0,60}") {
        check(&text, &|name| Some(name.to_owned()));
    }

    #[test]
    fn a_valid_file_with_any_value_anywhere_does_not_make_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 1..4),
        value_of_variables in any::<Option<String>>(),
    ) {
        let mut file: Value = serde_json::from_str(LEGACY).unwrap();
        for (index, value) in changes {
            let mut all = Vec::new();
            pointers(&file, String::new(), &mut all);
            if let Some(place) = file.pointer_mut(index.get(&all).as_str()) {
                *place = value;
            }
        }
        check(&file.to_string(), &|_| value_of_variables.clone());
    }

    #[test]
    fn a_file_cut_or_bent_anywhere_does_not_make_it_panic(
        at in any::<prop::sample::Index>(),
        text in "[\"{}\\[\\],:$a-z0-9]{0,5}",
        cut in any::<bool>(),
    ) {
        let mut at = at.index(LEGACY.len());
        while !LEGACY.is_char_boundary(at) {
            at -= 1;
        }
        let rest = if cut { "" } else { &LEGACY[at..] };
        check(&format!("{}{text}{rest}", &LEGACY[..at]), &|_| None);
    }
}
