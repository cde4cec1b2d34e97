//! The lines of one room: their order, their gaps, and what becomes of a reply. No I/O.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::before::{Before, Verdict, Words};
use crate::clock::Moment;
use crate::config::Validation;
use crate::outcome::{Reason, ReplyEnd, ReplyOutcome};
use crate::timings::Waits;

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
    /// An operator paused the room before it was said.
    Paused,
    /// Given up at shutdown before it was said.
    Abandoned,
}

/// A reply's lines on their way to the outbox.
pub struct Batch {
    /// The lines, in order; not empty.
    pub parts: Vec<String>,
    /// What they are.
    pub words: Words,
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
    /// Its place in the reply, from 0.
    pub part: usize,
    /// What to say.
    pub text: String,
    /// When its reply was handed over, since start.
    pub handed_over: Duration,
    /// When it may be said, since start; none until it is the first in the queue.
    pub due: Option<Duration>,
    /// When the robot could be reached, since start: it was in the room, and the link up. None until then.
    pub robot_there: Option<Duration>,
    /// Whether it was out before and nobody got it. So it has kept its gap, and waits for the robot.
    pub is_tried_again: bool,
    /// When it was handed to the bus; none while it waits.
    pub spoken: Option<Moment>,
}

impl Line {
    /// Where it stands among all lines of the room.
    fn place(&self) -> (u64, usize) {
        (self.batch, self.part)
    }
}

struct OpenBatch {
    outstanding: usize,
    worst: LineOutcome,
    parts_sent: usize,
    spoken: Option<Moment>,
    waits: Waits,
    /// What the lines are; none once the room was told.
    words: Option<Words>,
    correlation_id: String,
    respond: oneshot::Sender<ReplyEnd>,
    _places: OwnedSemaphorePermit,
}

impl OpenBatch {
    fn take(&mut self, outcome: LineOutcome, spoken: Option<Moment>) {
        if severity(outcome) > severity(self.worst) {
            self.worst = outcome;
        }
        self.parts_sent += usize::from(outcome == LineOutcome::Sent);
        // Only what may be in the room counts as said: not what was refused, or what nobody got.
        if matches!(outcome, LineOutcome::Sent | LineOutcome::InDoubt) {
            self.spoken = self.spoken.or(spoken);
        }
    }

    fn end(self) {
        let outcome = reply_outcome(self.worst, self.spoken.is_some());
        // A reply task that is gone was given up; its outcome is counted there.
        let Self { spoken, parts_sent, waits, .. } = self;
        let _ = self.respond.send(ReplyEnd { spoken, parts_sent, waits, ..ReplyEnd::silent(outcome) });
    }
}

/// The queue of one room, and the replies that wait for the outcome of their lines.
#[derive(Default)]
pub struct Lines {
    next_batch: u64,
    waiting: VecDeque<Line>,
    open: HashMap<u64, OpenBatch>,
    before: Before,
}

