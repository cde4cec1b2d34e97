//! What an operator sees and changes of what is remembered.

use super::{Decider, our_start};
use crate::chat::duplicates::is_from_before;
use crate::chat::event::ChatMessage;
use crate::chat::plan::Silence;
use crate::chat::rate_limits::{InUse, Usage};
use crate::chat::triggers::OwnLimits;
use crate::clock::Moment;
use crate::names::Username;
use crate::outcome::Reason;

impl Decider {
    /// Whether somebody waits for an answer that won't come, though nothing has fired: the message was
    /// passed over before that was looked at, and says our name.
    pub fn was_asked(&self, now: Moment, silence: &Silence, message: &ChatMessage) -> bool {
        let is_passed_over = match silence.reason {
            Reason::Paused => true,
            Reason::Stale => !is_from_before(our_start(now, self.started), message),
            _ => false,
        };
        is_passed_over && self.rules.is_mention(&message.text)
    }

    /// How far the rate limits are used up.
    pub fn usage(&self, now: Moment) -> Usage {
        self.limits.usage(now)
    }

    /// Each rate limit, and how far it is used up.
    pub fn limits_in_use(&self, now: Moment) -> Vec<InUse> {
        let config = self.rules.config();
        let triggers = config.triggers.iter().filter(|trigger| trigger.enabled).map(|trigger| {
            let (max_per_hour, cooldown) = (trigger.max_responses_per_hour, trigger.cooldown);
            (trigger.name.as_str(), OwnLimits { max_per_hour, cooldown })
        });
        self.limits.in_use(now, &config.rate_limits, triggers)
    }

    /// Forgets for the rate limits what was said to one user, or everything.
    pub fn reset_rate_limits(&mut self, user: Option<&Username>) {
        self.limits.reset(user);
    }

    /// Ends a user's penalties in all rooms and forgets the offences. Whether there was a penalty.
    pub fn pardon(&mut self, now: Moment, user: &Username) -> bool {
        let pardoned = self.rooms.values_mut().map(|room| room.spam.pardon(now, user));
        // Every room, also after the first with a penalty.
        pardoned.fold(false, |any, pardoned| any | pardoned)
    }

    /// How many lines the conversations hold.
    pub fn lines(&self) -> usize {
        self.rooms.values().map(|room| room.context.size()).sum()
    }

    /// How many lines of a user the conversations hold.
    pub fn lines_of(&self, user: &Username) -> usize {
        self.rooms.values().map(|room| room.context.lines_of(user)).sum()
    }

