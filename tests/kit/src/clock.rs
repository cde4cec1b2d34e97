//! A wall clock that a story can step, for one daemon alone. Linux only.

use crate::daemon::{Daemon, Launch};
use crate::error::{Context, Result};

/// Where the daemon's clock looks how far it is off; in the daemon's working directory.
const FILE: &str = "clock-step";

/// Gives the daemon a clock that is `seconds` ahead of the real one, until [`step`] changes that.
pub fn steppable(launch: Launch, seconds: i64) -> Launch {
    launch
        .env("LD_PRELOAD", env!("CLOCK_STEP_LIBRARY"))
        .env("CLOCK_STEP_FILE", FILE)
        .file(FILE, seconds.to_string())
}

/// From now on the daemon's wall clock is `seconds` ahead of the real one. Its monotonic clock goes
/// on as ever.
pub fn step(daemon: &Daemon, seconds: i64) -> Result {
    let what = "stepping the daemon's clock";
    let next = daemon.folder().join("clock-step.next");
    // Renamed, so that nobody reads half of it.
    std::fs::write(&next, seconds.to_string()).context(what)?;
    std::fs::rename(next, daemon.folder().join(FILE)).context(what)
}
