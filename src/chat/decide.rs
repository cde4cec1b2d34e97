//! The order of checks, from a message to a decision.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock::Moment;
use crate::config::Config;
use crate::names::{RoomName, Username};
use crate::outcome::Reason;

use super::context::Line;
use super::event::ChatMessage;
use super::plan::{Decision, Detail, Fired, ReplyPlan, Silence, Ticket};
use super::rate_limits::{RateLimits, Request, TriggerLimits};
use super::room::Room;
use super::rules::Rules;
use super::spam::Asked;
use super::spend::Near;
use super::trace::{Trace, Untraced};
use super::triggers::{Found, Trigger, TriggerKind};
use super::{listener, shares};

pub mod changes;
mod operator;

/// Says whether a spend limit is so near that unasked replies stop: one for all, or the user's.
pub type AskSpend<'a> = &'a dyn Fn(Option<&Username>) -> Option<Near>;

/// The one owner of all that decisions hang on.
#[derive(Debug)]
pub struct Decider {
    rules: Arc<Rules>,
    started: Duration,
    limits: RateLimits,
    rooms: HashMap<RoomName, Room>,
    /// The replies under way to somebody, until they are settled: where and to whom.
    open: HashMap<Ticket, (RoomName, Username)>,
    random: StdRng,
    last_ticket: u64,
}

/// What a decision is made of, besides what is remembered.
struct Heard<'a> {
    now: Moment,
    room: &'a RoomName,
    message: &'a ChatMessage,
    rules: &'a Arc<Rules>,
}

