//! Sending: one outbox a room. It keeps the gaps, keeps a reply's lines together, speaks only on
//! a fresh proof of the link, and never says a line twice.

pub mod heard;
pub mod line;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::bus::wire::{self, Identity};
use crate::bus::{Bus, PublishError, Reply, subjects};
use crate::clock::Clock;
use crate::config::Config;
use crate::decider::DeciderHandle;
use crate::health::{Component, HealthMonitor, Progress};
use crate::names::RoomName;
use crate::outcome::{Reason, ReplyEnd, ReplyOutcome};
use crate::robot::RoomRobot;
use line::{Batch, Line, LineOutcome, Lines};

/// How long the robot has to answer.
const ROBOT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for the round trip behind a line that nobody answered.
const PROOF_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an overflow keeps the component unhealthy.
const OVERFLOW_LASTS: Duration = Duration::from_secs(60);
/// When no robot is there, the line is tried again after this long.
const NO_RESPONDERS_PAUSE: Duration = Duration::from_secs(1);

/// Where a room's replies are handed in. Cheap to clone.
#[derive(Clone)]
pub struct OutboxHandle {
    room: RoomName,
    batches: mpsc::Sender<Batch>,
    places: Arc<Semaphore>,
    clock: Clock,
    health: HealthMonitor,
}

impl OutboxHandle {
    /// Hands in a reply and waits for what becomes of it.
    pub async fn say(&self, parts: Vec<String>, correlation_id: String) -> ReplyEnd {
        let wanted = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let Ok(places) = self.places.clone().try_acquire_many_owned(wanted) else {
            let why = format!("{}: full", self.room.channel());
            let key = format!("overflow {}", self.room);
            let now = self.clock.now();
            self.health.condition(now, Component::Outbox, key, Some(why), Some(OVERFLOW_LASTS));
            return ReplyEnd::silent(ReplyOutcome::Silenced(Reason::Overload));
        };
        let (respond, outcome) = oneshot::channel();
        let handed_over = self.clock.now().elapsed;
        let batch = Batch { parts, correlation_id, handed_over, respond, places };
        if self.batches.send(batch).await.is_err() {
            return ReplyEnd::silent(ReplyOutcome::Abandoned);
        }
        outcome.await.unwrap_or(ReplyEnd::silent(ReplyOutcome::Failed(Reason::Internal)))
    }
}

/// What the outbox of a room needs besides the room.
#[derive(Clone)]
pub struct Tools {
    /// The gaps, the bounds, and what is meant by stale.
    pub config: Arc<Config>,
    /// Who is written as the source of a line.
    pub identity: Arc<Identity>,
    /// Where the lines go.
    pub bus: Bus,
    /// When they go.
    pub clock: Clock,
    /// Who hears how the robot is.
    pub health: HealthMonitor,
    /// Who must know our lines before their echo comes.
    pub decider: DeciderHandle,
    /// Drops what waits.
    pub give_up: CancellationToken,
}

/// The outbox of one room. See [`Outbox::run`].
pub struct Outbox {
    room: RoomName,
    tools: Tools,
    batches: mpsc::Receiver<Batch>,
    robot: RoomRobot,
    lines: Lines,
    /// When the latest line was handed to the bus, since start.
    last_said: Option<Duration>,
    robot_has_answered: bool,
    /// Whether the latest line found no robot: then they are tried one at a time, so that none
    /// overtakes another when the robot comes.
    nobody_there: bool,
    progress: Progress,
}

/// A line and what came of it.
struct Answered {
    line: Line,
    outcome: Result<Said, PublishError>,
}

enum Said {
    Answered(Vec<u8>),
    NoResponders,
    TimedOut { proven: bool },
}

impl Outbox {
    /// An outbox and where to hand replies in.
    pub fn new(room: RoomName, tools: Tools, robot: RoomRobot) -> (Self, OutboxHandle) {
        let capacity = tools.config.outbox.max_lines;
        let (sender, batches) = mpsc::channel(capacity.max(1));
        let places = Arc::new(Semaphore::new(capacity));
        let handle = OutboxHandle {
            room: room.clone(),
            batches: sender,
            places,
            clock: tools.clock,
            health: tools.health.clone(),
        };
        let progress = tools.health.progress(Component::Outbox);
        let lines = Lines::default();
        let outbox = Self {
            room,
            tools,
            batches,
            robot,
            lines,
            last_said: None,
            robot_has_answered: false,
            nobody_there: false,
            progress,
        };
        (outbox, handle)
    }

