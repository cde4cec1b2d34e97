mod near;

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::testing::at;
use super::*;
use crate::config::testing::config;

const BYTES: usize = 1 << 20;
static ONE: LazyLock<ProviderName> = LazyLock::new(|| ProviderName::new("one"));
static TWO: LazyLock<ProviderName> = LazyLock::new(|| ProviderName::new("two"));
const PRICE: Price = Price { input_per_million: 1.0, output_per_million: 10.0 };

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, day).expect("a day")
}

fn settings(spend: Value) -> Settings {
    config(json!({"spend": spend})).spend
}

/// A call of so many tokens, a tenth of them the prompt's.
fn call(user: Option<&Username>, tokens: u64) -> Call<'_> {
    let prompt_tokens = tokens / 10;
    Call { provider: &ONE, user, prompt_tokens, max_tokens: tokens - prompt_tokens, price: Some(PRICE) }
}

struct Till {
    spend: Spend,
    settings: Settings,
}

impl Till {
    fn new(spend: Value) -> Self {
        Self { spend: Spend::new(day(24)), settings: settings(spend) }
    }

    fn reserves(&mut self, second: f64, call: Call) -> Result<SpendTicket, Reason> {
        let reserved = self.spend.reserve(at(second), day(24), &self.settings, BYTES, call);
        reserved.map_err(|denied| denied.limit)
    }

    fn near(&self, second: f64, user: Option<&Username>) -> Option<Near> {
        self.spend.near(at(second), day(24), &self.settings, user)
    }
}

#[test]
fn each_limit_has_its_name_and_lets_exactly_as_much_through() {
    let bob = Username::new("bob");
    for (limits, user, tokens, allowed, reason) in [
        (json!({"max_calls_per_minute": 3}), None, 10, 3, "spend_calls"),
        (json!({"max_calls_per_day": 2}), None, 10, 2, "spend_calls"),
        (json!({"max_tokens_per_day": 100}), None, 50, 2, "spend_tokens"),
        (json!({"max_tokens_per_day": 99}), None, 50, 1, "spend_tokens"),
        (json!({"max_tokens_per_user_per_day": 100}), Some(&bob), 50, 2, "spend_user"),
        // Ten tokens in and ninety out at 1 and 10 a million.
        (json!({"max_cost_per_day": 0.00182}), None, 100, 2, "spend_cost"),
        (json!({"max_calls_per_minute": 0}), None, 10, 0, "spend_calls"),
        (json!({"max_calls_per_day": 0}), None, 10, 0, "spend_calls"),
        (json!({"max_tokens_per_day": 0}), None, 10, 0, "spend_tokens"),
        (json!({"max_tokens_per_user_per_day": 0}), Some(&bob), 10, 0, "spend_user"),
        (json!({"max_cost_per_day": 0}), None, 10, 0, "spend_cost"),
    ] {
        let mut till = Till::new(limits.clone());
        for number in 0..allowed {
            assert!(till.reserves(1.0, call(user, tokens)).is_ok(), "{limits} {number}");
        }
        let refused = till.reserves(1.0, call(user, tokens)).map_err(Reason::as_str);
        assert_eq!(refused, Err(reason), "{limits}");
    }
}

#[test]
fn without_limits_everything_may_be_spent() {
    let mut till = Till::new(json!({}));
    let bob = Username::new("bob");
    for _ in 0..1_000 {
        assert!(till.reserves(1.0, call(Some(&bob), u64::MAX / 2)).is_ok());
    }
    assert_eq!(till.near(1.0, Some(&bob)), None);
    assert_eq!(till.spend.users.iter().count(), 0, "users are remembered only for a limit of theirs");
}

