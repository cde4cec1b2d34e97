use std::sync::Arc;

use chrono::DateTime;
use tokio::sync::Semaphore;

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn moment(seconds: u64) -> Moment {
    Moment { elapsed: at(seconds), wall: DateTime::UNIX_EPOCH }
}

fn push(lines: &mut Lines, parts: &[&str], handed_over: u64) -> oneshot::Receiver<ReplyEnd> {
    let (respond, end) = oneshot::channel();
    let places = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
    let parts = parts.iter().map(|part| (*part).to_owned()).collect();
    let correlation_id = "id".to_owned();
    lines.push(Batch { parts, correlation_id, handed_over: at(handed_over), respond, places });
    end
}

fn say(lines: &mut Lines, seconds: u64) -> Line {
    let line = lines.pop().expect("a line");
    Line { spoken: Some(moment(seconds)), ..line }
}

fn texts(lines: &mut Lines) -> Vec<String> {
    std::iter::from_fn(|| lines.pop()).map(|line| line.text).collect()
}

#[test]
fn lines_keep_their_order_and_replies_are_not_interleaved() {
    let mut lines = Lines::default();
    let (_first, _second) = (push(&mut lines, &["a1", "a2"], 0), push(&mut lines, &["b1"], 0));
    assert_eq!(texts(&mut lines), ["a1", "a2", "b1"]);
}

#[test]
fn a_reply_has_the_worst_outcome_of_its_lines_once_all_have_theirs() {
    use LineOutcome as L;
    for (outcomes, expected) in [
        ([L::Sent, L::Sent], ReplyOutcome::Sent),
        ([L::Sent, L::Stale], ReplyOutcome::Silenced(Reason::Stale)),
        ([L::Stale, L::Abandoned], ReplyOutcome::Abandoned),
        ([L::InDoubt, L::Sent], ReplyOutcome::InDoubt),
        ([L::InDoubt, L::Failed], ReplyOutcome::Failed(Reason::SendFailed)),
    ] {
        let mut lines = Lines::default();
        let mut end = push(&mut lines, &["1", "2"], 0);
        let (first, second) = (say(&mut lines, 1), say(&mut lines, 2));
        lines.settle(&first, outcomes[0]);
        assert!(end.try_recv().is_err(), "one line is still out");
        lines.settle(&second, outcomes[1]);
        assert_eq!(end.try_recv().map(|end| end.outcome), Ok(expected), "{outcomes:?}");
        assert!(lines.is_empty());
    }
}

#[test]
fn a_reply_was_spoken_when_its_first_line_that_may_be_in_the_room_went_out() {
    use LineOutcome as L;
    for (outcomes, spoken) in [
        ([L::Sent, L::Sent], Some(1)),
        ([L::Failed, L::Sent], Some(2)),
        ([L::InDoubt, L::Failed], Some(1)),
        ([L::Failed, L::Failed], None),
    ] {
        let mut lines = Lines::default();
        let mut end = push(&mut lines, &["1", "2"], 0);
        for (second, outcome) in (1..).zip(outcomes) {
            let line = say(&mut lines, second);
            lines.settle(&line, outcome);
        }
        let end = end.try_recv().expect("an end");
        assert_eq!(end.spoken, spoken.map(moment), "{outcomes:?}");
    }
}

#[test]
fn a_line_that_nobody_got_was_not_spoken() {
    let mut lines = Lines::default();
    let mut end = push(&mut lines, &["1"], 0);
    let line = say(&mut lines, 1);
    lines.put_back(line);
    assert_eq!(lines.drop_stale(at(60), at(60)), 1);
    assert_eq!(end.try_recv().map(|end| end.spoken), Ok(None));
}

#[test]
fn stale_lines_go_at_exactly_their_time() {
    let mut lines = Lines::default();
    let (mut end, _young) = (push(&mut lines, &["old"], 0), push(&mut lines, &["young"], 1));
    assert_eq!(lines.drop_stale(Duration::from_millis(59_999), at(60)), 0);
    assert_eq!(lines.drop_stale(at(60), at(60)), 1);
    assert_eq!(end.try_recv().map(|end| end.outcome), Ok(ReplyOutcome::Silenced(Reason::Stale)));
    assert_eq!(texts(&mut lines), ["young"]);
}

#[test]
fn giving_up_abandons_what_waits_but_not_what_was_said() {
    let mut lines = Lines::default();
    let mut end = push(&mut lines, &["said", "waits"], 0);
    let said = say(&mut lines, 1);
    assert_eq!(lines.abandon(), 1);
    assert!(end.try_recv().is_err());
    lines.settle(&said, LineOutcome::Sent);
    assert_eq!(end.try_recv().map(|end| end.outcome), Ok(ReplyOutcome::Abandoned));
}

#[test]
fn what_is_out_when_the_waiting_ends_is_in_doubt() {
    let mut lines = Lines::default();
    let mut end = push(&mut lines, &["said"], 0);
    say(&mut lines, 1);
    lines.doubt_the_rest(moment(2));
    let end = end.try_recv().expect("an end");
    assert_eq!((end.outcome, end.spoken), (ReplyOutcome::InDoubt, Some(moment(2))));
}

#[test]
fn lines_that_nobody_got_are_in_their_old_places_again() {
    let mut lines = Lines::default();
    let (_first, _second) = (push(&mut lines, &["a1", "a2"], 0), push(&mut lines, &["b1", "b2"], 0));
    let mut out: Vec<Line> = (0..3).map(|second| say(&mut lines, second)).collect();
    // The answers that nobody is there come in any order.
    for index in [1, 0, 0] {
        lines.put_back(out.remove(index));
    }
    assert_eq!(texts(&mut lines), ["a1", "a2", "b1", "b2"]);
}
