use chrono::DateTime;
use proptest::prelude::*;

use super::State::{Degraded, Failing, Healthy};
use super::*;

mod restarts;

/// Name, hold, what the state becomes at which second, and what is told.
type Case = (&'static str, u64, &'static [(u64, State)], &'static [&'static str]);

fn at(seconds: u64) -> Moment {
    since_start(0, seconds)
}

/// The same second, of a service that started at another.
fn since_start(start: u64, seconds: u64) -> Moment {
    let wall = DateTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Moment { elapsed: Duration::from_secs(seconds - start), wall }
}

fn healthy() -> AlertBook {
    AlertBook::new(at(0), Healthy, "", Open::default())
}

fn change(from: State, to: State) -> Transition {
    Transition { from, to, reason: format!("why {}", to.as_str()), held: Duration::ZERO, ends_start: false }
}

fn hold_for(seconds: u64) -> Hold {
    let hold = Duration::from_secs(seconds);
    Hold { worse: hold, better: hold }
}

/// What is told within so many seconds when the state changes like this, beginning healthy, looked at each
/// second; as "second: what".
fn told(hold: u64, changes: &[(u64, State)], seconds: u64) -> Vec<String> {
    told_by(healthy(), 0, hold, changes, seconds)
}

/// The same of a book that began at `start`.
fn told_by(
    mut book: AlertBook,
    start: u64,
    hold: u64,
    changes: &[(u64, State)],
    seconds: u64,
) -> Vec<String> {
    let hold = hold_for(hold);
    let mut told = Vec::new();
    for second in start..=seconds {
        let now = since_start(start, second);
        let mut alerts = Vec::new();
        for (_, to) in changes.iter().filter(|(at, _)| *at == second) {
            alerts.extend(book.hear(now, &change(book.state(), *to), hold));
        }
        alerts.extend(book.due(now, hold));
        told.extend(alerts.iter().map(|alert| {
            let (health, previous) = (alert.health.as_str(), alert.previous.map_or("?", State::as_str));
            match alert.event {
                AlertEvent::Alert => format!("{second}: {health}"),
                AlertEvent::AlertEnd => format!("{second}: end of {previous}, now {health}"),
            }
        }));
    }
    told
}

#[test]
fn what_holds_is_told_once_and_its_end_once() {
    let table: [Case; 18] = [
        ("nothing happens", 60, &[], &[]),
        (
            "failing",
            60,
            &[(10, Failing), (100, Healthy)],
            &["70: failing", "160: end of failing, now healthy"],
        ),
        (
            "degraded",
            60,
            &[(10, Degraded), (100, Healthy)],
            &["70: degraded", "160: end of degraded, now healthy"],
        ),
        ("too short", 60, &[(10, Failing), (69, Healthy)], &[]),
        (
            "just long enough",
            60,
            &[(10, Failing), (70, Healthy)],
            &["70: failing", "130: end of failing, now healthy"],
        ),
        (
            "flapping opens nothing",
            60,
            &[(10, Failing), (50, Healthy), (60, Failing), (100, Healthy), (110, Degraded), (150, Healthy)],
            &[],
        ),
        (
            "flapping closes nothing",
            60,
            &[(10, Failing), (80, Healthy), (120, Failing), (130, Healthy), (180, Degraded), (185, Healthy)],
            &["70: failing", "190: end of failing, now healthy"],
        ),
        (
            "a lesser state opens no other while the worse one is open",
            60,
            &[(10, Failing), (100, Degraded), (159, Healthy)],
            &["70: failing", "160: end of failing, now healthy"],
        ),
        (
            "a lesser state that is left when the worse one is over is told then",
            60,
            &[(10, Failing), (100, Degraded), (300, Healthy)],
            &[
                "70: failing",
                "160: end of failing, now degraded",
                "160: degraded",
                "360: end of degraded, now healthy",
            ],
        ),
        (
            "a lesser state that was left, and comes back before it is over",
            60,
            &[(10, Failing), (100, Degraded), (155, Healthy), (165, Degraded), (170, Healthy)],
            &[
                "70: failing",
                "160: end of failing, now healthy",
                "165: degraded",
                "230: end of degraded, now healthy",
            ],
        ),
        (
            "a lesser state that is short too",
            60,
            &[(10, Failing), (100, Degraded), (110, Healthy)],
            &["70: failing", "160: end of failing, now healthy"],
        ),
        (
            "it gets worse than was told, and better by steps",
            60,
            &[(10, Degraded), (100, Failing), (200, Degraded), (300, Healthy)],
            &[
                "70: degraded",
                "160: failing",
                "260: end of failing, now degraded",
                "360: end of degraded, now healthy",
            ],
        ),
        (
            "it gets worse than was told, and well at once",
            60,
            &[(10, Degraded), (100, Failing), (200, Healthy)],
            &["70: degraded", "160: failing", "260: end of failing, now healthy"],
        ),
        (
            "worse for a moment",
            60,
            &[(10, Degraded), (60, Failing), (75, Degraded), (200, Healthy)],
            &["70: degraded", "260: end of degraded, now healthy"],
        ),
        (
            "failing again out of what a failing had left",
            60,
            &[(10, Failing), (100, Degraded), (200, Failing), (300, Healthy)],
            &[
                "70: failing",
                "160: end of failing, now degraded",
                "160: degraded",
                "260: failing",
                "360: end of failing, now healthy",
            ],
        ),
        (
            "degraded anew after all was well",
            60,
            &[(10, Failing), (100, Healthy), (165, Degraded)],
            &["70: failing", "160: end of failing, now healthy", "225: degraded"],
        ),
        (
            "at once",
            0,
            &[(10, Failing), (12, Degraded), (14, Healthy)],
            &[
                "10: failing",
                "12: end of failing, now degraded",
                "12: degraded",
                "14: end of degraded, now healthy",
            ],
        ),
        (
            "at once, and gone within the same look",
            0,
            &[(10, Failing), (10, Healthy)],
            &["10: failing", "10: end of failing, now healthy"],
        ),
    ];
    for (name, hold, changes, expected) in table {
        assert_eq!(told(hold, changes, 400), expected, "{name}");
    }
}