#[test]
fn a_users_limit_is_that_users_alone() {
    let mut till = Till::new(json!({"max_tokens_per_user_per_day": 100}));
    let (bob, ann) = (Username::new("bob"), Username::new("ann"));
    assert!(till.reserves(1.0, call(Some(&bob), 100)).is_ok());
    assert_eq!(till.reserves(1.0, call(Some(&Username::new("BOB")), 1)), Err(Reason::SpendUser));
    assert!(till.reserves(1.0, call(Some(&ann), 100)).is_ok());
    assert!(till.reserves(1.0, call(None, 100)).is_ok(), "nobody's call");
}

#[test]
fn a_refused_call_is_not_counted() {
    let mut till = Till::new(json!({"max_calls_per_day": 2, "max_tokens_per_day": 100}));
    assert_eq!(till.reserves(1.0, call(None, 101)), Err(Reason::SpendTokens));
    assert!(till.reserves(1.0, call(None, 50)).is_ok());
    assert!(till.reserves(1.0, call(None, 50)).is_ok());
}

#[test]
fn the_end_of_a_call_sets_right_what_was_reserved() {
    let bob = Username::new("bob");
    for (usage, tokens, cost) in [
        (Usage::Known { prompt: 7, completion: 3 }, 10, 37e-6),
        (Usage::Known { prompt: 500, completion: 500 }, 1_000, 5_500e-6),
        (Usage::Known { prompt: u64::MAX, completion: 1 }, u64::MAX, f64::MAX),
        (Usage::Unknown, 100, 910e-6),
        (Usage::Nothing, 0, 0.0),
    ] {
        let mut till = Till::new(json!({"max_tokens_per_user_per_day": 100_000}));
        let ticket = till.reserves(1.0, call(Some(&bob), 100)).expect("no limit is reached");
        till.spend.settle(ticket, usage);
        till.spend.settle(ticket, Usage::Known { prompt: 9, completion: 9 });
        let spent = till.spend.spent;
        assert_eq!((spent.calls, spent.tokens, till.spend.users.of(&bob)), (1, tokens, tokens), "{usage:?}");
        assert!((spent.cost - cost).abs() < 1e-12 || spent.cost > 1e9, "{usage:?}: {}", spent.cost);
        assert!(till.spend.open.is_empty());
    }
}

#[test]
fn a_minute_ends_and_a_day_ends_at_local_midnight() {
    let mut till = Till::new(json!({"max_calls_per_minute": 1, "max_calls_per_day": 3}));
    assert!(till.reserves(0.5, call(None, 1)).is_ok());
    assert_eq!(till.reserves(60.4, call(None, 1)), Err(Reason::SpendCalls));
    assert!(till.reserves(61.5, call(None, 1)).is_ok());
    assert!(till.reserves(130.0, call(None, 1)).is_ok());
    assert_eq!(till.reserves(200.0, call(None, 1)), Err(Reason::SpendCalls));
    let mut next_day =
        |second, today| till.spend.reserve(at(second), day(today), &till.settings, BYTES, call(None, 1));
    assert!(next_day(300.0, 25).is_ok());
    assert!(next_day(400.0, 24).is_ok(), "a clock that goes back a little begins no new day …");
    assert!(next_day(500.0, 25).is_ok());
    assert_eq!(
        next_day(600.0, 25).map_err(|denied| denied.limit),
        Err(Reason::SpendCalls),
        "… so the sums go on"
    );
    assert!(next_day(700.0, 20).is_ok(), "a clock that was far ahead holds nobody back for long");
}

#[test]
fn a_call_that_ends_on_another_day_changes_nothing_there() {
    let mut till = Till::new(json!({}));
    let ticket = till.reserves(1.0, call(None, 100)).expect("no limit");
    till.spend.reserve(at(2.0), day(25), &till.settings, BYTES, call(None, 10)).expect("no limit");
    till.spend.settle(ticket, Usage::Known { prompt: 50, completion: 5_000 });
    assert_eq!(till.spend.spent.tokens, 10);
}

