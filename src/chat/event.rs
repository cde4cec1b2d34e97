//! Chat events: from the bytes on the bus to a typed value, once.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;

use super::html;
use crate::names::Username;

pub mod change;
mod wire;

use change::RoomChange;

/// The longest correlation id of others that we carry on; they go into headers.
const CORRELATION_ID_BYTES: usize = 128;
/// The kind of an event that says that somebody said something.
const CHAT: &str = "chatmsg";
/// The most characters kept of a user's name; CyTube's longest has 20.
const NAME_CHARACTERS: usize = 100;

/// One event of a room.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomEvent {
    /// The domain in the envelope, if any; it decides when several rooms share a token.
    pub domain: Option<String>,
    /// What happened.
    pub event: ChatEvent,
}

/// What may happen in a room.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatEvent {
    /// Somebody said something.
    Chat(ChatMessage),
    /// Something else plays, or somebody came or went.
    Room(RoomChange),
    /// An event that no decision hangs on.
    Other,
}

/// A line of chat as a person would read it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatMessage {
    /// Who said it; empty when the event names nobody.
    pub user: Username,
    /// The readable text: no tags, entities decoded, white space collapsed.
    pub text: String,
    /// When it was said, by CyTube's clock; `None` when the event doesn't say or says nonsense.
    pub posted: Option<DateTime<Utc>>,
    /// When it was put on the bus, by the envelope; `None` when that doesn't say.
    pub relayed: Option<DateTime<Utc>>,
    /// The id that came with it, when it is fit for a header.
    pub correlation_id: Option<String>,
    /// The user's rank where the event has one; may be a fraction.
    pub rank: Option<f64>,
    /// Whether only moderators can see it.
    pub is_shadow_muted: bool,
}

impl ChatMessage {
    /// When it was said, as well as we know: CyTube's time, else the envelope's.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        self.posted.or(self.relayed)
    }
}

/// Why an event could not be taken. The kinds are few, so that they can label a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Malformed {
    /// The bytes are not a JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// The envelope has no `payload`.
    #[error("no payload in the envelope")]
    MissingPayload,
    /// The payload is not a JSON object.
    #[error("the payload is not a JSON object")]
    PayloadNotAnObject,
}

impl Malformed {
    /// The kind as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::MissingPayload => "missing_payload",
            Self::PayloadNotAnObject => "payload_not_an_object",
        }
    }
}

/// The kind of an event as one of the few that we read; `None` for any other.
pub fn known_kind(kind: &str) -> Option<&'static str> {
    if kind == CHAT { Some(CHAT) } else { change::known_kind(kind) }
}

/// Reads an event. `kind` is the last token of its subject, in lower case.
///
/// Fields of a wrong type count as absent; only what has no payload at all is malformed.
///
/// # Errors
/// When the bytes are no envelope with a payload.
pub fn parse(kind: &str, bytes: &[u8]) -> Result<RoomEvent, Malformed> {
    if change::known_kind(kind).is_some() {
        return parse_change(kind, bytes);
    }
    let envelope: wire::Lenient<wire::Envelope> =
        serde_json::from_slice(bytes).map_err(|_| Malformed::NotAnObject)?;
    let envelope = envelope.0.ok_or(Malformed::NotAnObject)?;
    let payload = envelope.payload.ok_or(Malformed::MissingPayload)?.ok_or(Malformed::PayloadNotAnObject)?;
    let domain = envelope.domain.map(Cow::into_owned);
    let event = match kind {
        CHAT => ChatEvent::Chat(ChatMessage {
            user: username(payload.user_name.or(payload.username).as_deref().unwrap_or_default()),
            text: payload
                .msg
                .or(payload.message)
                .map(|text| html::readable(&text).into_owned())
                .unwrap_or_default(),
            posted: payload.time.and_then(time_from_milliseconds),
            relayed: envelope.timestamp.as_deref().and_then(time_from_iso),
            correlation_id: envelope.correlation_id.filter(|id| is_fit_for_a_header(id)).map(Cow::into_owned),
            rank: payload.user_rank.or(payload.rank).or(payload.meta_rank),
            is_shadow_muted: payload.is_shadow_muted,
        }),
        _ => ChatEvent::Other,
    };
    Ok(RoomEvent { domain, event })
}

/// The payload of a change in a room is an object, or, of `userlist`, a list.
fn parse_change(kind: &str, bytes: &[u8]) -> Result<RoomEvent, Malformed> {
    let envelope: Value = serde_json::from_slice(bytes).map_err(|_| Malformed::NotAnObject)?;
    let envelope = envelope.as_object().ok_or(Malformed::NotAnObject)?;
    let payload = envelope.get("payload").ok_or(Malformed::MissingPayload)?;
    if !payload.is_object() && !payload.is_array() {
        return Err(Malformed::PayloadNotAnObject);
    }
    let domain = envelope.get("domain").and_then(Value::as_str).map(str::to_owned);
    let event = change::read(kind, payload).map_or(ChatEvent::Other, ChatEvent::Room);
    Ok(RoomEvent { domain, event })
}

/// A name as it is compared and kept; an absurdly long one is cut.
fn username(name: &str) -> Username {
    let name = name.trim();
    let end = name.char_indices().nth(NAME_CHARACTERS).map_or(name.len(), |(at, _)| at);
    Username::new(&name[..end])
}

/// A time in milliseconds since the epoch; zero, negative and absurd ones are none.
fn time_from_milliseconds(milliseconds: f64) -> Option<DateTime<Utc>> {
    // The cast saturates; what is out of the calendar's range is refused behind it.
    if milliseconds >= 1.0 { DateTime::from_timestamp_millis(milliseconds as i64) } else { None }
}

/// A time as ISO 8601; without an offset it is taken as UTC.
fn time_from_iso(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc()))
        .ok()
}

/// An id goes on into headers, logs and others' records, so a strange one counts as absent.
fn is_fit_for_a_header(id: &str) -> bool {
    !id.is_empty() && id.len() <= CORRELATION_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
