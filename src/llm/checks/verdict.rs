//! What the end of a check says of a provider.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::config::ProviderKind;
use crate::llm::Completion;
use crate::llm::failure::{Failure, Kind};

/// Longer than this is slow, whatever the provider's time limit is.
const SLOW: Duration = Duration::from_secs(5);

/// How a provider was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// It is there, as far as the check can tell.
    Reachable,
    /// It is there, and took longer than 5 s or half of its `timeout_seconds`.
    Slow,
    /// No connection, or no whole answer in time.
    Unreachable,
    /// 401 or 403.
    BadKey,
    /// It is there, and does not know our model.
    MissingModel,
    /// It answered that something else is wrong.
    Failed,
}

impl CheckState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Reachable, Self::Slow, Self::Unreachable, Self::BadKey, Self::MissingModel, Self::Failed];

    /// The name in logs, answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Slow => "slow",
            Self::Unreachable => "unreachable",
            Self::BadKey => "bad_key",
            Self::MissingModel => "missing_model",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing speaks against the provider.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Reachable | Self::Slow)
    }
}

/// The latest check of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// How the provider was found.
    pub state: CheckState,
    /// When the check ended.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub latency: Duration,
    /// What else there is to say; no secret in it.
    pub message: Option<String>,
}

/// What a check shows about the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It was a call, and was answered: the breaker closes.
    Answers,
    /// It should be answered, as far as can be seen without a call: the breaker closes on trial.
    ShouldAnswer,
    /// It would fail: the breaker stays open.
    Broken,
    /// Neither: the next message is the breaker's probe.
    Nothing,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How the provider was found.
    pub state: CheckState,
    /// What that means for the breaker.
    pub proof: Proof,
    /// What else there is to say.
    pub message: Option<String>,
}

impl Verdict {
    fn new(state: CheckState, proof: Proof, message: impl Into<String>) -> Self {
        Self { state, proof, message: Some(message.into()) }
    }

    fn good(proof: Proof) -> Self {
        Self { state: CheckState::Reachable, proof, message: None }
    }

    /// It is there, but says nothing about the model.
    fn there(message: impl Into<String>) -> Self {
        Self::new(CheckState::Reachable, Proof::Nothing, message)
    }

    /// Who took long is slow, if nothing worse. `timeout` is the provider's own.
    pub fn after(mut self, latency: Duration, timeout: Duration) -> Self {
        if self.state == CheckState::Reachable && latency > SLOW.min(timeout / 2) {
            self.state = CheckState::Slow;
        }
        self
    }

    /// By the list of models: its body, which may be anything, or why there is none.
    pub fn of_models(kind: ProviderKind, model: &str, listed: &Result<String, Failure>) -> Self {
        match listed {
            Ok(body) => Self::of_list(kind, model, body),
            Err(failure) => match (failure.status, failure.kind) {
                (Some(404 | 405 | 501), _) => Self::there(format!("it has no list of models: {failure}")),
                (None, Kind::UnusableBody) => Self::there(format!("its list can't be read: {failure}")),
                // Who does not know our key, or with whom no connection lasts, answers no call either.
                (Some(401), _) | (None, Kind::Connection) => Self::of_failure(failure, Proof::Broken),
                // A list may be forbidden, overloaded or slow where calls are answered.
                _ => Self::of_failure(failure, Proof::Nothing),
            },
        }
    }

    fn of_list(kind: ProviderKind, model: &str, body: &str) -> Self {
        let list: Value = serde_json::from_str(body).unwrap_or_default();
        let Some(entries) = list["data"].as_array().or(list["models"].as_array()).or(list.as_array()) else {
            return Self::there("its list of models can't be read");
        };
        if entries.iter().any(|entry| is_model(kind, model, entry)) {
            return Self::good(Proof::ShouldAnswer);
        }
        if entries.iter().any(|entry| entry["owned_by"] == "llamacpp") {
            return Self::there("it does not list the model, but serves its own under any name");
        }
        let is_cut = list["has_more"] == true
            || ["next", "next_page_token", "nextPageToken"].iter().any(|next| list[next].is_string());
        if is_cut {
            return Self::there("it does not list the model on the first page");
        }
        // Some know a model that they don't list, so only a call is proof.
        Self::new(CheckState::MissingModel, Proof::Nothing, "it does not list the model")
    }

    /// By a call.
    pub fn of_completion(result: &Result<Completion, Failure>) -> Self {
        match result {
            Ok(_) => Self::good(Proof::Answers),
            // A thought of one token is as good as a word.
            Err(failure) if failure.kind == Kind::ReasoningAteTokens => Self::good(Proof::Answers),
            // As with messages, a refusal says nothing about the provider's health.
            Err(failure) if failure.is_refusal() => Self::of_failure(failure, Proof::Nothing),
            Err(failure) => Self::of_failure(failure, Proof::Broken),
        }
    }

    fn of_failure(failure: &Failure, proof: Proof) -> Self {
        let state = match (failure.status, failure.kind) {
            (Some(401 | 403), _) => CheckState::BadKey,
            (None, Kind::Timeout | Kind::Connection) => CheckState::Unreachable,
            (_, Kind::ModelNotFound) => CheckState::MissingModel,
            _ => CheckState::Failed,
        };
        // Where the state says what kind it is, the message need not.
        let message = match (state, failure.kind) {
            (CheckState::BadKey, Kind::BadKey) | (CheckState::MissingModel, _) => failure.but_its_kind(),
            _ => failure.to_string(),
        };
        Self::new(state, proof, message)
    }
}

/// Whether an entry of a list is our model, also where it is listed under a longer or shorter name.
fn is_model(kind: ProviderKind, model: &str, entry: &Value) -> bool {
    let names = [entry, &entry["id"], &entry["name"], &entry["model"]];
    let aliases = entry["aliases"].as_array().into_iter().flatten();
    names.into_iter().chain(aliases).filter_map(Value::as_str).any(|listed| is_named(kind, model, listed))
}

fn is_named(kind: ProviderKind, model: &str, listed: &str) -> bool {
    if listed.eq_ignore_ascii_case(model) {
        return true;
    }
    match kind {
        // Ollama's tag that goes without saying.
        ProviderKind::OpenAiCompatible => {
            listed.strip_suffix(":latest").is_some_and(|bare| bare.eq_ignore_ascii_case(model))
        }
        // Variants such as ":nitro" are not listed.
        ProviderKind::OpenRouter => {
            model.rsplit_once(':').is_some_and(|(bare, _)| bare.eq_ignore_ascii_case(listed))
        }
        // An alias stands for the latest of those that end with a date.
        ProviderKind::Anthropic => {
            let stem = model.strip_suffix("-latest").or(model.strip_suffix("-0")).unwrap_or(model);
            let date = listed.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-'));
            date.is_some_and(|date| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()))
        }
        ProviderKind::OpenAi => false,
    }
}

#[cfg(test)]
mod tests;
