//! Time as deciding code gets it: as an argument.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// A moment: how long the service has run, and what the wall clock says.
///
/// Everything is measured on the first; the second only stamps messages, and is compared with
/// others' time stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic time since the service started.
    pub elapsed: Duration,
    /// The wall clock.
    pub wall: DateTime<Utc>,
}

/// The source of moments. The shell owns it; deciding code never sees it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[allow(clippy::new_without_default, reason = "starting a clock is an act, not a default")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        Moment { elapsed: self.started.elapsed(), wall: Utc::now() }
    }
}

/// ISO 8601 in UTC with microseconds and the offset written `+00:00`, as on every wire format.
pub fn iso(wall: DateTime<Utc>) -> String {
    wall.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}
