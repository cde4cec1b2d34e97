//! The stories: the real binary against a real nats-server, one file a story.

mod admins;
mod alerts;
mod alive;
mod answers;
mod chat;
mod command_line;
mod commands;
mod discovery;
mod fallback;
mod gray_failures;
mod group_restart;
mod health_changes;
mod hearing;
mod heartbeats;
mod history;
mod hostile_answers;
mod hostile_chat;
mod http;
mod http_api;
mod instances;
mod link;
mod logs;
mod loop_guard;
mod media;
mod metrics;
mod nats_access;
mod nats_trouble;
mod outage;
mod outbox;
mod pauses;
mod preview;
mod provider_checks;
mod provider_details;
mod providers;
mod reload;
mod response_log;
mod robot;
mod rooms;
mod secrets;
mod send;
mod shape;
mod shutdown;
mod silences;
mod spam;
mod spend;
mod state;
#[cfg(target_os = "linux")]
mod systemd;
mod templates;
mod toggles;
mod triggers;
mod watch;

/// The daemon under test.
const BINARY: &str = env!("CARGO_BIN_EXE_kryten-llm");
