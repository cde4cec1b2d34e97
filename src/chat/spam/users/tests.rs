use std::sync::LazyLock;

use serde_json::json;

use super::super::super::testing::{at, rules};
use super::super::Asked;
use super::*;

const BYTES: usize = 1 << 20;

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| rules(json!({})).config().spam_detection.clone());

fn hear(users: &mut Users, second: f64, name: &str) {
    let user = Username::new(name);
    let asked = Asked { user: &user, rank: 0.0, text: "x", is_mention: true };
    users.tidy(at(second), &SETTINGS, BYTES);
    if let Some(record) = users.get_or_insert(&user, &SETTINGS, BYTES) {
        record.push(Message::new(at(second), &asked, None), remembered(&SETTINGS));
    }
}

#[test]
fn ten_thousand_names_of_one_person_stay_within_the_bound() {
    let most = most(&SETTINGS, BYTES);
    let mut users = Users::default();
    for number in 0..10_000 {
        hear(&mut users, f64::from(number), &format!("{number} {}", "é".repeat(90)));
        assert!(users.records.len() <= most);
    }
    assert!(users.records.len() > most / 2 && most > 100, "{most}");
    assert!(users.get(&Username::new(&format!("9999 {}", "é".repeat(90)))).is_some());
}

#[test]
fn a_running_penalty_is_never_forgotten() {
    let mut users = Users::default();
    hear(&mut users, 0.0, "spammer");
    let record = users.get(&Username::new("spammer")).expect("a record");
    record.punish(at(0.0), |_| Duration::from_secs(100_000));
    for number in 0..5_000 {
        hear(&mut users, f64::from(number), &number.to_string());
    }
    let record = users.get(&Username::new("spammer")).expect("a record");
    assert!(record.remaining_penalty(at(5_000.0)).is_some());
}

#[test]
fn when_all_are_under_penalties_nobody_else_is_remembered() {
    let most = most(&SETTINGS, BYTES);
    let mut users = Users::default();
    for number in 0..2 * most {
        hear(&mut users, 0.0, &number.to_string());
        if let Some(record) = users.get(&Username::new(&number.to_string())) {
            record.punish(at(0.0), |_| Duration::from_secs(100));
        }
    }
    assert_eq!(users.records.len(), most);
    hear(&mut users, 1000.0, "new");
    assert!(users.get(&Username::new("new")).is_some(), "the penalties are over");
}

#[test]
fn those_who_no_longer_matter_go_first() {
    let mut users = Users::default();
    let most = most(&SETTINGS, BYTES);
    for number in 0..most / 2 {
        hear(&mut users, 0.0, &format!("old {number}"));
    }
    for number in 0..most {
        hear(&mut users, 2000.0, &format!("new {number}"));
    }
    assert!(users.records.keys().all(|name| name.as_str().starts_with("new")));
}

#[test]
fn at_a_flood_in_one_moment_the_newest_names_find_room_again() {
    let most = most(&SETTINGS, BYTES);
    let mut users = Users::default();
    for number in 0..most {
        hear(&mut users, f64::from(number as u32) / 1e6, &format!("flood {number}"));
    }
    hear(&mut users, 2.0, "somebody");
    assert!(users.get(&Username::new("somebody")).is_some());
    assert_eq!(users.records.len(), most - most / 4 + 1, "a quarter went");
    assert!(users.get(&Username::new("flood 0")).is_none(), "the oldest");
}

#[test]
fn who_was_last_seen_so_long_ago_goes_and_then_nobody_else_has_to() {
    let most = most(&SETTINGS, BYTES);
    let mut users = Users::default();
    let old = most / 4;
    for number in 0..old {
        hear(&mut users, 0.0, &format!("old {number}"));
    }
    for number in old..most {
        hear(&mut users, 0.1, &format!("new {number}"));
    }
    // The longest window of the defaults.
    hear(&mut users, 900.0, "somebody");
    assert_eq!(users.records.len(), most - old + 1);
    assert!(!users.records.keys().any(|name| name.as_str().starts_with("old")));
}

#[test]
fn a_look_that_finds_nobody_to_forget_is_taken_again_a_second_later() {
    let most = most(&SETTINGS, BYTES);
    let mut users = Users::default();
    for number in 0..most {
        let name = number.to_string();
        hear(&mut users, 0.0, &name);
        let record = users.get(&Username::new(&name)).expect("there is room");
        record.punish(at(0.0), |_| Duration::from_secs(1));
    }
    let mut is_known = |second| {
        hear(&mut users, second, "somebody");
        users.get(&Username::new("somebody")).is_some()
    };
    assert_eq!([is_known(0.5), is_known(1.0), is_known(1.5)], [false, false, true]);
}

#[test]
fn who_is_known_is_heard_also_when_there_is_no_room() {
    let most = most(&SETTINGS, BYTES);
    let mut users = Users::default();
    for number in 0..most {
        hear(&mut users, 0.0, &number.to_string());
    }
    assert!(users.get_or_insert(&Username::new("0"), &SETTINGS, BYTES).is_some());
    assert!(users.get_or_insert(&Username::new("somebody"), &SETTINGS, BYTES).is_none());
    assert_eq!(users.records.len(), most);
}

#[test]
fn the_bound_holds_for_the_longest_names_and_is_at_most_half_unused() {
    let longest_name = 2 * 100 * 4;
    let full = size_of::<(Username, Record)>() + longest_name + remembered(&SETTINGS) * size_of::<Message>();
    let most = most(&SETTINGS, BYTES);
    assert!(most * full <= BYTES, "{most} of {full} bytes");
    assert!((most + 1) * 2 * full > BYTES, "{most} of {full} bytes");
    assert_eq!(super::most(&SETTINGS, 0), FEWEST);
}
