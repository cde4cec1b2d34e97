use serde_json::json;

use super::super::testing::{at, message, rules, start};
use super::*;

struct Room {
    duplicates: Duplicates,
    settings: Settings,
}

impl Room {
    fn new(context: serde_json::Value) -> Self {
        let settings = rules(json!({"context": context})).config().context.clone();
        Self { duplicates: Duplicates::default(), settings }
    }

    fn repeats(&mut self, arrives: f64, message: &ChatMessage) -> bool {
        self.duplicates.repeated(at(arrives), &self.settings, message).is_some()
    }

    fn is_stale(&self, arrives: f64, posted: f64) -> bool {
        let mut message = message(at(0.0), "bob", "hi");
        message.posted = Some(start() + TimeDelta::milliseconds((posted * 1000.0).round() as i64));
        self.duplicates.stale(at(arrives), start(), &self.settings, &message).is_some()
    }
}

fn with_id(id: &str, text: &str) -> ChatMessage {
    let mut message = message(at(1.0), "bob", text);
    message.correlation_id = Some(id.to_owned());
    message
}

#[test]
fn a_correlation_id_seen_before_is_a_repetition() {
    let mut room = Room::new(json!({"correlation_id_cache_size": 100}));
    assert!(!room.repeats(1.0, &with_id("first", "a")));
    assert!(room.repeats(2.0, &with_id("first", "b")));
    for number in 0..100 {
        room.repeats(3.0, &with_id(&number.to_string(), &number.to_string()));
    }
    assert!(!room.repeats(4.0, &with_id("first", "c")), "forgotten when 100 others came");
    assert_eq!((room.duplicates.ids.len(), room.duplicates.known_ids.len()), (100, 100));
}

#[test]
fn the_same_user_text_and_time_is_a_repetition() {
    let first = message(at(1.0), "bob", "hi");
    for (later, arrives, expected) in [
        (message(at(1.0), "BOB", "hi"), 50.0, true),
        (message(at(1.001), "bob", "hi"), 1.0, false),
        (message(at(1.0), "bob", "hi!"), 1.0, false),
        (message(at(1.0), "ann", "hi"), 1.0, false),
    ] {
        let mut room = Room::new(json!({}));
        assert!(!room.repeats(1.0, &first));
        assert_eq!(room.repeats(arrives, &later), expected, "{later:?}");
    }
}

#[test]
fn without_a_time_the_same_text_within_2_seconds_is_a_repetition() {
    let mut timeless = message(at(1.0), "bob", "hi");
    timeless.posted = None;
    for (arrives, expected) in [(1.0, true), (3.0, true), (3.1, false)] {
        let mut room = Room::new(json!({}));
        assert!(!room.repeats(1.0, &timeless));
        assert_eq!(room.repeats(arrives, &timeless), expected, "{arrives}");
    }
}

#[test]
fn only_the_last_20_are_compared() {
    for (between, expected) in [(19, true), (20, false)] {
        let mut room = Room::new(json!({}));
        room.repeats(1.0, &message(at(1.0), "bob", "first"));
        for number in 0..between {
            room.repeats(1.0, &message(at(1.0), "bob", &number.to_string()));
        }
        assert_eq!(room.repeats(1.0, &message(at(1.0), "bob", "first")), expected, "{between}");
    }
}

#[test]
fn a_robot_that_came_back_may_repeat_what_was_said() {
    let mut room = Room::new(json!({"reconnection_grace_period": 30}));
    room.repeats(10.0, &message(at(10.0), "bob", "newest"));
    room.duplicates.reconnected(at(20.0), &room.settings);
    for (arrives, posted, expected) in
        [(21.0, 9.0, true), (21.0, 10.5, false), (21.0, 10.4, false), (49.0, 9.5, true), (50.0, 9.6, false)]
    {
        let text = format!("{posted}");
        assert_eq!(room.repeats(arrives, &message(at(posted), "ann", &text)), expected, "{arrives} {posted}");
    }
}

#[test]
fn before_anything_was_heard_a_robot_repeats_nothing() {
    let mut room = Room::new(json!({}));
    room.duplicates.reconnected(at(1.0), &room.settings);
    assert!(!room.repeats(2.0, &message(at(0.5), "bob", "hi")));
}

#[test]
fn a_clock_that_is_a_little_ahead_of_ours_lets_no_repetition_through() {
    let mut room = Room::new(json!({}));
    room.repeats(10.0, &message(at(40.0), "bob", "newest"));
    room.duplicates.reconnected(at(12.0), &room.settings);
    assert!(room.repeats(13.0, &message(at(39.0), "ann", "old")));
    assert!(!room.repeats(13.0, &message(at(43.0), "ann", "new")));
}

#[test]
fn one_message_from_the_future_does_not_make_all_others_old() {
    let mut room = Room::new(json!({}));
    room.repeats(1.0, &message(at(1e6), "bob", "from the future"));
    room.duplicates.reconnected(at(2.0), &room.settings);
    assert!(!room.repeats(3.0, &message(at(3.0), "ann", "hi")));
}

#[test]
fn messages_are_stale_from_before_our_start_or_after_60_seconds() {
    let room = Room::new(json!({}));
    for (arrives, posted, expected) in
        [(0.0, -1.0, false), (0.0, -1.001, true), (60.0, 0.0, false), (60.1, 0.0, true), (5.0, 1e6, false)]
    {
        assert_eq!(room.is_stale(arrives, posted), expected, "{arrives} {posted}");
    }
}

#[test]
fn after_a_reconnection_90_seconds_are_fine() {
    let mut room = Room::new(json!({"reconnection_grace_period": 100}));
    room.duplicates.reconnected(at(100.0), &room.settings);
    assert!(!room.is_stale(199.0, 109.0));
    assert!(room.is_stale(199.0, 108.9));
    assert!(room.is_stale(200.0, 139.9), "the grace period is over");
}

#[test]
fn a_message_without_any_time_is_not_stale() {
    let room = Room::new(json!({}));
    let mut timeless = message(at(0.0), "bob", "hi");
    timeless.posted = None;
    assert_eq!(room.duplicates.stale(at(1000.0), start(), &room.settings, &timeless), None);
}

#[test]
fn the_enhancements_can_be_switched_off_but_not_the_rest() {
    let mut room = Room::new(json!({"enable_enhanced_deduplication": false}));
    room.repeats(10.0, &with_id("first", "a"));
    assert!(!room.repeats(11.0, &with_id("first", "b")), "correlation ids");
    assert!(room.repeats(11.0, &with_id("second", "a")), "same user, text and time");
    room.duplicates.reconnected(at(100.0), &room.settings);
    assert!(!room.repeats(101.0, &message(at(0.5), "ann", "old")), "the grace period");
    assert!(room.is_stale(101.0, 40.0), "60 seconds count, not 90");
}