#[test]
fn an_alert_says_since_when_and_why_and_its_end_how_long_it_was() {
    let hold = hold_for(60);
    let mut book = healthy();
    let only = |alerts: Vec<Alert>| <[Alert; 1]>::try_from(alerts).map(|[alert]| alert).expect("one alert");
    assert_eq!(book.hear(at(10), &change(Healthy, Degraded), hold), []);
    assert_eq!(book.hear(at(20), &change(Degraded, Failing), hold), []);
    let degraded = only(book.due(at(71), hold));
    assert_eq!((degraded.health, degraded.previous), (Degraded, Some(Healthy)));
    assert_eq!((&*degraded.reason, degraded.since), ("why degraded", at(10).wall));
    let alert = only(book.due(at(85), hold));
    assert_eq!(
        alert,
        Alert {
            event: AlertEvent::Alert,
            health: Failing,
            previous: Some(Degraded),
            reason: "why failing".to_owned(),
            since: at(20).wall,
            held: Duration::from_secs(65),
        }
    );
    assert_eq!(book.hear(at(100), &change(Failing, Healthy), hold), []);
    let end = only(book.due(at(170), hold));
    assert_eq!(
        end,
        Alert {
            event: AlertEvent::AlertEnd,
            health: Healthy,
            previous: Some(Failing),
            reason: "why healthy".to_owned(),
            since: at(100).wall,
            held: Duration::from_secs(80),
        }
    );
}

#[test]
fn the_state_at_the_start_is_told_when_it_holds_and_has_none_before_it() {
    let hold = hold_for(60);
    let mut book = AlertBook::new(at(0), Failing, "NATS disconnected", Open::default());
    assert_eq!(book.due(at(59), hold), []);
    let alerts = book.due(at(60), hold);
    let told: Vec<_> = alerts.iter().map(|alert| (alert.health, alert.previous, &*alert.reason)).collect();
    assert_eq!(told, [(Failing, None, "NATS disconnected")]);
    let mut book = AlertBook::new(at(0), Failing, "NATS disconnected", Open::default());
    assert_eq!(book.hear(at(1), &change(Failing, Healthy), hold), []);
    assert_eq!(book.due(at(1_000), hold), [], "a usual start is no alert");
}

/// Whether what is told fits what was told before and is still open, from the lesser to the worse.
fn check(book: &AlertBook, told: &[Alert], hold: Hold, open: &mut Vec<State>) -> Result<(), TestCaseError> {
    for alert in told {
        prop_assert!(alert.held >= hold.worse);
        if alert.event == AlertEvent::Alert {
            prop_assert!(open.iter().all(|state| *state < alert.health), "no lesser, and none twice");
            open.push(alert.health);
        } else {
            let ended = alert.previous.expect("an end names what has ended");
            prop_assert_eq!(open.pop(), Some(ended));
            prop_assert!(alert.health < ended);
            // Both may have been left, told together.
            open.retain(|state| book.trouble(*state).is_some_and(|trouble| trouble.was_told));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn alerts_and_ends_fit_together(
        worse in 0_u64..20,
        better in 0_u64..20,
        steps in proptest::collection::vec(
            (0_u64..30, prop_oneof![Just(Healthy), Just(Degraded), Just(Failing)], proptest::bool::weighted(0.1)),
            0..40,
        )
    ) {
        let hold = Hold { worse: Duration::from_secs(worse), better: Duration::from_secs(better) };
        let mut book = healthy();
        let (mut start, mut now, mut open) = (0, 0, Vec::new());
        for (wait, to, restarts) in steps {
            now += wait;
            if restarts {
                start = now;
                book = AlertBook::new(since_start(start, now), Failing, "", book.open());
            }
            let at = |seconds| since_start(start, seconds);
            let change = (to != book.state()).then(|| change(book.state(), to));
            if let Some(change) = change {
                let heard = book.hear(at(now), &change, hold);
                check(&book, &heard, hold, &mut open)?;
            }
            let due = book.due(at(now), hold);
            check(&book, &due, hold, &mut open)?;
            let holds = [Degraded, Failing].into_iter().filter_map(|state| book.trouble(state)).any(|trouble| {
                trouble.left.is_none() && trouble.held(at(now)) >= hold.worse
            });
            prop_assert!(!holds || !open.is_empty(), "what has held does not go on untold");
        }
        // What is left alone long enough is over.
        let at = |seconds| since_start(start, seconds);
        let last = at(now + 1_000);
        if book.state() != Healthy {
            book.hear(last, &change(book.state(), Healthy), hold);
        }
        book.due(at(now + 2_000), hold);
        prop_assert!([Degraded, Failing].into_iter().all(|state| book.trouble(state).is_none()));
    }
}

impl AlertBook {
    fn trouble(&self, state: State) -> Option<&Trouble> {
        self.watched.iter().find(|watched| watched.state == state)?.trouble.as_ref()
    }
}
