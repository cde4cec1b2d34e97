//! What is open goes on behind a restart.

use super::*;

/// Name, what is open from before, what the state becomes at which second, and what is told. The service starts at
/// 1000 and waits for its link then.
type StartCase = (&'static str, &'static [State], &'static [(u64, State)], &'static [&'static str]);

#[test]
fn what_is_open_from_before_the_start_goes_on() {
    let table: [StartCase; 9] = [
        ("well again", &[Degraded], &[(1_002, Healthy)], &["1062: end of degraded, now healthy"]),
        ("well again after failing", &[Failing], &[(1_002, Healthy)], &["1062: end of failing, now healthy"]),
        ("it still holds", &[Degraded], &[(1_002, Degraded)], &[]),
        (
            "it still holds, and ends",
            &[Degraded],
            &[(1_002, Degraded), (1_200, Healthy)],
            &["1260: end of degraded, now healthy"],
        ),
        ("failing still holds", &[Failing], &[], &[]),
        (
            "it comes back within the first minute",
            &[Degraded],
            &[(1_002, Healthy), (1_030, Degraded), (1_100, Healthy)],
            &["1160: end of degraded, now healthy"],
        ),
        ("it is worse", &[Degraded], &[], &["1060: failing"]),
        (
            "it is less bad",
            &[Failing],
            &[(1_002, Degraded), (1_200, Healthy)],
            &["1062: end of failing, now degraded", "1062: degraded", "1260: end of degraded, now healthy"],
        ),
        (
            "both were told, and are left at once",
            &[Degraded, Failing],
            &[(1_002, Healthy)],
            &["1062: end of failing, now healthy"],
        ),
    ];
    for (name, open, changes, expected) in table {
        let since = |state: State| open.contains(&state).then_some(100_000);
        let open = Open { degraded: since(Degraded), failing: since(Failing) };
        let book = AlertBook::new(since_start(1_000, 1_000), Failing, "NATS disconnected", open);
        assert_eq!(told_by(book, 1_000, 60, changes, 1_400), expected, "{name}");
    }
}

#[test]
fn an_end_counts_the_time_before_the_start_and_until_it_was_left_in_this_life() {
    let month = 30 * 24 * 3_600;
    let start = 1_000 + month;
    // Nothing but what was there for its time is remembered.
    let hold = hold_for(60);
    let mut before = healthy();
    assert_eq!(before.hear(at(1_000), &change(Healthy, Degraded), hold), []);
    assert_eq!(before.open(), Open::default());
    assert_eq!(before.due(at(1_060), hold).len(), 1);
    let open = Open { degraded: Some(1_000_000), failing: None };
    assert_eq!(before.open(), open);
    assert_eq!(before.hear(at(1_100), &change(Degraded, Healthy), hold), []);
    assert_eq!(before.open(), open, "it has not been left for long enough");

    let mut book = AlertBook::new(since_start(start, start), Failing, "NATS disconnected", open);
    assert_eq!(book.open(), open);
    let up = Transition { ends_start: true, ..change(Failing, Healthy) };
    assert_eq!(book.hear(since_start(start, start + 2), &up, hold), []);
    assert_eq!(book.due(since_start(start, start + 61), hold), []);
    let end = Alert {
        event: AlertEvent::AlertEnd,
        health: Healthy,
        previous: Some(Degraded),
        reason: "for the first time since the start".to_owned(),
        since: at(start + 2).wall,
        held: Duration::from_secs(month + 2),
    };
    assert_eq!(book.due(since_start(start, start + 62), hold), [end]);
    assert_eq!(book.open(), Open::default());
    assert_eq!(book.due(since_start(start, start + 1_000), hold), []);
}

#[test]
fn after_the_wall_clock_was_set_back_what_held_counts_from_the_start() {
    let open = Open { degraded: Some(5_000_000), failing: None };
    let mut book = AlertBook::new(since_start(1_000, 1_000), Degraded, "", open);
    let hold = hold_for(60);
    assert_eq!(book.hear(since_start(1_000, 1_010), &change(Degraded, Healthy), hold), []);
    let ends = book.due(since_start(1_000, 1_070), hold);
    assert_eq!(ends.iter().map(|end| end.held.as_secs()).collect::<Vec<_>>(), [10]);
}
