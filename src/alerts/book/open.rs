//! What is open, as it is written down.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// So far a wall clock may have been set back, as where it was read in the wrong time zone. What is further ahead
/// is nonsense.
const CLOCK_SET_BACK: TimeDelta = TimeDelta::days(1);

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
    /// Whether these can be times of alerts that were told by now.
    ///
    /// # Errors
    /// With why not.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), String> {
        for since in [self.degraded, self.failing].into_iter().flatten() {
            match DateTime::from_timestamp_millis(since) {
                Some(since) if since - now <= CLOCK_SET_BACK => {}
                _ => return Err(format!("an alert can't have begun at {since}: that time is still to come")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_times_that_have_been_make_sense() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let before = |span: TimeDelta| (now - span).timestamp_millis();
        for (since, is_sound) in [
            (before(TimeDelta::zero()), true),
            (before(TimeDelta::weeks(60)), true),
            (before(TimeDelta::hours(-24)), true),
            (before(TimeDelta::hours(-24)) + 1, false),
            (i64::MAX, false),
        ] {
            let of_degraded = Open { degraded: Some(since), failing: None };
            let of_failing = Open { degraded: Some(before(TimeDelta::days(1))), failing: Some(since) };
            for open in [of_degraded, of_failing] {
                assert_eq!(open.check(now).is_ok(), is_sound, "{open:?}");
            }
        }
        assert_eq!(Open::default().check(now), Ok(()));
    }

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
