use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{OneRoom, at, message};
use super::*;

#[test]
fn a_mention_is_answered_where_it_was_asked() {
    let mut room = OneRoom::new(json!({}));
    room.silence(1.0, "ann", "what a film");
    let plan = room.reply(2.0, "bob", "Vera, what is the best film?");
    assert_eq!(plan.room, room.room);
    assert_eq!(plan.user, Some(Username::new("bob")));
    assert_eq!(plan.message, "what is the best film");
    assert_eq!(plan.original, "Vera, what is the best film?");
    assert_eq!(&*plan.trigger.name, "vera");
    let history: Vec<&str> = plan.history.iter().map(|line| &*line.text).collect();
    assert_eq!(history, ["what a film", "Vera, what is the best film?"]);
}

#[test]
fn silences_are_named_by_the_first_check_that_fails() {
    for (user, text, reason) in
        [("", "vera", Reason::Listener), ("Vera", "vera", Reason::Own), ("bob", "hello", Reason::NoTrigger)]
    {
        assert_eq!(OneRoom::new(json!({})).silence(1.0, user, text), Some(reason), "{user}: {text}");
    }
}

#[test]
fn an_old_message_is_context_but_gets_no_reply() {
    let mut room = OneRoom::new(json!({}));
    let mut old = message(at(100.0), "ann", "vera, are you there");
    old.posted = Some(at(39.0).wall);
    assert!(matches!(room.hears(at(100.0), &old), Decision::Silence(Silence { reason: Reason::Stale, .. })));
    let plan = room.reply(101.0, "bob", "vera?");
    assert_eq!(&*plan.history[0].text, "vera, are you there");
}

#[test]
fn a_wall_clock_that_is_set_back_makes_no_message_look_older_than_our_start() {
    let mut room = OneRoom::new(json!({}));
    let set_back = |seconds| Moment { wall: at(seconds).wall - TimeDelta::hours(1), ..at(seconds) };
    let question = message(set_back(20.0), "bob", "vera?");
    assert!(matches!(room.hears(set_back(20.0), &question), Decision::Reply(_)));
    let before_start = message(
        Moment { wall: set_back(0.0).wall - TimeDelta::milliseconds(1_500), ..at(0.0) },
        "ann",
        "vera?",
    );
    assert!(matches!(
        room.hears(set_back(21.0), &before_start),
        Decision::Silence(Silence { reason: Reason::Stale, .. })
    ));
}

#[test]
fn a_message_that_comes_twice_is_heard_once() {
    let mut room = OneRoom::new(json!({}));
    let twice = message(at(1.0), "bob", "vera?");
    let Decision::Reply(plan) = room.hears(at(1.0), &twice) else { panic!("no reply") };
    room.decider.settle(plan.ticket, None);
    assert!(matches!(
        room.hears(at(1.5), &twice),
        Decision::Silence(Silence { reason: Reason::Duplicate, .. })
    ));
    assert_eq!(room.reply(200.0, "ann", "vera!").history.len(), 2);
}

#[test]
fn own_lines_are_context_and_are_never_answered() {
    let mut room = OneRoom::new(json!({}));
    room.decider.sent_text(at(1.0), &room.room, "I am Vera, hello");
    assert_eq!(room.silence(2.0, "RobotAccount", "I am Vera, hello"), Some(Reason::Own));
    assert_eq!(room.silence(30.0, "robotaccount", "vera vera"), Some(Reason::Own));
    room.decider.own_name(&room.room, Some(Username::new("Other")));
    assert_eq!(room.silence(31.0, "other", "vera"), Some(Reason::Own));
    let plan = room.reply(32.0, "bob", "vera?");
    let own: Vec<bool> = plan.history.iter().map(|line| line.is_own).collect();
    assert_eq!(own, [true, true, true, false]);
}

#[test]
fn history_holds_as_much_as_is_wanted() {
    for (context, lines) in [
        (json!({"max_chat_history_in_prompt": 2}), 2),
        (json!({"max_chat_history_in_prompt": 0}), 0),
        (json!({"chat_history_size": 3}), 3),
        (json!({"include_chat_history": false}), 0),
    ] {
        let mut room = OneRoom::new(json!({"context": context}));
        for line in 0..5 {
            room.silence(f64::from(line), "ann", "hm");
        }
        assert_eq!(room.reply(9.0, "bob", "vera?").history.len(), lines, "{context}");
    }
}

