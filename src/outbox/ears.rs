//! Whether a room hears us, as its outbox follows it and health is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::Tools;
use super::heard::{Hearing, Said};
use crate::chat::listener;
use crate::health::{Component, LineFate};
use crate::names::RoomName;
use crate::robot::Echoes;

/// The outbox's ears for one room.
pub(super) struct Ears {
    room: RoomName,
    tools: Tools,
    echoes: Echoes,
    hearing: Hearing,
    /// The connection whose echoes are waited for.
    connection: u64,
    /// What health was told.
    complaint: Option<&'static str>,
    /// Shown to others: the lines in a row that were not heard.
    unheard: Arc<AtomicU32>,
}

impl Ears {
    pub(super) fn new(room: RoomName, tools: Tools, echoes: Echoes, unheard: Arc<AtomicU32>) -> Self {
        Self { room, tools, echoes, hearing: Hearing::default(), connection: 0, complaint: None, unheard }
    }

    /// A line is handed over.
    pub(super) fn said(&mut self, text: &str, correlation_id: &str) -> Said {
        self.judge();
        let line = self.hearing.said(self.tools.clock.now().elapsed, text, correlation_id);
        if listener::is_unheeded(text) {
            // Nobody looks at its echo.
            self.hearing.forget(line);
        }
        line
    }

    /// The robot answered to a line; `is_taken` says whether it has it.
    pub(super) fn answered(&mut self, line: Said, is_taken: bool) {
        self.hearing.answered(line);
        if !is_taken {
            self.hearing.forget(line);
        }
    }

    /// Nobody got a line.
    pub(super) fn not_said(&mut self, line: Said) {
        self.hearing.forget(line);
    }

    /// A line of ours appeared in the room.
    pub(super) fn heard(&mut self, text: &str) {
        if let Some(correlation_id) = self.hearing.heard(text) {
            debug!(room = %self.room, correlation_id, "line heard");
            self.tools.health.line(LineFate::Heard);
        }
    }

    /// Waits until [`Self::judge`] may come to something else because no echo came.
    pub(super) async fn next_change(&self) {
        match self.hearing.next_change() {
            Some(at) => sleep(at.saturating_sub(self.tools.clock.now().elapsed)).await,
            None => std::future::pending().await,
        }
    }

    /// Tells health how the room hears us, when that has changed.
    pub(super) fn judge(&mut self) {
        let now = self.tools.clock.now();
        let link = self.tools.bus.link();
        let stops = self.tools.stop_taking.is_cancelled();
        if stops || !link.is_up() || link.connection != self.connection {
            // An echo may have passed while we could not hear it: no line is to blame.
            self.connection = link.connection;
            self.hearing.forget_all();
        }
        self.hearing.excuse(self.echoes.come_since());
        let complaint = self.hearing.complaint(now.elapsed);
        self.unheard.store(self.hearing.unheard(), Ordering::Relaxed);
        if complaint == self.complaint {
            return;
        }
        self.complaint = complaint;
        match complaint {
            Some(why) => warn!(room = %self.room, why, "the robot takes lines that nobody hears"),
            None => info!(room = %self.room, "the room hears us again"),
        }
        let key = format!("hearing {}", self.room);
        let message = complaint.map(|why| format!("{}: {why}", self.room.channel()));
        self.tools.health.condition(now, Component::Robot, key, message, None);
    }
}
