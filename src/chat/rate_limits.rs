//! How often the bot speaks: for all, to one user, for one trigger.
//!
//! A reply takes its slot before the provider is asked and holds it as if it were spoken now. When
//! its first line goes out the slot is stamped with that moment, otherwise it is given back. So no
//! slow provider lets more replies into any window than are allowed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::config::RateLimits as Settings;
use crate::names::Username;
use crate::outcome::Reason;

use self::replies::Replies;
use super::plan::Ticket;
use super::trace::Trace;
use super::triggers::{OwnLimits, TriggerKind};

mod in_use;
mod replies;
mod usage;

pub use in_use::InUse;
pub use usage::Usage;

/// From this rank on a user is an admin.
pub const ADMIN_RANK: f64 = 3.0;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// After so many replies, users who no longer matter are forgotten.
const REPLIES_BETWEEN_SWEEPS: usize = 256;

/// Who wants a reply, and why.
#[derive(Debug, Clone, Copy)]
pub struct Request<'message> {
    /// Who asks.
    pub user: &'message Username,
    /// The user's rank; may be a fraction.
    pub rank: f64,
    /// What kind of trigger fired.
    pub kind: TriggerKind,
    /// The limits of the trigger itself, where it has some.
    pub trigger: Option<TriggerLimits<'message>>,
}

/// The limits of one trigger word, for all users together.
#[derive(Debug, Clone, Copy)]
pub struct TriggerLimits<'config> {
    /// The trigger's name.
    pub name: &'config Arc<str>,
    /// How often it may make the bot speak.
    pub limits: OwnLimits,
}

/// The first limit that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// Its name.
    pub reason: Reason,
    /// After how many seconds it won't hold any more, if nothing else is said; at least 1. (A
    /// maximum of 0 always holds.)
    pub retry_after: u64,
}

/// The limits of the whole service.
#[derive(Debug, Default)]
pub struct RateLimits {
    all: Replies,
    mentions: Replies,
    users: HashMap<Username, Replies>,
    triggers: HashMap<Arc<str>, Replies>,
    open: HashMap<Ticket, Slot>,
    replies_since_sweep: usize,
}

/// Where a reply under way is counted.
#[derive(Debug)]
struct Slot {
    user: Username,
    is_mention: bool,
    trigger: Option<Arc<str>>,
}

impl RateLimits {
    /// Says whether a reply may be made now.
    ///
    /// # Errors
    /// The first limit that holds.
    pub fn check(
        &self,
        now: Moment,
        settings: &Settings,
        request: &Request,
        trace: &mut impl Trace,
    ) -> Result<(), Blocked> {
        let scale = Scale::of(settings, request.rank);
        let none = Replies::default();
        let user = self.users.get(request.user).unwrap_or(&none);
        let check = LimitCheck { now, scale: &scale };

        check.most(trace, &self.all, MINUTE, settings.global_max_per_minute, Reason::GlobalMinute)?;
        check.most(trace, &self.all, HOUR, settings.global_max_per_hour, Reason::GlobalHour)?;
        check.apart(trace, &self.all, settings.global_cooldown, Reason::GlobalCooldown)?;
        check.most(trace, user, HOUR, settings.user_max_per_hour, Reason::UserHour)?;
        check.apart(trace, user, settings.user_cooldown, Reason::UserCooldown)?;
        if request.kind == TriggerKind::Mention {
            check.apart(trace, &self.mentions, settings.mention_cooldown, Reason::MentionCooldown)?;
        }
        if let Some(TriggerLimits { name, limits }) = request.trigger {
            let trigger = self.triggers.get(name).unwrap_or(&none);
            check.most(trace, trigger, HOUR, limits.max_per_hour, Reason::TriggerHour)?;
            check.apart(trace, trigger, limits.cooldown, Reason::TriggerCooldown)?;
        }
        Ok(())
    }

    /// Takes a slot for a reply that [`Self::check`] has allowed.
    pub fn reserve(&mut self, request: &Request, ticket: Ticket) {
        let slot = Slot {
            user: request.user.clone(),
            is_mention: request.kind == TriggerKind::Mention,
            trigger: request.trigger.map(|trigger| trigger.name.clone()),
        };
        for (replies, _) in self.counting(&slot) {
            replies.open();
        }
        self.open.insert(ticket, slot);
    }

    /// Stamps a reply's slot with the moment at which its first line went out, or gives it back.
    pub fn settle(&mut self, ticket: Ticket, spoken: Option<Moment>) {
        let Some(slot) = self.open.remove(&ticket) else { return };
        let spoken = spoken.map(|moment| moment.elapsed);
        for (replies, kept) in self.counting(&slot) {
            replies.close(spoken, kept);
        }
    }

