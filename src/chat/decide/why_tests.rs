use std::time::Duration;

use serde_json::json;

use super::super::spam::Rule;
use super::super::testing::{OneRoom, at, message};
use super::super::trace::Steps;
use super::tests::no_limits;
use super::*;

#[test]
fn a_silence_says_what_had_fired_and_its_figures() {
    let mut room = OneRoom::new(json!({
        "rate_limits": {"user_cooldown_seconds": 60, "global_cooldown_seconds": 0},
        "triggers": [{"name": "popcorn", "patterns": ["popcorn"], "priority": 7}]
    }));
    room.answers(1.0, "bob", "vera, hello");
    let mut said = message(at(31.5), "bob", "popcorn, please");
    (said.rank, said.correlation_id) = (Some(1.5), Some("abc".to_owned()));
    let Decision::Silence(silence) = room.hears(at(31.5), &said) else { panic!("a reply") };
    assert_eq!((silence.reason, silence.detail), (Reason::UserCooldown, Detail::RetryAfter(30)));
    assert_eq!(silence.detail.to_string(), "again in 30 s");
    let fired = silence.fired.expect("something fired");
    assert_eq!((&*fired.trigger.name, fired.trigger.priority, fired.rank), ("popcorn", 7, 1.5));
    assert_eq!((&*fired.message, &*fired.correlation_id), ("please", "abc"));

    let Decision::Silence(silence) = room.hears(at(40.0), &message(at(40.0), "bob", "!x")) else {
        panic!("a reply");
    };
    assert_eq!((silence.reason, silence.detail), (Reason::Listener, Detail::Because("a command")));
    assert!(silence.fired.is_none());
}

#[test]
fn a_spammers_silence_says_by_which_rule_and_for_how_long() {
    let mut room = OneRoom::new(json!({
        "rate_limits": no_limits(), "spam_detection": {"mention_spam_threshold": 1, "initial_penalty": 30}
    }));
    room.answers(1.0, "bob", "vera, one");
    for (second, detail, words) in [
        (2.0, Detail::Spam(Rule::Mentions, Duration::from_secs(30)), "mentions: again in 30 s"),
        (12.0, Detail::Spam(Rule::Penalty, Duration::from_secs(20)), "penalty: again in 20 s"),
    ] {
        let said = message(at(second), "bob", "vera, two");
        let Decision::Silence(silence) = room.hears(at(second), &said) else { panic!("a reply") };
        assert_eq!((silence.detail, &*silence.detail.to_string()), (detail, words));
    }
}

#[test]
fn an_operator_sees_every_check_with_its_figures() {
    let mut room = OneRoom::new(json!({
        "triggers": [{"name": "popcorn", "patterns": ["popcorn"], "cooldown_seconds": 30}],
        "rate_limits": {"user_cooldown_seconds": 20, "global_cooldown_seconds": 0}
    }));
    room.answers(1.0, "bob", "popcorn, anyone?");
    let mut steps = Steps::default();
    let said = message(at(21.5), "bob", "popcorn!");
    let decision = room.decider.on_chat_traced(at(23.0), &room.room, &said, &|_| None, &mut steps);
    assert!(matches!(decision, Decision::Silence(Silence { reason: Reason::TriggerCooldown, .. })));
    let told: Vec<String> = steps
        .0
        .iter()
        .map(|step| {
            let verdict = if step.has_passed { "passed" } else { "failed" };
            format!("{} {verdict}: {}", step.check.as_str(), step.words)
        })
        .collect();
    let rolled = told.iter().position(|line| line.starts_with("no_trigger")).expect("a trigger is tried");
    let (before, after) = told.split_at(rolled);
    assert_eq!(
        before,
        [
            "listener passed: \"bob\"",
            "duplicate passed: it has no id",
            "own passed: we are Vera here",
            "stale passed: 1.5 s old",
            "paused passed: not paused",
        ]
    );
    assert!(
        after[0].starts_with("no_trigger passed: the trigger \"popcorn\" fires below 1: 0."),
        "{}",
        after[0]
    );
    assert_eq!(
        after[1..],
        [
            "loop_guard passed: 1 of at most 8 replies in a row to one user alone",
            "spam passed: 1 messages before in 60 s, of fewer than 5",
            "spam passed: 1 messages before in 300 s, of fewer than 10",
            "spam passed: 1 messages before in 900 s, of fewer than 20",
            "spam passed: 0 messages of the same text before, of fewer than 3",
            "global_minute passed: 1 of at most 2 replies in 60 s",
            "global_hour passed: 1 of at most 20 replies in 3600 s",
            "global_cooldown passed: 0 s between two replies, 0.0 s to wait",
            "user_hour passed: 1 of at most 5 replies in 3600 s",
            "user_cooldown passed: 20 s between two replies, 0.0 s to wait",
            "trigger_hour passed: 1 of at most 10 replies in 3600 s",
            "trigger_cooldown failed: 30 s between two replies, 8.0 s to wait",
        ]
    );
}
