//! What is open, as it is written down.

use serde::{Deserialize, Serialize};

/// Since when each worse state is open that was told and has not ended, by the wall clock, in milliseconds since
/// the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Open {
    /// Of degraded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<i64>,
    /// Of failing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<i64>,
}

impl Open {
    /// What is open here, and of what is not what is open there.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { degraded: self.degraded.or(other.degraded), failing: self.failing.or(other.failing) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_worse_states_are_known_each_once() {
        for text in ["{}", r#"{"degraded":1}"#, r#"{"failing":2}"#, r#"{"degraded":1,"failing":2}"#] {
            let open: Open = serde_json::from_str(text).expect("known");
            assert_eq!(serde_json::to_string(&open).expect("a text"), text);
        }
        for value in [json!({"healthy": 1}), json!({"unwell": 1}), json!({"failing": "x"}), json!([1, 2, 3])]
        {
            assert!(serde_json::from_value::<Open>(value.clone()).is_err(), "{value}");
        }
        assert!(serde_json::from_str::<Open>(r#"{"failing":1,"failing":2}"#).is_err());
    }
}
