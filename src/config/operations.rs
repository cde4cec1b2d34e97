//! Running it: `testing`, `circuit_breaker`, `outbox`, `limits`, `commands`, `logging`,
//! `history`, `alerts`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use super::section::Section;

/// From which severity on events are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
}

/// No such log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log levels are DEBUG, INFO, WARNING and ERROR")]
pub struct UnknownLogLevel;

impl FromStr for LogLevel {
    type Err = UnknownLogLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_uppercase().as_str() {
            "DEBUG" => Ok(Self::Debug),
            "INFO" => Ok(Self::Info),
            "WARNING" => Ok(Self::Warning),
            "ERROR" => Ok(Self::Error),
            _ => Err(UnknownLogLevel),
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl LogLevel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }

    /// `log_level`; an unknown one is INFO, with a warning.
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        s.known_words("log_level", &[Self::Debug, Self::Info, Self::Warning, Self::Error].map(Self::as_str));
        s.field(
            "log_level",
            Self::Info,
            |level| format!("\"{level}\""),
            |item| {
                let level = item.text()?.parse();
                Ok(level.unwrap_or_else(|unknown: UnknownLogLevel| {
                    item.reader.warning(&item.path, &format!("is unknown and counts as INFO; {unknown}"));
                    Self::Info
                }))
            },
        )
    }
}

/// `testing`.
#[derive(Debug, Clone)]
pub struct Testing {
    pub dry_run: bool,
    pub log_responses: bool,
    pub log_file: PathBuf,
    /// False sends nothing, as `dry_run` does.
    pub send_to_chat: bool,
}

impl Testing {
    /// Whether nothing is said in chat, for either of the two reasons.
    pub fn is_silent(&self) -> bool {
        self.dry_run || !self.send_to_chat
    }

    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            dry_run: s.boolean("dry_run", false),
            log_responses: s.boolean("log_responses", true),
            log_file: s.path("log_file", "logs/llm-responses.jsonl"),
            send_to_chat: s.boolean("send_to_chat", true),
        }
    }
}

/// `outbox`: lines that wait to be sent.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// Older lines are dropped.
    pub stale: Duration,
    /// 1–10000 in each room.
    pub max_lines: usize,
}

impl OutboxConfig {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            stale: s.seconds("stale_seconds", 60.0, 1.0..=3600.0),
            max_lines: s.integer("max_lines", 100, 1..=10_000),
        }
    }
}

/// `limits`: what the world may make us keep.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Larger messages on the bus are dropped unread.
    pub max_event_bytes: usize,
    /// For all that is remembered of users.
    pub users_bytes: usize,
}

impl Limits {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            max_event_bytes: s.integer("max_event_bytes", 65_536, 4096..),
            users_bytes: s.integer("users_bytes", 33_554_432, 1_048_576..),
        }
    }
}

/// `commands`: the command subject.
#[derive(Debug, Clone)]
pub struct Commands {
    /// False leaves the commands that only read.
    pub allow_changes: bool,
}

impl Commands {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self { allow_changes: s.boolean("allow_changes", true) }
    }
}

/// `logging`.
#[derive(Debug, Clone)]
pub struct Logging {
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Logging {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        Self { format: s.choice("format", LogFormat::Text, &words) }
    }
}

/// `history`: what the dashboard shows of the past.
#[derive(Debug, Clone)]
pub struct History {
    pub enabled: bool,
    /// Within `state_dir`.
    pub file: PathBuf,
    /// 1–3650 days.
    pub retention: Duration,
    /// 1–10000.
    pub max_mib: u64,
}

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

impl History {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            enabled: s.boolean("enabled", true),
            file: history_file(s),
            retention: Duration::from_secs(DAY * s.integer::<u64>("retention_days", 30, 1..=3650)),
            max_mib: s.integer("max_mib", 50, 1..=10_000),
        }
    }
}

/// Whatever stands there and is no history is put aside, so no other file of ours can be named, and hardly one
/// of anybody else.
fn history_file(s: &mut Section<'_>) -> PathBuf {
    let show = |name: &String| json!(name).to_string();
    let name = s.field("file", "history.db".to_owned(), show, |item| {
        let name = item.filled_text()?;
        let path = Path::new(&name);
        let is_database = path.extension().is_some_and(|ending| ending == "db" || ending == "sqlite");
        if is_database && path.file_name() == Some(path.as_os_str()) {
            Ok(name)
        } else {
            Err(item.wrong("the name of a file in state_dir, without a folder, that ends in .db or .sqlite"))
        }
    });
    name.into()
}

/// `alerts`: messages about a state that holds.
#[derive(Debug, Clone)]
pub struct Alerts {
    pub enabled: bool,
    /// How long a state must hold.
    pub hold: Duration,
    /// Where alerts are posted to; many services put a key into this URL.
    pub webhook_url: Option<SecretString>,
    pub webhook_token: Option<SecretString>,
}

impl Alerts {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            enabled: s.boolean("enabled", true),
            hold: s.seconds("hold_seconds", 60.0, 0.0..=3600.0),
            webhook_url: s.secret_text("webhook_url", super::providers::http_url),
            webhook_token: s.secret_file("webhook_token_file"),
        }
    }
}
