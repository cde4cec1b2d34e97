//! One line of the response log: all that is known of one reply, or of why there was none.

use serde::Serialize;

use crate::chat::event::ChatMessage;
use crate::chat::plan::{Fired, ReplyPlan, Silence};
use crate::chat::prompt::Prompt;
use crate::chat::triggers::Trigger;
use crate::clock::{self, Moment};
use crate::llm::Answer;
use crate::names::RoomName;
use crate::outcome::{Reason, ReplyEnd, ReplyOutcome};
use crate::timings::Timings;

/// What became known while a reply was made; the earlier it ended, the less.
#[derive(Debug, Default)]
pub struct Course {
    /// What the provider was asked.
    pub prompt: Option<Prompt>,
    /// What it answered.
    pub answer: Option<Answer>,
    /// When.
    pub timings: Timings,
    /// The lines that came of it; those of the fallback message where one was said instead.
    pub lines: Vec<String>,
}

/// A record. What is unknown is null, so that every line has the same keys; only `full_prompt` is
/// left out when it is not wanted.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    timestamp: String,
    correlation_id: &'a str,
    channel: &'a str,
    trigger_type: &'static str,
    trigger_name: &'a str,
    trigger_priority: u8,
    /// Null for a comment on a film.
    username: Option<&'a str>,
    input_message: &'a str,
    cleaned_message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_prompt: Option<String>,
    llm_response: Option<&'a str>,
    /// The lines for the room. Of a reply with the reason "fallback" those of the fallback message.
    formatted_parts: &'a [String],
    /// Whether the answer was said; a fallback message is none.
    response_sent: bool,
    /// How many of the lines went out: also of a fallback message, and of a reply that was begun.
    parts_sent: usize,
    provider: Option<&'a str>,
    model: Option<&'a str>,
    tokens: Option<Tokens>,
    latency_ms: Option<u64>,
    rate_limit: RateLimit,
    outcome: &'static str,
    /// Why nothing was said, or why it is not sure that it was.
    reason: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Tokens {
    prompt: u64,
    completion: u64,
    total: u64,
}

/// Whether the limits let the reply through; of what else holds one back too, which is told in the
/// same place.
#[derive(Debug, Serialize)]
struct RateLimit {
    allowed: bool,
    /// The code of what held it back, or "allowed".
    reason: &'static str,
    /// In whole seconds; 0 when that is unknown.
    retry_after: u64,
    details: Details,
}

#[derive(Debug, Default, Serialize)]
struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl RateLimit {
    fn allowed() -> Self {
        Self { allowed: true, reason: "allowed", retry_after: 0, details: Details::default() }
    }

    fn held_back(reason: Reason) -> Self {
        Self { allowed: false, reason: reason.as_str(), ..Self::allowed() }
    }
}

impl<'a> Record<'a> {
    /// Of a reply that was begun.
    pub fn of_reply(now: Moment, plan: &'a ReplyPlan, course: &'a Course, end: ReplyEnd) -> Self {
        let answer = course.answer.as_ref();
        let log_prompt = plan.config().error_handling.log_full_context;
        let (outcome, reason) = in_words(end.outcome);
        Self {
            cleaned_message: &plan.message,
            input_message: &plan.original,
            username: plan.user.as_ref().map(|user| user.as_str()),
            full_prompt: course
                .prompt
                .as_ref()
                .filter(|_| log_prompt)
                .map(|prompt| format!("{}\n\n{}", prompt.system, prompt.user)),
            llm_response: answer.map(|answer| &*answer.text),
            formatted_parts: &course.lines,
            response_sent: outcome == "sent",
            parts_sent: end.parts_sent,
            provider: answer.map(|answer| answer.provider.as_str()),
            model: answer.map(|answer| &*answer.model),
            tokens: answer.and_then(|answer| answer.tokens).map(|tokens| Tokens {
                prompt: tokens.prompt,
                completion: tokens.completion,
                total: tokens.total,
            }),
            latency_ms: answer.map(|answer| u64::try_from(answer.latency.as_millis()).unwrap_or(u64::MAX)),
            rate_limit: match reason {
                Some(limit) if limit.is_spend_limit() => RateLimit {
                    retry_after: end.denied.and_then(|denied| denied.retry_after()).unwrap_or(0),
                    ..RateLimit::held_back(limit)
                },
                _ => RateLimit::allowed(),
            },
            reason: reason.map(Reason::as_str),
            ..Self::begun(now, &plan.room, &plan.trigger, &plan.correlation_id, outcome)
        }
    }

    /// Of something that fired but was held back. `message` is none for a comment on a film.
    pub fn of_silence(
        now: Moment,
        room: &'a RoomName,
        message: Option<&'a ChatMessage>,
        silence: &Silence,
        fired: &'a Fired,
    ) -> Self {
        Self {
            username: message.map(|message| message.user.as_str()),
            input_message: message.map_or("", |message| &message.text),
            cleaned_message: &fired.message,
            rate_limit: RateLimit {
                retry_after: silence.detail.retry_after().unwrap_or(0),
                details: Details { detail: silence.detail.to_string() },
                ..RateLimit::held_back(silence.reason)
            },
            reason: Some(silence.reason.as_str()),
            ..Self::begun(now, room, &fired.trigger, &fired.correlation_id, "silenced")
        }
    }

    /// Of a message, or another change in a room, on which no decision came about: whether anything
    /// fired is unknown.
    pub fn of_fault(now: Moment, room: &'a RoomName, message: Option<&'a ChatMessage>) -> Self {
        let correlation_id = message.and_then(|message| message.correlation_id.as_deref());
        Self {
            username: message.map(|message| message.user.as_str()),
            input_message: message.map_or("", |message| &message.text),
            reason: Some(Reason::Internal.as_str()),
            ..Self::blank(now, room, correlation_id.unwrap_or_default(), "failed")
        }
    }

    /// What is known of everything that fired.
    fn begun(
        now: Moment,
        room: &'a RoomName,
        trigger: &'a Trigger,
        correlation_id: &'a str,
        outcome: &'static str,
    ) -> Self {
        Self {
            trigger_type: trigger.kind.as_str(),
            trigger_name: &trigger.name,
            trigger_priority: trigger.priority,
            ..Self::blank(now, room, correlation_id, outcome)
        }
    }

    fn blank(now: Moment, room: &'a RoomName, correlation_id: &'a str, outcome: &'static str) -> Self {
        Self {
            timestamp: clock::iso(now.wall),
            correlation_id,
            channel: room.channel(),
            trigger_type: "unknown",
            trigger_name: "",
            trigger_priority: 0,
            username: None,
            input_message: "",
            cleaned_message: "",
            full_prompt: None,
            llm_response: None,
            formatted_parts: &[],
            response_sent: false,
            parts_sent: 0,
            provider: None,
            model: None,
            tokens: None,
            latency_ms: None,
            rate_limit: RateLimit::allowed(),
            outcome,
            reason: None,
        }
    }

    /// The record as its line, with the line break.
    pub fn line(&self) -> Vec<u8> {
        // Texts and numbers always become JSON.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

fn in_words(outcome: ReplyOutcome) -> (&'static str, Option<Reason>) {
    match outcome {
        ReplyOutcome::Sent => ("sent", None),
        ReplyOutcome::Silenced(reason) => ("silenced", Some(reason)),
        ReplyOutcome::Failed(reason) => ("failed", Some(reason)),
        ReplyOutcome::InDoubt => ("in_doubt", Some(Reason::InDoubt)),
        ReplyOutcome::Abandoned => ("abandoned", Some(Reason::Abandoned)),
    }
}

#[cfg(test)]
mod tests;
