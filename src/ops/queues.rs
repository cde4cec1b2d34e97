//! How much waits, by queue.

use crate::decider::RoomQueueView;
use crate::outbox::OutboxView;

/// The queues of all rooms. Cheap to clone for a few rooms, and keeps none open.
#[derive(Debug, Clone, Default)]
pub struct Queues {
    /// To the decider.
    pub rooms: Vec<RoomQueueView>,
    /// To the robot.
    pub outboxes: Vec<OutboxView>,
}

impl Queues {
    /// Messages and changes that wait to be decided on.
    pub fn messages(&self) -> usize {
        self.rooms.iter().map(RoomQueueView::waiting).sum()
    }

    /// Lines that wait to be said, or are being said.
    pub fn lines(&self) -> usize {
        self.outboxes.iter().map(OutboxView::lines).sum()
    }
}
