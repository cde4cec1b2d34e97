//! Sending: one outbox a room. It keeps the gaps, keeps a reply's lines together, speaks only on
//! a fresh proof of the link, and never says a line twice.

mod before;
mod ears;
mod handle;
pub mod heard;
pub mod line;
mod sending;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bus::Bus;
use crate::bus::wire::Identity;
use crate::clock::Clock;
use crate::config::Config;
use crate::decider::DeciderHandle;
use crate::health::{Component, HealthMonitor, LineFate, Progress};
use crate::names::RoomName;
use crate::robot::RoomRobot;
use crate::settings::InForce;
use before::Verdict;
use ears::Ears;
use line::{Batch, LineOutcome, Lines};
use sending::Answers;

pub use before::Words;
pub use handle::{OutboxHandle, OutboxView};

/// What the outbox of a room needs besides the room.
#[derive(Clone)]
pub struct Tools {
    /// The gaps, the bounds, and what is meant by stale.
    pub in_force: InForce,
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
    /// From then on the room's chat is not heard, so that no echo comes.
    pub stop_taking: CancellationToken,
    /// Drops what waits.
    pub give_up: CancellationToken,
}

impl Tools {
    /// How long a line may wait.
    fn stale(&self) -> Duration {
        self.in_force.borrow().config().outbox.stale
    }
}

/// The outbox of one room. See [`Outbox::run`].
pub struct Outbox {
    room: RoomName,
    tools: Tools,
    batches: mpsc::Receiver<Batch>,
    /// Our own lines as they appear in the room.
    echoes: mpsc::Receiver<String>,
    robot: RoomRobot,
    lines: Lines,
    ears: Ears,
    /// When the latest line was handed to the bus, since start.
    last_said: Option<Duration>,
    robot_has_answered: bool,
    /// Whether the next line waits until no line is out: because the latest found no robot, so that
    /// none overtakes another when the robot comes; or because it hangs on what is out.
    one_at_a_time: bool,
    progress: Progress,
}

impl Outbox {
    /// An outbox and where to hand replies in.
    pub fn new(room: RoomName, tools: Tools, robot: RoomRobot) -> (Self, OutboxHandle) {
        let unheard = Arc::new(AtomicU32::new(0));
        let (handle, batches, echoes) = OutboxHandle::new(&room, &tools, unheard.clone());
        let progress = tools.health.progress(Component::Outbox);
        let ears = Ears::new(room.clone(), tools.clone(), robot.echoes(), unheard);
        let outbox = Self {
            room,
            tools,
            batches,
            echoes,
            robot,
            lines: Lines::default(),
            ears,
            last_said: None,
            robot_has_answered: false,
            one_at_a_time: false,
            progress,
        };
        (outbox, handle)
    }

    /// Says what is handed in, until nobody can hand anything in any more and all is settled, or
    /// until what is left has to be given up.
    pub async fn run(mut self) {
        let give_up = self.tools.give_up.clone();
        let mut answers: Answers = FuturesUnordered::new();
        let mut open = true;
        while open || !self.lines.is_empty() {
            let now = self.tools.clock.now().elapsed;
            self.progress.end();
            self.ears.judge();
            let stale = self.lines.drop_stale(now, self.tools.stale());
            if stale > 0 {
                warn!(room = %self.room, lines = stale, "lines waited too long and are dropped (stale)");
            }
            tokio::select! {
                biased;
                () = give_up.cancelled() => return self.give_up(answers),
                Some(answered) = answers.next() => self.answered(answered),
                Some(text) = self.echoes.recv() => self.ears.heard(&text),
                batch = self.batches.recv(), if open => match batch {
                    Some(batch) => self.lines.push(batch),
                    None => open = false,
                },
                ready = Self::ready(
                    &mut self.lines, &mut self.robot, &self.tools, self.last_said
                ), if !self.one_at_a_time || answers.is_empty() => {
                    if ready {
                        self.take_turn(&mut answers);
                    }
                }
                () = self.ears.next_change() => {}
            }
        }
    }

    /// The first line's turn has come.
    fn take_turn(&mut self, answers: &mut Answers) {
        let now = self.tools.clock.now();
        if self.tools.decider.is_paused(now, &self.room) {
            let lines = self.lines.end_waiting(LineOutcome::Paused);
            info!(room = %self.room, lines, "the room is paused: what waited is not said");
            return;
        }
        let rules = self.tools.in_force.borrow().clone();
        match self.lines.judge(now.elapsed, &rules.config().validation) {
            Verdict::Say => answers.extend(self.lines.pop().map(|line| self.say(line))),
            Verdict::Wait => self.one_at_a_time = true,
            Verdict::Reject(outcome) => self.lines.reject(outcome),
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
            let gap = gap(tools.in_force.borrow().config(), line.part > 0, rand::random::<f64>());
            last_said.map_or(line.handed_over, |last| line.handed_over.max(last + gap))
        });
        let now = tools.clock.now().elapsed;
        let stale_in = (line.handed_over + tools.stale()).saturating_sub(now);
        let may_speak = async {
            sleep(due.saturating_sub(tools.clock.now().elapsed)).await;
            robot.in_the_room().await;
            let found = tools.clock.now().elapsed;
            tools.bus.proven_since(due).await;
            // A dead link is known to be one only after a while.
            line.robot_there = Some(found.max(tools.bus.link().up_since));
        };
        timeout(stale_in, may_speak).await.is_ok()
    }

    /// Ends now. What was handed over without an answer is in doubt, what waits is abandoned.
    fn give_up(mut self, answers: Answers) {
        self.batches.close();
        while let Ok(batch) = self.batches.try_recv() {
            self.lines.push(batch);
        }
        let abandoned = self.lines.end_waiting(LineOutcome::Abandoned);
        let in_doubt = answers.len();
        drop(answers);
        (0..in_doubt).for_each(|_| self.tools.health.line(LineFate::InDoubt));
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
