//! Saying one line, and what comes of it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use tracing::{debug, warn};
use uuid::Uuid;

use super::line::{Line, LineOutcome};
use super::{Outbox, heard};
use crate::bus::{PublishError, Reply, subjects, wire};
use crate::health::{Component, LineFate};

/// How long the robot has to answer.
const ROBOT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for the round trip behind a line that nobody answered.
const PROOF_TIMEOUT: Duration = Duration::from_secs(1);
/// When no robot is there, the line is tried again after this long.
const NO_RESPONDERS_PAUSE: Duration = Duration::from_secs(1);

/// The lines that are out, until it is known what became of each.
pub(super) type Answers = FuturesUnordered<BoxFuture<'static, Answered>>;

/// A line, by which its echo is known, and what came of it.
pub(super) struct Answered {
    line: Line,
    echo: heard::Said,
    outcome: Result<Said, PublishError>,
}

enum Said {
    Answered(Vec<u8>),
    NoResponders,
    TimedOut { proven: bool },
}

impl Outbox {
    /// Hands a line to the bus. What it returns resolves when it is known what became of it; the
    /// next line doesn't wait for that.
    pub(super) fn say(&mut self, mut line: Line) -> BoxFuture<'static, Answered> {
        let now = self.tools.clock.now();
        self.progress.begin(now);
        self.last_said = Some(now.elapsed);
        line.spoken = Some(now);
        self.tools.decider.said(self.room.clone(), line.text.clone());
        let correlation_id = self.lines.correlation_id(line.batch).unwrap_or_default().to_owned();
        let echo = self.ears.said(&line.text, &correlation_id);
        let payload =
            wire::say(&self.tools.identity, &self.room, &line.text, &Uuid::new_v4().to_string(), now);
        let (bus, clock) = (self.tools.bus.clone(), self.tools.clock);
        Box::pin(async move {
            let asked = clock.now().elapsed;
            let subject = subjects::ROBOT_COMMAND;
            let reply = bus.request(subject, payload, Some(&correlation_id), ROBOT_TIMEOUT).await;
            let outcome = match reply {
                Ok(Reply::Answered(answer)) => Ok(Said::Answered(answer)),
                Ok(Reply::NoResponders) => Ok(Said::NoResponders),
                Ok(Reply::TimedOut { connection }) => {
                    // The line was handed over within a second, or never; an early end of the waiting
                    // proves nothing by itself.
                    let since = asked + ROBOT_TIMEOUT / 2;
                    let proven = timeout(PROOF_TIMEOUT, bus.proves(connection, since)).await;
                    Ok(Said::TimedOut { proven: proven.unwrap_or(false) })
                }
                Err(error) => Err(error),
            };
            Answered { line, echo, outcome }
        })
    }

    pub(super) fn answered(&mut self, answered: Answered) {
        let Answered { line, echo, outcome } = answered;
        let now = self.tools.clock.now();
        self.progress.begin(now);
        self.lines.waited(now.elapsed, &line);
        self.one_at_a_time = matches!(outcome, Ok(Said::NoResponders));
        if matches!(outcome, Ok(Said::NoResponders) | Err(_)) {
            self.ears.not_said(echo);
        }
        match outcome {
            Ok(Said::Answered(answer)) => self.robot_said(&line, echo, &answer),
            Ok(Said::NoResponders) => {
                // Proven that nobody got it: the one case in which a line is tried again.
                self.robot.takes_lines(false);
                self.put_back(line, NO_RESPONDERS_PAUSE);
            }
            Ok(Said::TimedOut { proven }) if proven && !self.robot_has_answered => {
                self.settle(&line, LineOutcome::Sent);
            }
            Ok(Said::TimedOut { .. }) => {
                if self.robot_has_answered {
                    self.robot_is(Some("no answer to a line; is it the right room?".to_owned()));
                }
                self.settle(&line, LineOutcome::InDoubt);
            }
            Err(PublishError::LinkDown) => self.put_back(line, Duration::ZERO),
            Err(error) => {
                warn!(room = %self.room, %error, "a line could not be handed over");
                self.settle(&line, LineOutcome::Failed);
            }
        }
    }

    fn robot_said(&mut self, line: &Line, echo: heard::Said, answer: &[u8]) {
        self.robot_has_answered = true;
        self.robot.takes_lines(true);
        let taken = wire::robot_answer(answer);
        self.ears.answered(echo, taken.is_ok());
        match taken {
            Ok(()) => {
                self.robot_is(None);
                self.settle(line, LineOutcome::Sent);
            }
            Err(error) => {
                warn!(room = %self.room, error, "the robot refused a line");
                self.robot_is(Some(format!("refuses lines: {error}")));
                self.settle(line, LineOutcome::Failed);
            }
        }
    }

    fn put_back(&mut self, mut line: Line, pause: Duration) {
        line.due = Some(self.tools.clock.now().elapsed + pause);
        self.lines.put_back(line);
    }

    fn settle(&mut self, line: &Line, outcome: LineOutcome) {
        let correlation_id = self.lines.correlation_id(line.batch).unwrap_or_default();
        let fate = match outcome {
            LineOutcome::Sent => Some(LineFate::Sent),
            LineOutcome::InDoubt => Some(LineFate::InDoubt),
            LineOutcome::Failed => Some(LineFate::Failed),
            // It was not handed over.
            LineOutcome::Stale | LineOutcome::Paused | LineOutcome::Abandoned => None,
        };
        if let Some(fate) = fate {
            self.tools.health.line(fate);
        }
        match outcome {
            LineOutcome::InDoubt => warn!(
                room = %self.room, correlation_id, "a line was handed to the bus, but nothing proves that the robot got it"
            ),
            _ => debug!(room = %self.room, correlation_id, ?outcome, "line settled"),
        }
        self.lines.settle(line, outcome);
    }

    /// Tells health how the robot takes our lines in this room.
    fn robot_is(&self, unhealthy_because: Option<String>) {
        let message = unhealthy_because.map(|why| format!("{}: {why}", self.room.channel()));
        let key = format!("say {}", self.room);
        self.tools.health.condition(self.tools.clock.now(), Component::Robot, key, message, None);
    }
}