#[test]
fn a_correlation_id_is_kept_or_made() {
    let mut room = OneRoom::new(json!({}));
    let mut with_id = message(at(1.0), "bob", "vera, one");
    with_id.correlation_id = Some("abc".to_owned());
    let Decision::Reply(plan) = room.hears(at(1.0), &with_id) else { panic!("no reply") };
    assert_eq!(plan.correlation_id, "abc");
    room.decider.settle(plan.ticket, None);
    let two = room.reply(2.0, "ann", "vera, two");
    room.decider.settle(two.ticket, None);
    let made = two.correlation_id;
    assert_ne!(made, room.reply(3.0, "ann", "vera, three").correlation_id);
    assert!(uuid::Uuid::parse_str(&made).is_ok(), "{made}");

    let mut room = OneRoom::new(json!({"error_handling": {"generate_correlation_ids": false}}));
    let without = room.reply(1.0, "ann", "vera, three");
    assert_eq!(without.correlation_id, "");
    room.decider.settle(without.ticket, None);
    let Decision::Reply(plan) = room.hears(at(2.0), &with_id) else { panic!("no reply") };
    assert_eq!(plan.correlation_id, "abc");
}

#[test]
fn rooms_know_nothing_of_each_other() {
    let mut room = OneRoom::new(json!({}));
    room.silence(1.0, "ann", "hello");
    let other = RoomName::new("cytu.be", "Other").expect("a name");
    let Decision::Reply(plan) =
        room.decider.on_chat(at(2.0), &other, &message(at(2.0), "bob", "vera?"), &|_| None)
    else {
        panic!("no reply");
    };
    assert_eq!(plan.history.len(), 1);
}

#[test]
fn what_is_settled_is_no_longer_kept() {
    let mut room = OneRoom::new(json!({}));
    let ticket = room.reply(1.0, "bob", "vera?").ticket;
    room.decider.settle(ticket, None);
    room.decider.settle(ticket, None);
    assert!(room.decider.open.is_empty());
}

#[test]
fn the_loop_guard_ends_a_talk_of_two_bots_with_our_own_lines_between() {
    let mut room = OneRoom::new(json!({"loop_guard": {"max_replies_in_a_row": 3}, "bot_username": "Vera"}));
    for turn in 0..3 {
        let seconds = f64::from(turn) * 200.0;
        room.answers(seconds, "otherbot", &format!("vera, tell me more of {turn}"));
        room.silence(seconds + 1.0, "Vera", "here is more, otherbot");
    }
    assert_eq!(room.silence(601.0, "otherbot", "vera, tell me more"), Some(Reason::LoopGuard));
    room.silence(602.0, "bob", "enough, you two");
    room.answers(800.0, "otherbot", "vera, tell me all");
}

#[test]
fn a_reply_of_which_nothing_was_said_does_not_count_for_the_loop_guard() {
    let mut room = OneRoom::new(json!({"loop_guard": {"max_replies_in_a_row": 1}}));
    let ticket = room.reply(1.0, "bob", "vera?").ticket;
    room.decider.settle(ticket, None);
    room.answers(200.0, "bob", "vera?");
    assert_eq!(room.silence(400.0, "bob", "vera?"), Some(Reason::LoopGuard));
}

#[test]
fn rate_limits_hold_for_the_service_and_a_silent_reply_gives_its_slot_back() {
    let mut room =
        OneRoom::new(json!({"rate_limits": {"global_cooldown_seconds": 15, "user_cooldown_seconds": 60}}));
    let ticket = room.reply(1.0, "bob", "vera, one").ticket;
    assert_eq!(room.silence(2.0, "ann", "vera, two"), Some(Reason::GlobalCooldown));
    room.decider.settle(ticket, None);
    let ticket = room.reply(3.0, "ann", "vera, three").ticket;
    room.decider.settle(ticket, Some(at(10.0)));
    assert_eq!(room.silence(24.0, "bob", "vera, four"), Some(Reason::GlobalCooldown));
    assert_eq!(room.silence(25.0, "bob", "vera, five"), Some(Reason::MentionCooldown));
    assert_eq!(room.silence(25.0, "ann", "vera, six"), Some(Reason::UserCooldown));
}

