//! What is said when every provider failed.

use std::time::Duration;

use crate::config::ErrorHandling as Settings;

/// At most one such message in so long a time.
const APART: Duration = Duration::from_secs(60);

/// A message, if they are wanted and there is one. `chance` is in [0, 1).
pub fn draw(settings: &Settings, chance: f64) -> Option<&str> {
    let messages = settings.enable_fallback_responses.then_some(&settings.fallback_messages)?;
    let index = (messages.len() as f64 * chance) as usize;
    messages.get(index.min(messages.len().saturating_sub(1))).map(String::as_str)
}

/// When one room had such a message.
#[derive(Debug, Default)]
pub struct SaidFallback {
    last: Option<Duration>,
}

impl SaidFallback {
    /// Whether the room may have one, `now` since start.
    pub fn is_due(&self, now: Duration) -> bool {
        self.last.is_none_or(|last| now.saturating_sub(last) >= APART)
    }

    /// The room had one, at a time since start.
    pub fn said(&mut self, at: Duration) {
        self.last = self.last.max(Some(at));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::testing::config;

    fn settings(over: Value) -> Settings {
        config(json!({"error_handling": over})).error_handling
    }

    #[test]
    fn a_message_is_drawn_from_the_list() {
        let settings =
            settings(json!({"enable_fallback_responses": true, "fallback_messages": ["a", "b", "c"]}));
        for (chance, expected) in [(0.0, "a"), (0.33, "a"), (0.34, "b"), (0.999, "c"), (1.0, "c")] {
            assert_eq!(draw(&settings, chance), Some(expected), "{chance}");
        }
    }

    #[test]
    fn nothing_is_drawn_unless_it_is_wanted_and_there_is_something() {
        for over in [
            json!({}),
            json!({"enable_fallback_responses": false, "fallback_messages": ["a"]}),
            json!({"enable_fallback_responses": true, "fallback_messages": []}),
        ] {
            assert_eq!(draw(&settings(over.clone()), 0.5), None, "{over}");
        }
    }

    #[test]
    fn a_room_has_at_most_one_in_a_minute() {
        let mut said = SaidFallback::default();
        assert!(said.is_due(Duration::ZERO));
        said.said(Duration::from_secs(5));
        for (millis, expected) in [(5_000, false), (64_999, false), (65_000, true)] {
            assert_eq!(said.is_due(Duration::from_millis(millis)), expected, "{millis}");
        }
        // A line that was said later may be settled earlier.
        said.said(Duration::from_secs(3));
        assert!(!said.is_due(Duration::from_secs(64)));
    }
}
