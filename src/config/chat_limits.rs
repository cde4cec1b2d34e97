//! How often the bot speaks: `rate_limits`, `spam_detection`, `loop_guard`, `spend`.

use std::time::Duration;

use serde_json::{Value, json};

use super::fields::duration;
use super::providers::ProviderConfig;
use super::reader::Reader;
use super::section::Section;

/// `rate_limits`. A maximum of 0 means never.
#[derive(Debug, Clone)]
pub struct RateLimits {
    pub global_max_per_minute: u32,
    pub global_max_per_hour: u32,
    pub global_cooldown: Duration,
    pub user_max_per_hour: u32,
    pub user_cooldown: Duration,
    pub mention_cooldown: Duration,
    /// 0–1: what admins' cooldowns are multiplied by.
    pub admin_cooldown_multiplier: f64,
    /// At least 1: what admins' limits are multiplied by.
    pub admin_limit_multiplier: f64,
}

impl RateLimits {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            global_max_per_minute: s.integer("global_max_per_minute", 2, 0..),
            global_max_per_hour: s.integer("global_max_per_hour", 20, 0..),
            global_cooldown: s.whole_seconds("global_cooldown_seconds", 15, 0..),
            user_max_per_hour: s.integer("user_max_per_hour", 5, 0..),
            user_cooldown: s.whole_seconds("user_cooldown_seconds", 60, 0..),
            mention_cooldown: s.whole_seconds("mention_cooldown_seconds", 120, 0..),
            admin_cooldown_multiplier: s.number("admin_cooldown_multiplier", 0.5, 0.0..=1.0),
            admin_limit_multiplier: s.number("admin_limit_multiplier", 2.0, 1.0..),
        }
    }
}

/// `spam_detection`.
#[derive(Debug, Clone)]
pub struct SpamDetection {
    pub enabled: bool,
    pub message_windows: Vec<MessageWindow>,
    /// So many equal texts are an offence.
    pub identical_message_threshold: u32,
    /// When there is one, its number overrides the threshold, and only texts in it count.
    pub identical_message_window: Option<MessageWindow>,
    pub mention_spam_threshold: u32,
    pub mention_spam_window: Duration,
    pub initial_penalty: Duration,
    pub penalty_multiplier: f64,
    pub max_penalty: Duration,
    /// When there are some, they override the formula; the last one repeats. Never empty.
    pub penalty_durations: Option<Vec<Duration>>,
    pub clean_period: Duration,
    pub admin_exempt_ranks: Vec<f64>,
}

/// At most so many messages in so long a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageWindow {
    pub length: Duration,
    pub max_messages: u32,
}

impl MessageWindow {
    fn read(s: &mut Section<'_>) -> Self {
        s.required("seconds", "a whole number, 1 or more");
        s.required("max_messages", "a whole number, 1 or more");
        Self { length: s.whole_seconds("seconds", 60, 1..), max_messages: s.integer("max_messages", 5, 1..) }
    }
}

impl SpamDetection {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            enabled: s.boolean("enabled", true),
            message_windows: message_windows(s),
            identical_message_threshold: s.integer("identical_message_threshold", 3, 1..),
            identical_message_window: s.optional_section("identical_message_window", MessageWindow::read),
            mention_spam_threshold: s.integer("mention_spam_threshold", 3, 1..),
            mention_spam_window: mention_spam_window(s),
            initial_penalty: s.whole_seconds("initial_penalty", 30, 1..),
            penalty_multiplier: s.number("penalty_multiplier", 2.0, 1.0..),
            max_penalty: s.whole_seconds("max_penalty", 600, 60..),
            penalty_durations: penalty_durations(s),
            clean_period: s.whole_seconds("clean_period", 600, 60..),
            admin_exempt_ranks: admin_exempt_ranks(s),
        }
    }
}

fn message_windows(s: &mut Section<'_>) -> Vec<MessageWindow> {
    let default = [(60, 5), (300, 10), (900, 20)];
    let shown: Vec<Value> = default
        .iter()
        .map(|(seconds, max_messages)| json!({"seconds": seconds, "max_messages": max_messages}))
        .collect();
    if s.raw("message_windows").is_none() {
        s.reader.effective(&s.place("message_windows"), json!(shown).to_string(), true);
    }
    let window =
        |(seconds, max_messages)| MessageWindow { length: Duration::from_secs(seconds), max_messages };
    s.list("message_windows", MessageWindow::read).unwrap_or_else(|| default.map(window).into())
}

