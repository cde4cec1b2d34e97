//! The stories: the real binary against a real nats-server, one file a story.

mod admins;
mod alive;
mod answers;
mod chat;
mod command_line;
mod discovery;
mod gray_failures;
mod group_restart;
mod health_changes;
mod heartbeats;
mod hostile_answers;
mod hostile_chat;
mod http;
mod instances;
mod link;
mod logs;
mod loop_guard;
mod nats_access;
mod nats_trouble;
mod outage;
mod outbox;
mod preview;
mod providers;
mod response_log;
mod robot;
mod rooms;
mod shape;
mod shutdown;
mod silences;
mod spam;
#[cfg(target_os = "linux")]
mod systemd;
mod templates;
mod toggles;
mod triggers;

/// The daemon under test.
const BINARY: &str = env!("CARGO_BIN_EXE_kryten-llm");
