//! What the providers were asked lately and what they answered, for whoever tunes the bot.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::bus::wire::rounded;
use crate::chat::decisions::beginning;
use crate::chat::plan::ReplyPlan;
use crate::chat::prompt::Prompt;
use crate::clock::{Moment, iso};
use crate::llm::Answer;
use crate::names::Username;

/// The contexts that are kept.
const CONTEXTS: usize = 100;
/// The bytes that their texts may take together.
const BYTES: usize = 8 << 20;

/// One answer of a provider, and what led to it.
#[derive(Debug, Clone)]
pub struct Context {
    at: DateTime<Utc>,
    correlation_id: String,
    channel: String,
    /// None for a comment on a film.
    user: Option<Username>,
    message: String,
    trigger_type: &'static str,
    prompt: Prompt,
    video_title: Option<String>,
    message_count: usize,
    answer: Answer,
}

impl Context {
    /// What is to be remembered of an answer.
    pub fn new(now: Moment, plan: &ReplyPlan, prompt: &Prompt, answer: &Answer) -> Self {
        Self {
            at: now.wall,
            correlation_id: plan.correlation_id.clone(),
            channel: plan.room.channel().to_owned(),
            user: plan.user.clone(),
            message: plan.original.clone(),
            trigger_type: plan.trigger.kind.as_str(),
            prompt: prompt.clone(),
            video_title: plan.scene.current_media.as_ref().map(|media| media.title.clone()),
            message_count: plan.history.len(),
            answer: answer.clone(),
        }
    }

    /// Of the message.
    pub fn correlation_id(&self) -> &str {
        &self.correlation_id
    }

    /// The beginnings of it, for a list.
    pub fn beginnings(&self) -> Value {
        let mut entry = self.common(100);
        entry["response_preview"] = json!(beginning(&self.answer.text, 100));
        entry
    }

    /// All of it.
    pub fn whole(&self) -> Value {
        let mut entry = self.common(usize::MAX);
        entry["system_prompt"] = json!(self.prompt.system);
        entry["user_prompt"] = json!(self.prompt.user);
        entry["context_data"] = json!({
            "channel": self.channel, "video_title": self.video_title, "message_count": self.message_count
        });
        entry["response"] = json!(self.answer.text);
        entry
    }

    /// What is published of it.
    pub fn published(&self) -> Value {
        let mut entry = self.common(usize::MAX);
        entry["system_prompt_preview"] = json!(beginning(&self.prompt.system, 200));
        entry["user_prompt_preview"] = json!(beginning(&self.prompt.user, 500));
        entry["context_summary"] =
            json!({"video_title": self.video_title, "message_count": self.message_count});
        entry["response_preview"] = json!(beginning(&self.answer.text, 300));
        entry
    }

    fn common(&self, message_characters: usize) -> Value {
        json!({
            "timestamp": iso(self.at),
            "correlation_id": self.correlation_id,
            "username": self.user.as_ref().map(Username::as_str),
            "trigger_message": beginning(&self.message, message_characters),
            "trigger_type": self.trigger_type,
            "provider": self.answer.provider.as_str(),
            "model": self.answer.model,
            "tokens_used": self.answer.tokens.map(|tokens| tokens.total),
            "response_time": rounded(self.answer.latency.as_secs_f64(), 3),
            "success": true,
        })
    }

    fn bytes(&self) -> usize {
        self.message.len() + self.prompt.system.len() + self.prompt.user.len() + self.answer.text.len()
    }
}

/// The last contexts. Cheap to clone; all clones share them.
#[derive(Debug, Clone, Default)]
pub struct ContextLog(Arc<Mutex<Contexts>>);

#[derive(Debug, Default)]
struct Contexts {
    /// Oldest first.
    entries: VecDeque<Context>,
    bytes: usize,
}