impl Lines {
    /// Takes a reply's lines behind all others.
    pub fn push(&mut self, batch: Batch) {
        let number = self.next_batch;
        self.next_batch += 1;
        let outstanding = batch.parts.len();
        for (part, text) in batch.parts.into_iter().enumerate() {
            self.waiting.push_back(Line {
                batch: number,
                part,
                text,
                handed_over: batch.handed_over,
                due: None,
                robot_there: None,
                is_tried_again: false,
                spoken: None,
            });
        }
        self.open.insert(
            number,
            OpenBatch {
                outstanding,
                worst: LineOutcome::Sent,
                parts_sent: 0,
                spoken: None,
                waits: Waits::since(batch.handed_over),
                words: Some(batch.words),
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

    /// Whether the first line may be said now. A reply is judged as a whole, at its first line, by what
    /// the room was told before.
    pub fn judge(&self, now: Duration, settings: &Validation) -> Verdict {
        let words_of = |batch| self.open.get(batch).and_then(|open| open.words.as_ref());
        let first = self.waiting.front().filter(|line| line.part == 0);
        let Some((batch, words)) = first.and_then(|line| Some((line.batch, words_of(&line.batch)?))) else {
            return Verdict::Say;
        };
        // Replies keep their order, so all lines of those before it are out.
        let under_way = self.open.keys().filter(|other| **other < batch).filter_map(words_of);
        self.before.judge(now, settings, words, under_way)
    }

    /// Ends the reply whose line is the first with this outcome. Its lines are not said.
    pub fn reject(&mut self, outcome: ReplyOutcome) {
        let Some(batch) = self.waiting.front().map(|line| line.batch) else { return };
        self.waiting.retain(|line| line.batch != batch);
        if let Some(open) = self.open.remove(&batch) {
            let _ = open.respond.send(ReplyEnd::silent(outcome));
        }
    }

    /// Takes the first line off, to be said.
    pub fn pop(&mut self) -> Option<Line> {
        self.waiting.pop_front()
    }

    /// Puts a line back, in its old place, that nobody got. What is behind it has to keep its gap
    /// anew.
    pub fn put_back(&mut self, line: Line) {
        let place = self.waiting.partition_point(|other| other.place() < line.place());
        if let Some(next) = self.waiting.get_mut(place) {
            next.due = None;
        }
        self.waiting.insert(place, Line { spoken: None, robot_there: None, is_tried_again: true, ..line });
    }

    /// Whether no reply waits for anything.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The correlation id of a line's reply.
    pub fn correlation_id(&self, batch: u64) -> Option<&str> {
        self.open.get(&batch).map(|open| open.correlation_id.as_str())
    }

    /// A line that was out is answered, or won't be: what was waited for is counted.
    pub fn waited(&mut self, now: Duration, line: &Line) {
        let (Some(open), Some(spoken)) = (self.open.get_mut(&line.batch), line.spoken) else { return };
        let due = line.due.unwrap_or(spoken.elapsed);
        let robot_there = line.robot_there.unwrap_or(due);
        if line.is_tried_again {
            open.waits.robot(Duration::ZERO, robot_there);
        } else {
            open.waits.gap(due);
            open.waits.robot(due, robot_there);
        }
        open.waits.robot(spoken.elapsed, now);
    }

    /// A line has its outcome. With its last line a reply has its own.
    pub fn settle(&mut self, line: &Line, outcome: LineOutcome) {
        let Some(open) = self.open.get_mut(&line.batch) else { return };
        open.outstanding = open.outstanding.saturating_sub(1);
        open.take(outcome, line.spoken);
        if let Some(spoken) = open.spoken
            && let Some(words) = open.words.take()
        {
            self.before.told(spoken.elapsed, words);
        }
        if open.outstanding == 0
            && let Some(open) = self.open.remove(&line.batch)
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
                self.settle(&line, LineOutcome::Stale);
            }
        }
        count
    }

    /// Settles the replies whose lines are out and will not be answered any more: in doubt.
    pub fn doubt_the_rest(&mut self, now: Moment) {
        for (_, mut open) in self.open.drain() {
            open.take(LineOutcome::InDoubt, Some(now));
            open.end();
        }
    }

    /// Ends every line that waits with this outcome, unsaid. Returns how many.
    pub fn end_waiting(&mut self, outcome: LineOutcome) -> usize {
        let count = self.waiting.len();
        while let Some(line) = self.waiting.pop_front() {
            self.settle(&line, outcome);
        }
        count
    }
}

/// What a reply is called when its lines fared differently: the worst that an operator should
/// know of.
fn severity(outcome: LineOutcome) -> u8 {
    match outcome {
        LineOutcome::Sent => 0,
        LineOutcome::Stale | LineOutcome::Paused => 1,
        LineOutcome::Abandoned => 2,
        LineOutcome::InDoubt => 3,
        LineOutcome::Failed => 4,
    }
}

/// `has_begun` says whether any of it may be in the room: then the rest was not held back, it is missing.
fn reply_outcome(worst: LineOutcome, has_begun: bool) -> ReplyOutcome {
    match worst {
        LineOutcome::Sent => ReplyOutcome::Sent,
        LineOutcome::Stale if has_begun => ReplyOutcome::Failed(Reason::Stale),
        LineOutcome::Stale => ReplyOutcome::Silenced(Reason::Stale),
        // The operator wanted it so, also in the middle of a reply.
        LineOutcome::Paused => ReplyOutcome::Silenced(Reason::Paused),
        LineOutcome::Abandoned => ReplyOutcome::Abandoned,
        LineOutcome::InDoubt => ReplyOutcome::InDoubt,
        LineOutcome::Failed => ReplyOutcome::Failed(Reason::SendFailed),
    }
}

#[cfg(test)]
mod tests;
