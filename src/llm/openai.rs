//! Chat completions as OpenAI, OpenRouter and most local servers speak them.

use serde_json::{Map, Value, json};

use super::failure::{Failure, Kind};
use super::{Completion, Request, Tokens};
use crate::config::{MaxTokensField, ProviderConfig};

/// The URL of a call.
pub fn url(base_url: &str) -> String {
    format!("{base_url}/chat/completions")
}

/// The URL of the list of models.
pub fn models_url(base_url: &str) -> String {
    format!("{base_url}/models")
}

/// The body of a call: the provider's own parameters, over which `extra_body` wins.
pub fn body(provider: &ProviderConfig, request: &Request) -> Map<String, Value> {
    let mut messages = Vec::with_capacity(2);
    if !request.system.is_empty() {
        messages.push(json!({"role": "system", "content": request.system}));
    }
    messages.push(json!({"role": "user", "content": request.user}));
    let mut body = Map::new();
    body.insert("model".to_owned(), provider.model.clone().into());
    body.insert("messages".to_owned(), messages.into());
    if let Some(temperature) = provider.temperature {
        body.insert("temperature".to_owned(), temperature.into());
    }
    let field = match provider.max_tokens_field {
        MaxTokensField::MaxTokens => Some("max_tokens"),
        MaxTokensField::MaxCompletionTokens => Some("max_completion_tokens"),
        MaxTokensField::None => None,
    };
    if let Some(field) = field {
        body.insert(field.to_owned(), provider.max_tokens.into());
    }
    body.extend(provider.extra_body.clone());
    body
}

/// Reads the body of a success, which may be anything.
///
/// # Errors
/// When there is no answer in it, or a content filter held it back.
pub fn completion(body: &str) -> Result<Completion, Failure> {
    let answer = json_of(body)?;
    let choice = match answer["choices"].as_array().and_then(|choices| choices.first()) {
        Some(choice) => choice,
        None => return Err(unusable(&format!("no choices: {}", error_words(&answer, body)))),
    };
    let message = &choice["message"];
    let finish_reason = choice["finish_reason"].as_str().unwrap_or_default();
    let text = text_of(&message["content"]);
    if finish_reason == "content_filter" {
        return Err(Failure::new(Kind::ContentRefused, "held back by a content filter"));
    }
    match (text.is_empty(), finish_reason) {
        (false, _) => Ok(Completion {
            text,
            tokens: tokens(&answer["usage"], "prompt_tokens", "completion_tokens"),
            cut_by_token_limit: finish_reason == "length",
        }),
        (true, "length") => Err(reasoning_ate_tokens()),
        (true, _) => match message["refusal"].as_str() {
            Some(refusal) => Err(Failure::new(Kind::ContentRefused, refusal)),
            None => Err(unusable("empty content")),
        },
    }
}

/// Parses a body that should be JSON.
pub(super) fn json_of(body: &str) -> Result<Value, Failure> {
    serde_json::from_str(body).map_err(|_| unusable(&format!("not JSON: {body}")))
}

/// A success without a usable answer.
pub(super) fn unusable(detail: &str) -> Failure {
    Failure::new(Kind::UnusableBody, detail)
}

/// An empty answer that the token limit ended.
pub(super) fn reasoning_ate_tokens() -> Failure {
    Failure::new(
        Kind::ReasoningAteTokens,
        "reasoning used up the token limit before a word was said: raise this provider's max_tokens, \
         or ask for less reasoning in its extra_body",
    )
}

/// What a success says instead of an answer.
pub(super) fn error_words<'a>(answer: &'a Value, body: &'a str) -> &'a str {
    let words = [&answer["error"]["message"], &answer["error"], &answer["message"]];
    words.into_iter().find_map(Value::as_str).unwrap_or(body)
}

/// The text of a content: a string, or parts of which the texts count.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.trim().to_owned(),
        Value::Array(parts) => {
            let text: String = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            text.trim().to_owned()
        }
        _ => String::new(),
    }
}

