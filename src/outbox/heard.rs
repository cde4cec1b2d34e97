//! Whether the room hears what we say. The robot's word is not enough: it also says yes while it is
//! cut off, muted or in another room. Only a line's echo proves it.

use std::collections::VecDeque;
use std::time::Duration;

/// How long an echo may take.
const ECHO: Duration = Duration::from_secs(10);
/// So many lines in a row that nobody hears, where lines have been heard before, are no accident.
const UNHEARD: u32 = 3;
/// So many in a row that were neither answered nor heard tell that nobody is there.
const NEVER: u32 = 5;
/// The most lines whose echo is waited for.
pub const WAITING: usize = 64;

/// What is known of one room's hearing.
#[derive(Debug, Default)]
pub struct Hearing {
    /// The lines whose echo is waited for, oldest first.
    waiting: VecDeque<Line>,
    /// The lines in a row that were not heard in time.
    unheard: u32,
    /// The lines in a row that were neither answered by the robot nor heard in time.
    unanswered: u32,
    /// Whether any line was ever heard.
    has_heard: bool,
    last_line: u64,
}

#[derive(Debug)]
struct Line {
    name: Said,
    /// When it was said, since start.
    said: Duration,
    /// Its words, without white space.
    words: String,
    correlation_id: String,
    /// Whether the robot said that it has it.
    is_answered: bool,
    /// Whether its echo may be missing for another reason than that nobody hears us.
    is_excused: bool,
}

/// By which a line's answer finds it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said(u64);

impl Hearing {
    /// A line was handed to the robot, `now` since start. Lines are said one after the other.
    pub fn said(&mut self, now: Duration, text: &str, correlation_id: &str) -> Said {
        self.judge(now);
        if self.waiting.len() == WAITING {
            self.give_up_on_oldest();
        }
        self.last_line += 1;
        let name = Said(self.last_line);
        self.waiting.push_back(Line {
            name,
            said: now,
            words: without_space(text),
            correlation_id: correlation_id.to_owned(),
            is_answered: false,
            is_excused: false,
        });
        name
    }

    /// The robot answered to a line.
    pub fn answered(&mut self, line: Said) {
        self.unanswered = 0;
        if let Some(line) = self.waiting.iter_mut().find(|waiting| waiting.name == line) {
            line.is_answered = true;
        }
    }

    /// A line is not waited for: nobody got it, or its echo can't be known.
    pub fn forget(&mut self, line: Said) {
        self.waiting.retain(|waiting| waiting.name != line);
    }

    /// No line is waited for: for a while no echo could be heard.
    pub fn forget_all(&mut self) {
        self.waiting.clear();
    }

    /// Echoes may have been dropped up to then, since start: a line said before may be heard, and need
    /// not be.
    pub fn excuse(&mut self, said_before: Duration) {
        let lines = self.waiting.iter_mut().filter(|line| line.said < said_before);
        lines.for_each(|line| line.is_excused = true);
    }

    /// A line of ours appeared in the room. Rooms change words, so a text that we don't know stands for
    /// the oldest line; what was said before the line that is heard won't come any more. Returns the
    /// line's correlation id; `None` when none was waited for.
    pub fn heard(&mut self, text: &str) -> Option<String> {
        let words = without_space(text);
        let at = self.waiting.iter().position(|line| line.words == words).unwrap_or(0);
        let heard = self.waiting.drain(..(at + 1).min(self.waiting.len())).next_back();
        (self.unheard, self.unanswered, self.has_heard) = (0, 0, true);
        heard.map(|line| line.correlation_id)
    }

    /// What is wrong with the room's hearing; `None` when nothing is.
    pub fn complaint(&mut self, now: Duration) -> Option<&'static str> {
        self.judge(now);
        if self.has_heard && self.unheard >= UNHEARD {
            Some("lines go unheard: muted or kicked?")
        } else if self.unanswered >= NEVER {
            Some("never answered nor echoed: the wrong room?")
        } else {
            None
        }
    }

    /// How many lines in a row were not heard in time, as of the last [`Self::complaint`]; none where it
    /// says nothing of the room, since no echo was ever known there.
    pub fn unheard(&self) -> u32 {
        if self.has_heard || self.unanswered >= NEVER { self.unheard } else { 0 }
    }

    /// When the next line's time for an echo is over, since start: then [`Self::complaint`] may be
    /// another.
    pub fn next_change(&self) -> Option<Duration> {
        self.waiting.front().map(|line| line.said + ECHO)
    }

    fn judge(&mut self, now: Duration) {
        while self.waiting.front().is_some_and(|line| now.saturating_sub(line.said) >= ECHO) {
            self.give_up_on_oldest();
        }
    }

    fn give_up_on_oldest(&mut self) {
        let Some(line) = self.waiting.pop_front().filter(|line| !line.is_excused) else { return };
        self.unheard = self.unheard.saturating_add(1);
        if !line.is_answered {
            self.unanswered = self.unanswered.saturating_add(1);
        }
    }
}

