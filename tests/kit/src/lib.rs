//! Neighbours for kryten-llm's tests and demo. It knows the daemon's binary and what goes over the
//! wire, nothing of its code.
//!
//! Everything waits for events with a deadline, fails with a sentence that says what was awaited and
//! what was seen instead, and is gone when its handle is dropped.

pub mod browser;
pub mod chat;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod error;
pub mod http;
pub mod journal;
#[cfg(target_os = "linux")]
pub mod machine;
pub mod nats;
pub mod ports;
pub mod process;
pub mod provider;
pub mod proxy;
pub mod recorder;
pub mod robot;
#[cfg(target_os = "linux")]
pub mod service_manager;
pub mod stopwatch;
pub mod world;

pub use browser::Browser;
pub use chat::Room;
pub use daemon::{Daemon, Launch};
pub use error::{Context, Error, Result, within};
pub use journal::{Journal, Mark};
pub use process::Exit;
pub use provider::{Behaviour, Provider};
pub use proxy::{Direction, Proxy};
pub use recorder::{Message, Recorder};
pub use robot::{Manner, Robot};
pub use stopwatch::Stopwatch;
pub use world::World;
