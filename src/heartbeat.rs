//! Heartbeats (REQ-002): when they are due, and the task that publishes them.

mod schedule;

pub use schedule::BeatSchedule;