#[test]
fn what_was_spent_survives_a_restart() {
    let bob = Username::new("Bob");
    let limits = json!({
        "max_calls_per_minute": 2, "max_tokens_per_user_per_day": 100, "max_tokens_per_day": 1_000
    });
    let mut till = Till::new(limits.clone());
    let ticket = till.reserves(0.0, call(Some(&bob), 60)).expect("no limit is reached");
    till.spend.settle(ticket, Usage::Known { prompt: 20, completion: 20 });
    till.reserves(30.0, call(Some(&bob), 30)).expect("no limit is reached");
    let text = serde_json::to_string(&till.spend.save(at(50.0))).expect("plain data");

    // Started anew ten seconds later: our time begins again, the wall clock goes on.
    let moment =
        |second: f64| Moment { elapsed: Duration::from_secs_f64(second), wall: at(60.0 + second).wall };
    let saved: Saved = serde_json::from_str(&text).expect("what we wrote");
    let mut spend = Spend::restore(moment(0.0), day(24), BYTES, &saved);
    assert_eq!((spend.spent, spend.users.of(&bob)), (till.spend.spent, 70), "open calls count whole");
    let settings = settings(limits);
    let mut reserve = |second, tokens| {
        spend
            .reserve(moment(second), day(24), &settings, BYTES, call(Some(&bob), tokens))
            .map_err(|denied| denied.limit)
    };
    assert_eq!(
        reserve(0.0, 1),
        Err(Reason::SpendCalls),
        "both calls are less than a minute and a second ago"
    );
    assert!(reserve(2.0, 30).is_ok());
    assert_eq!(reserve(32.0, 1), Err(Reason::SpendUser));

    let spend = Spend::restore(moment(0.0), day(25), BYTES, &saved);
    assert_eq!((spend.spent, spend.users.of(&bob)), (Spent::default(), 0), "another day");
}

#[test]
fn strange_state_is_taken_for_what_it_is_worth() {
    for text in [
        "{}",
        r#"{"day": "soon"}"#,
        r#"{"day": "2026-11-24", "cost": -5}"#,
        r#"{"day": "2026-11-24", "minute": [[9223372036854775807, 3], [-9223372036854775808, 3], [0, 1]]}"#,
        r#"{"day": "2026-11-24", "calls": 18446744073709551615, "tokens": 18446744073709551615, "users": [["a", 18446744073709551615]]}"#,
    ] {
        let saved: Saved = serde_json::from_str(text).expect("the types are right");
        let mut spend = Spend::restore(at(0.0), day(24), BYTES, &saved);
        assert!(spend.minute.calls(at(0.0)) <= 3 && spend.minute.calls(at(62.0)) == 0, "{text}");
        assert!(spend.spent.cost >= 0.0, "{text}");
        let bob = Username::new("a");
        let settings = settings(json!({"max_tokens_per_user_per_day": 5}));
        let _ = spend.reserve(at(0.0), day(24), &settings, BYTES, call(Some(&bob), u64::MAX));
    }
}

#[test]
fn users_are_bounded_in_bytes_and_those_who_spent_most_are_kept() {
    let mut till = Till::new(json!({"max_tokens_per_user_per_day": 1_000_000}));
    let bytes = 100 * 1024;
    for number in 0..20_000_u64 {
        let user = Username::new(&format!("user{number}"));
        let tokens = if number % 1_000 == 0 { 900_000 } else { 10 };
        let call = call(Some(&user), tokens);
        till.spend.reserve(at(1.0), day(24), &till.settings, bytes, call).expect("no limit is reached");
        assert!(till.spend.users.iter().count() * 100 < bytes);
    }
    for number in (0..20_000).step_by(1_000) {
        assert_eq!(till.spend.users.of(&Username::new(&format!("user{number}"))), 900_000, "{number}");
    }
}

