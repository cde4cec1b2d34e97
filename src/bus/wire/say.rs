//! What is said in a room: by us through the robot, and by others as the robot passes it on.

use serde::Serialize;
use serde_json::json;

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

/// A chat line as the robot passes it on, on a room's `chatmsg`. `typed` is what the user typed;
/// CyTube escapes it.
pub fn chat_line(
    room: &RoomName,
    user: &str,
    rank: Option<f64>,
    typed: &str,
    correlation_id: &str,
    now: Moment,
) -> Vec<u8> {
    let html = html_escape::encode_safe(typed);
    let mut payload = json!({"username": user, "msg": html, "meta": {}, "time": now.wall.timestamp_millis()});
    if let Some(rank) = rank {
        payload["rank"] = json!(rank);
    }
    bytes(&json!({
        "event_name": "chatmsg",
        "payload": payload,
        "channel": room.channel(),
        "domain": room.domain(),
        "timestamp": iso(now.wall),
        "correlation_id": correlation_id,
    }))
}
