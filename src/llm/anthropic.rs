//! Anthropic's messages.

use serde_json::{Map, Value, json};

use super::failure::{Failure, Kind};
use super::openai::{error_words, json_of, reasoning_ate_tokens, text_of, tokens, unusable};
use super::{Completion, Request};
use crate::config::ProviderConfig;

/// The version of the interface that is spoken here.
pub const VERSION: &str = "2023-06-01";

/// The URL of a call, under `/v1` whether or not `base_url` has it.
pub fn url(base_url: &str) -> String {
    let version = if base_url.ends_with("/v1") { "" } else { "/v1" };
    format!("{base_url}{version}/messages")
}

/// The body of a call: the provider's own parameters, over which `extra_body` wins.
/// `max_tokens` is not optional there.
pub fn body(provider: &ProviderConfig, request: &Request) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("model".to_owned(), provider.model.clone().into());
    body.insert("max_tokens".to_owned(), provider.max_tokens.into());
    if !request.system.is_empty() {
        body.insert("system".to_owned(), request.system.clone().into());
    }
    body.insert("messages".to_owned(), json!([{"role": "user", "content": request.user}]));
    if let Some(temperature) = provider.temperature {
        body.insert("temperature".to_owned(), temperature.into());
    }
    body.extend(provider.extra_body.clone());
    body
}

/// Reads the body of a success, which may be anything.
///
/// # Errors
/// When there is no answer in it, or the model refused.
pub fn completion(body: &str) -> Result<Completion, Failure> {
    let answer = json_of(body)?;
    if !answer["content"].is_array() {
        return Err(unusable(&format!("no content: {}", error_words(&answer, body))));
    }
    let text = text_of(&answer["content"]);
    let stop_reason = answer["stop_reason"].as_str().unwrap_or_default();
    match (text.is_empty(), stop_reason) {
        (_, "refusal") => Err(Failure::new(Kind::ContentRefused, "the model refused")),
        (true, "max_tokens") => Err(reasoning_ate_tokens()),
        (true, _) => Err(unusable("empty content")),
        (false, _) => Ok(Completion {
            text,
            tokens: tokens(&answer["usage"], "input_tokens", "output_tokens"),
            cut_by_token_limit: stop_reason == "max_tokens",
        }),
    }
}
