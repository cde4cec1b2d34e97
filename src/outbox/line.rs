//! The lines of one room: their order, their gaps, and what becomes of a reply. No I/O.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::clock::Moment;
use crate::outcome::{Reason, ReplyEnd, ReplyOutcome};

/// What became of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineOutcome {
    /// The robot took it, or a round trip behind it proves that the bus has it.
    Sent,
    /// Nothing proves that anybody got it.
    InDoubt,
    /// The robot said no.
    Failed,
    /// It waited too long.
    Stale,
    /// Given up at shutdown before it was said.
    Abandoned,
}

/// A reply's lines on their way to the outbox.
pub struct Batch {
    /// The lines, in order; not empty.
    pub parts: Vec<String>,
    /// Of the message that is answered.
    pub correlation_id: String,
    /// When the reply was handed over, since start.
    pub handed_over: Duration,
    /// Where the reply's end goes.
    pub respond: oneshot::Sender<ReplyEnd>,
    /// The room that the lines take in the outbox.
    pub places: OwnedSemaphorePermit,
}

/// One line that waits to be said.
#[derive(Debug)]
pub struct Line {
    /// Which reply it belongs to.
    pub batch: u64,
    /// What to say.
    pub text: String,
    /// Whether another line of the same reply was said before it.
    pub continues: bool,
    /// When its reply was handed over, since start.
    pub handed_over: Duration,
    /// When it may be said, since start; none until it is the first in the queue.
    pub due: Option<Duration>,
}

struct OpenBatch {
    outstanding: usize,
    worst: LineOutcome,
    spoken: Option<Moment>,
    correlation_id: String,
    respond: oneshot::Sender<ReplyEnd>,
    _places: OwnedSemaphorePermit,
}

impl OpenBatch {
    fn end(self) {
        let outcome = reply_outcome(self.worst);
        // A reply task that is gone was given up; its outcome is counted there.
        let _ = self.respond.send(ReplyEnd { outcome, spoken: self.spoken });
    }
}

/// The queue of one room, and the replies that wait for the outcome of their lines.
#[derive(Default)]
pub struct Lines {
    next_batch: u64,
    waiting: VecDeque<Line>,
    open: HashMap<u64, OpenBatch>,
}

impl Lines {
    /// Takes a reply's lines behind all others.
    pub fn push(&mut self, batch: Batch) {
        let number = self.next_batch;
        self.next_batch += 1;
        let outstanding = batch.parts.len();
        for (index, text) in batch.parts.into_iter().enumerate() {
            self.waiting.push_back(Line {
                batch: number,
                text,
                continues: index > 0,
                handed_over: batch.handed_over,
                due: None,
            });
        }
        self.open.insert(
            number,
            OpenBatch {
                outstanding,
                worst: LineOutcome::Sent,
                spoken: None,
                correlation_id: batch.correlation_id,
                respond: batch.respond,
                _places: batch.places,
            },
        );
    }

    /// The first line that waits.
    pub fn front(&mut self) -> Option<&mut Line> {
        self.waiting.front_mut()
    }

    /// Takes the first line off, to be said.
    pub fn pop(&mut self) -> Option<Line> {
        self.waiting.pop_front()
    }

    /// A line of this reply was handed to the bus.
    pub fn spoken(&mut self, batch: u64, now: Moment) {
        if let Some(open) = self.open.get_mut(&batch) {
            open.spoken.get_or_insert(now);
        }
    }

    /// Puts a line back that nobody got. What is behind it has to keep its gap anew.
    pub fn put_back(&mut self, line: Line) {
        if let Some(front) = self.waiting.front_mut() {
            front.due = None;
        }
        self.waiting.push_front(line);
    }

    /// Whether no reply waits for anything.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The correlation id of a line's reply.
    pub fn correlation_id(&self, batch: u64) -> Option<&str> {
        self.open.get(&batch).map(|open| open.correlation_id.as_str())
    }

    /// A line has its outcome. With its last line a reply has its own.
    pub fn settle(&mut self, batch: u64, outcome: LineOutcome) {
        let Some(open) = self.open.get_mut(&batch) else { return };
        open.outstanding = open.outstanding.saturating_sub(1);
        if severity(outcome) > severity(open.worst) {
            open.worst = outcome;
        }
        if open.outstanding == 0
            && let Some(open) = self.open.remove(&batch)
        {
            open.end();
        }
    }

    /// Drops the lines that have waited for `stale_after` or longer. Returns how many.
    pub fn drop_stale(&mut self, now: Duration, stale_after: Duration) -> usize {
        let stale = |line: &Line| now.saturating_sub(line.handed_over) >= stale_after;
        let count = self.waiting.iter().take_while(|line| stale(line)).count();
        for _ in 0..count {
            if let Some(line) = self.waiting.pop_front() {
                self.settle(line.batch, LineOutcome::Stale);
            }
        }
        count
    }

