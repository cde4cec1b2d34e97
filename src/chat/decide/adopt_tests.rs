//! Other rules change nothing that is remembered.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chat::spam::Rule;
use crate::chat::testing::{at, message, rules};

/// A configuration of what is remembered by, and of the limits that count it.
fn config() -> impl Strategy<Value = Value> {
    let limits = (0..4u32, 0..60u32, 0..4u32, 0..300u32);
    let spam = (any::<bool>(), 1..4u32, 1..4u32, 1..400u32);
    let context = (0..6usize, any::<bool>(), 30..300u32, 100..200u32);
    (limits, spam, context, 0..3u32, any::<bool>()).prop_map(|(limits, spam, context, loop_guard, joins_in)| {
        json!({
            "rate_limits": {
                "global_max_per_minute": limits.0, "global_cooldown_seconds": limits.1,
                "user_max_per_hour": limits.2, "user_cooldown_seconds": limits.3, "mention_cooldown_seconds": 0
            },
            "spam_detection": {
                "enabled": spam.0, "mention_spam_threshold": spam.1, "identical_message_threshold": spam.2,
                "initial_penalty": spam.3, "max_penalty": 600
            },
            "context": {
                "chat_history_size": context.0, "enable_enhanced_deduplication": context.1,
                "reconnection_grace_period": context.2, "correlation_id_cache_size": context.3
            },
            "loop_guard": {"max_replies_in_a_row": loop_guard},
            "auto_participation": {"enabled": joins_in, "base_message_interval": 3},
        })
    })
}

fn room(number: usize) -> RoomName {
    RoomName::new("cytu.be", &format!("room {number}")).expect("a name")
}

/// Somebody says something; a reply is settled at once or stays open.
fn says() -> impl Strategy<Value = (usize, usize, bool, bool, f64)> {
    (0..2usize, 0..3usize, any::<bool>(), any::<bool>(), 0.0..20.0)
}

fn remembered(decider: &Decider) -> String {
    format!("{:?} {:?} {:?} {:?}", decider.limits, decider.rooms, decider.open, decider.last_ticket)
}

proptest! {
    #[test]
    fn for_any_two_configurations_every_window_penalty_cooldown_and_line_stays(
        before in config(),
        after in config(),
        lines in prop::collection::vec(says(), 1..60),
        is_paused: bool,
    ) {
        let mut decider = Decider::new(rules(before), at(0.0), 1);
        let mut now = 1.0;
        for (number, user, is_mention, is_said, gap) in lines {
            now += gap;
            let text = if is_mention { "vera, hello" } else { "hello" };
            let said = message(at(now), ["bob", "eve", "joe"][user], text);
            if let Decision::Reply(plan) = decider.on_chat(at(now), &room(number), &said, &|_| None)
                && is_said
            {
                decider.settle(plan.ticket, Some(at(now)));
            }
        }
        if is_paused {
            decider.pause(at(now), &room(0), None);
        }
        let known = remembered(&decider);
        let after = rules(after);
        decider.adopt(after.clone());
        prop_assert_eq!(remembered(&decider), known);
        prop_assert!(Arc::ptr_eq(&decider.rules, &after));
    }
}

/// The limit that holds for one more reply to a user, by the replies so far: to whom, and when they
/// were spoken; those that are open count as spoken now.
fn limit(config: &Config, now: f64, user: &Username, replies: &[(Username, Option<f64>)]) -> Option<Reason> {
    let limits = &config.rate_limits;
    let ages = |theirs: bool| {
        let whose = replies.iter().filter(move |(whom, _)| !theirs || whom == user);
        whose.map(move |(_, spoken)| now - spoken.unwrap_or(now))
    };
    let within = |theirs: bool, seconds: f64| ages(theirs).filter(|age| *age < seconds).count();
    let is_full = |theirs, seconds, most: u32| within(theirs, seconds) >= usize::try_from(most).unwrap();
    let is_soon = |theirs, cooldown: Duration| within(theirs, cooldown.as_secs_f64()) > 0;
    let checks = [
        (Reason::GlobalMinute, is_full(false, 60.0, limits.global_max_per_minute)),
        (Reason::GlobalHour, is_full(false, 3600.0, limits.global_max_per_hour)),
        (Reason::GlobalCooldown, is_soon(false, limits.global_cooldown)),
        (Reason::UserHour, is_full(true, 3600.0, limits.user_max_per_hour)),
        (Reason::UserCooldown, is_soon(true, limits.user_cooldown)),
    ];
    checks.into_iter().find_map(|(reason, holds)| holds.then_some(reason))
}