/// The usage, as far as it is told.
pub(super) fn tokens(usage: &Value, prompt: &str, completion: &str) -> Option<Tokens> {
    let (prompt, completion) = (usage[prompt].as_u64(), usage[completion].as_u64());
    let total = usage["total_tokens"].as_u64();
    if prompt.is_none() && completion.is_none() && total.is_none() {
        return None;
    }
    let (prompt, completion) = (prompt.unwrap_or(0), completion.unwrap_or(0));
    Some(Tokens { prompt, completion, total: total.unwrap_or(prompt.saturating_add(completion)) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::llm::fixtures::{provider, request};

    #[test]
    fn a_call_has_the_providers_own_parameters() {
        assert_eq!(url("http://host:1/v1"), "http://host:1/v1/chat/completions");
        let body = body(&provider("one"), &request("m-1"));
        let expected = json!({
            "model": "small",
            "messages": [{"role": "system", "content": "You are Vera."}, {"role": "user", "content": "hello"}],
            "temperature": 0.8,
            "max_tokens": 256,
        });
        assert_eq!(Value::Object(body), expected);
    }

    #[test]
    fn what_is_not_wanted_is_not_sent_and_extra_body_wins() {
        let extra = json!({"model": "other", "top_p": 0.5});
        let provider = ProviderConfig {
            temperature: None,
            max_tokens_field: MaxTokensField::None,
            extra_body: extra.as_object().cloned().unwrap(),
            ..provider("one")
        };
        let body = body(&provider, &Request { system: String::new(), ..request("m-1") });
        let expected =
            json!({"model": "other", "messages": [{"role": "user", "content": "hello"}], "top_p": 0.5});
        assert_eq!(Value::Object(body), expected);
    }

    #[test]
    fn the_limit_goes_into_the_field_that_the_model_knows() {
        let provider =
            ProviderConfig { max_tokens_field: MaxTokensField::MaxCompletionTokens, ..provider("one") };
        let body = body(&provider, &request("m-1"));
        assert_eq!((body.get("max_tokens"), &body["max_completion_tokens"]), (None, &json!(256)));
    }

    #[test]
    fn an_answer_is_read_with_what_it_cost() {
        for (body, text, tokens, cut) in [
            (
                r#"{"choices":[{"message":{"content":" hi \n"},"finish_reason":"stop"}],
                    "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":8}}"#,
                "hi",
                Some((3, 4, 8)),
                false,
            ),
            (
                r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"length"}],
                    "usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
                "hi",
                Some((3, 4, 7)),
                true,
            ),
            (
                r#"{"choices":[{"message":{"content":[{"type":"text","text":"h"},{"text":"i"},{"image":1}]}}],
                    "usage":{"prompt_tokens":-3,"completion_tokens":"4"}}"#,
                "hi",
                None,
                false,
            ),
        ] {
            let tokens = tokens.map(|(prompt, completion, total)| Tokens { prompt, completion, total });
            let expected = Completion { text: text.to_owned(), tokens, cut_by_token_limit: cut };
            assert_eq!(completion(body), Ok(expected), "{body}");
        }
    }

    #[test]
    fn a_success_without_an_answer_says_what_is_wrong() {
        for (body, kind, detail) in [
            ("<html>busy</html>", Kind::UnusableBody, "not JSON: <html>busy</html>"),
            ("", Kind::UnusableBody, "not JSON:"),
            ("[1]", Kind::UnusableBody, "no choices: [1]"),
            (r#"{"choices":[]}"#, Kind::UnusableBody, r#"no choices: {"choices":[]}"#),
            (r#"{"error":{"code":502,"message":"upstream\n"}}"#, Kind::UnusableBody, "no choices: upstream"),
            (r#"{"choices":[7]}"#, Kind::UnusableBody, "empty content"),
            (r#"{"choices":[{"message":{"content":" \n"}}]}"#, Kind::UnusableBody, "empty content"),
            (r#"{"choices":[{"message":{"refusal":"I can't"}}]}"#, Kind::ContentRefused, "I can't"),
            (
                r#"{"choices":[{"message":{"content":"par"},"finish_reason":"content_filter"}]}"#,
                Kind::ContentRefused,
                "held back by a content filter",
            ),
        ] {
            let failure = completion(body).unwrap_err();
            assert_eq!((failure.kind, failure.detail.as_str()), (kind, detail), "{body}");
        }
    }

    #[test]
    fn an_answer_that_reasoning_ate_names_the_setting_to_change() {
        let body = r#"{"choices":[{"message":{"content":null},"finish_reason":"length"}]}"#;
        let failure = completion(body).unwrap_err();
        assert_eq!(failure.kind, Kind::ReasoningAteTokens);
        assert!(failure.detail.contains("max_tokens") && failure.detail.contains("extra_body"), "{failure}");
    }

    #[test]
    fn nesting_without_end_is_no_stack_without_end() {
        for body in ["[".repeat(1 << 20), r#"{"choices":"#.repeat(100_000)] {
            assert_eq!(completion(&body).map_err(|failure| failure.kind), Err(Kind::UnusableBody));
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
