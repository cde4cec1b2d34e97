use std::sync::Arc;

use chrono::DateTime;
use tokio::sync::Semaphore;

use super::*;
use crate::chat::repetition::Wording;
use crate::config::testing::config;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn moment(seconds: u64) -> Moment {
    Moment { elapsed: at(seconds), wall: DateTime::UNIX_EPOCH }
}

fn push(lines: &mut Lines, parts: &[&str], handed_over: u64) -> oneshot::Receiver<ReplyEnd> {
    push_words(lines, Words::Answer(Wording::new(parts[0])), parts, handed_over)
}

fn push_words(
    lines: &mut Lines,
    words: Words,
    parts: &[&str],
    handed_over: u64,
) -> oneshot::Receiver<ReplyEnd> {
    let (respond, end) = oneshot::channel();
    let places = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
    let parts = parts.iter().map(|part| (*part).to_owned()).collect();
    let correlation_id = "id".to_owned();
    lines.push(Batch { parts, words, correlation_id, handed_over: at(handed_over), respond, places });
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
    for (outcomes, expected, parts_sent) in [
        ([L::Sent, L::Sent], ReplyOutcome::Sent, 2),
        ([L::Stale, L::Stale], ReplyOutcome::Silenced(Reason::Stale), 0),
        // Half of it is in the room: that is no silence.
        ([L::Sent, L::Stale], ReplyOutcome::Failed(Reason::Stale), 1),
        ([L::Sent, L::Abandoned], ReplyOutcome::Abandoned, 1),
        ([L::Stale, L::Abandoned], ReplyOutcome::Abandoned, 0),
        ([L::InDoubt, L::Sent], ReplyOutcome::InDoubt, 1),
        ([L::InDoubt, L::Stale], ReplyOutcome::InDoubt, 0),
        ([L::InDoubt, L::Failed], ReplyOutcome::Failed(Reason::SendFailed), 0),
    ] {
        let mut lines = Lines::default();
        let mut end = push(&mut lines, &["1", "2"], 0);
        let (first, second) = (say(&mut lines, 1), say(&mut lines, 2));
        lines.settle(&first, outcomes[0]);
        assert!(end.try_recv().is_err(), "one line is still out");
        lines.settle(&second, outcomes[1]);
        let end = end.try_recv().map(|end| (end.outcome, end.parts_sent));
        assert_eq!(end, Ok((expected, parts_sent)), "{outcomes:?}");
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

/// What the only line of a reply waited for, once it was said.
fn waits(lines: &mut Lines, end: &mut oneshot::Receiver<ReplyEnd>, line: &Line, answered: u64) -> Waits {
    lines.waited(at(answered), line);
    lines.settle(line, LineOutcome::Sent);
    end.try_recv().expect("an end").waits
}

#[test]
fn a_line_waits_for_its_gap_and_then_for_the_robot() {
    let mut lines = Lines::default();
    let mut end = push(&mut lines, &["1"], 0);
    // The gap is over at 2, the robot comes at 9, the line is out at 10 and answered at 12.
    let line = Line { due: Some(at(2)), robot_there: Some(at(9)), ..say(&mut lines, 10) };
    let waits = waits(&mut lines, &mut end, &line, 12);
    assert_eq!((waits.gap, waits.robot, waits.total(at(0))), (at(2), at(7 + 2), at(12)));
}

#[test]
fn a_line_that_nobody_took_waits_for_the_robot_and_no_more_for_its_gap() {
    let mut lines = Lines::default();
    let mut end = push(&mut lines, &["1"], 0);
    let line = Line { due: Some(at(2)), robot_there: Some(at(2)), ..say(&mut lines, 2) };
    lines.waited(at(3), &line);
    lines.put_back(Line { due: Some(at(4)), ..line });
    let line = Line { robot_there: Some(at(6)), ..say(&mut lines, 7) };
    let waits = waits(&mut lines, &mut end, &line, 8);
    assert_eq!((waits.gap, waits.robot), (at(2), at(1 + 3 + 1)), "all but the second until it was out again");
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
    assert_eq!(lines.end_waiting(LineOutcome::Abandoned), 1);
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

fn validation() -> Validation {
    config(serde_json::json!({})).validation
}

fn judge(lines: &Lines, seconds: u64) -> Verdict {
    lines.judge(at(seconds), &validation())
}

const REPETITION: Verdict = Verdict::Reject(ReplyOutcome::Silenced(Reason::RejectedRepetition));
const NO_FALLBACK: Verdict = Verdict::Reject(ReplyOutcome::Failed(Reason::Exhausted));

#[test]
fn of_two_equal_answers_at_once_the_second_waits_for_the_first_and_is_rejected_when_it_was_said() {
    use LineOutcome as L;
    for (outcome, expected) in [
        (L::Sent, REPETITION),
        // It may be in the room.
        (L::InDoubt, REPETITION),
        // The room never had it.
        (L::Failed, Verdict::Say),
    ] {
        let mut lines = Lines::default();
        let _first = push(&mut lines, &["a fine film"], 0);
        let mut second = push(&mut lines, &["A fine film!"], 0);
        assert_eq!(judge(&lines, 0), Verdict::Say);
        let line = say(&mut lines, 0);
        assert_eq!(judge(&lines, 0), Verdict::Wait);
        lines.settle(&line, outcome);
        let verdict = judge(&lines, 1);
        assert_eq!(verdict, expected, "{outcome:?}");
        if let Verdict::Reject(outcome) = verdict {
            lines.reject(outcome);
            assert_eq!(second.try_recv(), Ok(ReplyEnd::silent(outcome)));
            assert!(lines.is_empty());
        }
    }
}

#[test]
fn an_answer_is_remembered_as_soon_as_one_of_its_lines_was_said() {
    let mut lines = Lines::default();
    let _first = push(&mut lines, &["one", "two"], 0);
    let _second = push(&mut lines, &["one", "two"], 0);
    let (line, _still_out) = (say(&mut lines, 0), say(&mut lines, 0));
    lines.settle(&line, LineOutcome::Sent);
    assert_eq!(judge(&lines, 0), REPETITION);
    lines.reject(ReplyOutcome::Silenced(Reason::RejectedRepetition));
    assert_eq!(texts(&mut lines), Vec::<String>::new(), "none of its lines is left");
}

#[test]
fn an_answer_that_was_never_said_may_be_said_later() {
    let mut lines = Lines::default();
    let _stale = push(&mut lines, &["the same"], 0);
    lines.drop_stale(at(60), at(60));
    let _given_up = push(&mut lines, &["the same"], 60);
    lines.end_waiting(LineOutcome::Abandoned);
    let _said = push(&mut lines, &["the same"], 70);
    assert_eq!(judge(&lines, 70), Verdict::Say);
}

#[test]
fn a_reply_is_judged_at_its_first_line_alone() {
    let mut lines = Lines::default();
    let _first = push(&mut lines, &["the same", "and more"], 0);
    let line = say(&mut lines, 0);
    lines.settle(&line, LineOutcome::Sent);
    assert_eq!(judge(&lines, 1), Verdict::Say, "its second line");
    let line = say(&mut lines, 1);
    lines.settle(&line, LineOutcome::Sent);
    assert_eq!(judge(&lines, 1), Verdict::Say, "nothing waits");
}

#[test]
fn a_room_has_one_fallback_message_a_minute_and_one_that_it_never_had_does_not_count() {
    let mut lines = Lines::default();
    let mut ends: Vec<_> = (0..3).map(|_| push_words(&mut lines, Words::Fallback, &["sorry"], 0)).collect();
    let refused = say(&mut lines, 0);
    assert_eq!(judge(&lines, 0), Verdict::Wait);
    lines.settle(&refused, LineOutcome::Failed);
    assert_eq!(judge(&lines, 0), Verdict::Say);
    let said = say(&mut lines, 10);
    lines.settle(&said, LineOutcome::Sent);
    assert_eq!(judge(&lines, 69), NO_FALLBACK);
    assert_eq!(judge(&lines, 70), Verdict::Say);
    let spoken: Vec<_> =
        ends.iter_mut().filter_map(|end| end.try_recv().ok()).map(|end| end.spoken).collect();
    assert_eq!(spoken, [None, Some(moment(10))]);
}

#[test]
fn answers_and_fallback_messages_do_not_hold_each_other_up() {
    let mut lines = Lines::default();
    let _answer = push(&mut lines, &["sorry"], 0);
    let _fallback = push_words(&mut lines, Words::Fallback, &["sorry"], 0);
    let _other = push(&mut lines, &["something else"], 0);
    for _ in 0..3 {
        assert_eq!(judge(&lines, 0), Verdict::Say);
        say(&mut lines, 0);
    }
}