    /// Says what is handed in, until nobody can hand anything in any more and all is settled, or
    /// until what is left has to be given up.
    pub async fn run(mut self) {
        let give_up = self.tools.give_up.clone();
        let mut answers: FuturesUnordered<BoxFuture<'static, Answered>> = FuturesUnordered::new();
        let mut open = true;
        while open || !self.lines.is_empty() {
            let now = self.tools.clock.now().elapsed;
            self.progress.end();
            let stale = self.lines.drop_stale(now, self.tools.config.outbox.stale);
            if stale > 0 {
                warn!(room = %self.room, lines = stale, "lines waited too long and are dropped (stale)");
            }
            tokio::select! {
                biased;
                () = give_up.cancelled() => return self.give_up(answers),
                Some(answered) = answers.next() => self.answered(answered),
                batch = self.batches.recv(), if open => match batch {
                    Some(batch) => self.lines.push(batch),
                    None => open = false,
                },
                ready = Self::ready(
                    &mut self.lines, &mut self.robot, &self.tools, self.last_said
                ), if !self.nobody_there || answers.is_empty() => {
                    if ready && let Some(line) = self.lines.pop() {
                        answers.push(self.say(line));
                    }
                }
            }
        }
    }

    /// Waits until the first line may be said: its gap has passed, the robot is in the room, and
    /// a round trip that began after that says that the link lives. Returns false when the line
    /// became stale meanwhile. Never returns while no line waits.
    async fn ready(
        lines: &mut Lines,
        robot: &mut RoomRobot,
        tools: &Tools,
        last_said: Option<Duration>,
    ) -> bool {
        let Some(line) = lines.front() else { return std::future::pending().await };
        let due = *line.due.get_or_insert_with(|| {
            let gap = gap(&tools.config, line.part > 0, rand::random::<f64>());
            last_said.map_or(line.handed_over, |last| line.handed_over.max(last + gap))
        });
        let now = tools.clock.now().elapsed;
        let stale_in = (line.handed_over + tools.config.outbox.stale).saturating_sub(now);
        let may_speak = async {
            sleep(due.saturating_sub(tools.clock.now().elapsed)).await;
            robot.in_the_room().await;
            tools.bus.proven_since(due).await;
        };
        timeout(stale_in, may_speak).await.is_ok()
    }

    /// Hands a line to the bus. What it returns resolves when it is known what became of it; the
    /// next line doesn't wait for that.
    fn say(&mut self, mut line: Line) -> BoxFuture<'static, Answered> {
        let now = self.tools.clock.now();
        self.progress.begin(now);
        self.last_said = Some(now.elapsed);
        line.spoken = Some(now);
        self.tools.decider.said(self.room.clone(), line.text.clone());
        let correlation_id = self.lines.correlation_id(line.batch).map(str::to_owned);
        let payload =
            wire::say(&self.tools.identity, &self.room, &line.text, &Uuid::new_v4().to_string(), now);
        let (bus, clock) = (self.tools.bus.clone(), self.tools.clock);
        Box::pin(async move {
            let asked = clock.now().elapsed;
            let subject = subjects::ROBOT_COMMAND;
            let reply = bus.request(subject, payload, correlation_id.as_deref(), ROBOT_TIMEOUT).await;
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
            Answered { line, outcome }
        })
    }

    fn answered(&mut self, answered: Answered) {
        let Answered { line, outcome } = answered;
        self.progress.begin(self.tools.clock.now());
        self.nobody_there = matches!(outcome, Ok(Said::NoResponders));
        match outcome {
            Ok(Said::Answered(answer)) => self.robot_said(&line, &answer),
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

    fn robot_said(&mut self, line: &Line, answer: &[u8]) {
        self.robot_has_answered = true;
        self.robot.takes_lines(true);
        match wire::robot_answer(answer) {
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

    /// Ends now. What was handed over without an answer is in doubt, what waits is abandoned.
    fn give_up(mut self, answers: FuturesUnordered<BoxFuture<'static, Answered>>) {
        self.batches.close();
        while let Ok(batch) = self.batches.try_recv() {
            self.lines.push(batch);
        }
        let abandoned = self.lines.abandon();
        let in_doubt = answers.len();
        drop(answers);
        self.lines.doubt_the_rest(self.tools.clock.now());
        if abandoned + in_doubt > 0 {
            info!(room = %self.room, abandoned, in_doubt, "lines given up");
        }
    }
}

/// The gap before a line: between any two lines the configured delay and jitter, between the
/// lines of one reply at least the split delay. `chance` is in [0, 1).
fn gap(config: &Config, continues: bool, chance: f64) -> Duration {
    let gap = config.chat_min_delay + config.chat_jitter.mul_f64(chance);
    if continues { gap.max(config.message_processing.split_delay) } else { gap }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::testing;

    #[test]
    fn the_gap_is_the_larger_of_delay_with_jitter_and_split_delay() {
        let config = testing::config(json!({
            "chat_min_delay": 1.0, "chat_jitter": 0.5, "message_processing": {"split_delay_seconds": 2}
        }));
        assert_eq!(gap(&config, false, 0.0), Duration::from_millis(1_000));
        assert_eq!(gap(&config, false, 0.5), Duration::from_millis(1_250));
        assert_eq!(gap(&config, true, 0.0), Duration::from_secs(2));
        let config = testing::config(json!({
            "chat_min_delay": 3.0, "chat_jitter": 0.0, "message_processing": {"split_delay_seconds": 2}
        }));
        assert_eq!(gap(&config, true, 0.9), Duration::from_secs(3));
    }
}
