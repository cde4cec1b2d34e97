//! Lists of models as the services send them, and what else may come.

use proptest::prelude::*;
use serde_json::json;

use super::*;

use CheckState::{BadKey, Failed, MissingModel, Reachable, Slow, Unreachable};
use Proof::{Answers, Broken, Nothing, ShouldAnswer};
use ProviderKind::{Anthropic, OpenAi, OpenAiCompatible, OpenRouter};

const OPENAI: &str = r#"{"object":"list","data":[
    {"id":"gpt-4o-mini","object":"model","created":1721172741,"owned_by":"system"},
    {"id":"gpt-4o","object":"model","created":1715367049,"owned_by":"system"}]}"#;

const OPENROUTER: &str = r#"{"data":[
    {"id":"meta-llama/llama-3.3-70b-instruct","canonical_slug":"meta-llama/llama-3.3-70b-instruct",
     "name":"Meta: Llama 3.3 70B Instruct","context_length":131072,"pricing":{"prompt":"0.0000001"}},
    {"id":"google/gemma-3-27b-it:free","name":"Google: Gemma 3 27B (free)"}]}"#;

const OLLAMA: &str = r#"{"object":"list","data":[
    {"id":"llama3.2:latest","object":"model","created":1732000000,"owned_by":"library"},
    {"id":"qwen2.5:7b","object":"model","created":1731000000,"owned_by":"library"}]}"#;

const LLAMA_CPP: &str = r#"{"models":[{"name":"/models/gemma.gguf","model":"/models/gemma.gguf"}],
    "object":"list","data":[{"id":"/models/gemma.gguf","object":"model","created":1732000000,
    "owned_by":"llamacpp","meta":{"vocab_type":2,"n_ctx_train":8192}}]}"#;

const ANTHROPIC: &str = r#"{"data":[
    {"type":"model","id":"claude-sonnet-4-20250514","display_name":"Claude Sonnet 4"},
    {"type":"model","id":"claude-3-5-haiku-20241022","display_name":"Claude Haiku 3.5"}],
    "has_more":false,"first_id":"claude-sonnet-4-20250514","last_id":"claude-3-5-haiku-20241022"}"#;

fn of(kind: ProviderKind, model: &str, body: &str) -> (CheckState, Proof) {
    let verdict = Verdict::of_models(kind, model, &Ok(body.to_owned()));
    assert_eq!(verdict.message.is_none(), verdict.proof == ShouldAnswer, "what is not proven is explained");
    (verdict.state, verdict.proof)
}

#[test]
fn a_model_is_found_in_the_lists_of_the_services_under_its_usual_names() {
    let missing = (MissingModel, Nothing);
    let there = (Reachable, ShouldAnswer);
    for (kind, body, model, expected) in [
        (OpenAi, OPENAI, "gpt-4o", there),
        (OpenAi, OPENAI, "GPT-4o", there),
        (OpenAi, OPENAI, "gpt-4", missing),
        (OpenAi, OPENAI, "", missing),
        (OpenRouter, OPENROUTER, "meta-llama/llama-3.3-70b-instruct", there),
        (OpenRouter, OPENROUTER, "meta-llama/llama-3.3-70b-instruct:nitro", there),
        (OpenRouter, OPENROUTER, "google/gemma-3-27b-it:free", there),
        (OpenRouter, OPENROUTER, "google/gemma-3-27b-it", missing),
        (OpenAiCompatible, OLLAMA, "llama3.2", there),
        (OpenAiCompatible, OLLAMA, "llama3.2:latest", there),
        (OpenAiCompatible, OLLAMA, "qwen2.5", missing),
        (OpenAiCompatible, LLAMA_CPP, "/models/gemma.gguf", there),
        (OpenAiCompatible, LLAMA_CPP, "gemma", (Reachable, Nothing)),
        (Anthropic, ANTHROPIC, "claude-sonnet-4-20250514", there),
        (Anthropic, ANTHROPIC, "claude-sonnet-4-0", there),
        (Anthropic, ANTHROPIC, "claude-3-5-haiku-latest", there),
        (Anthropic, ANTHROPIC, "claude-3-5", missing),
        (Anthropic, ANTHROPIC, "claude-9", missing),
    ] {
        assert_eq!(of(kind, model, body), expected, "{kind:?} {model}");
    }
}

#[test]
fn a_list_that_is_cut_or_unreadable_proves_nothing() {
    for body in [
        r#"{"data":[{"id":"other"}],"has_more":true}"#,
        r#"{"data":[{"id":"other"}],"next":"/models?page=2"}"#,
        "<html>sign in</html>",
        "",
        "null",
        r#"{"data":"none"}"#,
        r#"{"error":{"message":"not here"}}"#,
    ] {
        assert_eq!(of(OpenAiCompatible, "small", body), (Reachable, Nothing), "{body}");
    }
    for body in [r#"{"data":[]}"#, "[]", r#"{"data":[7,null,{"id":7}]}"#] {
        assert_eq!(of(OpenAiCompatible, "small", body), (MissingModel, Nothing), "{body}");
    }
    for body in [r#"["small"]"#, r#"{"models":[{"name":"small"}]}"#, r#"{"data":[{"aliases":["small"]}]}"#] {
        assert_eq!(of(OpenAiCompatible, "small", body), (Reachable, ShouldAnswer), "{body}");
    }
}