#[test]
fn an_admin_waits_less() {
    let mut room = OneRoom::new(json!({"rate_limits": {"mention_cooldown_seconds": 0}}));
    room.answers(1.0, "bob", "vera, one");
    let mut from_admin = message(at(9.0), "ann", "vera, two");
    from_admin.rank = Some(3.0);
    assert!(matches!(room.hears(at(9.0), &from_admin), Decision::Reply(_)));
}

#[test]
fn a_trigger_word_fires_when_nobody_is_mentioned_and_has_limits_of_its_own() {
    let mut room = OneRoom::new(json!({
        "rate_limits": {"global_cooldown_seconds": 0, "user_cooldown_seconds": 0, "mention_cooldown_seconds": 0},
        "triggers": [{"name": "popcorn", "patterns": ["popcorn"], "cooldown_seconds": 30}]
    }));
    let mention = room.reply(1.0, "bob", "vera, popcorn?");
    assert_eq!(mention.trigger.kind, TriggerKind::Mention);
    room.decider.settle(mention.ticket, None);
    let plan = room.reply(2.0, "bob", "popcorn, anyone?");
    assert_eq!((plan.trigger.kind, &*plan.message), (TriggerKind::TriggerWord, "anyone?"));
    room.decider.settle(plan.ticket, Some(at(3.0)));
    assert_eq!(room.silence(32.0, "ann", "popcorn!"), Some(Reason::TriggerCooldown));
    room.answers(33.0, "ann", "popcorn!");
}

#[test]
fn chance_decides_the_same_way_for_the_same_seed() {
    let play = |seed| {
        let mut room = OneRoom::new(json!({
            "triggers": [{"name": "popcorn", "patterns": ["popcorn"], "probability": 0.5}]
        }));
        room.decider = Decider::new(room.decider.rules.clone(), at(0.0), seed);
        (0..20).map(|second| room.silence(f64::from(second), "bob", "popcorn").is_none()).collect::<Vec<_>>()
    };
    assert_eq!(play(1), play(1));
    assert!((2..20).any(|seed| play(seed) != play(1)));
}

/// Rate limits that hold nobody back.
pub fn no_limits() -> serde_json::Value {
    json!({
        "global_max_per_minute": 1000, "global_max_per_hour": 1000, "user_max_per_hour": 1000,
        "global_cooldown_seconds": 0, "user_cooldown_seconds": 0, "mention_cooldown_seconds": 0
    })
}

#[test]
fn a_spammer_is_not_answered_for_a_while_but_only_in_that_room() {
    let mut room = OneRoom::new(json!({
        "rate_limits": no_limits(), "spam_detection": {"mention_spam_threshold": 2, "initial_penalty": 30}
    }));
    room.answers(1.0, "bob", "vera, one");
    room.answers(2.0, "bob", "vera, two");
    assert_eq!(room.silence(3.0, "bob", "vera, three"), Some(Reason::Spam));
    assert_eq!(room.silence(32.0, "bob", "vera, four"), Some(Reason::Spam));
    room.answers(32.0, "ann", "vera, hello");
    let other = RoomName::new("cytu.be", "Other").expect("a name");
    let elsewhere = room.decider.on_chat(at(32.0), &other, &message(at(32.0), "bob", "vera?"), &|_| None);
    assert!(matches!(elsewhere, Decision::Reply(_)));
}

#[test]
fn messages_that_were_rate_limited_or_not_answered_are_no_spam() {
    let mut limits = no_limits();
    limits["user_cooldown_seconds"] = json!(100);
    let mut room =
        OneRoom::new(json!({"rate_limits": limits, "spam_detection": {"mention_spam_threshold": 1}}));
    let ticket = room.reply(1.0, "bob", "vera, one").ticket;
    assert_eq!(room.silence(2.0, "bob", "vera, two"), Some(Reason::Spam), "its reply is under way");
    room.decider.settle(ticket, None);
    let mut room = OneRoom::new(
        json!({"rate_limits": {"global_max_per_minute": 0}, "spam_detection": {"mention_spam_threshold": 1}}),
    );
    for second in 0..10 {
        assert_eq!(room.silence(f64::from(second), "bob", "vera?"), Some(Reason::GlobalMinute));
    }
}

