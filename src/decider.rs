//! The loop round the deciding core: the one owner of all decision state.
//!
//! Messages come from a bounded queue per room, taken in turn, so that a flood in one room can't
//! push out another room's mention. Replies run as tasks of a set; the outcome of each comes
//! back by join, exactly once, also when the task panics.

mod handle;
mod queue;
mod replies;
#[cfg(test)]
mod testing;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tracing::{debug, error, info};

use crate::chat::decide::Decider;
use crate::chat::decide::changes::MediaChanged;
use crate::chat::decisions::{Decisions, Entry};
use crate::chat::event::ChatMessage;
use crate::chat::event::change::RoomChange;
use crate::chat::pause::PausedRooms;
use crate::chat::plan::{Decision, Silence};
use crate::clock::Clock;
use crate::health::{Component, HealthMonitor, Progress};
use crate::names::{RoomName, Username};
use crate::outcome::{Reason, ReplyEnd};
use crate::reply::ReplyTools;
use crate::room_state::MediaMemoryHandle;
use crate::settings::InForce;
use crate::shutdown::Shutdown;
use crate::spend_book::SpendBook;
use handle::Note;
use queue::Arrived;
use replies::InHand;

pub use handle::DeciderHandle;
pub use queue::{NotTaken, RoomInput, RoomQueue};

/// The decider's task. See [`DeciderLoop::run`].
pub struct DeciderLoop {
    decider: Decider,
    decisions: Decisions,
    /// Told to whoever speaks: a pause holds for replies under way too.
    paused: watch::Sender<PausedRooms>,
    in_force: InForce,
    spend: SpendBook,
    notes: mpsc::Receiver<Note>,
    queues: SelectAll<BoxStream<'static, (RoomName, Arrived)>>,
    /// Whether what is known of the rooms at our start has been told. What they say is taken after
    /// that, so that nothing newer is overwritten by it.
    has_begun: bool,
    memory: MediaMemoryHandle,
    replies: JoinSet<ReplyEnd>,
    in_hand: HashMap<Id, InHand>,
    clock: Clock,
    health: HealthMonitor,
    progress: Progress,
}

impl DeciderLoop {
    /// The loop, how to talk to it, and the queue of each room in the configuration's order.
    pub fn new(
        mut in_force: InForce,
        spend: SpendBook,
        clock: Clock,
        health: HealthMonitor,
        memory: MediaMemoryHandle,
    ) -> (Self, DeciderHandle, Vec<(RoomName, RoomQueue)>) {
        let (handle, notes, paused) = DeciderHandle::new();
        let mut queues = SelectAll::new();
        let mut senders = Vec::new();
        let rules = in_force.borrow_and_update().clone();
        for room in &rules.config().rooms {
            let (queue, inputs) = queue::channel();
            let name = room.clone();
            queues.push(inputs.map(move |arrived| (name.clone(), arrived)).boxed());
            senders.push((room.clone(), queue));
        }
        let decider = Decider::new(rules, clock.now(), rand::random());
        let progress = health.progress(Component::Decider);
        // From the start it is among the components; messages say when it is off.
        health.condition(clock.now(), Component::Clock, "messages", None, None);
        let decider = Self {
            decider,
            decisions: Decisions::default(),
            paused,
            in_force,
            spend,
            notes,
            queues,
            has_begun: false,
            memory,
            replies: JoinSet::new(),
            in_hand: HashMap::new(),
            clock,
            health,
            progress,
        };
        (decider, handle, senders)
    }

    /// The core, before the loop runs.
    pub fn decider(&mut self) -> &mut Decider {
        &mut self.decider
    }

    /// Decides until a stop is asked for, then waits for the replies in hand: each ends by itself,
    /// at the latest when it is told to give up.
    pub async fn run(mut self, mut tools: ReplyTools, shutdown: Shutdown) {
        self.tell_paused();
        loop {
            self.progress.end();
            tokio::select! {
                biased;
                Some(note) = self.notes.recv() => self.note(note),
                Some(ended) = self.replies.join_next_with_id() => self.ended(ended),
                Ok(()) = self.in_force.changed() => self.adopt(&mut tools),
                () = shutdown.stop_taking.cancelled() => break,
                Some((room, Arrived { input, read })) = self.queues.next(), if self.has_begun => {
                    self.progress.begin(self.clock.now());
                    match input {
                        RoomInput::Chat(message) => {
                            #[cfg(feature = "test-hooks")]
                            crate::test_hooks::order_heartbeat(&message.text);
                            #[cfg(feature = "test-hooks")]
                            crate::test_hooks::stall("decider", &message.text).await;
                            self.decide(&room, &message, read, &tools);
                        }
                        RoomInput::Change(change) => self.take(&room, change, read, &tools),
                    }
                }
            }
        }
        self.finish().await;
    }

