//! How others talk to the decider: in notes, which it reads before any message.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::chat::decide::Decider;
use crate::chat::decisions::Decisions;
use crate::chat::pause::{Pause, PausedRooms};
use crate::chat::stored::StoredState;
use crate::clock::{Clock, Moment};
use crate::metrics::depth::Depth;
use crate::names::{RoomName, Username};

/// Notes that may wait.
const WAITING: usize = 1024;

/// What others tell the decider.
pub(super) enum Note {
    /// Answer, to show that you are alive.
    Probe(oneshot::Sender<()>),
    /// This line is about to be said.
    Said(RoomName, String),
    /// The robot says under which name it is in the room; none when it no longer knows.
    OwnName(RoomName, Option<Username>),
    /// This is known of a room at our start.
    State(RoomName, StoredState),
    /// All that can be known is told: begin, and say so.
    Begin(oneshot::Sender<()>),
    /// The robot's CyTube side is back in a room: what comes now may be a repetition.
    RobotBack(RoomName),
    /// An operator looks at or changes what is remembered.
    Operate(Operation),
}

type Operation = Box<dyn FnOnce(Moment, &mut Decider, &mut Decisions) + Send>;

/// Talks to the decider. Cheap to clone.
#[derive(Clone)]
pub struct DeciderHandle {
    notes: mpsc::Sender<Note>,
    paused: watch::Receiver<PausedRooms>,
}

impl DeciderHandle {
    /// A handle, where its notes come out, and where it is told which rooms are paused.
    pub(super) fn new() -> (Self, mpsc::Receiver<Note>, watch::Sender<PausedRooms>) {
        let (notes, received) = mpsc::channel(WAITING);
        let (tell, paused) = watch::channel(PausedRooms::default());
        (Self { notes, paused }, received, tell)
    }

    /// How many notes wait.
    pub fn depth(&self) -> Depth {
        Depth::of_channel(&self.notes)
    }

    /// Whether a room is paused now.
    pub fn is_paused(&self, now: Moment, room: &RoomName) -> bool {
        self.paused.borrow().hold(now, room)
    }

    /// Whether and until when a room is paused.
    pub fn pause_of(&self, room: &RoomName) -> Pause {
        self.paused.borrow().of(room)
    }

    /// Returns once a room is paused.
    pub async fn until_paused(&self, clock: Clock, room: &RoomName) {
        let mut paused = self.paused.clone();
        if paused.wait_for(|paused| paused.hold(clock.now(), room)).await.is_err() {
            // The decider has ended; nobody can pause any more.
            std::future::pending::<()>().await;
        }
    }

    /// How long the decider takes to answer; none when it doesn't within `patience`.
    pub async fn probe(&self, patience: Duration) -> Option<Duration> {
        let asked = Instant::now();
        let (answer, answered) = oneshot::channel();
        let probe = async {
            self.notes.send(Note::Probe(answer)).await.ok()?;
            answered.await.ok()
        };
        timeout(patience, probe).await.ok().flatten().map(|()| asked.elapsed())
    }

    /// Looks at or changes what is remembered; none when the decider has ended. For operators only:
    /// nothing else may decide.
    pub async fn operate<T: Send + 'static>(
        &self,
        operation: impl FnOnce(Moment, &mut Decider, &mut Decisions) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let operation: Operation = Box::new(move |now, decider, decisions| {
            // Whoever asked may have lost patience.
            let _ = answer.send(operation(now, decider, decisions));
        });
        self.notes.send(Note::Operate(operation)).await.ok()?;
        answered.await.ok()
    }

    /// A line is about to be said, so that its echo is known as our own. Never waits: a decider
    /// so far behind is stalled, and health says so.
    pub fn said(&self, room: RoomName, text: String) {
        let _ = self.notes.try_send(Note::Said(room, text));
    }

    /// The robot's answer to "who am I" in a room.
    pub async fn own_name(&self, room: RoomName, name: Option<Username>) {
        let _ = self.notes.send(Note::OwnName(room, name)).await;
    }

    /// The robot's CyTube side is back in a room.
    pub async fn robot_back(&self, room: RoomName) {
        let _ = self.notes.send(Note::RobotBack(room)).await;
    }

    /// What is known of a room at our start. To be told before [`Self::begin`].
    pub async fn state(&self, room: RoomName, state: StoredState) {
        let _ = self.notes.send(Note::State(room, state)).await;
    }

    /// Lets the decider take what the rooms say: until then it waits in their queues. Returns when
    /// it has heard so, or is gone.
    pub async fn begin(&self) {
        let (begun, has_begun) = oneshot::channel();
        if self.notes.send(Note::Begin(begun)).await.is_ok() {
            let _ = has_begun.await;
        }
    }
}
