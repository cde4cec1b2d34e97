//! Counters, windows, providers, and the ledger.

use proptest::prelude::*;

use super::*;
use crate::names::Username;

#[test]
fn req_003_all_configured_providers_are_listed_as_unknown_from_the_start() {
    let snapshot = connected().snapshot(at(0));
    let listed: Vec<_> = snapshot
        .providers
        .iter()
        .map(|provider| (provider.name.as_str(), provider.status.as_str()))
        .collect();
    assert_eq!(listed, [("local", "unknown"), ("openrouter", "unknown")]);
}

#[test]
fn req_003_a_provider_has_the_status_of_its_latest_attempt() {
    let monitor = connected();
    let statuses = [ProviderStatus::Failed, ProviderStatus::Ok];
    for (latest, other, name) in [(statuses[0], statuses[1], "failed"), (statuses[1], statuses[0], "ok")] {
        status(&monitor, at(1), "openrouter", latest);
        let snapshot = monitor.snapshot(at(1));
        assert_eq!(snapshot.providers[1].status.as_str(), name);
        assert_eq!(snapshot.providers[0].status, ProviderStatus::Unknown);
        assert_eq!((snapshot.providers_with(latest), snapshot.providers_with(other)), (1, 0));
        assert_eq!(snapshot.providers_with(ProviderStatus::Unknown), 1);
    }
}

#[test]
fn req_003_a_provider_that_is_not_configured_changes_nothing() {
    let monitor = connected();
    status(&monitor, at(1), "stranger", ProviderStatus::Failed);
    assert_eq!(monitor.snapshot(at(1)), Snapshot { at: at(1), ..connected().snapshot(at(0)) });
}

#[test]
fn req_003_messages_replies_and_errors_are_counted() {
    let monitor = connected();
    messages(&monitor, at(1), 5);
    for outcome in [
        ReplyOutcome::Sent,
        ReplyOutcome::Sent,
        ReplyOutcome::Silenced(Reason::Empty),
        ReplyOutcome::Failed(Reason::Internal),
        ReplyOutcome::InDoubt,
        ReplyOutcome::Abandoned,
    ] {
        monitor.reply_fired(at(1));
        monitor.reply_ended(at(1), outcome);
    }
    let snapshot = monitor.snapshot(at(1));
    assert_eq!((snapshot.messages_processed, snapshot.responses_sent, snapshot.errors), (5, 2, 3));
    assert_eq!((snapshot.errors_last_5min, snapshot.errors_last_hour), (3, 3));
    assert!((snapshot.error_rate - 0.6).abs() < f64::EPSILON);
}

#[test]
fn req_003_rejected_and_stale_replies_are_not_errors() {
    let monitor = connected();
    messages(&monitor, at(1), 2);
    for reason in [Reason::RejectedShort, Reason::Stale] {
        monitor.reply_fired(at(1));
        monitor.reply_ended(at(1), ReplyOutcome::Silenced(reason));
    }
    let snapshot = monitor.snapshot(at(1));
    assert_eq!((snapshot.errors, snapshot.errors_last_5min, snapshot.state), (0, 0, State::Healthy));
}

#[test]
fn req_003_an_error_ages_out_of_the_five_minutes_and_the_hour_but_not_of_the_total() {
    let monitor = connected();
    errors(&monitor, at(100), 1);
    for (seconds, five_minutes, hour) in [(100, 1, 1), (399, 1, 1), (400, 0, 1), (3699, 0, 1), (3700, 0, 0)] {
        let snapshot = monitor.snapshot(at(seconds));
        assert_eq!((snapshot.errors_last_5min, snapshot.errors_last_hour), (five_minutes, hour), "{seconds}");
        assert_eq!(snapshot.errors, 1);
    }
}

#[test]
fn req_003_messages_age_out_of_the_error_rate() {
    let monitor = connected();
    messages(&monitor, at(100), 9);
    messages(&monitor, at(200), 1);
    errors(&monitor, at(200), 1);
    assert!((monitor.snapshot(at(399)).error_rate - 0.1).abs() < f64::EPSILON);
    assert!((monitor.snapshot(at(400)).error_rate - 1.0).abs() < f64::EPSILON);
    assert_eq!(state(&monitor, at(500)), State::Healthy);
}

#[test]
fn req_003_the_error_rate_is_capped_at_one() {
    let monitor = connected();
    messages(&monitor, at(1), 1);
    errors(&monitor, at(1), 3);
    assert!((monitor.snapshot(at(1)).error_rate - 1.0).abs() < f64::EPSILON);
}

#[test]
fn req_003_without_messages_the_error_rate_is_zero() {
    let monitor = connected();
    errors(&monitor, at(1), 3);
    let snapshot = monitor.snapshot(at(1));
    assert_eq!((snapshot.error_rate.to_bits(), snapshot.state), (0, State::Healthy));
    messages(&monitor, at(2), 1);
    assert_eq!(state(&monitor, at(2)), State::Degraded);
}