/// CyTube turns words into pictures and links, with white space of its own round them.
fn without_space(text: &str) -> String {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Lines said at these seconds, none heard in between; whether the robot answers.
    fn say(hearing: &mut Hearing, seconds: impl IntoIterator<Item = u64>, is_answered: bool) {
        for second in seconds {
            let line = hearing.said(at(second), &format!("line {second}"), &second.to_string());
            if is_answered {
                hearing.answered(line);
            }
        }
    }

    #[test]
    fn three_unheard_lines_in_a_row_are_told_where_lines_have_been_heard() {
        let mut hearing = Hearing::default();
        say(&mut hearing, [0], true);
        hearing.heard("line 0");
        say(&mut hearing, [20, 21, 22], true);
        assert_eq!(hearing.complaint(at(31)), None, "the third may still be heard");
        assert_eq!(hearing.next_change(), Some(at(32)));
        assert_eq!(hearing.complaint(at(32)), Some("lines go unheard: muted or kicked?"));
        hearing.heard("line 20");
        assert_eq!(hearing.complaint(at(33)), None, "even a late echo proves that we are heard");
    }

    #[test]
    fn where_no_echo_was_ever_known_nothing_is_counted_until_the_room_looks_wrong() {
        let mut hearing = Hearing::default();
        say(&mut hearing, [0, 20, 40, 60, 80, 100], true);
        assert_eq!((hearing.complaint(at(120)), hearing.unheard()), (None, 0), "the robot answers");
        hearing.heard("something");
        say(&mut hearing, [130], true);
        assert_eq!((hearing.complaint(at(150)), hearing.unheard()), (None, 1));
    }

    #[test]
    fn a_line_that_is_heard_begins_the_count_anew() {
        let mut hearing = Hearing::default();
        say(&mut hearing, [0], true);
        hearing.heard("line  0");
        say(&mut hearing, [20, 40, 60], true);
        hearing.heard("line 60");
        say(&mut hearing, [80, 100], true);
        assert_eq!(hearing.complaint(at(200)), None);
        say(&mut hearing, [201], true);
        assert!(hearing.complaint(at(211)).is_some());
    }

    #[test]
    fn where_nothing_was_ever_heard_an_answered_line_is_no_reason_to_complain() {
        let mut hearing = Hearing::default();
        say(&mut hearing, (0..20).map(|line| line * 20), true);
        assert_eq!(hearing.complaint(at(1_000)), None);
    }

    #[test]
    fn five_lines_neither_answered_nor_heard_are_told() {
        let mut hearing = Hearing::default();
        say(&mut hearing, [0, 20, 40, 60, 80], false);
        assert_eq!(hearing.complaint(at(89)), None);
        assert_eq!(hearing.complaint(at(90)), Some("never answered nor echoed: the wrong room?"));
        say(&mut hearing, [100], true);
        assert_eq!(hearing.complaint(at(101)), None, "an answer heals");
        say(&mut hearing, [120, 140, 160, 180], false);
        assert_eq!(hearing.complaint(at(1_000)), None, "four since the answer");
        say(&mut hearing, [1_001], false);
        assert!(hearing.complaint(at(1_011)).is_some());
    }

    #[test]
    fn a_line_that_nobody_got_is_not_waited_for() {
        let mut hearing = Hearing::default();
        say(&mut hearing, [0], true);
        hearing.heard("line 0");
        for second in [20, 21, 22, 23] {
            let line = hearing.said(at(second), "hello", "id");
            hearing.forget(line);
        }
        assert_eq!((hearing.complaint(at(100)), hearing.next_change()), (None, None));
    }

    #[test]
    fn an_echo_whose_words_the_room_changed_stands_for_the_oldest_line() {
        let mut hearing = Hearing::default();
        say(&mut hearing, [0, 1], true);
        assert_eq!(hearing.heard("something else").as_deref(), Some("0"));
        assert_eq!(hearing.next_change(), Some(at(11)));
        assert_eq!(hearing.heard("l i n e 1").as_deref(), Some("1"));
        assert_eq!(hearing.next_change(), None);
        assert_eq!(hearing.heard("nobody waits for it"), None);
        assert_eq!(hearing.next_change(), None);
    }

    #[test]
    fn an_echo_tells_that_what_was_said_before_it_will_not_come() {
        let mut hearing = Hearing::default();
        say(&mut hearing, [0, 1, 2], true);
        assert_eq!(hearing.heard("line 1").as_deref(), Some("1"));
        assert_eq!(hearing.next_change(), Some(at(12)));
    }

    #[test]
    fn what_was_said_while_no_echo_could_be_heard_is_no_reason_to_complain() {
        let mut hearing = Hearing::default();
        say(&mut hearing, [0], true);
        hearing.heard("line 0");
        say(&mut hearing, [20, 21, 22], true);
        hearing.forget_all();
        assert_eq!((hearing.complaint(at(100)), hearing.next_change()), (None, None));
    }

    #[test]
    fn what_was_said_while_echoes_were_dropped_may_be_heard_and_need_not_be() {
        let mut hearing = Hearing::default();
        say(&mut hearing, [0], true);
        hearing.heard("line 0");
        say(&mut hearing, [20, 21, 22], false);
        hearing.excuse(at(23));
        assert_eq!(hearing.heard("line 20").as_deref(), Some("20"));
        assert_eq!((hearing.complaint(at(100)), hearing.unanswered), (None, 0));
        say(&mut hearing, [100, 101, 102], true);
        hearing.excuse(at(100));
        assert!(hearing.complaint(at(112)).is_some(), "said when echoes came again");
    }

    #[test]
    fn what_is_waited_for_is_bounded() {
        let mut hearing = Hearing::default();
        for _ in 0..10_000 {
            hearing.said(at(0), "hello", "id");
        }
        assert_eq!(hearing.waiting.len(), WAITING);
    }

    proptest! {
        #[test]
        fn who_is_always_heard_in_time_never_complains(gaps in prop::collection::vec(0..9u64, 1..60), answered: bool) {
            let mut hearing = Hearing::default();
            let mut now = 0;
            for gap in gaps {
                say(&mut hearing, [now], answered);
                hearing.heard(&format!("line {now}"));
                prop_assert_eq!(hearing.complaint(at(now + 9)), None);
                now += 1 + gap;
            }
        }
    }
}
