//! Kinds of failure, told apart because their cures differ.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// How many characters of a provider's words reach a log.
const SHOWN_CHARACTERS: usize = 200;

/// What went wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 429: too many calls, or the quota is used up.
    RateLimited,
    /// 401 or 403: the key is wrong, or may not use the model.
    BadKey,
    /// 404, or a code that says so: no such model, or a wrong `base_url`.
    ModelNotFound,
    /// The prompt is longer than the model takes.
    TooLong,
    /// 400, 422 or a content filter: another message may well be answered.
    ContentRefused,
    /// Nothing but refusals, from different messages: a wrong parameter, not the content.
    RefusesAll,
    /// Another status that a second try would not change.
    Rejected,
    /// No whole answer in time.
    Timeout,
    /// Connecting, sending or reading failed.
    Connection,
    /// 5xx, or a status that asks for another try.
    Server,
    /// A success without a usable answer: not JSON, no choices, empty, or over the size limit.
    UnusableBody,
    /// Empty, because reasoning used the token limit up.
    ReasoningAteTokens,
    /// Not called: too many calls in a row had failed.
    BreakerOpen,
}

/// Whether the same provider is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// As often as `max_retries` allows.
    Retry,
    /// Once.
    RetryOnce,
    /// No: the next provider.
    NextProvider,
}

impl Kind {
    /// The name in logs, states and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::BadKey => "bad_key",
            Self::ModelNotFound => "model_not_found",
            Self::TooLong => "too_long",
            Self::ContentRefused => "content_refused",
            Self::RefusesAll => "refuses_all",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::UnusableBody => "unusable_body",
            Self::ReasoningAteTokens => "reasoning_ate_tokens",
            Self::BreakerOpen => "breaker_open",
        }
    }

    /// Whether the same provider is worth another try.
    pub fn cure(self) -> Cure {
        match self {
            Self::RateLimited | Self::Timeout | Self::Connection | Self::Server => Cure::Retry,
            Self::UnusableBody | Self::ReasoningAteTokens => Cure::RetryOnce,
            Self::BadKey
            | Self::ModelNotFound
            | Self::TooLong
            | Self::ContentRefused
            | Self::RefusesAll
            | Self::Rejected
            | Self::BreakerOpen => Cure::NextProvider,
        }
    }
}

/// One failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub kind: Kind,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// In words; a provider's own are escaped and cut.
    pub detail: String,
    /// What an operator should set, when a parameter is at fault.
    pub setting: Option<String>,
    /// How long the provider asked us to wait.
    pub retry_after: Option<Duration>,
    /// Whether the call certainly never reached the provider.
    pub not_sent: bool,
}

impl Failure {
    /// A failure without a status: our own words, or a library's.
    pub fn new(kind: Kind, detail: &str) -> Self {
        Self { kind, status: None, detail: shown(detail), setting: None, retry_after: None, not_sent: false }
    }

    /// The call was never sent: our own words, or a library's.
    pub fn not_sent(detail: &str) -> Self {
        Self { not_sent: true, ..Self::new(Kind::Connection, detail) }
    }

    /// An answer whose status is no success. `body` may be anything.
    pub fn of_status(status: u16, retry_after: Option<Duration>, body: &str) -> Self {
        let answer: Value = serde_json::from_str(body).unwrap_or_default();
        let error = error_of(&answer);
        let kind = match status {
            429 => Kind::RateLimited,
            401 => Kind::BadKey,
            400..500 if is_too_long(status, error) => Kind::TooLong,
            400 if error["code"] == "model_not_found" => Kind::ModelNotFound,
            400 | 422 => Kind::ContentRefused,
            400..500 if is_content_filter(error) => Kind::ContentRefused,
            403 => Kind::BadKey,
            404 => Kind::ModelNotFound,
            408 => Kind::Timeout,
            409 | 425 | 500.. => Kind::Server,
            _ => Kind::Rejected,
        };
        let words = [&error["message"], error, &answer["detail"]].into_iter().find_map(Value::as_str);
        let detail = match status {
            300..400 => "a redirect, which is not followed: set base_url to where it leads".to_owned(),
            _ => shown(words.unwrap_or(body)),
        };
        Self { kind, status: Some(status), detail, setting: None, retry_after, not_sent: false }
    }