    /// Refuses what is queued, until the intakes are gone, and waits for the replies in hand.
    async fn finish(&mut self) {
        if !self.replies.is_empty() {
            info!(replies = self.replies.len(), "finishing the replies in hand");
        }
        let (mut refused, mut intakes_gone) = (0, false);
        while !intakes_gone || !self.replies.is_empty() {
            self.progress.end();
            tokio::select! {
                biased;
                Some(note) = self.notes.recv() => self.note(note),
                Some(ended) = self.replies.join_next_with_id() => self.ended(ended),
                arrived = self.queues.next(), if !intakes_gone => match arrived {
                    // Nobody will ask any more what plays.
                    Some((_, Arrived { input: RoomInput::Change(_), .. })) => {}
                    Some((_, Arrived { input: RoomInput::Chat(_), .. })) => {
                        self.health.message_ignored(Reason::Abandoned);
                        refused += 1;
                    }
                    None => intakes_gone = true,
                },
            }
        }
        if refused > 0 {
            info!(messages = refused, "messages that were still queued were refused");
        }
    }

    fn note(&mut self, note: Note) {
        let now = self.clock.now();
        self.progress.begin(now);
        match note {
            // Whoever asked may have lost patience.
            Note::Probe(answer) => drop(answer.send(())),
            Note::Said(room, text) => self.decider.sent_text(now, &room, &text),
            Note::OwnName(room, name) => self.decider.own_name(&room, name),
            Note::RobotBack(room) => self.decider.robot_reconnected(now, &room),
            Note::Operate(operation) => {
                operation(now, &mut self.decider, &mut self.decisions);
                self.tell_paused();
            }
            Note::State(room, state) => {
                if let Some(memory) = self.decider.load_state(now, &room, state) {
                    self.memory.remember(room, memory);
                }
            }
            Note::Begin(begun) => {
                self.has_begun = true;
                let _ = begun.send(());
            }
        }
    }

    fn tell_paused(&self) {
        let paused = self.decider.paused(self.clock.now()).map(|(room, pause)| (room.clone(), pause));
        let now = PausedRooms(paused.collect());
        self.paused.send_if_modified(|before| std::mem::replace(before, now.clone()) != now);
    }

    /// Decides by what is in force now; what is remembered stays, and replies under way end as they
    /// began.
    fn adopt(&mut self, tools: &mut ReplyTools) {
        let rules = self.in_force.borrow_and_update().clone();
        self.spend.adopt(&rules.config().spend);
        tools.router = tools.router.renewed(rules.config());
        self.decider.adopt(rules);
    }

    /// `read` is when the message came in, since start.
    fn decide(&mut self, room: &RoomName, message: &ChatMessage, read: Duration, tools: &ReplyTools) {
        let now = self.clock.now();
        if let Some(verdict) = self.decider.judge_clock(now, room, message) {
            self.health.condition(now, Component::Clock, format!("messages {room}"), verdict.err(), None);
        }
        let spend = |user: Option<&Username>| self.spend.near(now, user);
        // One message that trips over a bug costs one reply, not the service.
        let before = self.decider.newest_ticket();
        let decision = catch_unwind(AssertUnwindSafe(|| {
            let decision = self.decider.on_chat(now, room, message, &spend);
            #[cfg(feature = "test-hooks")]
            crate::test_hooks::panic("decider", &message.text);
            decision
        }));
        let Ok(decision) = decision else {
            error!(%room, "deciding on a message panicked; this is a bug, please report it");
            self.book_panic(room, Some(message), before, tools);
            return;
        };
        match decision {
            Decision::Silence(silence @ Silence { reason, fired: None, .. }) => {
                self.health.message_ignored(reason);
                if reason == Reason::NoTrigger {
                    tools.metrics.trigger_checked();
                }
                let is_ours = reason == Reason::Own
                    || (reason == Reason::Listener && self.decider.is_ignored_echo(now, room, message));
                if is_ours && let Some(outbox) = tools.outboxes.get(room) {
                    outbox.heard(&message.text);
                }
                debug!(%room, user = ?message.user, reason = reason.as_str(), "message ignored");
                if reason != Reason::Own {
                    let was_asked = self.decider.was_asked(now, &silence, message);
                    self.decisions.push(was_asked, Entry::of_silence(now, room, Some(message), &silence));
                }
            }
            Decision::Silence(silence) => {
                tools.metrics.trigger_checked();
                self.hold_back(room, Some(message), &silence, tools);
            }
            Decision::Reply(plan) => {
                tools.metrics.trigger_checked();
                self.reply(plan, read, tools);
            }
        }
    }

    /// Takes a change in a room, and comments on a new film.
    fn take(&mut self, room: &RoomName, change: RoomChange, read: Duration, tools: &ReplyTools) {
        let now = self.clock.now();
        let spend = |user: Option<&Username>| self.spend.near(now, user);
        let before = self.decider.newest_ticket();
        let changed = catch_unwind(AssertUnwindSafe(|| self.decider.on_event(now, room, change, &spend)));
        let Ok(changed) = changed else {
            error!(%room, "taking a change in a room panicked; this is a bug, please report it");
            self.book_panic(room, None, before, tools);
            return;
        };
        let Some(MediaChanged { memory, decision }) = changed else { return };
        self.health.media_changed();
        if let Some(memory) = memory {
            self.memory.remember(room.clone(), memory);
        }
        match decision {
            None => {}
            Some(Decision::Silence(silence)) => self.hold_back(room, None, &silence, tools),
            Some(Decision::Reply(plan)) => self.reply(plan, read, tools),
        }
    }
}