    /// Settles the replies whose lines are out and will not be answered any more: in doubt.
    pub fn doubt_the_rest(&mut self) {
        for (_, mut open) in self.open.drain() {
            if severity(LineOutcome::InDoubt) > severity(open.worst) {
                open.worst = LineOutcome::InDoubt;
            }
            open.end();
        }
    }

    /// Gives up every line that waits. Returns how many.
    pub fn abandon(&mut self) -> usize {
        let count = self.waiting.len();
        while let Some(line) = self.waiting.pop_front() {
            self.settle(line.batch, LineOutcome::Abandoned);
        }
        count
    }
}

/// What a reply is called when its lines fared differently: the worst that an operator should
/// know of.
fn severity(outcome: LineOutcome) -> u8 {
    match outcome {
        LineOutcome::Sent => 0,
        LineOutcome::Stale => 1,
        LineOutcome::Abandoned => 2,
        LineOutcome::InDoubt => 3,
        LineOutcome::Failed => 4,
    }
}

fn reply_outcome(worst: LineOutcome) -> ReplyOutcome {
    match worst {
        LineOutcome::Sent => ReplyOutcome::Sent,
        LineOutcome::Stale => ReplyOutcome::Silenced(Reason::Stale),
        LineOutcome::Abandoned => ReplyOutcome::Abandoned,
        LineOutcome::InDoubt => ReplyOutcome::InDoubt,
        LineOutcome::Failed => ReplyOutcome::Failed(Reason::SendFailed),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn batch(parts: &[&str], handed_over: u64) -> (Batch, oneshot::Receiver<ReplyEnd>) {
        let (respond, outcome) = oneshot::channel();
        let places = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        let correlation_id = "id".to_owned();
        (Batch { parts, correlation_id, handed_over: at(handed_over), respond, places }, outcome)
    }

    #[test]
    fn lines_keep_their_order_and_replies_are_not_interleaved() {
        let mut lines = Lines::default();
        let (first, _first) = batch(&["a1", "a2"], 0);
        let (second, _second) = batch(&["b1"], 0);
        lines.push(first);
        lines.push(second);
        let said: Vec<(String, bool)> =
            std::iter::from_fn(|| lines.pop()).map(|line| (line.text, line.continues)).collect();
        assert_eq!(said, [("a1".into(), false), ("a2".into(), true), ("b1".into(), false)]);
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
            let (reply, mut outcome) = batch(&["1", "2"], 0);
            lines.push(reply);
            lines.settle(0, outcomes[0]);
            assert!(outcome.try_recv().is_err(), "one line is still out");
            lines.settle(0, outcomes[1]);
            assert_eq!(outcome.try_recv().map(|end| end.outcome), Ok(expected), "{outcomes:?}");
            assert!(lines.is_empty());
        }
    }

    #[test]
    fn stale_lines_go_at_exactly_their_time() {
        let mut lines = Lines::default();
        let (old, mut outcome) = batch(&["old"], 0);
        let (young, _young) = batch(&["young"], 1);
        lines.push(old);
        lines.push(young);
        assert_eq!(lines.drop_stale(Duration::from_millis(59_999), at(60)), 0);
        assert_eq!(lines.drop_stale(at(60), at(60)), 1);
        assert_eq!(outcome.try_recv().map(|end| end.outcome), Ok(ReplyOutcome::Silenced(Reason::Stale)));
        assert_eq!(lines.front().map(|line| line.text.as_str()), Some("young"));
    }

    #[test]
    fn giving_up_abandons_what_waits_but_not_what_was_said() {
        let mut lines = Lines::default();
        let (reply, mut outcome) = batch(&["said", "waits"], 0);
        lines.push(reply);
        let said = lines.pop().expect("a line");
        assert_eq!(lines.abandon(), 1);
        assert!(outcome.try_recv().is_err());
        lines.settle(said.batch, LineOutcome::Sent);
        assert_eq!(outcome.try_recv().map(|end| end.outcome), Ok(ReplyOutcome::Abandoned));
    }

    #[test]
    fn a_line_that_nobody_got_is_the_first_again() {
        let mut lines = Lines::default();
        let (reply, _outcome) = batch(&["1", "2"], 0);
        lines.push(reply);
        let first = lines.pop().expect("a line");
        lines.put_back(first);
        assert_eq!(lines.front().map(|line| line.text.as_str()), Some("1"));
    }
}