    /// Every count that a slot is part of, and how far back it has to remember: mentions have nothing
    /// but a cooldown, for which the last one is enough.
    fn counting(&mut self, slot: &Slot) -> impl Iterator<Item = (&mut Replies, Duration)> {
        let user = self.users.entry(slot.user.clone()).or_default();
        let trigger = slot.trigger.as_ref().map(|name| self.triggers.entry(name.clone()).or_default());
        let mentions = slot.is_mention.then_some((&mut self.mentions, Duration::ZERO));
        [Some((&mut self.all, HOUR)), Some((user, HOUR)), mentions, trigger.map(|trigger| (trigger, HOUR))]
            .into_iter()
            .flatten()
    }

    /// Forgets users who no longer matter, from time to time; and those whose last reply is longest
    /// ago, while all together take more than so many bytes.
    pub fn tidy(&mut self, now: Moment, settings: &Settings, max_bytes: usize) {
        self.replies_since_sweep += 1;
        if self.replies_since_sweep < REPLIES_BETWEEN_SWEEPS {
            return;
        }
        self.replies_since_sweep = 0;
        let matters = HOUR.max(settings.user_cooldown);
        self.users.retain(|_, replies| replies.matters(now, matters));
        let mut bytes: usize = self.users.iter().map(|(name, replies)| entry_bytes(name, replies)).sum();
        if bytes <= max_bytes {
            return;
        }
        let mut by_age: Vec<(Duration, Username)> = self
            .users
            .iter()
            .filter_map(|(name, replies)| Some((replies.settled_since()?, name.clone())))
            .collect();
        by_age.sort_by_key(|(since, _)| *since);
        for (_, name) in by_age {
            if bytes <= max_bytes {
                break;
            }
            if let Some(replies) = self.users.remove(&name) {
                bytes -= entry_bytes(&name, &replies);
            }
        }
    }
}

fn entry_bytes(name: &Username, replies: &Replies) -> usize {
    size_of::<(Username, Replies)>() + 2 * (name.as_str().len() + 16) + replies.heap_bytes()
}

/// Checks a user's limits at a moment.
struct LimitCheck<'user> {
    now: Moment,
    scale: &'user Scale,
}

impl LimitCheck<'_> {
    /// At most so many replies in a window.
    fn most(
        &self,
        trace: &mut impl Trace,
        replies: &Replies,
        window: Duration,
        most: u32,
        reason: Reason,
    ) -> Result<(), Blocked> {
        let most = self.scale.limit(most);
        let blocked = blocked(reason, replies.wait_for_room(self.now, window, most));
        trace.note(reason, blocked.is_ok(), || {
            let count = replies.count(self.now, window);
            format!("{count} of at most {most} replies in {} s", window.as_secs())
        });
        blocked
    }

    /// So long between two replies.
    fn apart(
        &self,
        trace: &mut impl Trace,
        replies: &Replies,
        cooldown: Duration,
        reason: Reason,
    ) -> Result<(), Blocked> {
        let cooldown = self.scale.cooldown(cooldown);
        let wait = replies.wait_for_cooldown(self.now, cooldown);
        let blocked = blocked(reason, wait);
        trace.note(reason, blocked.is_ok(), || {
            let wait = wait.unwrap_or_default().as_secs_f64();
            format!("{} s between two replies, {wait:.1} s to wait", cooldown.as_secs())
        });
        blocked
    }
}

fn blocked(reason: Reason, wait: Option<Duration>) -> Result<(), Blocked> {
    match wait {
        None => Ok(()),
        Some(wait) => {
            let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Err(Blocked { reason, retry_after: whole.max(1) })
        }
    }
}

/// What the limits are multiplied by for a user.
struct Scale {
    limit: f64,
    cooldown: f64,
}

impl Scale {
    fn of(settings: &Settings, rank: f64) -> Self {
        if rank >= ADMIN_RANK {
            Self { limit: settings.admin_limit_multiplier, cooldown: settings.admin_cooldown_multiplier }
        } else {
            Self { limit: 1.0, cooldown: 1.0 }
        }
    }

    /// Truncated to a whole number.
    fn limit(&self, most: u32) -> u32 {
        (f64::from(most) * self.limit) as u32
    }

    /// Truncated to whole seconds.
    fn cooldown(&self, cooldown: Duration) -> Duration {
        Duration::from_secs((cooldown.as_secs() as f64 * self.cooldown) as u64)
    }
}

#[cfg(test)]
mod tests;
