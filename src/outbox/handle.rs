//! How replies get into a room's outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::before::Words;
use super::line::Batch;
use super::{Tools, heard};
use crate::clock::Clock;
use crate::health::{Component, HealthMonitor};
use crate::metrics::depth::Depth;
use crate::names::RoomName;
use crate::outcome::{Reason, ReplyEnd, ReplyOutcome};

/// How long an overflow keeps the component unhealthy.
const OVERFLOW_LASTS: Duration = Duration::from_secs(60);

/// What there is to see of an outbox from outside. Cheap to clone; the outbox does not wait for its end.
#[derive(Debug, Clone)]
pub struct OutboxView {
    /// Its lines that wait or are out.
    pub lines: Depth,
    unheard: Arc<AtomicU32>,
}

impl OutboxView {
    /// How many lines in a row were sent and not heard in the room.
    pub fn unheard(&self) -> u32 {
        self.unheard.load(Ordering::Relaxed)
    }
}

/// Where a room's replies are handed in. Cheap to clone.
#[derive(Clone)]
pub struct OutboxHandle {
    room: RoomName,
    batches: mpsc::Sender<Batch>,
    echoes: mpsc::Sender<String>,
    places: Arc<Semaphore>,
    capacity: usize,
    unheard: Arc<AtomicU32>,
    clock: Clock,
    health: HealthMonitor,
}

impl OutboxHandle {
    /// A handle on the outbox of a room, and where what is handed in comes out.
    pub(super) fn new(
        room: &RoomName,
        tools: &Tools,
        unheard: Arc<AtomicU32>,
    ) -> (Self, mpsc::Receiver<Batch>, mpsc::Receiver<String>) {
        let capacity = tools.in_force.borrow().config().outbox.max_lines;
        let (batches, received) = mpsc::channel(capacity.max(1));
        let (echoes, heard) = mpsc::channel(heard::WAITING);
        let handle = Self {
            room: room.clone(),
            batches,
            echoes,
            places: Arc::new(Semaphore::new(capacity)),
            capacity,
            unheard,
            clock: tools.clock,
            health: tools.health.clone(),
        };
        (handle, received, heard)
    }

    /// What there is to see of it.
    pub fn view(&self) -> OutboxView {
        let lines = Depth::of_places(self.places.clone(), self.capacity);
        OutboxView { lines, unheard: self.unheard.clone() }
    }

    /// A line of ours appeared in the room. Never waits: an echo that finds no room is behind as many as
    /// there are lines to be heard, and each of those stands for one.
    pub fn heard(&self, text: &str) {
        let _ = self.echoes.try_send(text.to_owned());
    }

    /// Hands in a reply and waits for what becomes of it.
    pub async fn say(&self, parts: Vec<String>, words: Words, correlation_id: String) -> ReplyEnd {
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
        let batch = Batch { parts, words, correlation_id, handed_over, respond, places };
        if self.batches.send(batch).await.is_err() {
            return ReplyEnd::silent(ReplyOutcome::Abandoned);
        }
        outcome.await.unwrap_or(ReplyEnd::silent(ReplyOutcome::Failed(Reason::Internal)))
    }
}
