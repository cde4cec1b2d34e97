//! What becomes of a provider's answer: `message_processing`, `validation`, `formatting`,
//! `error_handling`, `templates`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::pattern::{Case, Pattern};
use super::section::Section;
use super::triggers::patterns;

/// `message_processing`.
#[derive(Debug, Clone)]
pub struct MessageProcessing {
    /// 1–255 characters: the length that the prompt asks for.
    pub max_message_length: usize,
    /// Between two parts of one reply.
    pub split_delay: Duration,
}

impl MessageProcessing {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        s.no_effect_flag("filter_emoji", false);
        s.no_effect_integer("max_emoji_per_message", 3, 0..);
        Self {
            max_message_length: s.integer("max_message_length", 240, 1..=255),
            split_delay: s.whole_seconds("split_delay_seconds", 2, 0..=15),
        }
    }
}

/// `formatting`.
#[derive(Debug, Clone)]
pub struct Formatting {
    /// 100–500 characters a line.
    pub max_message_length: usize,
    /// What all but the last line of a reply end with.
    pub continuation_indicator: String,
    pub enable_emoji_limiting: bool,
    /// `None` is no limit.
    pub max_emoji_per_message: Option<usize>,
    pub remove_self_references: bool,
    pub remove_llm_artifacts: bool,
    /// Removed wherever they are found, in any case.
    pub artifact_patterns: Vec<Pattern>,
}

/// How models like to begin.
const ARTIFACTS: [&str; 6] =
    ["^Here's ", "^Let me ", "^Sure!", "^I think ", "^In my opinion ", r"\bAs an AI\b"];

impl Formatting {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let formatting = Self {
            max_message_length: s.integer("max_message_length", 255, 100..=500),
            continuation_indicator: s.text("continuation_indicator", " ..."),
            enable_emoji_limiting: s.boolean("enable_emoji_limiting", false),
            max_emoji_per_message: s.optional_integer("max_emoji_per_message", 1..),
            remove_self_references: s.boolean("remove_self_references", true),
            remove_llm_artifacts: s.boolean("remove_llm_artifacts", true),
            artifact_patterns: patterns(s, "artifact_patterns", &ARTIFACTS, Case::Ignored),
        };
        // Each part of a long reply must have room for words too.
        let longest = formatting.max_message_length / 2;
        if formatting.continuation_indicator.chars().count() > longest {
            let allowed = format!("at most {longest} characters");
            s.problem("continuation_indicator", "a text that is too long", &allowed, "shorten it");
        }
        formatting
    }
}

/// `validation`. Lengths are in characters.
#[derive(Debug, Clone)]
pub struct Validation {
    pub min_length: usize,
    pub max_length: usize,
    pub check_repetition: bool,
    /// 1–50 answers.
    pub repetition_history_size: usize,
    /// 0–1.
    pub repetition_threshold: f64,
    pub check_relevance: bool,
    /// 0–1.
    pub relevance_threshold: f64,
    pub check_inappropriate: bool,
    /// In any case. Empty when they aren't checked.
    pub inappropriate_patterns: Vec<Pattern>,
}

impl Validation {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let check_inappropriate = s.boolean("check_inappropriate", false);
        let validation = Self {
            min_length: s.integer("min_length", 10, 1..),
            max_length: s.integer("max_length", 2000, 100..),
            check_repetition: s.boolean("check_repetition", true),
            repetition_history_size: s.integer("repetition_history_size", 10, 1..=50),
            repetition_threshold: s.number("repetition_threshold", 0.9, 0.0..=1.0),
            check_relevance: s.boolean("check_relevance", false),
            relevance_threshold: s.number("relevance_threshold", 0.5, 0.0..=1.0),
            check_inappropriate,
            inappropriate_patterns: if check_inappropriate {
                patterns(s, "inappropriate_patterns", &[], Case::Ignored)
            } else {
                s.texts("inappropriate_patterns", &[]);
                Vec::new()
            },
        };
        if validation.min_length > validation.max_length {
            s.warning("min_length", "is more than max_length: every answer will be rejected");
        }
        validation
    }
}

/// `error_handling`.
#[derive(Debug, Clone)]
pub struct ErrorHandling {
    /// Whether one of `fallback_messages` is said when every provider failed.
    pub enable_fallback_responses: bool,
    pub fallback_messages: Vec<String>,
    /// Whether the response log holds the whole prompt.
    pub log_full_context: bool,
    /// Whether what comes without an id is given one.
    pub generate_correlation_ids: bool,
}

impl ErrorHandling {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let fallback_messages = [
            "My mind just wandered off. Ask me again in a moment?",
            "I had an answer, and then it slipped away. Try me again later.",
            "Give me a minute, I have to find my words.",
        ];
        let handling = Self {
            enable_fallback_responses: s.boolean("enable_fallback_responses", false),
            fallback_messages: s.texts("fallback_messages", &fallback_messages),
            log_full_context: s.boolean("log_full_context", true),
            generate_correlation_ids: s.boolean("generate_correlation_ids", true),
        };
        if handling.enable_fallback_responses && handling.fallback_messages.is_empty() {
            s.warning("fallback_messages", "is empty: nothing will be said when every provider fails");
        }
        handling
    }
}

/// `templates`: the folder of the operator's templates, and their file names.
#[derive(Debug, Clone)]
pub struct Templates {
    pub dir: PathBuf,
    pub system: String,
    pub default_trigger: String,
    pub media_change: String,
}

impl Templates {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            dir: s.path("dir", "templates"),
            system: s.text("system", "system.j2"),
            default_trigger: s.text("default_trigger", "trigger.j2"),
            media_change: s.text("media_change", "media_change.j2"),
        }
    }
}

/// `media_change`: comments on a new film.
#[derive(Debug, Clone)]
pub struct MediaChange {
    pub enabled: bool,
    /// 1–240: shorter media are no reason to speak.
    pub min_duration: Duration,
    /// 1–50 lines.
    pub chat_context_depth: usize,
    /// At most 200 characters.
    pub transition_explanation: String,
}

impl MediaChange {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            enabled: s.boolean("enabled", false),
            min_duration: Duration::from_secs(60 * s.integer::<u64>("min_duration_minutes", 10, 1..=240)),
            chat_context_depth: s.integer("chat_context_depth", 10, 1..=50),
            transition_explanation: s.text_up_to(
                "transition_explanation",
                "The media has just changed.",
                200,
            ),
        }
    }
}

/// `auto_participation`: speaking after some messages without being asked.
#[derive(Debug, Clone)]
pub struct AutoParticipation {
    pub enabled: bool,
    /// 1–100 messages.
    pub base_message_interval: u32,
    /// 0–0.5: by what share the interval varies.
    pub probability_range: f64,
}

impl AutoParticipation {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        for key in ["eagerness", "force_interval", "engagement", "precheck"] {
            if s.outdated(key).is_some_and(says_something) {
                s.warning(key, "has no effect without long-term memory");
            }
        }
        Self {
            enabled: s.boolean("enabled", false),
            base_message_interval: s.integer("base_message_interval", 20, 1..=100),
            probability_range: s.number("probability_range", 0.2, 0.0..=0.5),
        }
    }
}

/// Whether a value without effect asks for one: it isn't null, zero, empty, or switched off.
fn says_something(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(members) => {
            members.get("enabled").map_or(!members.is_empty(), says_something)
        }
        serde_json::Value::Array(list) => !list.is_empty(),
        serde_json::Value::Null => false,
        value => {
            *value != json!("")
                && super::value::number(value) != Some(0.0)
                && super::value::boolean(value) != Some(false)
        }
    }
}
