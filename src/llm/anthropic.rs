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
    under_v1(base_url, "messages")
}

/// The URL of the list of models, as long as it can be asked for at once.
pub fn models_url(base_url: &str) -> String {
    under_v1(base_url, "models?limit=1000")
}

fn under_v1(base_url: &str, what: &str) -> String {
    let version = if base_url.ends_with("/v1") { "" } else { "/v1" };
    format!("{base_url}{version}/{what}")
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::MaxTokensField;
    use crate::llm::Tokens;
    use crate::llm::fixtures::{provider, request};

    #[test]
    fn a_call_goes_under_v1_once() {
        assert_eq!(url("https://api.host"), "https://api.host/v1/messages");
        assert_eq!(url("https://api.host/v1"), "https://api.host/v1/messages");
        assert_eq!(models_url("https://api.host"), "https://api.host/v1/models?limit=1000");
    }

    #[test]
    fn the_limit_is_sent_whatever_the_field_is_called() {
        let provider = ProviderConfig { max_tokens_field: MaxTokensField::None, ..provider("one") };
        let expected = json!({
            "model": "small",
            "max_tokens": 256,
            "system": "You are Vera.",
            "messages": [{"role": "user", "content": "hello"}],
            "temperature": 0.8,
        });
        assert_eq!(Value::Object(body(&provider, &request("m-1"))), expected);
    }

    #[test]
    fn an_answer_is_its_texts() {
        let body = r#"{"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"hi "}],
                       "stop_reason":"max_tokens","usage":{"input_tokens":3,"output_tokens":4}}"#;
        let tokens = Some(Tokens { prompt: 3, completion: 4, total: 7 });
        assert_eq!(
            completion(body),
            Ok(Completion { text: "hi".to_owned(), tokens, cut_by_token_limit: true })
        );
    }

    #[test]
    fn a_success_without_an_answer_says_what_is_wrong() {
        for (body, kind) in [
            ("busy", Kind::UnusableBody),
            (r#"{"type":"error","error":{"message":"overloaded"}}"#, Kind::UnusableBody),
            (r#"{"content":[],"stop_reason":"end_turn"}"#, Kind::UnusableBody),
            (r#"{"content":[],"stop_reason":"max_tokens"}"#, Kind::ReasoningAteTokens),
            (r#"{"content":[{"text":"I"}],"stop_reason":"refusal"}"#, Kind::ContentRefused),
        ] {
            assert_eq!(completion(body).map_err(|failure| failure.kind), Err(kind), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(body in ".*") {
            let _ = completion(&body);
        }

        #[test]
        fn an_answer_is_never_empty_whatever_the_fields_hold(body in crate::llm::fixtures::almost_an_answer()) {
            if let Ok(completion) = completion(&body.to_string()) {
                prop_assert!(!completion.text.trim().is_empty());
            }
        }
    }
}
