//! The order of checks, from a message to a decision.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock::Moment;
use crate::names::{RoomName, Username};
use crate::outcome::Reason;

use super::context::Line;
use super::event::ChatMessage;
use super::listener;
use super::plan::{Decision, ReplyPlan, Ticket};
use super::rate_limits::{RateLimits, Request, TriggerLimits};
use super::room::Room;
use super::rules::Rules;
use super::spam::Asked;
use super::triggers::{Found, TriggerKind};

/// Which part of `limits.users_bytes` the rate limits may take.
const LIMITS_SHARE: usize = 4;
/// Which part of it the spam detection of all rooms may take.
const SPAM_SHARE: usize = 2;

/// The one owner of all that decisions hang on.
#[derive(Debug)]
pub struct Decider {
    rules: Arc<Rules>,
    started: Duration,
    limits: RateLimits,
    rooms: HashMap<RoomName, Room>,
    /// The replies under way, until they are settled: where and to whom.
    open: HashMap<Ticket, (RoomName, Username)>,
    random: StdRng,
    last_ticket: u64,
}

impl Decider {
    /// A decider that knows nothing yet. `seed` decides every chance that it takes.
    pub fn new(rules: Arc<Rules>, now: Moment, seed: u64) -> Self {
        Self {
            rules,
            started: now.elapsed,
            limits: RateLimits::default(),
            rooms: HashMap::new(),
            open: HashMap::new(),
            random: StdRng::seed_from_u64(seed),
            last_ticket: 0,
        }
    }

    /// Decides by other rules from now on; what is remembered stays.
    pub fn adopt(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
    }

    /// What to do about a message.
    pub fn on_chat(&mut self, now: Moment, room: &RoomName, message: &ChatMessage) -> Decision {
        match self.decide(now, room, message) {
            Ok(plan) => Decision::Reply(Box::new(plan)),
            Err(reason) => Decision::Ignore(reason),
        }
    }

    /// The checks, in order; the first that fails names the silence.
    fn decide(
        &mut self,
        now: Moment,
        room_name: &RoomName,
        message: &ChatMessage,
    ) -> Result<ReplyPlan, Reason> {
        let rules = self.rules.clone();
        let config = rules.config();
        let spam_bytes = config.limits.users_bytes / SPAM_SHARE / config.rooms.len().max(1);
        let room = self.rooms.entry(room_name.clone()).or_default();

        pass(listener::drop_reason(&config.ignored_users, message).is_none(), Reason::Listener)?;
        pass(!room.duplicates.is_duplicate(now, &config.context, message), Reason::Duplicate)?;
        let is_own = room.identity.is_own(now, &rules.names(), &message.user, &message.text);
        room.context.push(config.context.chat_history_size, line(now, message, is_own));
        pass(!is_own, Reason::Own)?;
        room.loop_guard.heard(now, &config.loop_guard, &message.user);
        // Where our start is on the wall clock of now, which may have been set since.
        let up = TimeDelta::from_std(now.elapsed.saturating_sub(self.started)).unwrap_or(TimeDelta::MAX);
        let started = now.wall.checked_sub_signed(up).unwrap_or_default();
        pass(!room.duplicates.is_stale(now, started, &config.context, message), Reason::Stale)?;
        let found = rules.trigger(&message.text, || self.random.random()).ok_or(Reason::NoTrigger)?;
        pass(room.loop_guard.allows(now, &config.loop_guard), Reason::LoopGuard)?;
        let asked = asked(message, &found);
        room.spam.check(now, &config.spam_detection, spam_bytes, &asked).map_err(|_| Reason::Spam)?;
        let request = request(message, &found);
        self.limits.check(now, &config.rate_limits, &request).map_err(|blocked| blocked.reason)?;

        // From here on nothing refuses: what a reply may use up is reserved, until it is settled.
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        room.loop_guard.reserve(now, &config.loop_guard, ticket);
        room.spam.reserve(now, &config.spam_detection, spam_bytes, &asked, ticket);
        self.limits.reserve(&request, ticket);
        self.limits.tidy(now, &config.rate_limits, config.limits.users_bytes / LIMITS_SHARE);
        self.open.insert(ticket, (room_name.clone(), message.user.clone()));
        let history = match config.context.chat_history_priority {
            Some(_) => room.context.last(config.context.max_chat_history_in_prompt),
            None => Vec::new(),
        };
        Ok(ReplyPlan {
            room: room_name.clone(),
            ticket,
            user: message.user.clone(),
            message: found.cleaned,
            original: message.text.clone(),
            trigger: found.trigger,
            history,
            correlation_id: self.correlation_id(message),
            rules,
        })
    }

    /// The message's own id, else a new one.
    fn correlation_id(&mut self, message: &ChatMessage) -> String {
        message
            .correlation_id
            .clone()
            .unwrap_or_else(|| uuid::Builder::from_random_bytes(self.random.random()).into_uuid().to_string())
    }

    /// Takes the end of a reply: what was reserved for it counts from when its first line went out
    /// (also when that is in doubt), or is given back when `spoken` is `None`. To be called exactly
    /// once for each plan.
    pub fn settle(&mut self, ticket: Ticket, spoken: Option<Moment>) {
        self.limits.settle(ticket, spoken);
        let Some((room, user)) = self.open.remove(&ticket) else { return };
        if spoken.is_none()
            && let Some(room) = self.rooms.get_mut(&room)
        {
            room.loop_guard.give_back(ticket);
            room.spam.give_back(&user, ticket);
        }
    }

    /// Takes what was sent to a room.
    pub fn sent_text(&mut self, now: Moment, room: &RoomName, text: &str) {
        self.room(room).identity.sent(now, text);
    }

    /// Takes the robot's answer to who we are in a room.
    pub fn own_name(&mut self, room: &RoomName, name: Option<Username>) {
        self.room(room).identity.told(name);
    }

    /// The robot of a room is back in CyTube: for a while it may repeat what was said before.
    pub fn robot_reconnected(&mut self, now: Moment, room: &RoomName) {
        let rules = self.rules.clone();
        self.room(room).duplicates.reconnected(now, &rules.config().context);
    }

    /// There are as many rooms as are configured.
    fn room(&mut self, name: &RoomName) -> &mut Room {
        self.rooms.entry(name.clone()).or_default()
    }
}

fn pass(holds: bool, reason: Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(reason) }
}

fn rank(message: &ChatMessage) -> f64 {
    message.rank.unwrap_or(0.0)
}

fn asked<'message>(message: &'message ChatMessage, found: &Found) -> Asked<'message> {
    let is_mention = found.trigger.kind == TriggerKind::Mention;
    Asked { user: &message.user, rank: rank(message), text: &message.text, is_mention }
}

fn request<'message>(message: &'message ChatMessage, found: &'message Found) -> Request<'message> {
    let trigger = found.limits.map(|limits| TriggerLimits { name: &found.trigger.name, limits });
    Request { user: &message.user, rank: rank(message), kind: found.trigger.kind, trigger }
}

fn line(now: Moment, message: &ChatMessage, is_own: bool) -> Line {
    Line::new(&message.user, &message.text, message.time().unwrap_or(now.wall), is_own)
}

#[cfg(test)]
mod tests;
