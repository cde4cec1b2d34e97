//! A refusal that names a parameter: which setting of ours cures it.
//!
//! Nothing is decided by it, it is only said in the log. So words may be read here, too: at worst the
//! hint is a wrong one.

use serde_json::Value;

use crate::config::{MaxTokensField, ProviderConfig, ProviderKind};

/// No parameter has a longer name, in bytes.
const LONGEST_NAME: usize = 64;

/// What an operator should do, when the answer to a call by this provider's settings says that a
/// parameter is not supported. `error` may be anything.
pub fn cure(provider: &ProviderConfig, error: &Value) -> Option<String> {
    let parameter = coded(error).or_else(|| worded(provider, error))?;
    let settings = format!("llm_providers.{}", provider.name);
    // The file's own come first: what stands in `extra_body` wins over our fields.
    let root = parameter.split(['.', '[']).next().unwrap_or_default();
    if provider.extra_body.contains_key(root) {
        return Some(format!("change or remove {root} in {settings}.extra_body"));
    }
    Some(match root {
        "messages" | "system" => return None,
        "model" => format!("set {settings}.model to another one"),
        "temperature" => format!("set {settings}.temperature to null"),
        "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
            max_tokens(provider, &settings, error)
        }
        _ => format!("set {root} in {settings}.extra_body"),
    })
}

/// OpenAI's way: a code, and the parameter in a field of its own.
fn coded(error: &Value) -> Option<&str> {
    let code = error["code"].as_str()?;
    let is_about_it = matches!(code, "unsupported_parameter" | "unsupported_value" | "unknown_parameter");
    error["param"].as_str().filter(|name| is_about_it && is_name(name))
}

/// Anthropic's way, and that of others: the words begin with the parameter (`top_k: Extra inputs are
/// not permitted`) or with it in quotes. Only what we do send counts.
fn worded<'a>(provider: &ProviderConfig, error: &'a Value) -> Option<&'a str> {
    let message = error["message"].as_str().filter(|_| error["type"] == "invalid_request_error")?;
    let name = match message.strip_prefix('`') {
        Some(quoted) => quoted.split_once('`')?.0,
        None => message.split_once(": ")?.0,
    };
    let is_ours = matches!(name, "temperature" | "max_tokens" | "max_completion_tokens")
        || provider.extra_body.contains_key(name);
    Some(name).filter(|name| is_name(name) && is_ours)
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_part)
}

/// Of a value that is too large only a smaller one helps; Anthropic's field has no other name.
fn max_tokens(provider: &ProviderConfig, settings: &str, error: &Value) -> String {
    let other_field = match provider.max_tokens_field {
        MaxTokensField::MaxTokens => "max_completion_tokens",
        MaxTokensField::MaxCompletionTokens => "max_tokens",
        MaxTokensField::None => return format!("set {settings}.max_tokens_field to what the model knows"),
    };
    if provider.kind == ProviderKind::Anthropic || error["code"] == "unsupported_value" {
        return format!("set {settings}.max_tokens to a smaller number");
    }
    format!("set {settings}.max_tokens_field to \"{other_field}\" or \"none\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::llm::fixtures::{almost_an_answer, provider};

    fn sends(extra: Value) -> ProviderConfig {
        ProviderConfig { extra_body: extra.as_object().cloned().unwrap(), ..provider("x") }
    }

    #[test]
    fn each_parameter_has_its_setting() {
        let plain = provider("x");
        let newer = ProviderConfig { max_tokens_field: MaxTokensField::MaxCompletionTokens, ..provider("x") };
        let anthropic = ProviderConfig { kind: ProviderKind::Anthropic, ..sends(json!({"top_k": 3})) };
        let extra = sends(json!({"top_p": 0.5, "reasoning": {"effort": "low"}, "max_tokens": 9}));
        let coded = |code: &str, param: &str| json!({"code": code, "param": param, "message": "no"});
        let worded = |message: &str| json!({"type": "invalid_request_error", "message": message});
        let (parameter, value) = ("unsupported_parameter", "unsupported_value");
        for (provider, error, cure) in [
            (&plain, coded(parameter, "max_tokens"), r#"max_tokens_field to "max_completion_tokens""#),
            (&newer, coded(parameter, "max_completion_tokens"), r#"max_tokens_field to "max_tokens""#),
            (&plain, coded(value, "max_tokens"), "llm_providers.x.max_tokens to a smaller"),
            (&plain, coded(parameter, "temperature"), "llm_providers.x.temperature to null"),
            (&plain, coded(value, "temperature"), "llm_providers.x.temperature to null"),
            (&extra, coded(value, "top_p"), "change or remove top_p in llm_providers.x.extra_body"),
            (
                &extra,
                coded("unknown_parameter", "reasoning.effort"),
                "remove reasoning in llm_providers.x.extra",
            ),
            (
                &extra,
                coded(parameter, "max_tokens"),
                "change or remove max_tokens in llm_providers.x.extra_body",
            ),
            (&plain, coded(parameter, "stream"), "set stream in llm_providers.x.extra_body"),
            (&plain, coded(value, "model"), "llm_providers.x.model"),
            (&anthropic, worded("temperature: range: 0..1"), "llm_providers.x.temperature to null"),
            (&anthropic, worded("`temperature` is deprecated for this model."), "temperature to null"),
            (&anthropic, worded("max_tokens: 5000 > 4096, which is the maximum"), "max_tokens to a smaller"),
            (
                &anthropic,
                worded("top_k: Extra inputs are not permitted"),
                "remove top_k in llm_providers.x.extra",
            ),
        ] {
            let found = super::cure(provider, &error).unwrap_or_default();
            assert!(found.contains(cure), "{error}: {found}");
        }
    }

    #[test]
    fn other_refusals_have_no_cure_of_ours() {
        let long = "x".repeat(LONGEST_NAME + 1);
        for error in [
            json!(null),
            json!("unsupported_parameter"),
            json!({"code": "unsupported_value", "param": "messages[0].role"}),
            json!({"code": "unsupported_parameter", "param": long}),
            json!({"code": "unsupported_parameter", "param": "a\u{1b}[31m\n"}),
            json!({"code": "unsupported_parameter", "param": ""}),
            json!({"code": "content_filter", "param": "temperature"}),
            json!({"code": "unsupported_parameter", "param": {"a": 1}}),
            json!({"type": "invalid_request_error", "message": "messages.0: too long"}),
            json!({"type": "invalid_request_error", "message": "somebody: said so"}),
            json!({"type": "invalid_request_error", "message": "`temperature"}),
            json!({"type": "overloaded_error", "message": "temperature: too hot"}),
        ] {
            assert_eq!(cure(&provider("x"), &error), None, "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_error_makes_it_panic(error in almost_an_answer(), code in ".*", param in ".*") {
            let _ = cure(&provider("x"), &error);
            let error = json!({"code": "unsupported_value", "param": param, "message": code});
            prop_assert!(cure(&provider("x"), &error).is_none_or(|cure| cure.len() < 200));
        }
    }
}