/// Seconds, or an object whose `seconds` count.
fn mention_spam_window(s: &mut Section<'_>) -> Duration {
    let key = "mention_spam_window";
    let in_object = |s: &mut Section<'_>| {
        s.raw("max_messages");
        s.whole_seconds("seconds", 30, 1..)
    };
    s.section_or(key, in_object, |s| s.whole_seconds(key, 30, 1..))
}

fn penalty_durations(s: &mut Section<'_>) -> Option<Vec<Duration>> {
    let show = |seconds: &Vec<u64>| json!(seconds).to_string();
    let seconds = s.nullable("penalty_durations", None, show, |item| {
        Ok(item.list()?.iter().filter_map(|item| item.or_report(item.integer(&(0..)))).collect())
    });
    let seconds = seconds.filter(|seconds| !seconds.is_empty())?;
    Some(seconds.into_iter().map(|seconds| duration(seconds as f64)).collect())
}

fn admin_exempt_ranks(s: &mut Section<'_>) -> Vec<f64> {
    s.field(
        "admin_exempt_ranks",
        vec![3.0, 4.0, 5.0],
        |ranks| json!(ranks).to_string(),
        |item| Ok(item.list()?.iter().filter_map(|item| item.or_report(item.number(&(..)))).collect()),
    )
}

/// `loop_guard`: two bots must not talk for ever.
#[derive(Debug, Clone)]
pub struct LoopGuard {
    /// 0–100; 0 is off.
    pub max_replies_in_a_row: u32,
    pub window: Duration,
}

impl LoopGuard {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            max_replies_in_a_row: s.integer("max_replies_in_a_row", 8, 0..=100),
            window: s.seconds("window_seconds", 300.0, 10.0..=3600.0),
        }
    }
}

/// `spend`: what the providers may cost. `None` is no limit.
#[derive(Debug, Clone)]
pub struct Spend {
    pub max_calls_per_minute: Option<u64>,
    pub max_calls_per_day: Option<u64>,
    pub max_tokens_per_day: Option<u64>,
    pub max_tokens_per_user_per_day: Option<u64>,
    /// In the currency of the providers' prices.
    pub max_cost_per_day: Option<f64>,
    /// 1–100: from this share of a limit on, unasked replies stop.
    pub soft_percent: u8,
}

impl Spend {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            max_calls_per_minute: s.optional_integer("max_calls_per_minute", 0..),
            max_calls_per_day: s.optional_integer("max_calls_per_day", 0..),
            max_tokens_per_day: s.optional_integer("max_tokens_per_day", 0..),
            max_tokens_per_user_per_day: s.optional_integer("max_tokens_per_user_per_day", 0..),
            max_cost_per_day: s.optional_number("max_cost_per_day", 0.0..),
            soft_percent: s.integer("soft_percent", 80, 1..=100),
        }
    }

    /// Warns of a limit of tokens that is smaller than any call: it silences the bot for ever.
    pub(super) fn warn_when_no_call_fits(&self, reader: &Reader<'_>, providers: &[ProviderConfig]) {
        let Some(smallest) = providers.iter().map(|provider| provider.max_tokens).min() else { return };
        for (key, limit) in [
            ("spend.max_tokens_per_day", self.max_tokens_per_day),
            ("spend.max_tokens_per_user_per_day", self.max_tokens_per_user_per_day),
        ] {
            // 0 says so on purpose.
            if limit.is_some_and(|limit| limit > 0 && limit < u64::from(smallest)) {
                let message = format!(
                    "no reply fits: each call may take {smallest} tokens (the providers' max_tokens) and \
                     what is asked besides; raise it"
                );
                reader.warning(key, &message);
            }
        }
    }

    /// Whether there is any limit.
    pub fn is_limited(&self) -> bool {
        self.max_calls_per_minute.is_some()
            || self.max_calls_per_day.is_some()
            || self.max_tokens_per_day.is_some()
            || self.max_tokens_per_user_per_day.is_some()
            || self.max_cost_per_day.is_some()
    }
}
