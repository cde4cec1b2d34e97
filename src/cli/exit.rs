//! Exit codes, so that a service manager knows whether to start us again (sysexits.h).

use std::process::ExitCode;

/// Asked to stop, and stopped.
pub const OK: u8 = 0;
/// Something unexpected; starting anew may help.
pub const UNEXPECTED: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// NATS unavailable and all attempts used up, or the HTTP port in use (EX_UNAVAILABLE).
pub const UNAVAILABLE: u8 = 69;
/// NATS refused the credentials (EX_NOPERM).
pub const REFUSED: u8 = 77;
/// The configuration can't be used (EX_CONFIG).
pub const CONFIG: u8 = 78;
/// Stopped with work abandoned, as timeout(1) has it.
pub const ABANDONED: u8 = 124;

/// What `--help` says about them.
pub const HELP: &str = "\
Exit codes:
  0    asked to stop, and stopped
  1    something unexpected
  2    bad command line
  69   NATS unavailable and nats.max_reconnect_attempts used up, or the HTTP port in use at start
  77   NATS refused the credentials
  78   the configuration can't be used
  124  stopped with replies abandoned: the deadline, a second signal, or NATS away at the end";

/// The code as the process's end.
pub fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}
