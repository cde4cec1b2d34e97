//! Chat as the robot passes it on: envelopes, CyTube's escaping, a room's subjects.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::Utc;
use serde_json::{Value, json};
use uuid::Uuid;

/// A room of a CyTube server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The server's host, e.g. "cytu.be".
    pub domain: String,
    /// The room's name as people write it.
    pub channel: String,
}

impl Room {
    /// A room by its two names.
    pub fn new(domain: &str, channel: &str) -> Room {
        Room { domain: domain.to_owned(), channel: channel.to_owned() }
    }

    /// The subject of one of its events, e.g. "chatmsg". Only plain names are told from it: what
    /// the daemon makes of odd ones is for the story to say.
    pub fn subject(&self, event: &str) -> String {
        let token = self.channel.to_lowercase().replace('.', "").replace(' ', "-");
        format!("kryten.events.cytube.{token}.{event}")
    }

    /// An event of the room with a new correlation id and the time of now.
    pub fn envelope(&self, event: &str, payload: Value) -> Value {
        json!({
            "event_name": event,
            "payload": payload,
            "channel": self.channel,
            "domain": self.domain,
            "timestamp": timestamp(),
            "correlation_id": Uuid::new_v4().to_string(),
        })
    }
}

/// CyTube's payload of a chat line; `html` is the text as CyTube sends it.
pub fn line(user: &str, html: &str) -> Value {
    json!({ "username": user, "msg": html, "meta": {}, "time": next_millisecond() })
}

/// Now, in milliseconds, and later than every line before it: people don't speak twice within a
/// millisecond, and after a robot's return such a line would count as a repetition.
fn next_millisecond() -> i64 {
    static LATEST: AtomicI64 = AtomicI64::new(0);
    let now = Utc::now().timestamp_millis();
    let later = |latest| Some(now.max(latest + 1));
    LATEST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later).map_or(now, |latest| now.max(latest + 1))
}

/// How CyTube escapes what somebody typed.
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '(' => html.push_str("&#40;"),
            ')' => html.push_str("&#41;"),
            other => html.push(other),
        }
    }
    html
}

/// Now, as the group writes it.
pub fn timestamp() -> String {
    Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}
