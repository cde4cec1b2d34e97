//! The room that a command is told to use.

use std::process::ExitCode;

use super::{exit, say_error};
use crate::config::Config;
use crate::names::RoomName;

/// The configured room of this name, as it is written or as a token; the first one without a name.
pub fn find(config: &Config, wanted: Option<&str>) -> Option<RoomName> {
    config.rooms.iter().find(|room| wanted.is_none_or(|name| room.is_called(name))).cloned()
}

/// Says that there is no such room.
pub fn unknown() -> ExitCode {
    say_error("--room: no such room in the configuration");
    exit::code(exit::USAGE)
}
