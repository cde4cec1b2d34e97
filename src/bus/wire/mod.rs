//! The wire formats: what we publish about ourselves, and what we read of others.
//!
//! What we publish is built whole, keys in a fixed order, keys without a value left out. What we
//! read may be anything: a field of another kind than expected counts as absent.

mod alert;
mod announce;
mod base;
mod beat;
mod receive;
mod robot;
mod say;
mod service;

#[cfg(test)]
mod receive_tests;
#[cfg(test)]
mod tests;

pub use alert::{Alert, AlertEvent};
pub use announce::{About, Endpoint, Endpoints, Model, Occasion, discovery, startup};
pub use base::Identity;
pub(crate) use base::rounded;
pub use beat::{Beat, Proof, heartbeat, lifecycle_heartbeat, shutdown};
pub use receive::{ForeignBeat, GroupRestart, RobotLifecycle};
pub use robot::{own_name, robot_answer};
pub use say::{chat_line, say};
pub use service::{LONGEST_TEXT_BYTES, ServiceReport};
