//! Other rules change nothing that is remembered.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
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
