//! Shared by the tests of this folder.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::decide::Decider;
use super::event::ChatMessage;
use super::event::change::{Media, Progress};
use super::plan::{Decision, ReplyPlan};
use super::rules::Rules;
use crate::clock::Moment;
use crate::config;
use crate::names::{RoomName, Username};
use crate::outcome::Reason;

/// The wall clock when the tests' service starts.
pub fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

/// A moment so many seconds after the start.
pub fn at(seconds: f64) -> Moment {
    let elapsed = Duration::from_secs_f64(seconds);
    Moment { elapsed, wall: start() + TimeDelta::from_std(elapsed).expect("a time span") }
}

/// A message that was said and arrives at a moment.
pub fn message(now: Moment, user: &str, text: &str) -> ChatMessage {
    ChatMessage {
        user: Username::new(user),
        text: text.to_owned(),
        posted: Some(now.wall),
        relayed: None,
        correlation_id: None,
        rank: None,
        is_shadow_muted: false,
    }
}

/// Something that plays, so many seconds long.
pub fn media(title: &str, seconds: u64) -> Media {
    Media {
        title: title.to_owned(),
        duration: Duration::from_secs(seconds),
        kind: "yt".to_owned(),
        id: format!("id of {title}"),
        uid: None,
        queued_by: None,
        progress: Progress { position: 0.0, is_paused: false },
    }
}

/// The rules of a configuration for a bot named Vera; `over` is merged into it.
pub fn rules(over: Value) -> Arc<Rules> {
    let mut base = serde_json::json!({"personality": {"character_name": "Vera", "name_variations": []}});
    merge(&mut base, over);
    Rules::new(Arc::new(config::testing::config(base)))
}

/// Merges objects member by member.
pub fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// A decider with one room.
pub struct OneRoom {
    pub decider: Decider,
    pub room: RoomName,
}

impl OneRoom {
    pub fn new(over: Value) -> Self {
        let room = RoomName::new("cytu.be", "MovieNight").expect("a name");
        Self { decider: Decider::new(rules(over), at(0.0), 1), room }
    }

    pub fn hears(&mut self, now: Moment, message: &ChatMessage) -> Decision {
        self.decider.on_chat(now, &self.room, message, &|_| None)
    }

    /// The silence that a line leads to.
    pub fn silence(&mut self, seconds: f64, user: &str, text: &str) -> Option<Reason> {
        let now = at(seconds);
        match self.hears(now, &message(now, user, text)) {
            Decision::Silence(silence) => Some(silence.reason),
            Decision::Reply(_) => None,
        }
    }

    /// The reply that a line leads to.
    pub fn reply(&mut self, seconds: f64, user: &str, text: &str) -> Box<ReplyPlan> {
        let now = at(seconds);
        match self.hears(now, &message(now, user, text)) {
            Decision::Reply(plan) => plan,
            Decision::Silence(silence) => panic!("{user}: {text}: {silence:?}"),
        }
    }

    /// Lets a line be answered at once.
    pub fn answers(&mut self, seconds: f64, user: &str, text: &str) {
        let ticket = self.reply(seconds, user, text).ticket;
        self.decider.settle(ticket, Some(at(seconds)));
    }
}