/// The last lines of a list, as many as there may be.
fn last<T: Clone>(lines: &[T], count: usize) -> Vec<T> {
    lines[lines.len().saturating_sub(count)..].to_vec()
}

proptest! {
    #[test]
    fn the_next_message_is_decided_by_the_new_limits_and_by_all_that_happened_under_the_old_ones(
        before in config(),
        after in config(),
        lines in prop::collection::vec(says(), 1..60),
        is_paused: bool,
        (next_room, next_user) in (0..2usize, 0..3usize),
    ) {
        let (before, after) = (rules(before), rules(after));
        // Two that live through the same; only one of them changes its rules.
        let mut deciders = [0, 1].map(|_| Decider::new(before.clone(), at(0.0), 1));
        let mut now = 1.0;
        let mut replies = Vec::new();
        let mut said_in_room = Vec::new();
        for (number, user, is_mention, is_said, gap) in lines {
            now += gap;
            let text = if is_mention { "vera, hello" } else { "hello" };
            let said = message(at(now), ["bob", "eve", "joe"][user], text);
            for (which, decider) in deciders.iter_mut().enumerate() {
                let decision = decider.on_chat(at(now), &room(number), &said, &|_| None);
                let Decision::Reply(plan) = decision else { continue };
                if is_said {
                    decider.settle(plan.ticket, Some(at(now)));
                }
                if which == 0 {
                    replies.push((number, said.user.clone(), is_said.then_some(now)));
                }
            }
            said_in_room.extend((number == next_room).then(|| said.user.clone()));
        }
        let [unchanged, changed] = &mut deciders;
        if is_paused {
            unchanged.pause(at(now), &room(0), None);
            changed.pause(at(now), &room(0), None);
        }
        changed.adopt(after.clone());
        let config = after.config();
        let next = message(at(now), ["bob", "eve", "joe"][next_user], "vera, what is different now?");
        let silence = |decider: &mut Decider| match decider.on_chat(at(now), &room(next_room), &next, &|_| None) {
            Decision::Silence(silence) => Some((silence.reason, silence.detail)),
            Decision::Reply(_) => None,
        };
        let (unchanged, silence) = (silence(unchanged), silence(changed));
        let was_penalty = matches!(unchanged, Some((Reason::Spam, Detail::Spam(Rule::Penalty, _))));
        let reason = silence.as_ref().map(|(reason, _)| *reason);
        let to_user = replies.iter().filter(|(place, user, _)| (*place, user) == (next_room, &next.user));
        match reason {
            Some(Reason::Paused) => prop_assert!(is_paused && next_room == 0),
            Some(Reason::LoopGuard) => {
                let most = config.loop_guard.max_replies_in_a_row;
                prop_assert!(most > 0 && to_user.count() >= usize::try_from(most).unwrap());
            }
            Some(Reason::Spam) if was_penalty => prop_assert_eq!(silence, unchanged, "it runs on as it did"),
            Some(Reason::Spam) => prop_assert!(config.spam_detection.enabled),
            _ => {
                prop_assert!(!is_paused || next_room != 0);
                prop_assert!(!was_penalty || !config.spam_detection.enabled);
                let all: Vec<_> = replies.into_iter().map(|(_, user, spoken)| (user, spoken)).collect();
                prop_assert_eq!(reason, limit(config, now, &next.user, &all));
            }
        }

        let kept_before = last(&said_in_room, before.config().context.chat_history_size);
        let with_next: Vec<Username> = kept_before.into_iter().chain([next.user.clone()]).collect();
        let heard = deciders[1].rooms[&room(next_room)].context.last(usize::MAX);
        let heard: Vec<Username> = heard.into_iter().map(|line| line.user).collect();
        prop_assert_eq!(heard, last(&with_next, config.context.chat_history_size));
    }
}
