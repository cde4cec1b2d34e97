//! Heartbeats (REQ-002): when they are due, and the task that publishes them.

mod publisher;
mod schedule;

pub use publisher::{BeatNow, HeartbeatPublisher};
pub use schedule::BeatSchedule;
