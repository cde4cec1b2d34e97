//! The smallest call that shows whether a provider answers.

use serde_json::{Map, Value};

use crate::llm::Request;
use crate::llm::endpoint::Endpoint;

/// What is asked.
pub const WORD: &str = "ping";

/// The body of the call, and how many tokens its answer may take. Everything else is as in any call, so that
/// it shows what a call would meet.
pub fn body(endpoint: &Endpoint) -> (Map<String, Value>, u64) {
    let request = Request {
        for_whom: None,
        correlation_id: String::new(),
        system: String::new(),
        user: WORD.to_owned(),
        preferred_provider: None,
    };
    let mut body = endpoint.body(&request);
    // Anthropic refuses a thinking budget that is larger than the answer may be.
    body.remove("thinking");
    let mut most = endpoint.max_tokens();
    for field in ["max_tokens", "max_completion_tokens"] {
        if let Some(limit) = body.get_mut(field) {
            *limit = Value::from(1);
            most = 1;
        }
    }
    (body, most)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::config::{MaxTokensField, ProviderConfig, ProviderKind};
    use crate::llm::fixtures::provider;
    use crate::llm::secrets::Secrets;

    fn of(kind: ProviderKind, field: MaxTokensField, extra: Value) -> (Value, u64) {
        let extra_body = extra.as_object().cloned().unwrap();
        let config = ProviderConfig { kind, max_tokens_field: field, extra_body, ..provider("one") };
        let (body, most) = body(&Endpoint::new(&config, Arc::new(Secrets::default())).unwrap());
        (Value::Object(body), most)
    }

    #[test]
    fn it_asks_for_one_token_where_it_can_say_so() {
        use MaxTokensField::{MaxCompletionTokens, MaxTokens, None};
        use ProviderKind::{Anthropic, OpenAiCompatible};
        let asked = |more: Value| {
            let mut body = json!({"model": "small", "temperature": 0.8,
                                  "messages": [{"role": "user", "content": "ping"}]});
            body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            body
        };
        for (kind, field, extra, more, most) in [
            (OpenAiCompatible, MaxTokens, json!({}), json!({"max_tokens": 1}), 1),
            (
                OpenAiCompatible,
                MaxCompletionTokens,
                json!({"top_k": 5}),
                json!({"max_completion_tokens": 1, "top_k": 5}),
                1,
            ),
            (OpenAiCompatible, None, json!({"max_tokens": 900}), json!({"max_tokens": 1}), 1),
            (OpenAiCompatible, None, json!({}), json!({}), 256),
            (Anthropic, None, json!({"thinking": {"budget_tokens": 1024}}), json!({"max_tokens": 1}), 1),
        ] {
            assert_eq!(of(kind, field, extra.clone()), (asked(more), most), "{kind:?} {field:?} {extra}");
        }
    }
}
