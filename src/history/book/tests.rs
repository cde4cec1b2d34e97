//! Minutes as tables: borders, jumps of the clock, totals.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::health::{Component, HealthMonitor, LinkHealth};
use crate::names::ProviderName;
use crate::outcome::ReplyOutcome;

/// A minute begins there.
const BEGIN: i64 = 1_800_000_000;

/// So long after the start, while the clock shows so many milliseconds behind [`BEGIN`].
fn at(elapsed_ms: u64, wall_ms: i64) -> Moment {
    let begin = DateTime::<Utc>::from_timestamp(BEGIN, 0).expect("a time");
    Moment { elapsed: Duration::from_millis(elapsed_ms), wall: begin + TimeDelta::milliseconds(wall_ms) }
}

fn health() -> HealthMonitor {
    let health = HealthMonitor::new(at(0, 0), [ProviderName::new("local")], std::iter::empty::<Component>());
    health.link(at(0, 0), LinkHealth::Up);
    health
}

fn messages(health: &HealthMonitor, now: Moment, count: u64) {
    (0..count).for_each(|_| health.message_processed(now));
}

#[test]
fn what_is_seen_in_a_minute_counts_in_it_up_to_its_border() {
    let (health, mut book) = (health(), MinuteBook::new(at(0, 58_000)));
    let mut show = |elapsed, wall, count| {
        messages(&health, at(elapsed, wall), count);
        book.show(&health.snapshot(at(elapsed, wall)), &[], Vec::new())
    };
    assert_eq!(show(1_000, 59_000, 2), None);
    assert_eq!(show(1_999, 59_999, 1), None);
    let over = show(2_000, 60_000, 4).expect("a minute is over");
    assert_eq!((over.at, over.figures.messages, over.state), (BEGIN, 3, State::Healthy));
    assert_eq!(over.figures.ran, Duration::from_millis(1_999));
    assert_eq!(show(61_999, 119_999, 0), None);
    let over = show(62_000, 120_000, 0).expect("the next is over");
    assert_eq!((over.at, over.figures.messages), (BEGIN + 60, 4));
    assert_eq!(book.so_far().at, BEGIN + 120);
}

#[test]
fn a_clock_that_jumps_opens_another_minute_and_counts_nothing_twice() {
    for (name, wall, expected) in [
        ("an hour ahead", 3_600_000, BEGIN + 3_600),
        ("an hour back", -3_600_000, BEGIN - 3_600),
        ("a second back over the border", -1, BEGIN - 60),
        ("before 1970", -1_800_000_001_000, -60),
    ] {
        let (health, mut book) = (health(), MinuteBook::new(at(0, 0)));
        let first_part = book.so_far().part;
        messages(&health, at(1, 1), 5);
        assert_eq!(book.show(&health.snapshot(at(1_000, 1_000)), &[], Vec::new()), None);
        let over = book.show(&health.snapshot(at(2_000, wall)), &[], Vec::new()).expect(name);
        assert_eq!((over.at, over.figures.messages, over.part), (BEGIN, 5, first_part), "{name}");
        let open = book.so_far();
        assert_eq!((open.at, open.figures.messages, open.part), (expected, 0, first_part + 1), "{name}");
        // Back to the minute before: a part of its own, so that it replaces nothing.
        let back = book.show(&health.snapshot(at(3_000, 3_000)), &[], Vec::new()).expect(name);
        assert_eq!((back.at, book.so_far().at, book.so_far().part), (expected, BEGIN, first_part + 2));
    }
}

