//! From when on a limit is near.

use super::*;

#[test]
fn from_its_share_on_a_limit_is_near() {
    let bob = Username::new("bob");
    for (limits, tokens, expected) in [
        (json!({"max_calls_per_minute": 5}), 1, Some((Reason::SpendCalls, 80))),
        (json!({"max_calls_per_minute": 6}), 1, None),
        (json!({"max_calls_per_day": 5}), 1, Some((Reason::SpendCalls, 80))),
        (json!({"max_tokens_per_day": 100}), 20, Some((Reason::SpendTokens, 80))),
        (json!({"max_tokens_per_day": 101}), 20, None),
        (json!({"max_tokens_per_day": 101, "soft_percent": 79}), 20, Some((Reason::SpendTokens, 79))),
        (json!({"max_tokens_per_user_per_day": 90}), 20, Some((Reason::SpendUser, 88))),
        (json!({"max_cost_per_day": 0.000_900}), 24, Some((Reason::SpendCost, 98))),
        (json!({"max_tokens_per_day": 100, "max_calls_per_day": 4}), 20, Some((Reason::SpendCalls, 100))),
        (json!({"max_tokens_per_day": u64::MAX}), 20, None),
        (json!({}), 20, None),
    ] {
        let mut till = Till::new(limits.clone());
        for _ in 0..4 {
            till.reserves(1.0, call(Some(&bob), tokens)).expect("no limit is reached");
        }
        let near = till.near(1.0, Some(&bob)).map(|near| (near.limit, near.percent));
        assert_eq!(near, expected, "{limits}");
    }
}

#[test]
fn a_limit_of_nothing_is_always_near() {
    for limit in [
        "max_calls_per_minute",
        "max_calls_per_day",
        "max_tokens_per_day",
        "max_tokens_per_user_per_day",
        "max_cost_per_day",
    ] {
        let till = Till::new(json!({limit: 0}));
        let bob = Username::new("bob");
        assert_eq!(till.near(1.0, Some(&bob)).map(|near| near.percent), Some(100), "{limit}");
    }
}

#[test]
fn nearness_ends_with_the_day_and_is_a_users_own() {
    let mut till = Till::new(json!({"max_tokens_per_day": 100, "max_tokens_per_user_per_day": 50}));
    let (bob, ann) = (Username::new("bob"), Username::new("ann"));
    till.reserves(1.0, call(Some(&bob), 45)).expect("no limit is reached");
    assert_eq!(till.near(1.0, Some(&bob)), Some(Near { limit: Reason::SpendUser, percent: 90 }));
    assert_eq!(till.near(1.0, Some(&ann)), None);
    assert_eq!(till.near(1.0, None), None);
    assert_eq!(till.spend.near(at(1.0), day(25), &till.settings, Some(&bob)), None);
    let near = Near { limit: Reason::SpendUser, percent: 90 };
    assert_eq!(near.to_string(), "90 % of spend_user is used up");
}
