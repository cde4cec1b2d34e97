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
    assert!(users.records.len() <= most - most / 4 + 1);
}