impl ContextLog {
    /// Takes one in, and forgets the oldest when there are more than 100 or they take too much.
    pub fn add(&self, context: Context) {
        let mut contexts = self.lock();
        contexts.bytes += context.bytes();
        contexts.entries.push_back(context);
        while contexts.entries.len() > CONTEXTS || contexts.bytes > BYTES {
            let Some(oldest) = contexts.entries.pop_front() else { break };
            contexts.bytes -= oldest.bytes();
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest ones, oldest first.
    pub fn recent(&self, limit: usize) -> Vec<Context> {
        let contexts = self.lock();
        contexts.entries.iter().skip(contexts.entries.len().saturating_sub(limit)).cloned().collect()
    }

    /// The one with that place; 0 is the oldest.
    pub fn at(&self, index: usize) -> Option<Context> {
        self.lock().entries.get(index).cloned()
    }

    /// The newest one of a message.
    pub fn of(&self, correlation_id: &str) -> Option<Context> {
        self.lock().entries.iter().rev().find(|context| context.correlation_id == correlation_id).cloned()
    }

    /// Forgets what a user asked. Returns how many there were.
    pub fn forget(&self, user: &Username) -> usize {
        let mut contexts = self.lock();
        let before = contexts.entries.len();
        contexts.entries.retain(|context| context.user.as_ref() != Some(user));
        contexts.bytes = contexts.entries.iter().map(Context::bytes).sum();
        before - contexts.entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, Contexts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chat::testing::{OneRoom, at};
    use crate::llm::Tokens;
    use crate::names::ProviderName;

    fn context(user: &str, text: &str) -> Context {
        let plan = OneRoom::new(json!({})).reply(1.0, user, "vera, what is on?");
        let prompt = Prompt { system: "s".repeat(1_000), user: "é".repeat(1_000) };
        let answer = Answer {
            provider: ProviderName::new("local"),
            model: "small".to_owned(),
            text: text.to_owned(),
            tokens: Some(Tokens { prompt: 3, completion: 4, total: 7 }),
            cut_by_token_limit: false,
            latency: Duration::from_millis(1_234),
            reserving: Duration::ZERO,
        };
        Context::new(at(2.0), &plan, &prompt, &answer)
    }

    fn characters(value: &Value) -> usize {
        value.as_str().expect("a text").chars().count()
    }

    #[test]
    fn a_list_has_beginnings_and_one_alone_is_whole() {
        let context = context("bob", &"é".repeat(1_000));
        let (short, whole, published) = (context.beginnings(), context.whole(), context.published());
        for entry in [&short, &whole, &published] {
            assert_eq!(entry["username"], "bob");
            assert_eq!(entry["trigger_message"], "vera, what is on?");
            assert_eq!(entry["trigger_type"], "mention");
            assert_eq!((&entry["provider"], &entry["model"]), (&json!("local"), &json!("small")));
            assert_eq!((&entry["tokens_used"], &entry["response_time"]), (&json!(7), &json!(1.234)));
            assert_eq!(entry["success"], true);
        }
        assert_eq!(characters(&short["response_preview"]), 100);
        assert_eq!(short.get("response"), None);
        assert_eq!((characters(&whole["response"]), characters(&whole["user_prompt"])), (1_000, 1_000));
        assert_eq!(whole["context_data"]["message_count"], 1);
        assert_eq!(characters(&published["system_prompt_preview"]), 200);
        assert_eq!(characters(&published["user_prompt_preview"]), 500);
        assert_eq!(characters(&published["response_preview"]), 300);
        assert_eq!(published["context_summary"], json!({"video_title": null, "message_count": 1}));
    }

    #[test]
    fn the_last_hundred_are_kept_and_found() {
        let log = ContextLog::default();
        assert!(log.is_empty());
        (0..150).for_each(|number| log.add(context("bob", &number.to_string())));
        assert_eq!(log.len(), 100);
        let text = |context: &Context| context.answer.text.clone();
        assert_eq!(log.recent(2).iter().map(text).collect::<Vec<_>>(), ["148", "149"]);
        assert_eq!(log.recent(1_000).len(), 100);
        assert_eq!(log.at(0).as_ref().map(text), Some("50".to_owned()));
        assert!(log.at(100).is_none());
        let id = log.recent(1)[0].correlation_id.clone();
        assert!(log.of(&id).is_some());
        assert!(log.of("nobody's").is_none());
    }

    #[test]
    fn huge_answers_are_bounded_together() {
        let log = ContextLog::default();
        (0..50).for_each(|_| log.add(context("bob", &"x".repeat(1 << 20))));
        assert_eq!(log.len(), 7);
        assert_eq!(log.forget(&Username::new("eve")), 0);
        assert_eq!(log.forget(&Username::new("BOB")), 7);
        assert_eq!(log.lock().bytes, 0);
    }
}
