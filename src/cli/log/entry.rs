//! One record as a person reads it.

use std::fmt::{Display, Write};

use chrono::{DateTime, TimeZone};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::cli::terminal::visible;

/// What is shown of a record. Anything may be missing: the Python original's records have no
/// outcome.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    #[serde(deserialize_with = "or_empty")]
    timestamp: String,
    #[serde(deserialize_with = "or_empty")]
    pub channel: String,
    #[serde(deserialize_with = "or_empty")]
    pub trigger_type: String,
    #[serde(deserialize_with = "or_empty")]
    pub trigger_name: String,
    pub username: Option<String>,
    input_message: Option<String>,
    llm_response: Option<String>,
    formatted_parts: Option<Vec<String>>,
    response_sent: Option<bool>,
    parts_sent: Option<usize>,
    provider: Option<String>,
    model: Option<String>,
    tokens: Option<Value>,
    latency_ms: Option<f64>,
    rate_limit: Option<Value>,
    outcome: Option<String>,
    reason: Option<String>,
}

impl Entry {
    /// Reads a line; `None` when it is no record.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let is_object = line.trim_ascii_start().first() == Some(&b'{');
        is_object.then(|| serde_json::from_slice(line).ok()).flatten()
    }

    /// How it ended: as the record says, else as far as the original's records tell.
    pub fn outcome(&self) -> &str {
        match (&self.outcome, self.response_sent) {
            (Some(outcome), _) => outcome,
            (None, Some(true)) => "sent",
            (None, _) => "silenced",
        }
    }

    /// Why it ended so; empty when there is no more to say.
    pub fn reason(&self) -> &str {
        let limit = || {
            self.limit("/allowed").filter(|allowed| *allowed == false).and(self.limit("/reason")?.as_str())
        };
        self.reason.as_deref().or_else(limit).unwrap_or_default()
    }

    fn limit(&self, pointer: &str) -> Option<&Value> {
        self.rate_limit.as_ref()?.pointer(pointer)
    }

    /// The record on a few lines, with the time as it is in `zone`.
    pub fn shown<Z: TimeZone>(&self, zone: &Z) -> String
    where
        Z::Offset: Display,
    {
        let mut text = self.time(zone);
        for part in
            [&*self.channel, self.username.as_deref().unwrap_or("-"), &self.trigger_type, &self.trigger_name]
        {
            let _ = write!(text, "  {}", visible(part));
        }
        let _ = write!(text, "  {}", visible(self.outcome()));
        if !self.reason().is_empty() && self.reason() != self.outcome() {
            let _ = write!(text, ": {}", visible(self.reason()));
        }
        if let Some(detail) = self.limit("/details/detail").and_then(Value::as_str) {
            let _ = write!(text, " ({})", visible(detail));
        }
        let cost = self.cost();
        if !cost.is_empty() {
            let _ = write!(text, "  [{cost}]");
        }
        text.push('\n');
        self.push_words(&mut text);
        text
    }

    fn time<Z: TimeZone>(&self, zone: &Z) -> String
    where
        Z::Offset: Display,
    {
        match DateTime::parse_from_rfc3339(&self.timestamp) {
            Ok(time) => time.with_timezone(zone).format("%Y-%m-%d %H:%M:%S").to_string(),
            Err(_) => visible(&self.timestamp),
        }
    }

    /// Who answered, how long it took, and what for.
    fn cost(&self) -> String {
        let names: Vec<String> =
            [&self.provider, &self.model].into_iter().flatten().map(|name| visible(name)).collect();
        let mut cost = names.join("/");
        if let Some(milliseconds) = self.latency_ms {
            let _ = write!(cost, ", {:.1} s", milliseconds / 1000.0);
        }
        if let Some(total) = self.tokens.as_ref().and_then(|tokens| tokens.get("total")?.as_u64()) {
            let _ = write!(cost, ", {total} tokens");
        }
        cost
    }

    /// What was said to us, and what we said, or would not say.
    fn push_words(&self, text: &mut String) {
        let mut push = |mark: &str, words: &str| {
            let _ = writeln!(text, "    {mark} {}", visible(words));
        };
        if let Some(input) = self.input_message.as_deref().filter(|input| !input.is_empty()) {
            push(">", input);
        }
        let parts = self.formatted_parts.as_deref().unwrap_or_default();
        // Parts are said in order. Older records don't tell how many: all of them, or none.
        let said = self.parts_sent.unwrap_or(if self.outcome() == "sent" { parts.len() } else { 0 });
        match (&self.llm_response, parts) {
            (Some(answer), []) => push("x", answer),
            _ => parts.iter().enumerate().for_each(|(part, words)| {
                push(if part < said { "<" } else { "x" }, words);
            }),
        }
    }
}

