//! The stories: the real binary against a real nats-server, one file a story.

mod alive;

/// The daemon under test.
const BINARY: &str = env!("CARGO_BIN_EXE_kryten-llm");