#[test]
fn what_comes_instead_of_a_list_is_told_apart() {
    let status = |status| Failure::of_status(status, None, r#"{"error":{"message":"words"}}"#);
    for (failure, state, proof, words) in [
        (Failure::not_sent("connection refused"), Unreachable, Broken, "connection refused"),
        (Failure::new(Kind::Connection, "reset"), Unreachable, Broken, "reset"),
        (Failure::new(Kind::Timeout, "no whole answer"), Unreachable, Nothing, "no whole answer"),
        (Failure::new(Kind::UnusableBody, "larger than 1 MiB"), Reachable, Nothing, "can't be read"),
        (status(401), BadKey, Broken, "HTTP 401: words"),
        (status(403), BadKey, Nothing, "HTTP 403: words"),
        (status(404), Reachable, Nothing, "no list of models"),
        (status(405), Reachable, Nothing, "no list of models"),
        (status(501), Reachable, Nothing, "no list of models"),
        (status(400), Failed, Nothing, "words"),
        (status(408), Failed, Nothing, "HTTP 408"),
        (status(429), Failed, Nothing, "rate_limited"),
        (status(302), Failed, Nothing, "a redirect, which is not followed"),
        (status(500), Failed, Nothing, "server (HTTP 500): words"),
        (status(503), Failed, Nothing, "server (HTTP 503): words"),
    ] {
        let verdict = Verdict::of_models(OpenAi, "small", &Err(failure.clone()));
        assert_eq!((verdict.state, verdict.proof), (state, proof), "{failure}");
        assert!(verdict.message.as_ref().is_some_and(|message| message.contains(words)), "{verdict:?}");
    }
}

#[test]
fn a_call_proves_what_a_list_can_not() {
    let answered = Completion { text: "pong".to_owned(), tokens: None, cut_by_token_limit: true };
    let status = |status| Err(Failure::of_status(status, None, "{}"));
    for (result, state, proof) in [
        (Ok(answered), Reachable, Answers),
        (Err(Failure::new(Kind::ReasoningAteTokens, "")), Reachable, Answers),
        (Err(Failure::new(Kind::UnusableBody, "not JSON")), Failed, Broken),
        (Err(Failure::new(Kind::ContentRefused, "a filter")), Failed, Nothing),
        (Err(Failure::not_sent("refused")), Unreachable, Broken),
        (status(400), Failed, Nothing),
        (status(401), BadKey, Broken),
        (status(403), BadKey, Broken),
        (status(404), MissingModel, Broken),
        (status(429), Failed, Broken),
        (status(500), Failed, Broken),
    ] {
        let verdict = Verdict::of_completion(&result);
        assert_eq!((verdict.state, verdict.proof), (state, proof), "{result:?}");
    }
}

#[test]
fn a_message_does_not_say_again_what_the_state_says() {
    let failure = |status, code: &str| {
        let body = format!(r#"{{"error":{{"message":"words","code":"{code}"}}}}"#);
        Failure::of_status(status, None, &body)
    };
    let to_cure = Failure { setting: Some("set model to another one".to_owned()), ..failure(404, "") };
    for (failure, state, message) in [
        (failure(401, ""), BadKey, "HTTP 401: words"),
        (failure(403, "content_filter"), BadKey, "content_refused (HTTP 403): words"),
        (failure(404, ""), MissingModel, "HTTP 404: words"),
        (to_cure, MissingModel, "HTTP 404: words; to cure it set model to another one"),
        (Failure::new(Kind::ModelNotFound, "words"), MissingModel, "words"),
        (failure(429, ""), Failed, "rate_limited (HTTP 429): words"),
        (Failure::new(Kind::Timeout, "words"), Unreachable, "timeout: words"),
    ] {
        let verdict = Verdict::of_completion(&Err(failure));
        assert_eq!((verdict.state, verdict.message.as_deref()), (state, Some(message)));
    }
}

#[test]
fn slow_is_over_five_seconds_or_half_of_the_time_limit_and_never_hides_what_is_worse() {
    let second = Duration::from_secs;
    for (took, timeout, state) in [
        (second(5), second(30), Reachable),
        (Duration::from_millis(5_001), second(30), Slow),
        (second(1), second(2), Reachable),
        (Duration::from_millis(1_001), second(2), Slow),
    ] {
        assert_eq!(Verdict::good(Answers).after(took, timeout).state, state, "{took:?} of {timeout:?}");
    }
    let failed = Verdict::of_models(OpenAi, "small", &Err(Failure::of_status(500, None, "{}")));
    assert_eq!(failed.clone().after(second(9), second(10)), failed);
}

#[test]
fn each_state_has_a_name_of_its_own() {
    let mut names = CheckState::ALL.map(CheckState::as_str);
    names.sort_unstable();
    assert_eq!(names, ["bad_key", "failed", "missing_model", "reachable", "slow", "unreachable"]);
}

proptest! {
    #[test]
    fn no_list_makes_it_panic(body in ".*", model in ".{0,12}") {
        for kind in ProviderKind::ALL {
            let _ = Verdict::of_models(kind, &model, &Ok(body.clone()));
        }
    }

    #[test]
    fn whatever_the_entries_are_called_only_ours_is_proof(names in prop::collection::vec("[a-z:/.-]{0,12}", 0..5)) {
        let data: Vec<Value> = names.iter().map(|name| json!({"id": name})).collect();
        let verdict = Verdict::of_models(OpenAi, "OUR-MODEL-1", &Ok(json!({"data": data}).to_string()));
        prop_assert_eq!(verdict.proof, Nothing);
    }
}
