//! What is said when every provider failed.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::ErrorHandling as Settings;

/// At most one such message in so long a time.
const APART: Duration = Duration::from_secs(60);

/// The fallback messages of one room.
#[derive(Debug, Default)]
pub struct Fallback {
    last: Option<Duration>,
}

impl Fallback {
    /// The message to say now, if any. `chance` is in [0, 1).
    pub fn choose(&mut self, now: Moment, settings: &Settings, chance: f64) -> Option<String> {
        let is_soon = |last: Duration| now.elapsed.saturating_sub(last) < APART;
        if !settings.enable_fallback_responses || self.last.is_some_and(is_soon) {
            return None;
        }
        let messages = &settings.fallback_messages;
        let index = (messages.len() as f64 * chance) as usize;
        let message = messages.get(index.min(messages.len().saturating_sub(1)))?;
        self.last = Some(now.elapsed);
        Some(message.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::testing::at;
    use crate::config::testing::config;

    fn settings(over: Value) -> Settings {
        config(json!({"error_handling": over})).error_handling
    }

    #[test]
    fn a_message_is_drawn_from_the_list() {
        let settings =
            settings(json!({"enable_fallback_responses": true, "fallback_messages": ["a", "b", "c"]}));
        for (chance, expected) in [(0.0, "a"), (0.33, "a"), (0.34, "b"), (0.999, "c"), (1.0, "c")] {
            let message = Fallback::default().choose(at(0.0), &settings, chance);
            assert_eq!(message.as_deref(), Some(expected), "{chance}");
        }
    }

    #[test]
    fn at_most_one_is_said_in_a_minute() {
        let settings = settings(json!({"enable_fallback_responses": true}));
        let mut fallback = Fallback::default();
        let said = [5.0, 6.0, 64.9, 65.0, 66.0, 300.0]
            .map(|second| fallback.choose(at(second), &settings, 0.0).is_some());
        assert_eq!(said, [true, false, false, true, false, true]);
    }

    #[test]
    fn nothing_is_said_unless_it_is_wanted_and_there_is_something() {
        for over in [
            json!({}),
            json!({"enable_fallback_responses": false, "fallback_messages": ["a"]}),
            json!({"enable_fallback_responses": true, "fallback_messages": []}),
        ] {
            let said = Fallback::default().choose(at(0.0), &settings(over.clone()), 0.5);
            assert_eq!(said, None, "{over}");
        }
    }
}