#[test]
fn after_enough_messages_without_a_trigger_the_bot_joins_in() {
    let mut room = OneRoom::new(json!({
        "auto_participation": {"enabled": true, "base_message_interval": 3, "probability_range": 0},
        "rate_limits": no_limits(), "triggers": [{"name": "never", "patterns": ["popcorn"], "probability": 0}]
    }));
    room.silence(1.0, "ann", "one");
    room.answers(2.0, "ann", "vera, hello");
    room.silence(3.0, "ann", "one, popcorn whose roll fails");
    for (user, text) in [("Vera", "our own"), ("", "dropped"), ("ann", "!command")] {
        assert!(room.silence(4.0, user, text).is_some(), "these don't count");
    }
    let mut old = message(at(100.0), "ann", "stale lines don't count either");
    old.posted = Some(at(30.0).wall);
    assert!(matches!(room.hears(at(100.0), &old), Decision::Silence(Silence { reason: Reason::Stale, .. })));
    assert_eq!(room.silence(101.0, "bob", "two"), Some(Reason::NoTrigger));
    let plan = room.reply(102.0, "bob", "three,  then");
    let trigger = (plan.trigger.kind, &*plan.trigger.name, plan.trigger.priority);
    assert_eq!(trigger, (TriggerKind::AutoParticipant, "auto_participation", 1));
    assert_eq!((&*plan.message, &plan.user), ("three,  then", &Some(Username::new("bob"))));
    room.decider.settle(plan.ticket, None);
    assert_eq!(room.silence(103.0, "bob", "one"), Some(Reason::NoTrigger));
}

#[test]
fn joining_in_is_rate_limited_but_no_mention() {
    let mut room = OneRoom::new(json!({
        "auto_participation": {"enabled": true, "base_message_interval": 2, "probability_range": 0},
        "rate_limits": {"global_cooldown_seconds": 15}
    }));
    room.answers(1.0, "ann", "vera, hello");
    room.silence(2.0, "bob", "one");
    assert_eq!(room.silence(3.0, "bob", "two"), Some(Reason::GlobalCooldown));
    room.silence(20.0, "bob", "one");
    room.answers(21.0, "bob", "two, within the mention cooldown");
}

#[test]
fn what_nobody_asked_for_stops_when_a_spend_limit_is_near() {
    let mut room = OneRoom::new(json!({
        "auto_participation": {"enabled": true, "base_message_interval": 1, "probability_range": 0},
        "triggers": [{"name": "popcorn", "patterns": ["popcorn"]}], "rate_limits": no_limits()
    }));
    let near = |user: Option<&Username>| {
        assert_eq!(user, Some(&Username::new("bob")));
        Some(Near { limit: Reason::SpendTokens, percent: 85 })
    };
    for (second, text) in [(1.0, "popcorn"), (2.0, "hello")] {
        let said = message(at(second), "bob", text);
        let Decision::Silence(silence) = room.decider.on_chat(at(second), &room.room, &said, &near) else {
            panic!("{text}");
        };
        assert_eq!((silence.reason.as_str(), silence.fired.is_some()), ("spend_soft", true));
    }
    let asked = message(at(3.0), "bob", "vera?");
    assert!(matches!(room.decider.on_chat(at(3.0), &room.room, &asked, &near), Decision::Reply(_)));
}

proptest! {
    #[test]
    fn nothing_that_anybody_says_makes_it_panic_or_answer_without_being_asked(
        lines in prop::collection::vec((any::<String>(), "(vera)?\\PC{0,8}[, ]?(Vera)?.{0,8}", any::<Option<f64>>(), 0.0..100.0f64), 1..20),
    ) {
        let mut room = OneRoom::new(json!({"rate_limits": no_limits()}));
        for (user, text, rank, second) in lines {
            let mut said = message(at(second), &user, &text);
            said.rank = rank;
            match room.hears(at(second), &said) {
                Decision::Reply(plan) => {
                    prop_assert!(text.to_lowercase().contains("vera"));
                    let _ = super::super::prompt::tests::built_in(&plan);
                    room.decider.settle(plan.ticket, Some(at(second)));
                }
                Decision::Silence(_) => {}
            }
        }
    }
}
