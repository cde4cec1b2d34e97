//! What we ask of the robot.

use serde::Serialize;

use super::base::{Identity, bytes};
use crate::clock::{Moment, iso};
use crate::names::RoomName;

#[derive(Serialize)]
struct Command<'a> {
    command: &'static str,
    args: SayArguments<'a>,
    meta: CommandMeta<'a>,
}

#[derive(Serialize)]
struct SayArguments<'a> {
    message: &'a str,
}

#[derive(Serialize)]
struct CommandMeta<'a> {
    source: &'a str,
    timestamp: String,
    domain: &'a str,
    channel: &'a str,
    request_id: &'a str,
}

/// The request on [`crate::bus::subjects::ROBOT_COMMAND`] to say one line in a room.
pub fn say(identity: &Identity, room: &RoomName, line: &str, request_id: &str, now: Moment) -> Vec<u8> {
    bytes(&Command {
        command: "say",
        args: SayArguments { message: line },
        meta: CommandMeta {
            source: &identity.service,
            timestamp: iso(now.wall),
            domain: room.domain(),
            channel: room.channel(),
            request_id,
        },
    })
}
