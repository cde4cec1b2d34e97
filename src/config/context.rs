//! `context`: what the bot remembers of a room, and what of it the prompt holds.

use std::time::Duration;

use super::section::Section;
use super::value;

/// `context`.
#[derive(Debug, Clone)]
pub struct Context {
    /// 0–100 lines.
    pub chat_history_size: usize,
    /// The longest prompt, in characters; at least 1000.
    pub context_window_chars: usize,
    /// In characters.
    pub max_video_title_length: usize,
    /// 0–50 lines.
    pub max_chat_history_in_prompt: usize,
    /// What worth the video has in the prompt; `None` leaves it out.
    pub video_priority: Option<i64>,
    /// What worth the recent chat has in the prompt; `None` leaves it out.
    pub chat_history_priority: Option<i64>,
    pub enable_enhanced_deduplication: bool,
    pub reconnection_grace_period: Duration,
    pub correlation_id_cache_size: usize,
}

/// The worth of each part when the file doesn't say: old chat goes before the video.
const VIDEO_PRIORITY: i64 = 60;
const CHAT_HISTORY_PRIORITY: i64 = 50;

impl Context {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let providers = providers(s);
        let include_video = s.boolean("include_video_context", true);
        let include_chat = s.boolean("include_chat_history", true);
        Self {
            chat_history_size: s.integer("chat_history_size", 30, 0..=100),
            context_window_chars: s.integer("context_window_chars", 12_000, 1000..),
            max_video_title_length: s.integer("max_video_title_length", 200, 50..=500),
            max_chat_history_in_prompt: s.integer("max_chat_history_in_prompt", 50, 0..=50),
            video_priority: providers.video.filter(|_| include_video),
            chat_history_priority: providers.chat_history.filter(|_| include_chat),
            enable_enhanced_deduplication: s.boolean("enable_enhanced_deduplication", true),
            reconnection_grace_period: s.whole_seconds("reconnection_grace_period", 120, 30..=300),
            correlation_id_cache_size: s.integer("correlation_id_cache_size", 1000, 100..=10_000),
        }
    }
}

/// `context.providers`: the priority of each part that is on.
struct Providers {
    video: Option<i64>,
    chat_history: Option<i64>,
}

fn providers(s: &mut Section<'_>) -> Providers {
    let mut on = Providers { video: None, chat_history: None };
    let empty = s.raw("providers").is_none_or(|list| list.is_null() || *list == serde_json::json!([]));
    if empty {
        let is_absent = s.raw("providers").is_none();
        s.reader.effective(&s.place("providers"), "[]".to_owned(), is_absent);
        s.reader.learn(&s.place("providers"), |field| field.is_nullable = true);
    }
    if empty && !s.reader.is_surveying() {
        return Providers { video: Some(VIDEO_PRIORITY), chat_history: Some(CHAT_HISTORY_PRIORITY) };
    }
    s.list("providers", |s| match s.raw("type").and_then(|kind| kind.as_str()) {
        _ if s.reader.is_surveying() => {
            // Of other types nothing is checked.
            s.allow_other_keys();
            s.required("type", "");
            s.known_words("type", &["video", "chat_history"]);
            provider(s, VIDEO_PRIORITY);
        }
        Some("video") => on.video = provider(s, VIDEO_PRIORITY),
        Some("chat_history") => on.chat_history = provider(s, CHAT_HISTORY_PRIORITY),
        Some("long_term_memory") => {
            s.allow_other_keys();
            if s.raw("enabled").is_none_or(|enabled| value::boolean(enabled) != Some(false)) {
                s.warning("enabled", "long-term memory is not available here; this has no effect");
            }
        }
        _ => {
            s.allow_other_keys();
            s.required("type", "\"video\" or \"chat_history\"");
            s.warning("type", "known are \"video\" and \"chat_history\"; this entry has no effect");
        }
    });
    on
}

fn provider(s: &mut Section<'_>, default_priority: i64) -> Option<i64> {
    s.reader.effective(&s.place("type"), s.raw("type").map(ToString::to_string).unwrap_or_default(), false);
    let enabled = s.boolean("enabled", true);
    let priority = s.integer("priority", default_priority, ..);
    enabled.then_some(priority)
}
