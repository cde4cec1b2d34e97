//! What a JSON value counts as: lenient where the Python original was, since values that come
//! from the environment are text.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};

use serde_json::Value;

/// A whole number: an integer, a number without fraction, or a text that is one of them.
pub(super) fn integer(value: &Value) -> Option<i128> {
    if let Some(integer) = value.as_i64() {
        return Some(integer.into());
    }
    if let Some(integer) = value.as_u64() {
        return Some(integer.into());
    }
    if let Some(integer) = value.as_str().and_then(|text| text.trim().parse().ok()) {
        return Some(integer);
    }
    let number = number(value)?;
    // Beyond this a float doesn't hold every integer, and `as` keeps to i128's ends.
    (number.fract() == 0.0).then_some(number as i128)
}

/// A finite number, or a text that is one.
pub(super) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// Texts that mean true and false, in any case.
pub(super) const TRUE_WORDS: [&str; 6] = ["true", "yes", "on", "1", "t", "y"];
pub(super) const FALSE_WORDS: [&str; 6] = ["false", "no", "off", "0", "f", "n"];

/// A boolean, 0 or 1, or a text that means one.
pub(super) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(boolean) => Some(*boolean),
        Value::Number(_) => match number(value) {
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            _ => None,
        },
        Value::String(text) => {
            let means = |words: [&str; 6]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
            if means(TRUE_WORDS) { Some(true) } else { means(FALSE_WORDS).then_some(false) }
        }
        _ => None,
    }
}

/// The kind of a value, never the value.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(text) if text.trim().is_empty() => "an empty text",
        Value::String(_) => "a text",
        Value::Array(list) if list.is_empty() => "an empty list",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A range in words: `1 to 4096`, `1 or more`.
pub(super) fn range_in_words<T: Display>(range: &impl RangeBounds<T>) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(least), Bound::Included(most)) => format!("{least} to {most}"),
        (Bound::Included(least), _) => format!("{least} or more"),
        _ => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_come_in_several_spellings() {
        for (value, expected) in [
            (json!(5), Some(5)),
            (json!(-1), Some(-1)),
            (json!(u64::MAX), Some(u64::MAX.into())),
            (json!(30.0), Some(30)),
            (json!("28287"), Some(28287)),
            (json!(" 28287\n"), Some(28287)),
            (json!("30.0"), Some(30)),
            (json!(30.5), None),
            (json!("30.5"), None),
            (json!("5 s"), None),
            (json!(""), None),
            (json!("inf"), None),
            (json!("NaN"), None),
            (json!(true), None),
            (json!(null), None),
            (json!([5]), None),
        ] {
            assert_eq!(integer(&value), expected, "{value}");
        }
        assert_eq!(integer(&json!(1e300)), Some(i128::MAX));
    }

    #[test]
    fn numbers_are_finite() {
        for (value, expected) in [
            (json!(1), Some(1.0)),
            (json!("1.5"), Some(1.5)),
            (json!("-.5e1"), Some(-5.0)),
            (json!("infinity"), None),
            (json!("nan"), None),
            (json!("1,5"), None),
            (json!(false), None),
            (json!(null), None),
        ] {
            assert_eq!(number(&value), expected, "{value}");
        }
    }

    #[test]
    fn booleans_come_in_any_case() {
        for text in ["true", "YES", "On", "1", "t", "Y"] {
            assert_eq!(boolean(&json!(text)), Some(true), "{text}");
        }
        for text in ["false", "NO", "Off", "0", "F", "n"] {
            assert_eq!(boolean(&json!(text)), Some(false), "{text}");
        }
        for (value, expected) in
            [(json!(1), Some(true)), (json!(0), Some(false)), (json!(2), None), (json!("maybe"), None)]
        {
            assert_eq!(boolean(&value), expected, "{value}");
        }
        assert_eq!(boolean(&json!(null)), None);
    }
}
