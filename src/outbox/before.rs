//! What a room was told before, as far as it decides what may be said next. No I/O.

use std::time::Duration;

use crate::chat::fallback::SaidFallback;
use crate::chat::repetition::{SentAnswers, Wording, repeats};
use crate::config::Validation;
use crate::outcome::{Reason, ReplyOutcome};

/// What a reply's lines are, and so what they are judged by before the first is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// An answer: the room must not have had it before.
    Answer(Wording),
    /// A fallback message: the room must not have had one within a minute.
    Fallback,
}

/// What to do about a reply whose turn has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Say it.
    Say,
    /// That hangs on lines that are out: wait until it is known what became of them.
    Wait,
    /// Don't: this is how the reply ends.
    Reject(ReplyOutcome),
}

/// What one room was told.
#[derive(Debug, Default)]
pub struct Before {
    answers: SentAnswers,
    fallback: SaidFallback,
}

impl Before {
    /// Judges words whose turn has come, `now` since start. Those `under_way` are out, and nobody knows
    /// yet whether they are in the room.
    pub fn judge<'a>(
        &self,
        now: Duration,
        settings: &Validation,
        words: &Words,
        under_way: impl Iterator<Item = &'a Words>,
    ) -> Verdict {
        match words {
            Words::Answer(answer) => {
                let out = under_way.filter_map(|words| match words {
                    Words::Answer(answer) => Some(answer),
                    Words::Fallback => None,
                });
                if self.answers.has(settings, answer) {
                    Verdict::Reject(ReplyOutcome::Silenced(Reason::RejectedRepetition))
                } else if repeats(settings, answer, out) {
                    Verdict::Wait
                } else {
                    Verdict::Say
                }
            }
            Words::Fallback => {
                if !self.fallback.is_due(now) {
                    Verdict::Reject(ReplyOutcome::Failed(Reason::Exhausted))
                } else if under_way.into_iter().any(|words| *words == Words::Fallback) {
                    Verdict::Wait
                } else {
                    Verdict::Say
                }
            }
        }
    }

    /// The room has, or may have, these words, since a time since start.
    pub fn told(&mut self, at: Duration, words: Words) {
        match words {
            Words::Answer(answer) => self.answers.push(answer),
            Words::Fallback => self.fallback.said(at),
        }
    }
}