impl Heard<'_> {
    fn config(&self) -> &Config {
        self.rules.config()
    }
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

    /// What a message's time tells of our clock, when that is news: it is right, or off and how.
    pub fn judge_clock(
        &mut self,
        now: Moment,
        room: &RoomName,
        message: &ChatMessage,
    ) -> Option<Result<(), String>> {
        let started = our_start(now, self.started);
        let room = self.rooms.entry(room.clone()).or_default();
        let is_in_grace = room.duplicates.is_in_grace(now, &self.rules.config().context);
        room.clock_check.judge(now, started, is_in_grace, message)
    }

    /// What to do about a message.
    pub fn on_chat(
        &mut self,
        now: Moment,
        room: &RoomName,
        message: &ChatMessage,
        spend: AskSpend,
    ) -> Decision {
        self.on_chat_traced(now, room, message, spend, &mut Untraced)
    }

    /// The same, with notes of every check.
    pub fn on_chat_traced(
        &mut self,
        now: Moment,
        room: &RoomName,
        message: &ChatMessage,
        spend: AskSpend,
        trace: &mut impl Trace,
    ) -> Decision {
        let rules = self.rules.clone();
        let heard = Heard { now, room, message, rules: &rules };
        let found = match self.find(&heard, trace) {
            Ok(found) => found,
            Err(silence) => return Decision::Silence(silence),
        };
        let rank = self.room(room).rank_of(message);
        let correlation_id = self.correlation_id(message.correlation_id.as_ref());
        match self.admit(&heard, &found, rank, spend, trace) {
            Ok(ticket) => Decision::Reply(Box::new(self.plan(&heard, ticket, found, rank, correlation_id))),
            Err(Silence { reason, detail, .. }) => {
                let fired = Fired { trigger: found.trigger, message: found.cleaned, rank, correlation_id };
                Decision::Silence(Silence { reason, detail, fired: Some(Box::new(fired)) })
            }
        }
    }

    /// The checks up to what makes us answer, in order; the first that fails names the silence.
    fn find(&mut self, heard: &Heard, trace: &mut impl Trace) -> Result<Found, Silence> {
        let Heard { now, message, rules, .. } = *heard;
        let config = rules.config();
        let room = self.rooms.entry(heard.room.clone()).or_default();

        let dropped = listener::drop_reason(&config.ignored_users, message);
        pass(trace, Reason::Listener, dropped, || format!("{:?}", message.user))?;
        let repeated = room.duplicates.repeated(now, &config.context, message);
        pass(trace, Reason::Duplicate, repeated, || id_in_words(message))?;
        let is_own = room.identity.is_own(now, &rules.names(), &message.user, &message.text);
        room.context.push(config.context.chat_history_size, line(now, message, is_own));
        let our_name = || format!("we are {} here", room.identity.name(&rules.names()));
        pass(trace, Reason::Own, is_own.then_some("we said it"), our_name)?;
        room.loop_guard.heard(now, &config.loop_guard, &message.user);
        let stale = room.duplicates.stale(now, our_start(now, self.started), &config.context, message);
        pass(trace, Reason::Stale, stale, || age(now, message))?;
        let paused = room.pause.is_on(now).then_some("an operator paused the room");
        pass(trace, Reason::Paused, paused, || room.pause.in_words(now))?;

        let random = &mut self.random;
        if let Some(found) = rules.trigger(&message.text, || random.random(), trace) {
            room.participation.fired();
            return Ok(found);
        }
        let joins_in = room.participation.heard(&config.auto_participation, || random.random());
        let silent = (!joins_in).then_some("nothing fired");
        pass(trace, Reason::NoTrigger, silent, || room.participation.in_words(joins_in))?;
        Ok(Found { trigger: Trigger::auto_participation(), cleaned: message.text.clone(), limits: None })
    }

    /// The checks of an answer that something fired for, in order; the first that fails names the
    /// silence. What a reply may use up is reserved then, until it is settled.
    fn admit(
        &mut self,
        heard: &Heard,
        found: &Found,
        rank: f64,
        spend: AskSpend,
        trace: &mut impl Trace,
    ) -> Result<Ticket, Silence> {
        let Heard { now, message, .. } = *heard;
        let config = heard.config();
        let room = self.rooms.entry(heard.room.clone()).or_default();
        let kind = found.trigger.kind;
        let is_mention = kind == TriggerKind::Mention;
        let asked = Asked { user: &message.user, rank, text: &message.text, is_mention };
        let own_limits = found.limits.map(|limits| TriggerLimits { name: &found.trigger.name, limits });
        let request = Request { user: &message.user, rank, kind, trigger: own_limits };
        let spam_bytes = shares::spam_of_a_room(config);

        let is_loop = !room.loop_guard.allows(now, &config.loop_guard);
        let looping = is_loop.then_some("too many answers in a row to one user alone");
        pass(trace, Reason::LoopGuard, looping, || room.loop_guard.in_words(&config.loop_guard))?;
        room.spam
            .check(now, &config.spam_detection, spam_bytes, &asked, trace)
            .map_err(|caught| Silence::new(Reason::Spam, Detail::Spam(caught.rule, caught.remaining)))?;
        self.limits
            .check(now, &config.rate_limits, &request, trace)
            .map_err(|blocked| Silence::new(blocked.reason, Detail::RetryAfter(blocked.retry_after)))?;
        afford(&found.trigger, Some(&message.user), spend, trace)?;

        let ticket = self.ticket();
        self.open.insert(ticket, (heard.room.clone(), message.user.clone()));
        let room = self.rooms.entry(heard.room.clone()).or_default();
        room.loop_guard.reserve(now, &config.loop_guard, ticket);
        room.spam.reserve(now, &config.spam_detection, spam_bytes, &asked, ticket);
        self.limits.reserve(&request, ticket);
        self.limits.tidy(now, &config.rate_limits, shares::rate_limits(config));
        Ok(ticket)
    }

    /// All that the reply needs.
    fn plan(
        &mut self,
        heard: &Heard,
        ticket: Ticket,
        found: Found,
        rank: f64,
        correlation_id: String,
    ) -> ReplyPlan {
        let Heard { now, message, rules, .. } = *heard;
        let config = rules.config();
        let room = self.room(heard.room);
        ReplyPlan {
            room: heard.room.clone(),
            ticket,
            user: Some(message.user.clone()),
            rank,
            message: found.cleaned,
            original: message.text.clone(),
            trigger: found.trigger,
            history: room.history(config, config.context.max_chat_history_in_prompt),
            scene: room.scene(now, config, config.context.video_priority.is_some()),
            previous_title: None,
            correlation_id,
            rules: rules.clone(),
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// The message's own id, else a new one, or an empty one where none is to be made.
    fn correlation_id(&mut self, known: Option<&String>) -> String {
        match known {
            Some(id) => id.clone(),
            None if self.rules.config().error_handling.generate_correlation_ids => {
                uuid::Builder::from_random_bytes(self.random.random()).into_uuid().to_string()
            }
            None => String::new(),
        }
    }

    /// There are as many rooms as are configured.
    fn room(&mut self, name: &RoomName) -> &mut Room {
        self.rooms.entry(name.clone()).or_default()
    }
}

/// Whether an answer that nobody asked for may cost something.
fn afford(
    trigger: &Trigger,
    user: Option<&Username>,
    spend: AskSpend,
    trace: &mut impl Trace,
) -> Result<(), Silence> {
    let near = if trigger.is_asked_for() { None } else { spend(user) };
    trace.note(Reason::SpendSoft, near.is_none(), || match near {
        Some(near) => format!("nobody asked, and {near}"),
        None if trigger.is_asked_for() => "asked for".to_owned(),
        None => "nobody asked, but no limit is near".to_owned(),
    });
    near.map_or(Ok(()), |near| Err(Silence::new(Reason::SpendSoft, Detail::Spend(near))))
}

/// Goes on unless there is a fault; `figures` are what the check looked at.
fn pass(
    trace: &mut impl Trace,
    check: Reason,
    fault: Option<&'static str>,
    figures: impl FnOnce() -> String,
) -> Result<(), Silence> {
    trace.note(check, fault.is_none(), || match fault {
        Some(why) => format!("{why}: {}", figures()),
        None => figures(),
    });
    fault.map_or(Ok(()), |why| Err(Silence::new(check, Detail::Because(why))))
}

fn id_in_words(message: &ChatMessage) -> String {
    message.correlation_id.as_ref().map_or("it has no id".to_owned(), |id| format!("its id is {id}"))
}

/// Where our start is on the wall clock of now, which may have been set since.
fn our_start(now: Moment, started: Duration) -> DateTime<Utc> {
    let up = TimeDelta::from_std(now.elapsed.saturating_sub(started)).unwrap_or(TimeDelta::MAX);
    now.wall.checked_sub_signed(up).unwrap_or_default()
}

fn age(now: Moment, message: &ChatMessage) -> String {
    match message.time() {
        Some(time) => format!("{:.1} s old", (now.wall - time).as_seconds_f64()),
        None => "of unknown age".to_owned(),
    }
}

fn line(now: Moment, message: &ChatMessage, is_own: bool) -> Line {
    Line::new(&message.user, &message.text, message.time().unwrap_or(now.wall), is_own)
}

#[cfg(test)]
mod adopt_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod why_tests;
