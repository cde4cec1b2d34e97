//! `config.json`: read once, checked whole, and plain data from then on (REQ-009).
//!
//! Each topic's file holds its structs, and beside them one line of reading for each field with
//! its default and range. Reading goes on after a problem, so that all of them are told at once.

use std::path::PathBuf;
use std::time::Duration;

mod answers;
mod chat_limits;
mod context;
mod environment;
mod fields;
mod fixed;
mod legacy;
mod load;
mod metrics;
mod nats;
mod operations;
mod pattern;
mod personality;
mod problem;
mod provider_order;
mod providers;
mod reader;
mod reference;
mod regular_file;
mod rooms;
mod schema;
mod secret;
mod section;
mod service;
mod survey;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod triggers;
mod value;

pub use answers::{
    AutoParticipation, ErrorHandling, Formatting, MediaChange, MessageProcessing, Templates, Validation,
};
pub use chat_limits::{LoopGuard, MessageWindow, RateLimits, SpamDetection, Spend};
pub use context::Context;
pub use fixed::{is_at, is_fixed};
pub use load::{Environment, LoadError, Written, load, load_file, of_process, read_changed};
pub use metrics::MetricsConfig;
pub use nats::NatsConfig;
pub use operations::{
    Alerts, Commands, History, Limits, LogFormat, LogLevel, Logging, OutboxConfig, Testing, UnknownLogLevel,
};
pub use pattern::{BadPattern, Case, Pattern};
pub use personality::Personality;
pub use problem::{Effective, Problem, Warning};
pub use provider_order::{CircuitBreaker, RetryStrategy};
pub use providers::{HealthCheck, HealthCheckKind, MaxTokensField, Price, ProviderConfig, ProviderKind};
pub use reference::reference;
pub use schema::schema;
pub use service::{GroupRestart, ServiceMetadata};
pub use triggers::Trigger;

use crate::names::{ProviderName, RoomName, Username};
use section::Section;

/// A configuration that can be used, and what an operator should know about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Warning>,
    /// Every field with its value in force, in the order of the topics; secrets are masked.
    pub effective: Vec<Effective>,
    /// What it was read from.
    pub written: Written,
}

impl Loaded {
    /// Takes note that the command line has put another value in force than the file.
    pub fn overrule(&mut self, place: &str, value: String) {
        if let Some(field) = self.effective.iter_mut().find(|field| field.place == place) {
            (field.value, field.is_default) = (value, false);
        }
    }
}

/// Everything that can be configured. Every value is in its range, every name that refers to
/// something exists, and every pattern is compiled. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    pub nats: NatsConfig,
    /// At least one, each once.
    pub rooms: Vec<RoomName>,
    /// How long the providers together may take for one reply.
    pub handler_timeout: Duration,
    /// Replies in flight.
    pub max_concurrent_handlers: usize,
    pub log_level: LogLevel,
    /// Between any two lines in one room.
    pub chat_min_delay: Duration,
    /// At most so much is added to `chat_min_delay`, at random.
    pub chat_jitter: Duration,
    pub ignored_users: Vec<Username>,
    /// The bot's account; `None` asks the robot.
    pub bot_username: Option<Username>,
    /// Where small files of ours outlive a restart.
    pub state_dir: PathBuf,
    pub personality: Personality,
    /// At least one, in the file's order.
    pub llm_providers: Vec<ProviderConfig>,
    /// One of `llm_providers`.
    pub default_provider: ProviderName,
    /// Some of `llm_providers`, each once.
    pub default_provider_priority: Vec<ProviderName>,
    pub retry_strategy: RetryStrategy,
    pub circuit_breaker: CircuitBreaker,
    pub triggers: Vec<Trigger>,
    pub rate_limits: RateLimits,
    pub message_processing: MessageProcessing,
    pub testing: Testing,
    pub context: Context,
    pub formatting: Formatting,
    pub validation: Validation,
    pub spam_detection: SpamDetection,
    pub error_handling: ErrorHandling,
    pub media_change: MediaChange,
    pub auto_participation: AutoParticipation,
    pub templates: Templates,
    pub metrics: MetricsConfig,
    pub service: ServiceMetadata,
    pub group_restart: GroupRestart,
    pub loop_guard: LoopGuard,
    pub spend: Spend,
    pub outbox: OutboxConfig,
    pub limits: Limits,
    pub commands: Commands,
    pub logging: Logging,
    pub history: History,
    pub alerts: Alerts,
}

impl Config {
    fn read(s: &mut Section<'_>) -> Self {
        // Editors find the schema by it.
        s.raw("$schema");
        legacy::read(s);
        let provider_names = providers::names(s).unwrap_or_default();
        let config = Self {
            nats: s.section("nats", NatsConfig::read),
            rooms: rooms::read(s),
            handler_timeout: s.seconds("handler_timeout", 30.0, 1.0..),
            max_concurrent_handlers: s.integer("max_concurrent_handlers", 1000_u32, 1..) as usize,
            log_level: LogLevel::read(s),
            chat_min_delay: s.seconds("chat_min_delay", 1.0, 0.0..),
            chat_jitter: s.seconds("chat_jitter", 0.5, 0.0..),
            ignored_users: personality::ignored_users(s),
            bot_username: s.optional_text("bot_username").map(|name| Username::new(name.trim())),
            state_dir: state_dir(s),
            personality: s.section("personality", Personality::read),
            llm_providers: providers::read(s),
            default_provider: provider_order::default_provider(s, &provider_names),
            default_provider_priority: provider_order::priority(s, &provider_names),
            retry_strategy: s.section("retry_strategy", RetryStrategy::read),
            circuit_breaker: s.section("circuit_breaker", CircuitBreaker::read),
            triggers: triggers::read(s, &provider_names),
            rate_limits: s.section("rate_limits", RateLimits::read),
            message_processing: s.section("message_processing", MessageProcessing::read),
            testing: s.section("testing", Testing::read),
            context: s.section("context", Context::read),
            formatting: s.section("formatting", Formatting::read),
            validation: s.section("validation", Validation::read),
            spam_detection: s.section("spam_detection", SpamDetection::read),
            error_handling: s.section("error_handling", ErrorHandling::read),
            media_change: s.section("media_change", MediaChange::read),
            auto_participation: s.section("auto_participation", AutoParticipation::read),
            templates: s.section("templates", Templates::read),
            metrics: s.section("metrics", MetricsConfig::read),
            service: s.section("service_metadata", ServiceMetadata::read),
            group_restart: s.section("group_restart", GroupRestart::read),
            loop_guard: s.section("loop_guard", LoopGuard::read),
            spend: s.section("spend", Spend::read),
            outbox: s.section("outbox", OutboxConfig::read),
            limits: s.section("limits", Limits::read),
            commands: s.section("commands", Commands::read),
            logging: s.section("logging", Logging::read),
            history: s.section("history", History::read),
            alerts: s.section("alerts", Alerts::read),
        };
        config.spend.warn_when_no_call_fits(s.reader, &config.llm_providers);
        config
    }
}

/// `state_dir`; by default the first folder that systemd made for us, else `state`.
fn state_dir(s: &mut Section<'_>) -> PathBuf {
    let folders = s.reader.environment("STATE_DIRECTORY").unwrap_or_default();
    let folder = folders.split(':').find(|folder| !folder.is_empty()).unwrap_or("state");
    s.path("state_dir", folder)
}
