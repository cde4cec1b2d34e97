//! Messages that come again, and messages that come too late.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Moment;
use crate::config::Context as Settings;

use super::event::ChatMessage;

/// How many messages are compared by user, text and time.
const RECENT: usize = 20;
/// How long the same text of a user counts as the same message when no time tells them apart.
const WITHOUT_TIME: Duration = Duration::from_secs(2);
/// How much older than our start a message may look.
const BEFORE_START: TimeDelta = TimeDelta::seconds(1);
/// The oldest message that is answered.
const STALE: TimeDelta = TimeDelta::seconds(60);
/// The same, while a robot that came back hands on what it missed.
const STALE_IN_GRACE: TimeDelta = TimeDelta::seconds(90);

/// How far ahead of our clock a time may be and still tell what is new.
const AHEAD: TimeDelta = TimeDelta::seconds(60);

/// What a room has heard lately, as far as repetitions are told by it. Ids and texts are kept as
/// hashes, so that their length costs nothing.
#[derive(Debug, Default)]
pub struct Duplicates {
    ids: VecDeque<u64>,
    known_ids: HashSet<u64>,
    recent: VecDeque<Recent>,
    newest: Option<DateTime<Utc>>,
    grace: Option<Grace>,
}

#[derive(Debug)]
struct Recent {
    user_and_text: u64,
    posted: Option<DateTime<Utc>>,
    arrived: Duration,
}

/// The time after the robot's CyTube side came back, in which it may repeat old messages.
#[derive(Debug)]
struct Grace {
    until: Duration,
    newest_before: Option<DateTime<Utc>>,
}

impl Duplicates {
    /// The robot of this room is back in CyTube.
    pub fn reconnected(&mut self, now: Moment, settings: &Settings) {
        if settings.enable_enhanced_deduplication {
            let until = now.elapsed + settings.reconnection_grace_period;
            self.grace = Some(Grace { until, newest_before: self.newest });
        }
    }

    /// By what a message is known to have been here before, if it was; remembers it.
    pub fn repeated(
        &mut self,
        now: Moment,
        settings: &Settings,
        message: &ChatMessage,
    ) -> Option<&'static str> {
        let time = message.time();
        let is_known = settings.enable_enhanced_deduplication && self.knows_id(settings, message);
        let is_recent = self.is_recent(now, message);
        let is_replayed = self
            .grace(now, settings)
            .and_then(|grace| grace.newest_before)
            .is_some_and(|newest| time.is_some_and(|time| time <= newest));
        // CyTube's clock may be a little ahead of ours; one that is far ahead must not make
        // everything behind it look old.
        let plausible = |time| if time - now.wall <= AHEAD { time } else { now.wall };
        self.newest = self.newest.max(time.map(plausible));
        if is_known {
            Some("its id was here before")
        } else if is_recent {
            Some("the same user, words and time were here before")
        } else if is_replayed {
            Some("the robot tells again what was said before it came back")
        } else {
            None
        }
    }

    /// Whether the robot came back a short while ago.
    pub fn is_in_grace(&self, now: Moment, settings: &Settings) -> bool {
        self.grace(now, settings).is_some()
    }

    /// Why a message is too old to be answered, if it is: from before our start, or late on arrival.
    pub fn stale(
        &self,
        now: Moment,
        started: DateTime<Utc>,
        settings: &Settings,
        message: &ChatMessage,
    ) -> Option<&'static str> {
        let time = message.time()?;
        let oldest = if self.is_in_grace(now, settings) { STALE_IN_GRACE } else { STALE };
        if is_from_before(started, message) {
            Some("said before our start")
        } else if now.wall - time > oldest {
            Some("too late on arrival")
        } else {
            None
        }
    }

    fn grace(&self, now: Moment, settings: &Settings) -> Option<&Grace> {
        self.grace
            .as_ref()
            .filter(|grace| settings.enable_enhanced_deduplication && now.elapsed < grace.until)
    }

    fn knows_id(&mut self, settings: &Settings, message: &ChatMessage) -> bool {
        let Some(id) = &message.correlation_id else { return false };
        let id = hash(id);
        if !self.known_ids.insert(id) {
            return true;
        }
        self.ids.push_back(id);
        while self.ids.len() > settings.correlation_id_cache_size
            && let Some(oldest) = self.ids.pop_front()
        {
            self.known_ids.remove(&oldest);
        }
        false
    }

    fn is_recent(&mut self, now: Moment, message: &ChatMessage) -> bool {
        let recent = Recent {
            user_and_text: hash(&(message.user.folded(), &message.text)),
            posted: message.posted,
            arrived: now.elapsed,
        };
        if self.recent.iter().any(|known| known.is_same(&recent)) {
            return true;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(recent);
        false
    }
}

impl Recent {
    fn is_same(&self, later: &Self) -> bool {
        self.user_and_text == later.user_and_text
            && match (self.posted, later.posted) {
                (Some(posted), Some(again)) => posted == again,
                _ => later.arrived.saturating_sub(self.arrived) <= WITHOUT_TIME,
            }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Whether a message was said before we started, so that it may have been answered then.
pub fn is_from_before(started: DateTime<Utc>, message: &ChatMessage) -> bool {
    message.time().is_some_and(|time| started - time > BEFORE_START)
}

#[cfg(test)]
mod tests;