#[test]
fn texts_are_estimated_with_more_tokens_than_they_take() {
    for (text, tokens) in [
        ("", 0),
        ("abc", 1),
        ("abcd", 2),
        ("éé", 2),
        ("🎬", 2),
        ("Hello, how are you?", 8),
        ("3.14159", 7),
        ("{\"a\":[1,2]}", 11),
        ("\n\t!!", 4),
    ] {
        assert_eq!(estimated_tokens(text), tokens, "{text}");
    }
}

proptest! {
    #[test]
    fn no_limit_is_ever_exceeded_whatever_the_timing(
        calls in prop::collection::vec((0.0..40.0f64, 0..200u64, prop::option::of(0..300u64), any::<bool>()), 1..80),
        per_minute in 0..6u64, per_day in 0..400u64, per_user in 0..300u64,
    ) {
        let mut till = Till::new(json!({
            "max_calls_per_minute": per_minute, "max_tokens_per_day": per_day,
            "max_tokens_per_user_per_day": per_user, "max_cost_per_day": 0.002
        }));
        let (bob, ann) = (Username::new("bob"), Username::new("ann"));
        let mut second = 0.0;
        let mut made: Vec<f64> = Vec::new();
        let mut open = Vec::new();
        for (pause, tokens, used, is_bob) in calls {
            second += pause;
            let user = if is_bob { &bob } else { &ann };
            if let Ok(ticket) = till.reserves(second, call(Some(user), tokens)) {
                made.push(second);
                open.push((ticket, tokens));
            }
            if let Some(used) = used && !open.is_empty() {
                // A provider never uses more than it was allowed.
                let (ticket, reserved) = open.remove(used as usize % open.len());
                let completion = used.min(reserved - reserved / 10);
                till.spend.settle(ticket, Usage::Known { prompt: 0, completion });
            }
            prop_assert!(till.spend.spent.tokens <= per_day);
            prop_assert!(till.spend.users.of(&bob) <= per_user && till.spend.users.of(&ann) <= per_user);
            prop_assert!(till.spend.spent.cost <= 0.002 + 1e-9 && till.spend.spent.cost >= 0.0);
        }
        for last in &made {
            let minute = made.iter().filter(|made| **made <= *last && *last - **made < 60.0).count();
            prop_assert!(minute as u64 <= per_minute);
        }
    }
}

#[test]
fn each_provider_has_its_sums_and_together_they_are_the_days() {
    let mut till = Till::new(json!({}));
    let spent = |till: &Till, name: &ProviderName| {
        let spent = till.spend.of_provider(day(24), name);
        (spent.calls, spent.prompt_tokens, spent.completion_tokens, (spent.cost * 1e6).round())
    };
    let one = till.reserves(0.0, call(None, 100)).expect("no limit");
    let two = till.reserves(0.0, Call { provider: &TWO, price: None, ..call(None, 50) }).expect("no limit");
    assert_eq!(spent(&till, &ONE), (1, 10, 90, 910.0), "what is under way counts with all that it may use");
    till.spend.settle(one, Usage::Known { prompt: 7, completion: 3 });
    till.spend.settle(two, Usage::Unknown);
    for _ in 0..2 {
        let refused = till.reserves(1.0, call(None, 100)).expect("no limit");
        till.spend.settle(refused, Usage::Nothing);
    }
    assert_eq!((spent(&till, &ONE), spent(&till, &TWO)), ((3, 7, 3, 37.0), (1, 5, 45, 0.0)));
    assert_eq!((till.spend.spent.calls, till.spend.spent.tokens), (4, 60));

    let saved = serde_json::to_string(&till.spend.save(at(2.0))).expect("plain data");
    let saved: Saved = serde_json::from_str(&saved).expect("what we wrote");
    till.spend = Spend::restore(at(3.0), day(24), BYTES, &saved);
    assert_eq!((spent(&till, &ONE), spent(&till, &TWO)), ((3, 7, 3, 37.0), (1, 5, 45, 0.0)));
    assert_eq!(till.spend.of_provider(day(25), &ONE), ProviderSpent::default(), "another day");
}
