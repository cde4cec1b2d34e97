//! What the provider stand-in can be told to do with a request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::Request;

/// What one request meets. Those that answer do so in the shape of the API that was asked: OpenAI's
/// chat completions, Anthropic's messages, or a list of models with the text as its only one.
#[derive(Clone)]
pub enum Behaviour {
    /// Answers with a text that no other answer resembles.
    AnswerAnew,
    /// Answers with this text.
    Answer(String),
    /// Answers with this text after a while.
    AnswerAfter(Duration, String),
    /// Answers with this text once [`super::Provider::release`] is called.
    Hold(String),
    /// Answers with this text, cut by the token limit.
    CutByTokens(String),
    /// Any JSON with status 200.
    Json(Value),
    /// This status with this body.
    Status(u16, String),
    /// This status with this `Retry-After` header.
    RetryAfter(u16, String),
    /// Answers with a text that no other answer resembles, and with these headers.
    AnswerWithHeaders(Vec<(String, String)>),
    /// 200 with a page of HTML.
    NotJson,
    /// 200 with an empty list of choices.
    NoChoices,
    /// 200 with a choice whose content is empty.
    EmptyContent,
    /// 200 with no content, because all tokens went into thinking.
    ReasoningAteTokens,
    /// 200 with no content, withheld by the provider's filter.
    ContentFilter,
    /// Takes the request and never answers.
    Hang,
    /// Sends the head of a good answer and then one byte each tenth of a second.
    Trickle,
    /// Resets the connection.
    Reset,
    /// Ends the connection in the middle of a good answer's body.
    CutMidBody,
    /// A good answer whose text has this many bytes.
    Huge(usize),
    /// Decides by the request.
    Choose(Arc<dyn Fn(&Request) -> Behaviour + Send + Sync>),
}

impl Behaviour {
    /// Answers with this text.
    pub fn answer(text: impl Into<String>) -> Behaviour {
        Behaviour::Answer(text.into())
    }

    /// Decides by the request.
    pub fn choose(choice: impl Fn(&Request) -> Behaviour + Send + Sync + 'static) -> Behaviour {
        Behaviour::Choose(Arc::new(choice))
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Behaviour::AnswerAnew => formatter.write_str("AnswerAnew"),
            Behaviour::Answer(text) => write!(formatter, "Answer({text:?})"),
            Behaviour::AnswerAfter(wait, text) => write!(formatter, "AnswerAfter({wait:?}, {text:?})"),
            Behaviour::Hold(text) => write!(formatter, "Hold({text:?})"),
            Behaviour::CutByTokens(text) => write!(formatter, "CutByTokens({text:?})"),
            Behaviour::Json(body) => write!(formatter, "Json({body})"),
            Behaviour::Status(code, body) => write!(formatter, "Status({code}, {body:?})"),
            Behaviour::RetryAfter(code, value) => write!(formatter, "RetryAfter({code}, {value:?})"),
            Behaviour::AnswerWithHeaders(headers) => write!(formatter, "AnswerWithHeaders({headers:?})"),
            Behaviour::NotJson => formatter.write_str("NotJson"),
            Behaviour::NoChoices => formatter.write_str("NoChoices"),
            Behaviour::EmptyContent => formatter.write_str("EmptyContent"),
            Behaviour::ReasoningAteTokens => formatter.write_str("ReasoningAteTokens"),
            Behaviour::ContentFilter => formatter.write_str("ContentFilter"),
            Behaviour::Hang => formatter.write_str("Hang"),
            Behaviour::Trickle => formatter.write_str("Trickle"),
            Behaviour::Reset => formatter.write_str("Reset"),
            Behaviour::CutMidBody => formatter.write_str("CutMidBody"),
            Behaviour::Huge(bytes) => write!(formatter, "Huge({bytes})"),
            Behaviour::Choose(_) => formatter.write_str("Choose(…)"),
        }
    }
}

/// The usage that every answer reports.
pub const PROMPT_TOKENS: u64 = 100;
/// The usage that every answer reports.
pub const COMPLETION_TOKENS: u64 = 20;

/// Why an answer ends where it does, in OpenAI's words.
#[derive(Clone, Copy)]
pub(super) enum Finish {
    Stop,
    Length,
    ContentFilter,
}

/// Whether a request asks for the list of models.
pub(super) fn is_for_models(request: &Request) -> bool {
    request.path.split('?').next().is_some_and(|path| path.ends_with("/models"))
}

/// A good answer in the shape that `request` asks for.
pub(super) fn answer(request: &Request, text: &str, finish: Finish) -> Value {
    let model = request.json.get("model").cloned().unwrap_or_else(|| json!("stand-in"));
    if is_for_models(request) {
        json!({ "object": "list", "data": [{ "id": text, "object": "model" }] })
    } else if request.path.ends_with("/messages") {
        let reason = match finish {
            Finish::Stop => "end_turn",
            Finish::Length => "max_tokens",
            Finish::ContentFilter => "refusal",
        };
        let content = if text.is_empty() { json!([]) } else { json!([{ "type": "text", "text": text }]) };
        json!({
            "id": "msg-stand-in",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": reason,
            "usage": { "input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS },
        })
    } else {
        let reason = match finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ContentFilter => "content_filter",
        };
        json!({
            "id": "chatcmpl-stand-in",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": text },
                "finish_reason": reason,
            }],
            "usage": {
                "prompt_tokens": PROMPT_TOKENS,
                "completion_tokens": COMPLETION_TOKENS,
                "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
            },
        })
    }
}

/// A sentence for the `number`th answer that no check for repetition takes for another one's.
pub fn distinct_text(number: u64) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    // A linear congruential generator: enough to make unlike words, and the same in each run.
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let words: Vec<String> =
        (0..8).map(|_| (0..4 + next(5)).map(|_| char::from(LETTERS[next(26) as usize])).collect()).collect();
    format!("Answer {number}: {}.", words.join(" "))
}