#[test]
fn every_kind_of_figure_is_counted_as_a_difference() {
    let (health, mut book) = (health(), MinuteBook::new(at(0, 0)));
    for round in 1..=2 {
        let now = at(round * 60_000, i64::try_from(round).expect("small") * 60_000);
        messages(&health, now, 3);
        health.message_ignored(Reason::NoTrigger);
        health.message_ignored(Reason::Spam);
        let outcomes = [
            ReplyOutcome::Sent,
            ReplyOutcome::Silenced(Reason::Spam),
            ReplyOutcome::Failed(Reason::Exhausted),
            ReplyOutcome::InDoubt,
        ];
        for outcome in outcomes {
            health.reply_fired(now);
            health.reply_ended(now, outcome);
        }
        health.tokens(100, 7);
        book.show(&health.snapshot(now), &[], vec![Duration::from_millis(round * 100)]);
        let figures = book.so_far().figures;
        let silences: Vec<_> = figures.silences.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
        assert_eq!((figures.messages, figures.replies, figures.errors), (3, 1, 2), "round {round}");
        assert_eq!(silences, [("no_trigger", 1), ("spam", 2)], "round {round}");
        assert_eq!((figures.tokens.prompt, figures.tokens.completion), (100, 7), "round {round}");
        let latency = figures.latency.expect("a reply");
        assert_eq!((latency.replies, latency.p99), (1, round as f64 * 100.0), "round {round}");
    }
}

#[test]
fn a_minute_is_as_bad_as_the_worst_that_was_seen_or_happened_in_between() {
    let (health, mut book) = (health(), MinuteBook::new(at(0, 0)));
    let mut seen = 0;
    let mut state_after = |now: Moment| {
        let news = health.news_since(seen);
        seen = news.last().map_or(seen, |news| news.number);
        book.show(&health.snapshot(now), &news, Vec::new());
        book.so_far().state
    };
    assert_eq!(state_after(at(1_000, 1_000)), State::Healthy, "the start, failing until there is a link");
    health.condition(at(2_000, 2_000), Component::Robot, "test", Some("away".to_owned()), None);
    assert_eq!(state_after(at(3_000, 3_000)), State::Degraded);
    health.link(at(3_100, 3_100), LinkHealth::Down { why: "test".to_owned() });
    health.link(at(3_200, 3_200), LinkHealth::Up);
    assert_eq!(state_after(at(4_000, 4_000)), State::Failing, "also when it was over before the look");
    assert_eq!(state_after(at(60_000, 60_000)), State::Degraded, "the next minute knows no more of it");
}

#[test]
fn of_very_many_replies_the_latest_are_measured_and_all_are_counted() {
    let (health, mut book) = (health(), MinuteBook::new(at(0, 0)));
    let times = |count, millis| vec![Duration::from_millis(millis); count];
    book.show(&health.snapshot(at(1, 1)), &[], times(MEASURED, 9_000));
    book.show(&health.snapshot(at(2, 2)), &[], times(MEASURED + 10, 100));
    assert_eq!(book.times.len(), MEASURED);
    let latency = book.so_far().figures.latency.expect("replies");
    assert_eq!((latency.replies, latency.p99), (2 * MEASURED as u64 + 10, 100.0));
}

#[test]
fn totals_that_go_back_count_as_nothing() {
    let (health, mut book) = (health(), MinuteBook::new(at(0, 0)));
    messages(&health, at(1, 1), 5);
    let more = health.snapshot(at(1_000, 1_000));
    book.show(&more, &[], Vec::new());
    let less = Snapshot { messages_processed: 2, at: at(500, 1_500), ..more };
    book.show(&less, &[], Vec::new());
    assert_eq!(book.so_far().figures.messages, 5);
    assert_eq!(book.so_far().figures.ran, Duration::from_secs(1));
}

proptest! {
    #[test]
    fn whatever_the_clock_does_every_message_counts_once(
        steps in prop::collection::vec((0..5_u64, 0..90_000_u64, -200_000..200_000_i64), 1..60),
    ) {
        let (health, mut book) = (health(), MinuteBook::new(at(0, 0)));
        let (mut elapsed, mut expected) = (0, 0);
        let mut parts = std::collections::BTreeMap::new();
        for (count, passed, wall) in steps {
            elapsed += passed;
            expected += count;
            let now = at(elapsed, wall);
            messages(&health, now, count);
            if let Some(over) = book.show(&health.snapshot(now), &[], Vec::new()) {
                prop_assert!(parts.insert((over.at, over.part), over.figures).is_none());
            }
        }
        let open = book.so_far();
        prop_assert!(parts.insert((open.at, open.part), open.figures).is_none());
        let counted: u64 = parts.values().map(|figures| figures.messages).sum();
        prop_assert_eq!(counted, expected);
        prop_assert!(parts.values().all(|figures| figures.ran <= MINUTE));
    }
}
