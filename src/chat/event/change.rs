//! What changes in a room besides its chat: what plays, and who is there.
//!
//! These events are few, so they are read by way of [`Value`]; the same goes for what the robot has
//! written down of a room. Fields of a wrong type count as absent.

use std::time::Duration;

use serde_json::Value;

use super::username;
use crate::chat::html::collapse;
use crate::names::Username;

/// The most characters kept of a title; the longest that the configuration lets a prompt hold.
const TITLE_CHARACTERS: usize = 500;
/// The most characters kept of a medium's type and id.
const ID_CHARACTERS: usize = 100;
/// The longest medium that is believed, in seconds: some 136 years.
const LONGEST: f64 = u32::MAX as f64;

/// A change in a room.
#[derive(Debug, Clone, PartialEq)]
pub enum RoomChange {
    /// Something else plays.
    Media(Media),
    /// How far it is.
    Progress(Progress),
    /// Who is there, all of them.
    Users(Vec<Visitor>),
    /// Somebody came.
    Joined(Visitor),
    /// Somebody went.
    Left(Username),
    /// Somebody has another rank.
    Ranked(Username, f64),
    /// Somebody is away from the keyboard, or back.
    Away(Username, bool),
}

/// A film, a song, a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// Its title; never empty, at most 500 characters.
    pub title: String,
    /// How long it is, in whole seconds; zero for a stream.
    pub duration: Duration,
    /// Where it comes from, as CyTube calls it ("yt", "fi", …); may be empty.
    pub kind: String,
    /// Its id there; may be empty.
    pub id: String,
    /// Its place in the playlist, where the event says so.
    pub uid: Option<u64>,
    /// Who put it into the playlist, where the event says so.
    pub queued_by: Option<String>,
    /// How far it is.
    pub progress: Progress,
}

/// How far something has played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// In seconds; below zero while CyTube counts down to the start.
    pub position: f64,
    /// Whether it stands still.
    pub is_paused: bool,
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq)]
pub struct Visitor {
    /// Under which name; never empty.
    pub user: Username,
    /// The rank; may be a fraction.
    pub rank: f64,
    /// Whether they are away from the keyboard.
    pub is_away: bool,
}

/// The kinds of events that say something about a room.
const KINDS: [&str; 7] =
    ["changemedia", "mediaupdate", "userlist", "adduser", "userleave", "setuserrank", "setafk"];

/// The kind of an event that says something about a room; `None` for any other.
pub fn known_kind(kind: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|known| *known == kind)
}

/// Reads the payload of such an event; `None` when it lacks what it is about.
pub fn read(kind: &str, payload: &Value) -> Option<RoomChange> {
    Some(match kind {
        "changemedia" => RoomChange::Media(media(payload)?),
        "mediaupdate" => RoomChange::Progress(Progress {
            position: number(payload.get("currentTime"))?,
            is_paused: is_true(payload.get("paused")),
        }),
        "userlist" => RoomChange::Users(visitors(payload)?),
        "adduser" => RoomChange::Joined(visitor(payload)?),
        "userleave" => RoomChange::Left(name(payload)?),
        "setuserrank" => RoomChange::Ranked(name(payload)?, number(payload.get("rank"))?),
        "setafk" => RoomChange::Away(name(payload)?, payload.get("afk")?.as_bool()?),
        _ => return None,
    })
}

/// What plays; `None` without a title.
pub fn media(value: &Value) -> Option<Media> {
    let title = text(value.get("title"), TITLE_CHARACTERS);
    (!title.is_empty()).then(|| Media {
        title,
        duration: seconds(value.get("seconds")),
        kind: text(value.get("type"), ID_CHARACTERS),
        id: text(value.get("id"), ID_CHARACTERS),
        uid: value.get("uid").and_then(Value::as_u64),
        queued_by: queued_by(value),
        progress: Progress {
            position: number(value.get("currentTime")).unwrap_or_default(),
            is_paused: is_true(value.get("paused")),
        },
    })
}

/// An item of a playlist; `None` without a title.
pub fn playlist_item(item: &Value) -> Option<Media> {
    let media = media(item.get("media")?)?;
    let uid = item.get("uid").and_then(Value::as_u64);
    Some(Media { uid, queued_by: queued_by(item), ..media })
}

/// The people of a room; `None` when it is no list.
fn visitors(value: &Value) -> Option<Vec<Visitor>> {
    Some(value.as_array()?.iter().filter_map(visitor).collect())
}

/// Somebody in a room; `None` without a name.
pub fn visitor(value: &Value) -> Option<Visitor> {
    Some(Visitor {
        user: name(value)?,
        rank: number(value.get("rank")).unwrap_or_default(),
        is_away: is_true(value.pointer("/meta/afk")),
    })
}

fn name(value: &Value) -> Option<Username> {
    let user = username(value.get("name")?.as_str()?);
    (!user.as_str().is_empty()).then_some(user)
}

fn queued_by(value: &Value) -> Option<String> {
    let user = username(value.get("queueby")?.as_str()?);
    (!user.as_str().is_empty()).then(|| user.as_str().to_owned())
}

/// A text on one line, up to so many characters; empty when there is none.
fn text(value: Option<&Value>, characters: usize) -> String {
    let text = collapse(value.and_then(Value::as_str).unwrap_or_default());
    text.chars().take(characters).collect()
}

fn number(value: Option<&Value>) -> Option<f64> {
    value?.as_f64().filter(|number| number.is_finite())
}

fn seconds(value: Option<&Value>) -> Duration {
    Duration::from_secs(number(value).unwrap_or_default().clamp(0.0, LONGEST) as u64)
}

fn is_true(value: Option<&Value>) -> bool {
    value.and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests;