    /// Whether the message was refused, which says nothing about the provider's health. That goes by
    /// the status, whatever else is known of the cause.
    pub fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::ContentRefused | Kind::TooLong)
            || matches!(self.status, Some(400 | 413 | 422))
    }

    /// What is said of it where its kind is known already.
    pub fn but_its_kind(&self) -> String {
        let status = self.status.map(|status| format!("HTTP {status}"));
        let detail = Some(self.detail.clone()).filter(|detail| !detail.is_empty());
        let told: Vec<String> = [status, detail].into_iter().flatten().collect();
        told.join(": ") + &self.setting_to_cure()
    }

    fn setting_to_cure(&self) -> String {
        self.setting.as_ref().map(|setting| format!("; to cure it {setting}")).unwrap_or_default()
    }
}

/// Where an answer tells of its error.
pub fn error_of(answer: &Value) -> &Value {
    if answer["error"].is_null() { answer } else { &answer["error"] }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.as_str())?;
        if let Some(status) = self.status {
            write!(formatter, " (HTTP {status})")?;
        }
        if !self.detail.is_empty() {
            write!(formatter, ": {}", self.detail)?;
        }
        formatter.write_str(&self.setting_to_cure())
    }
}

/// Some say it in words only. Of a 400 those decide nothing: whatever it is, it is a refusal.
fn is_too_long(status: u16, error: &Value) -> bool {
    let says_so = || {
        let words = error["message"].as_str().unwrap_or_default();
        words.starts_with("prompt is too long") || words.starts_with("This model's maximum context length")
    };
    status == 413
        || (status != 403 && error["code"] == "context_length_exceeded")
        || (status == 400 && (error["type"] == "exceed_context_size_error" || says_so()))
}

/// Moderation that answers with another status than 400. Told by fields, never by words: those
/// may quote the chat.
fn is_content_filter(error: &Value) -> bool {
    let names_filter = |value: &Value| {
        matches!(value.as_str(), Some("content_filter" | "content_policy_violation" | "moderation_blocked"))
    };
    let metadata = &error["metadata"];
    names_filter(&error["code"])
        || names_filter(&error["type"])
        || metadata["flagged_input"].is_string()
        || metadata["reasons"].as_array().is_some_and(|reasons| !reasons.is_empty())
}

