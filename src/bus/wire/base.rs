//! What stands in everything that we publish about ourselves.

use serde::Serialize;

use crate::clock::{Moment, iso};

/// Who we are: the same in every message of this run.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The service's name, as on every subject.
    pub service: String,
    /// The version of this build.
    pub version: String,
    /// The name of this host.
    pub hostname: String,
    /// A UUID, new at each start.
    pub instance_id: String,
    /// When we started.
    pub started: Moment,
}

#[derive(Serialize)]
pub(super) struct Base<'a> {
    service: &'a str,
    version: &'a str,
    hostname: &'a str,
    timestamp: String,
    pub uptime_seconds: f64,
    instance_id: &'a str,
}

impl<'a> Base<'a> {
    pub(super) fn new(identity: &'a Identity, now: Moment) -> Self {
        let uptime = now.elapsed.saturating_sub(identity.started.elapsed);
        Self {
            service: &identity.service,
            version: &identity.version,
            hostname: &identity.hostname,
            timestamp: iso(now.wall),
            uptime_seconds: rounded(uptime.as_secs_f64(), 3),
            instance_id: &identity.instance_id,
        }
    }
}

/// A number with at most so many decimals.
pub(crate) fn rounded(number: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (number * scale).round() / scale
}

pub(super) fn bytes(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("texts, numbers and lists of them can always be written")
}
