//! How far each limit is used up, for whoever is no admin, and when it frees a slot.

use std::sync::Arc;
use std::time::Duration;

use super::{HOUR, MINUTE, RateLimits, Replies};
use crate::chat::triggers::OwnLimits;
use crate::clock::Moment;
use crate::config::RateLimits as Settings;
use crate::outcome::Reason;

/// A limit and how far it is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// The name that its being exceeded has.
    pub limit: Reason,
    /// Whose it is, where each trigger has one.
    pub trigger: Option<Arc<str>>,
    /// How many users it holds back now, where each user has one. Who they are is not said.
    pub users: Option<usize>,
    /// The slots that are taken, replies under way included; 1 while a cooldown lasts.
    pub used: usize,
    /// The slots that there are; 1 for a cooldown.
    pub max: u32,
    /// How long until a slot is free again, if nothing else is said: when all are taken until a reply
    /// can be made, else until one less is taken. None when none is taken, or when it is never free.
    pub frees_in: Option<Duration>,
}

impl RateLimits {
    /// The limits of all, of users together, and of these triggers as far as they are used. A cooldown
    /// of nothing is no limit.
    pub fn in_use<'config>(
        &self,
        now: Moment,
        settings: &Settings,
        triggers: impl Iterator<Item = (&'config str, OwnLimits)>,
    ) -> Vec<InUse> {
        let (minute, hour) = (settings.global_max_per_minute, settings.global_max_per_hour);
        let mut limits = vec![
            window(now, Reason::GlobalMinute, &self.all, MINUTE, minute),
            window(now, Reason::GlobalHour, &self.all, HOUR, hour),
        ];
        limits.extend(cooldown(now, Reason::GlobalCooldown, &self.all, settings.global_cooldown));
        limits.push(self.busiest(now, settings.user_max_per_hour));
        limits.extend(self.longest_wait(now, settings.user_cooldown));
        limits.extend(cooldown(now, Reason::MentionCooldown, &self.mentions, settings.mention_cooldown));
        for (name, own) in triggers {
            let Some((name, replies)) = self.triggers.get_key_value(name) else { continue };
            let hour = window(now, Reason::TriggerHour, replies, HOUR, own.max_per_hour);
            let cooldown = cooldown(now, Reason::TriggerCooldown, replies, own.cooldown);
            let in_use = [Some(hour), cooldown].into_iter().flatten().filter(|limit| limit.used > 0);
            limits.extend(in_use.map(|limit| InUse { trigger: Some(name.clone()), ..limit }));
        }
        limits
    }

    /// The hour of the user whom we answered most.
    fn busiest(&self, now: Moment, most: u32) -> InUse {
        let none = Replies::default();
        let busiest = self.users.values().max_by_key(|replies| replies.count(now, HOUR)).unwrap_or(&none);
        let is_held = |replies: &&Replies| replies.wait_for_room(now, HOUR, most).is_some();
        let users = Some(self.users.values().filter(is_held).count());
        InUse { users, ..window(now, Reason::UserHour, busiest, HOUR, most) }
    }

    /// The cooldown of the user who has to wait longest.
    fn longest_wait(&self, now: Moment, length: Duration) -> Option<InUse> {
        let waits = || self.users.values().filter_map(|replies| replies.wait_for_cooldown(now, length));
        let (users, frees_in) = (waits().count(), waits().max());
        (!length.is_zero()).then(|| InUse { users: Some(users), ..cooling(Reason::UserCooldown, frees_in) })
    }
}

fn window(now: Moment, limit: Reason, replies: &Replies, window: Duration, max: u32) -> InUse {
    let used = replies.count(now, window);
    let until = u32::try_from(used).unwrap_or(u32::MAX).min(max);
    let frees_in = if until > 0 { replies.wait_for_room(now, window, until) } else { None };
    InUse { limit, trigger: None, users: None, used, max, frees_in }
}

fn cooldown(now: Moment, limit: Reason, replies: &Replies, length: Duration) -> Option<InUse> {
    (!length.is_zero()).then(|| cooling(limit, replies.wait_for_cooldown(now, length)))
}

