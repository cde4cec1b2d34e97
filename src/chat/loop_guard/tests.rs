use super::super::testing::at;
use super::*;

/// What happens at a second: a line of a user, or a reply to the one who spoke last.
enum Step {
    Line(f64, &'static str),
    Reply(f64),
    Refused(f64),
    NothingSaid(f64),
}
use Step::{Line, NothingSaid, Refused, Reply};

fn play(max_replies_in_a_row: u32, steps: &[Step]) {
    let settings = Settings { max_replies_in_a_row, window: Duration::from_secs(100) };
    let mut guard = LoopGuard::default();
    for (number, step) in steps.iter().enumerate() {
        let ticket = Ticket(number as u64);
        match *step {
            Line(second, user) => guard.heard(at(second), &settings, &Username::new(user)),
            Reply(second) | NothingSaid(second) => {
                assert!(guard.allows(at(second), &settings), "step {number}");
                guard.reserve(at(second), &settings, ticket);
                if matches!(step, NothingSaid(_)) {
                    guard.give_back(ticket);
                }
            }
            Refused(second) => assert!(!guard.allows(at(second), &settings), "step {number}"),
        }
    }
}

#[test]
fn so_many_replies_to_one_user_alone_and_no_more() {
    play(2, &[Line(0.0, "bot"), Reply(0.0), Line(1.0, "BOT"), Reply(1.0), Line(2.0, "bot"), Refused(2.0)]);
}

#[test]
fn a_line_of_somebody_else_begins_anew() {
    play(1, &[Line(0.0, "bot"), Reply(0.0), Line(1.0, "ann"), Reply(1.0), Line(2.0, "bot"), Reply(2.0)]);
}

#[test]
fn the_silence_lasts_until_the_user_pauses_for_the_window() {
    play(
        1,
        &[
            Line(0.0, "bot"),
            Reply(0.0),
            Line(99.0, "bot"),
            Refused(99.0),
            Line(198.0, "bot"),
            Refused(198.0),
            Line(298.0, "bot"),
            Reply(298.0),
        ],
    );
}

#[test]
fn replies_further_apart_than_the_window_are_no_loop() {
    play(
        2,
        &[
            Line(0.0, "bob"),
            Reply(0.0),
            Line(60.0, "bob"),
            Line(101.0, "bob"),
            Reply(101.0),
            Line(102.0, "bob"),
            Reply(102.0),
            Line(103.0, "bob"),
            Refused(103.0),
        ],
    );
}

#[test]
fn replies_exactly_the_window_apart_are_still_in_a_row() {
    play(
        2,
        &[
            Line(0.0, "bob"),
            Reply(0.0),
            Line(60.0, "bob"),
            Line(100.0, "bob"),
            Reply(100.0),
            Line(101.0, "bob"),
            Refused(101.0),
        ],
    );
}

#[test]
fn a_reply_of_which_nothing_was_said_does_not_count() {
    play(
        1,
        &[Line(0.0, "bob"), NothingSaid(0.0), Line(1.0, "bob"), Reply(1.0), Line(2.0, "bob"), Refused(2.0)],
    );
}

#[test]
fn zero_switches_it_off_and_keeps_nothing() {
    let settings = Settings { max_replies_in_a_row: 0, window: Duration::from_secs(100) };
    let mut guard = LoopGuard::default();
    guard.heard(at(0.0), &settings, &Username::new("bob"));
    for number in 0..1000 {
        assert!(guard.allows(at(0.0), &settings));
        guard.reserve(at(0.0), &settings, Ticket(number));
    }
    assert!(guard.run.is_some_and(|run| run.replies.is_empty()));
}