fn or_empty<'de, D: Deserializer<'de>>(text: D) -> Result<String, D::Error> {
    Option::deserialize(text).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;
    use serde_json::json;

    use super::*;

    fn shown(record: Value) -> String {
        let zone = FixedOffset::east_opt(3600).expect("a zone");
        Entry::parse(record.to_string().as_bytes()).expect("a record").shown(&zone)
    }

    #[test]
    fn a_sent_reply_shows_who_asked_what_and_what_was_said() {
        let text = shown(json!({
            "timestamp": "2026-11-24T07:44:32.195153+00:00", "correlation_id": "x", "channel": "Lounge",
            "trigger_type": "mention", "trigger_name": "cynthia", "trigger_priority": 10, "username": "bob",
            "input_message": "Cynthia, hi?", "cleaned_message": "hi", "full_prompt": "…", "llm_response": "Hi. You.",
            "formatted_parts": ["Hi.", "You."], "response_sent": true, "provider": "local", "model": "small",
            "tokens": {"prompt": 10, "completion": 5, "total": 15}, "latency_ms": 1234,
            "rate_limit": {"allowed": true, "reason": "allowed", "retry_after": 0, "details": {}},
            "outcome": "sent", "reason": null,
        }));
        assert_eq!(
            text,
            "2026-11-24 08:44:32  Lounge  bob  mention  cynthia  sent  [local/small, 1.2 s, 15 tokens]\n    \
             > Cynthia, hi?\n    < Hi.\n    < You.\n"
        );
    }

    #[test]
    fn a_failure_shows_the_fallback_message_that_was_said() {
        let text = shown(json!({
            "timestamp": "2026-11-24T07:44:32+00:00", "channel": "Lounge", "trigger_type": "mention",
            "trigger_name": "cynthia", "username": "bob", "input_message": "Cynthia, hi?",
            "llm_response": null, "formatted_parts": ["Ask me later."], "parts_sent": 1,
            "outcome": "failed", "reason": "fallback",
        }));
        assert!(text.ends_with("failed: fallback\n    > Cynthia, hi?\n    < Ask me later.\n"), "{text}");
    }

    #[test]
    fn a_silence_shows_its_reason_and_an_answer_that_was_not_said() {
        let text = shown(json!({
            "timestamp": "2026-11-24T07:44:32+00:00", "channel": "Lounge", "trigger_type": "trigger_word",
            "trigger_name": "tea", "username": "ann", "input_message": "tea!", "formatted_parts": [],
            "rate_limit": {"allowed": false, "reason": "user_cooldown", "retry_after": 50,
                "details": {"detail": "again in 50 s"}},
            "outcome": "silenced", "reason": "user_cooldown",
        }));
        assert_eq!(
            text,
            "2026-11-24 08:44:32  Lounge  ann  trigger_word  tea  silenced: user_cooldown (again in 50 s)\n    > tea!\n"
        );
        let text = shown(json!({"outcome": "silenced", "reason": "rejected_short", "llm_response": "no"}));
        assert!(text.ends_with("silenced: rejected_short\n    x no\n"), "{text}");
        let text = shown(json!({"outcome": "failed", "reason": "stale", "formatted_parts": ["One.", "Two."],
            "parts_sent": 1}));
        assert!(text.ends_with("failed: stale\n    < One.\n    x Two.\n"), "{text}");
        let text = shown(json!({"outcome": "in_doubt", "reason": "in_doubt", "formatted_parts": ["Hi."]}));
        assert!(text.ends_with("  in_doubt\n    x Hi.\n"), "{text}");
    }

    #[test]
    fn the_originals_records_are_understood() {
        let sent = json!({"response_sent": true, "channel": null, "rate_limit": {"allowed": true, "reason": "allowed"}});
        let held =
            json!({"response_sent": false, "rate_limit": {"allowed": false, "reason": "global_minute"}});
        let entry = |record: &Value| Entry::parse(record.to_string().as_bytes()).expect("a record");
        assert_eq!((entry(&sent).outcome(), entry(&sent).reason()), ("sent", ""));
        assert_eq!((entry(&held).outcome(), entry(&held).reason()), ("silenced", "global_minute"));
    }

    #[test]
    fn what_a_terminal_would_obey_or_hide_is_escaped() {
        let text = shown(json!({
            "timestamp": "\u{1b}[2J", "channel": "a\rb", "username": "x\u{202e}y\u{200b}", "trigger_name": "\u{9b}1m",
            "outcome": "\u{7}", "reason": "\n", "input_message": "one\ntwo\u{8}", "formatted_parts": ["\u{1b}]0;x\u{7}é 🎬"],
            "provider": "\u{1b}", "model": "\t", "rate_limit": {"details": {"detail": "\u{2028}"}},
        }));
        assert_eq!(text.matches('\n').count(), 3, "{text:?}");
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
        assert!(!text.contains(['\u{202e}', '\u{200b}', '\u{2028}']), "{text:?}");
        assert!(text.contains("\\u{1b}]0;x\\u{7}é 🎬") && text.contains("one\\ntwo\\u{8}"), "{text}");
    }

    #[test]
    fn what_is_no_record_is_none() {
        for line in ["", "{\"cut", "7", "null", "[]", "{\"channel\": 7}", "\u{0}"] {
            assert!(Entry::parse(line.as_bytes()).is_none(), "{line}");
        }
        assert!(Entry::parse(b"\xff").is_none());
    }
}