    /// Erases a user's lines from the conversations. Returns how many there were.
    pub fn forget(&mut self, user: &Username) -> usize {
        let lines = self.lines_of(user);
        self.rooms.values_mut().for_each(|room| room.context.forget(user));
        lines
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use crate::chat::plan::Decision;
    use crate::chat::testing::{OneRoom, at, message, rules};

    #[test]
    fn who_says_our_name_to_a_paused_room_or_too_late_has_asked_all_the_same() {
        let mut room = OneRoom::new(json!({"ignored_users": ["eve"]}));
        let was_asked = |room: &mut OneRoom, said: f64, heard: f64, user: &str, text: &str| {
            let message = message(at(said), user, text);
            let Decision::Silence(silence) = room.hears(at(heard), &message) else { panic!("{text}") };
            (silence.reason.as_str(), room.decider.was_asked(at(heard), &silence, &message))
        };
        assert_eq!(was_asked(&mut room, 1.0, 1.0, "bob", "hello"), ("no_trigger", false));
        assert_eq!(was_asked(&mut room, 1.0, 1.0, "eve", "vera?"), ("listener", false));
        assert_eq!(was_asked(&mut room, 1.0, 900.0, "bob", "vera?"), ("stale", true));
        assert_eq!(was_asked(&mut room, 1.0, 900.0, "bob", "good evening"), ("stale", false));
        let mut early = message(at(1.0), "ann", "vera?");
        early.posted = early.posted.map(|posted| posted - TimeDelta::minutes(15));
        let Decision::Silence(silence) = room.hears(at(1.0), &early) else { panic!("a reply") };
        assert_eq!(silence.reason, Reason::Stale);
        assert!(
            !room.decider.was_asked(at(1.0), &silence, &early),
            "it may have been answered before our start"
        );
        let name = room.room.clone();
        room.decider.pause(at(901.0), &name, None);
        assert_eq!(was_asked(&mut room, 901.0, 901.0, "bob", "Vera, hello"), ("paused", true));
        assert_eq!(was_asked(&mut room, 902.0, 902.0, "bob", "hello"), ("paused", false));
    }

    #[test]
    fn rate_limits_are_shown_and_reset() {
        let mut room = OneRoom::new(
            json!({"rate_limits": {"mention_cooldown_seconds": 0, "global_cooldown_seconds": 0}}),
        );
        room.answers(1.0, "bob", "vera, hello");
        let _open = room.reply(2.0, "eve", "vera, hello");
        let usage = room.decider.usage(at(3.0));
        let said = Some(at(1.0).elapsed);
        let expected =
            Usage { minute: 2, hour: 2, users: 2, triggers: 0, last_reply: said, last_mention: said };
        assert_eq!(usage, expected);
        assert_eq!(room.silence(3.0, "bob", "vera, more"), Some(Reason::GlobalMinute));

        let bob = Username::new("BOB");
        room.decider.reset_rate_limits(Some(&bob));
        assert_eq!(room.silence(4.0, "bob", "vera, more"), Some(Reason::GlobalMinute), "only his own");
        room.decider.reset_rate_limits(None);
        assert_eq!(room.decider.usage(at(5.0)).minute, 1, "the open one still counts");
        room.answers(5.0, "bob", "vera, more");
        assert_eq!(room.silence(6.0, "bob", "vera, and more"), Some(Reason::GlobalMinute));
    }

    #[test]
    fn a_reset_of_one_user_leaves_the_others() {
        let limits = json!({
            "global_max_per_minute": 100, "global_max_per_hour": 100, "global_cooldown_seconds": 0,
            "mention_cooldown_seconds": 0, "user_cooldown_seconds": 60
        });
        let mut room = OneRoom::new(json!({"rate_limits": limits}));
        room.answers(1.0, "bob", "vera, hello");
        room.answers(1.0, "eve", "vera, hello");
        room.decider.reset_rate_limits(Some(&Username::new("bob")));
        assert_eq!(room.silence(2.0, "eve", "vera, more"), Some(Reason::UserCooldown));
        room.answers(2.0, "bob", "vera, more");
    }

    fn caught() -> OneRoom {
        let mut room = OneRoom::new(json!({
            "rate_limits": {
                "global_max_per_minute": 100, "global_cooldown_seconds": 0, "mention_cooldown_seconds": 0,
                "user_cooldown_seconds": 0, "user_max_per_hour": 100
            },
            "spam_detection": {"mention_spam_threshold": 2},
        }));
        room.answers(1.0, "bob", "vera, one");
        room.answers(2.0, "bob", "vera, two");
        assert_eq!(room.silence(3.0, "bob", "vera, three"), Some(Reason::Spam));
        room
    }

    #[test]
    fn a_pardon_ends_the_penalty_and_forgets_the_offence_but_not_what_was_answered() {
        let mut room = caught();
        assert!(!room.decider.pardon(at(4.0), &Username::new("eve")));
        assert!(room.decider.pardon(at(4.0), &Username::new("Bob")));
        assert!(!room.decider.pardon(at(4.0), &Username::new("bob")), "there is no more");
        assert_eq!(room.silence(5.0, "bob", "vera, four"), Some(Reason::Spam), "two were answered just now");
        assert!(room.decider.pardon(at(6.0), &Username::new("bob")));
        room.answers(40.0, "bob", "vera, five");
    }

    #[test]
    fn a_user_is_counted_and_erased_from_the_conversation() {
        let mut room = OneRoom::new(json!({}));
        for (second, user, text) in [(1.0, "bob", "one"), (2.0, "eve", "two"), (3.0, "BOB", "three")] {
            room.silence(second, user, text);
        }
        let bob = Username::new("bob");
        assert_eq!((room.decider.lines_of(&bob), room.decider.forget(&bob)), (2, 2));
        assert_eq!((room.decider.lines_of(&bob), room.decider.lines_of(&Username::new("eve"))), (0, 1));
    }

    #[test]
    fn other_rules_change_nothing_that_is_remembered() {
        let mut room = caught();
        let before = (room.decider.usage(at(4.0)), room.decider.lines_of(&Username::new("bob")));
        room.decider.adopt(rules(json!({"context": {"chat_history_size": 5}})));
        assert_eq!((room.decider.usage(at(4.0)), room.decider.lines_of(&Username::new("bob"))), before);
        assert_eq!(room.silence(5.0, "bob", "vera, still?"), Some(Reason::Spam), "the penalty goes on");
    }
}
