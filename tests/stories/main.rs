//! The stories: the real binary against a real nats-server, one file a story.

mod alive;
mod chat;
mod command_line;
mod floods;
mod discovery;
mod heartbeats;
mod hostile_chat;
mod nats_access;
mod link;
mod outage;
mod outbox;
mod providers;
mod robot;
mod rooms;
mod shape;

/// The daemon under test.
const BINARY: &str = env!("CARGO_BIN_EXE_kryten-llm");