#[test]
fn req_003_a_gap_of_ten_seconds_loses_nothing_and_invents_nothing() {
    let monitor = connected();
    messages(&monitor, at(1), 10);
    errors(&monitor, at(1), 1);
    monitor.tick(at(1));
    monitor.tick(at(11));
    let snapshot = monitor.snapshot(at(11));
    assert_eq!((snapshot.state, snapshot.since), (State::Degraded, at(1).wall));
    assert_eq!((snapshot.messages_processed, snapshot.errors_last_5min), (10, 1));
}

#[test]
fn req_003_times_out_of_order_count_as_the_latest_one() {
    let monitor = connected();
    errors(&monitor, at(50), 1);
    errors(&monitor, at(40), 1);
    let snapshot = monitor.snapshot(at(30));
    assert_eq!((snapshot.at.elapsed, snapshot.errors_last_5min), (Duration::from_secs(50), 2));
    assert_eq!(monitor.snapshot(at(349)).errors_last_5min, 2);
    assert_eq!(monitor.snapshot(at(350)).errors_last_5min, 0);
}

#[test]
fn messages_that_began_no_reply_are_counted_by_reason() {
    let monitor = connected();
    for reason in [Reason::Spam, Reason::UserHour, Reason::Spam] {
        monitor.message_ignored(reason);
    }
    let ignored = monitor.snapshot(at(0)).ignored;
    assert_eq!((ignored.of(|reason| reason == Reason::Spam), ignored.total()), (2, 3));
    assert_eq!(ignored.of(|reason| reason != Reason::Spam), 1);
    assert_eq!(serde_json::to_string(&ignored).expect("JSON"), r#"{"spam":2,"user_hour":1}"#);
}

#[test]
fn events_that_could_not_be_read_are_counted_by_kind() {
    let monitor = connected();
    for kind in ["not JSON", "too large", "not JSON"] {
        monitor.message_malformed(kind);
    }
    let malformed: Vec<_> = monitor.snapshot(at(0)).malformed.into_iter().collect();
    assert_eq!(malformed, [("not JSON", 2), ("too large", 1)]);
}

#[test]
fn users_who_got_an_answer_are_counted_once_each_and_up_to_a_bound() {
    let monitor = connected();
    for name in ["Bob", "bob", "alice"] {
        monitor.user_answered(&Username::new(name));
    }
    assert_eq!(monitor.snapshot(at(0)).unique_users, 2);
    for user in 0..10_001 {
        monitor.user_answered(&Username::new(&user.to_string()));
    }
    assert_eq!(monitor.snapshot(at(0)).unique_users, 10_000);
}

#[test]
fn changes_of_the_media_and_those_that_were_lost_are_counted() {
    let monitor = connected();
    monitor.media_changed();
    monitor.media_changed();
    monitor.change_dropped();
    let snapshot = monitor.snapshot(at(0));
    assert_eq!((snapshot.media_changes, snapshot.changes_dropped), (2, 1));
}

#[test]
fn a_pause_is_seen_until_it_ends() {
    let monitor = connected();
    let room = |channel: &str, until| PausedRoom { channel: channel.to_owned(), until };
    monitor.paused(vec![room("A", None), room("B", Some(at(5).elapsed))]);
    for (second, expected) in [(4, &["A", "B"][..]), (5, &["A"])] {
        assert_eq!(monitor.snapshot(at(second)).paused, expected);
    }
    monitor.paused(Vec::new());
    assert_eq!(monitor.snapshot(at(6)).paused, [""; 0]);
}

#[test]
fn the_ledger_names_what_became_of_every_reply() {
    let monitor = connected();
    for outcome in [
        Some(ReplyOutcome::Sent),
        Some(ReplyOutcome::Silenced(Reason::DryRun)),
        Some(ReplyOutcome::Failed(Reason::Exhausted)),
        Some(ReplyOutcome::InDoubt),
        Some(ReplyOutcome::Abandoned),
        None,
    ] {
        monitor.reply_fired(at(1));
        outcome.into_iter().for_each(|outcome| monitor.reply_ended(at(1), outcome));
    }
    let ledger = monitor.snapshot(at(1)).ledger;
    assert!(ledger.balances());
    assert_eq!(
        serde_json::to_string(&ledger).expect("JSON"),
        r#"{"fired":6,"sent":1,"silenced":{"dry_run":1},"failed":1,"in_doubt":1,"abandoned":1,"in_flight":1}"#
    );
}

#[test]
fn a_ledger_that_lacks_a_reply_does_not_balance() {
    let whole = Ledger { fired: 1, sent: 1, ..Ledger::default() };
    assert!(whole.balances());
    assert!(!Ledger { fired: 2, ..whole.clone() }.balances());
    assert!(!Ledger { in_flight: 1, ..whole }.balances());
}

#[test]
fn a_reply_that_ends_without_having_begun_is_not_booked() {
    let monitor = connected();
    for outcome in [ReplyOutcome::Sent, ReplyOutcome::InDoubt] {
        monitor.reply_ended(at(1), outcome);
    }
    let snapshot = monitor.snapshot(at(1));
    assert_eq!(snapshot.ledger, Ledger::default());
    assert_eq!((snapshot.responses_sent, snapshot.errors, snapshot.errors_last_hour), (0, 0, 0));
}

#[test]
fn a_reporter_that_panics_does_not_take_health_with_it() {
    let monitor = connected();
    let reporter = monitor.clone();
    let panicked = std::thread::spawn(move || {
        reporter.progress(Component::Intake);
        let _held = reporter.hold_for_test();
        panic!("on purpose");
    })
    .join();
    assert!(panicked.is_err());
    messages(&monitor, at(1), 1);
    assert_eq!(monitor.snapshot(at(1)).messages_processed, 1);
}

/// Anything that can be reported, at any time.
#[derive(Debug, Clone)]
enum Report {
    Message,
    Fired,
    Ended(ReplyOutcome),
    Provider(usize, ProviderStatus),
    Exhausted,
    Succeeded,
    Link(bool),
    Condition(usize, u8, bool, Option<u64>),
    Begin,
    End,
    Tick,
}

fn reports() -> impl Strategy<Value = Report> {
    let outcome = prop_oneof![
        Just(ReplyOutcome::Sent),
        Just(ReplyOutcome::Silenced(Reason::RejectedLong)),
        Just(ReplyOutcome::Failed(Reason::Refused)),
        Just(ReplyOutcome::InDoubt),
        Just(ReplyOutcome::Abandoned),
    ];
    let statuses = [ProviderStatus::Ok, ProviderStatus::Failed, ProviderStatus::Unknown];
    prop_oneof![
        Just(Report::Message),
        Just(Report::Fired),
        outcome.prop_map(Report::Ended),
        (0..3_usize, prop::sample::select(statuses.to_vec()))
            .prop_map(|(provider, status)| Report::Provider(provider, status)),
        Just(Report::Exhausted),
        Just(Report::Succeeded),
        any::<bool>().prop_map(Report::Link),
        (0..Component::ALL.len(), any::<u8>(), any::<bool>(), any::<Option<u64>>())
            .prop_map(|(component, key, is_on, lasts)| Report::Condition(component, key, is_on, lasts)),
        Just(Report::Begin),
        Just(Report::End),
        Just(Report::Tick),
    ]
}

proptest! {
    #[test]
    fn whatever_is_reported_the_ledger_balances_and_the_state_has_a_reason(
        steps in prop::collection::vec((reports(), prop_oneof![0..5_000_u64, any::<u64>()]), 0..200),
    ) {
        let monitor = connected();
        let progress = monitor.progress(Component::Decider);
        let names = ["local", "openrouter", "stranger"];
        let (mut in_flight, mut processed) = (0_u64, 0);
        for (report, millis) in steps {
            let now = Moment { elapsed: Duration::from_millis(millis), wall: DateTime::UNIX_EPOCH };
            match report {
                Report::Message => {
                    processed += 1;
                    monitor.message_processed(now);
                }
                Report::Fired => {
                    in_flight += 1;
                    monitor.reply_fired(now);
                }
                Report::Ended(outcome) => {
                    in_flight = in_flight.saturating_sub(1);
                    monitor.reply_ended(now, outcome);
                }
                Report::Provider(provider, new) => status(&monitor, now, names[provider], new),
                Report::Exhausted => monitor.providers_exhausted(now),
                Report::Succeeded => monitor.request_succeeded(now),
                Report::Link(true) => monitor.link(now, LinkHealth::Up),
                Report::Link(false) => monitor.link(now, down("cut")),
                Report::Condition(component, key, is_on, lasts) => monitor.condition(
                    now,
                    Component::ALL[component],
                    key.to_string(),
                    is_on.then(|| "broken".to_owned()),
                    lasts.map(Duration::from_secs),
                ),
                Report::Begin => progress.begin(now),
                Report::End => progress.end(),
                Report::Tick => monitor.tick(now),
            }
            let snapshot = monitor.snapshot(now);
            prop_assert!(snapshot.ledger.balances());
            prop_assert_eq!(snapshot.ledger.in_flight, in_flight);
            prop_assert_eq!(snapshot.messages_processed, processed);
            prop_assert_eq!(snapshot.reason.is_none(), snapshot.state == State::Healthy);
            prop_assert!((0.0..=1.0).contains(&snapshot.error_rate));
            prop_assert!(snapshot.errors_last_5min <= snapshot.errors_last_hour);
            prop_assert!(snapshot.errors_last_hour <= snapshot.errors);
        }
    }
}

#[test]
fn each_line_is_counted_by_what_became_of_it() {
    use LineFate as F;
    let monitor = connected();
    for fate in [
        F::Sent,
        F::Sent,
        F::Sent,
        F::Heard,
        F::Heard,
        F::InDoubt,
        F::Failed,
        F::Failed,
        F::Failed,
        F::Failed,
    ] {
        monitor.line(fate);
    }
    let expected = LineCounts { sent: 3, in_doubt: 1, failed: 4, heard: 2 };
    assert_eq!(monitor.snapshot(at(1)).lines, expected);
}