fn cooling(limit: Reason, frees_in: Option<Duration>) -> InUse {
    InUse { limit, trigger: None, users: None, used: usize::from(frees_in.is_some()), max: 1, frees_in }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::testing::{OneRoom, at};

    /// Name, trigger, users, used, max, and after how many seconds it frees.
    type Row = (&'static str, Option<&'static str>, Option<usize>, usize, u32, Option<f64>);

    fn rows(room: &OneRoom, second: f64) -> Vec<Row> {
        let trigger = |name: &Arc<str>| if &**name == "popcorn" { "popcorn" } else { "another" };
        let row = |limit: InUse| {
            let frees_in = limit.frees_in.map(|frees_in| frees_in.as_secs_f64());
            let trigger = limit.trigger.as_ref().map(trigger);
            (limit.limit.as_str(), trigger, limit.users, limit.used, limit.max, frees_in)
        };
        room.decider.limits_in_use(at(second)).into_iter().map(row).collect()
    }

    #[test]
    fn each_limit_says_what_is_used_and_when_a_slot_frees() {
        let limits = json!({
            "global_max_per_minute": 2, "global_max_per_hour": 30, "global_cooldown_seconds": 5,
            "user_max_per_hour": 1, "user_cooldown_seconds": 60, "mention_cooldown_seconds": 0,
        });
        let triggers = json!([
            {"name": "popcorn", "patterns": ["popcorn"], "probability": 1.0, "cooldown_seconds": 30,
             "max_responses_per_hour": 4},
            {"name": "quiet", "patterns": ["quiet"], "probability": 1.0},
        ]);
        let mut room = OneRoom::new(json!({"rate_limits": limits, "triggers": triggers}));
        assert_eq!(
            rows(&room, 0.0),
            [
                ("global_minute", None, None, 0, 2, None),
                ("global_hour", None, None, 0, 30, None),
                ("global_cooldown", None, None, 0, 1, None),
                ("user_hour", None, Some(0), 0, 1, None),
                ("user_cooldown", None, Some(0), 0, 1, None),
            ]
        );
        room.answers(10.0, "bob", "vera, hello");
        room.answers(20.0, "eve", "some popcorn");
        assert_eq!(
            rows(&room, 22.0),
            [
                ("global_minute", None, None, 2, 2, Some(48.0)),
                ("global_hour", None, None, 2, 30, Some(3_588.0)),
                ("global_cooldown", None, None, 1, 1, Some(3.0)),
                ("user_hour", None, Some(2), 1, 1, rows(&room, 22.0)[3].5),
                ("user_cooldown", None, Some(2), 1, 1, Some(58.0)),
                ("trigger_hour", Some("popcorn"), None, 1, 4, Some(3_598.0)),
                ("trigger_cooldown", Some("popcorn"), None, 1, 1, Some(28.0)),
            ]
        );
        let after_an_hour: Vec<usize> = rows(&room, 3_700.0).iter().map(|row| row.3).collect();
        assert_eq!(after_an_hour, [0; 5]);
    }

    #[test]
    fn a_limit_of_nothing_never_frees_a_slot() {
        let room = OneRoom::new(json!({"rate_limits": {"global_max_per_minute": 0}}));
        assert_eq!(rows(&room, 0.0)[0], ("global_minute", None, None, 0, 0, None));
    }

    #[test]
    fn what_is_said_of_a_full_limit_is_what_the_next_one_is_told() {
        let mut room = OneRoom::new(
            json!({"rate_limits": {"global_max_per_minute": 1, "mention_cooldown_seconds": 0, "global_cooldown_seconds": 0}}),
        );
        room.answers(10.0, "bob", "vera, hello");
        assert_eq!(rows(&room, 30.0)[0].5, Some(40.0));
        assert_eq!(room.silence(69.9, "eve", "vera, hello").map(Reason::as_str), Some("global_minute"));
        room.answers(70.0, "eve", "vera, hello");
    }
}