/// A stranger's words as they may stand in a log: one line, no control characters, cut.
/// What is clean already stays as it is.
pub fn shown(words: &str) -> String {
    let harmless = |character: &char| *character == ' ' || character.is_ascii_graphic();
    let mut shown = String::new();
    for character in words.trim().chars().take(SHOWN_CHARACTERS + 1) {
        match harmless(&character) {
            true => shown.push(character),
            false => shown.extend(character.escape_debug()),
        }
    }
    if let Some((cut, _)) = shown.char_indices().nth(SHOWN_CHARACTERS) {
        shown.truncate(cut);
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_status_has_its_kind_and_its_cure() {
        use Cure::{NextProvider, Retry};
        for (status, kind, cure) in [
            (302, Kind::Rejected, NextProvider),
            (400, Kind::ContentRefused, NextProvider),
            (401, Kind::BadKey, NextProvider),
            (402, Kind::Rejected, NextProvider),
            (403, Kind::BadKey, NextProvider),
            (404, Kind::ModelNotFound, NextProvider),
            (408, Kind::Timeout, Retry),
            (409, Kind::Server, Retry),
            (413, Kind::TooLong, NextProvider),
            (422, Kind::ContentRefused, NextProvider),
            (425, Kind::Server, Retry),
            (429, Kind::RateLimited, Retry),
            (500, Kind::Server, Retry),
            (503, Kind::Server, Retry),
            (529, Kind::Server, Retry),
        ] {
            let failure = Failure::of_status(status, None, "");
            assert_eq!((failure.kind, failure.kind.cure()), (kind, cure), "{status}");
        }
    }

    #[test]
    fn refusals_are_told_by_fields_not_by_words() {
        for (status, body, kind) in [
            (400, r#"{"error":{"code":"context_length_exceeded"}}"#, Kind::TooLong),
            (400, r#"{"error":{"type":"exceed_context_size_error"}}"#, Kind::TooLong),
            (400, r#"{"error":{"message":"prompt is too long: 9 tokens > 8"}}"#, Kind::TooLong),
            (400, r#"{"error":{"message":"they say prompt is too long"}}"#, Kind::ContentRefused),
            (429, r#"{"error":{"message":"prompt is too long: 9 tokens > 8"}}"#, Kind::RateLimited),
            (400, r#"{"error":{"code":"model_not_found"}}"#, Kind::ModelNotFound),
            (404, r#"{"error":{"code":"model_not_found"}}"#, Kind::ModelNotFound),
            (403, r#"{"error":{"code":"model_not_found"}}"#, Kind::BadKey),
            (400, r#"{"error":{"code":"unsupported_parameter"}}"#, Kind::ContentRefused),
            (400, r#"{"error":{"code":"content_filter"}}"#, Kind::ContentRefused),
            (403, r#"{"error":{"metadata":{"reasons":["violence"]}}}"#, Kind::ContentRefused),
            (403, r#"{"error":{"metadata":{"flagged_input":"…"}}}"#, Kind::ContentRefused),
            (403, r#"{"error":{"message":"content_filter flagged"}}"#, Kind::BadKey),
            (403, r#"{"error":{"metadata":{"reasons":[]}}}"#, Kind::BadKey),
            (401, r#"{"error":{"code":"content_filter"}}"#, Kind::BadKey),
            (500, r#"{"error":{"code":"content_filter"}}"#, Kind::Server),
        ] {
            assert_eq!(Failure::of_status(status, None, body).kind, kind, "{status} {body}");
        }
    }

    #[test]
    fn what_is_a_refusal_goes_by_the_status_whatever_its_kind_is() {
        for (status, body, is_refusal) in [
            (400, "{}", true),
            (400, r#"{"error":{"code":"model_not_found"}}"#, true),
            (413, "{}", true),
            (422, "{}", true),
            (403, r#"{"error":{"code":"content_filter"}}"#, true),
            (404, r#"{"error":{"code":"model_not_found"}}"#, false),
            (401, "{}", false),
            (429, "{}", false),
            (500, "{}", false),
        ] {
            assert_eq!(Failure::of_status(status, None, body).is_refusal(), is_refusal, "{status} {body}");
        }
    }

    #[test]
    fn a_providers_words_are_found_escaped_and_cut() {
        for (body, detail) in [
            (r#"{"error":{"message":"no\u001b[31m\nway"}}"#, r"no\u{1b}[31m\nway"),
            (r#"{"error":"flat"}"#, "flat"),
            (r#"{"message":"top"}"#, "top"),
            (r#"{"detail":"fast"}"#, "fast"),
            ("<html>", "<html>"),
        ] {
            assert_eq!(Failure::of_status(500, None, body).detail, detail, "{body}");
        }
        let long = Failure::of_status(500, None, &"x".repeat(1000)).detail;
        assert_eq!(long, "x".repeat(200) + "…");
        assert_eq!(shown(&"x".repeat(200)), "x".repeat(200));
    }

    proptest! {
        #[test]
        fn no_error_body_makes_it_panic(status in 300_u16..1000, body in ".*") {
            let failure = Failure::of_status(status, None, &body);
            prop_assert!(failure.detail.chars().count() <= SHOWN_CHARACTERS + 1);
            prop_assert!(!failure.detail.contains(|character: char| character.is_control()));
        }
    }
}
