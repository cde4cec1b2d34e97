//! What the tests of this folder share.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::Request;
use crate::config::{MaxTokensField, ProviderConfig, ProviderKind};
use crate::names::ProviderName;

/// A usable provider as the defaults make it.
pub fn provider(name: &str) -> ProviderConfig {
    ProviderConfig {
        name: ProviderName::new(name),
        kind: ProviderKind::OpenAiCompatible,
        base_url: "http://127.0.0.1:9/v1".to_owned(),
        api_key: None,
        usable: Ok(()),
        model: "small".to_owned(),
        max_tokens: 256,
        max_tokens_field: MaxTokensField::MaxTokens,
        temperature: Some(0.8),
        timeout: Duration::from_secs(30),
        max_retries: 3,
        priority: 99,
        custom_headers: Vec::new(),
        extra_body: Map::new(),
        price: None,
        health_check: None,
        hedge_after: None,
        fallback: None,
    }
}

/// A question about the message with this correlation id.
pub fn request(correlation_id: &str) -> Request {
    Request {
        for_whom: None,
        correlation_id: correlation_id.to_owned(),
        system: "You are Vera.".to_owned(),
        user: "hello".to_owned(),
        preferred_provider: None,
    }
}

/// A body with the fields of an answer, of which any may be missing or hold anything.
pub fn almost_an_answer() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just(json!("length")),
        Just(json!("max_tokens")),
        Just(json!("content_filter")),
        anything(),
    ];
    let message = prop_oneof![
        (anything(), anything())
            .prop_map(|(content, refusal)| json!({"content": content, "refusal": refusal})),
        anything(),
    ];
    let choice = prop_oneof![
        (message, word.clone())
            .prop_map(|(message, reason)| json!({"message": message, "finish_reason": reason})),
        anything(),
    ];
    let choices = prop_oneof![prop::collection::vec(choice, 0..3).prop_map(Value::Array), anything()];
    (choices, anything(), anything(), anything(), word).prop_map(
        |(choices, content, usage, number, stop_reason)| {
            let usage = json!({"prompt_tokens": usage, "completion_tokens": number, "input_tokens": number});
            json!({"choices": choices, "content": content, "usage": usage, "stop_reason": stop_reason})
        },
    )
}

fn anything() -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "[ \n]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((prop_oneof![Just("text".to_owned()), ".{0,4}"], inner), 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
