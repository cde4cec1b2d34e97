//! How the service may end.

use std::io::ErrorKind;

use crate::bus::link::LinkFailure;
use crate::shutdown::StopReason;

/// How the service ended.
#[derive(Debug)]
pub struct Ended {
    /// Why.
    pub reason: StopReason,
    /// Whether replies were cut off.
    pub abandoned: bool,
}

/// Why the service could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The HTTP port can't be had.
    #[error("can't listen on {address} for HTTP: {error}; {}, or set metrics.enabled to false", cure(error))]
    Http {
        /// The address as configured.
        address: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The link to NATS is given up.
    #[error(transparent)]
    Link(#[from] LinkFailure),
    /// Nobody could stop us.
    #[error("can't listen to signals: {0}")]
    Signals(std::io::Error),
    /// A fault of ours.
    #[error("the task {0} panicked")]
    Panicked(&'static str),
}

/// What helps against an address that can't be had.
fn cure(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "end the other program that listens there, or change metrics.port",
        ErrorKind::PermissionDenied => "change metrics.port to one above 1023",
        _ => "change metrics.host to an address of this machine",
    }
}
