//! How replies get into a room's outbox.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::before::Words;
use super::line::Batch;
use super::{Tools, heard};
use crate::clock::Clock;
use crate::health::{Component, HealthMonitor};
use crate::names::RoomName;
use crate::outcome::{Reason, ReplyEnd, ReplyOutcome};

/// How long an overflow keeps the component unhealthy.
const OVERFLOW_LASTS: Duration = Duration::from_secs(60);
/// Where a room's replies are handed in. Cheap to clone.
#[derive(Clone)]
pub struct OutboxHandle {
    room: RoomName,
    batches: mpsc::Sender<Batch>,
    echoes: mpsc::Sender<String>,
    places: Arc<Semaphore>,
    capacity: usize,
    clock: Clock,
    health: HealthMonitor,
}

/// Shows how many lines wait in a room's outbox or are being said. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OutboxView {
    places: Arc<Semaphore>,
    capacity: usize,
}

impl OutboxView {
    /// The lines that take a place.
    pub fn lines(&self) -> usize {
        self.capacity.saturating_sub(self.places.available_permits())
    }
}

impl OutboxHandle {
    /// A handle on the outbox of a room, and where what is handed in comes out.
    pub(super) fn new(
        room: &RoomName,
        tools: &Tools,
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
            clock: tools.clock,
            health: tools.health.clone(),
        };
        (handle, received, heard)
    }

    /// Shows how many lines wait.
    pub fn view(&self) -> OutboxView {
        OutboxView { places: self.places.clone(), capacity: self.capacity }
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
