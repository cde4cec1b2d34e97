//! `channels`: the rooms that the bot is in.

use super::section::Section;
use crate::names::RoomName;

/// What may stand in `channels`, in words.
const ALLOWED: &str = "a list of {domain, channel}, at least one";

/// Reads the rooms. One that stands there twice counts once.
pub(super) fn read(s: &mut Section<'_>) -> Vec<RoomName> {
    let there = s.required("channels", ALLOWED);
    s.never_empty("channels");
    let read = s.list("channels", room).unwrap_or_default();
    if there && s.raw("channels").and_then(|list| list.as_array()).is_some_and(Vec::is_empty) {
        s.problem("channels", "an empty list", ALLOWED, "add a room");
    }
    let mut rooms: Vec<RoomName> = Vec::new();
    for (index, room) in read.into_iter().enumerate() {
        let Some(room) = room else { continue };
        let same = |other: &RoomName| {
            other.token() == room.token() && other.domain().eq_ignore_ascii_case(room.domain())
        };
        if rooms.iter().any(same) {
            let place = format!("channels[{index}]");
            s.reader.warning(&place, "the room stands there already; it counts once");
        } else {
            rooms.push(room);
        }
    }
    rooms
}

fn room(s: &mut Section<'_>) -> Option<RoomName> {
    s.allow_other_keys();
    let domain = s.required_text("domain", "\"cytu.be\"");
    let channel = s.required_text("channel", "\"MovieNight\"");
    if domain.is_empty() || channel.is_empty() {
        return None;
    }
    let room = RoomName::new(&domain, &channel).ok();
    if room.is_none() {
        s.problem("channel", "a text of special characters alone", "a channel's name", "write the name");
    }
    room
}
