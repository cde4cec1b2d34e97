//! The loop round the deciding core: the one owner of all decision state.
//!
//! Messages come from a bounded queue per room, taken in turn, so that a flood in one room can't
//! push out another room's mention. Replies run as tasks of a set; the outcome of each comes
//! back by join, exactly once, also when the task panics.

mod handle;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream, SelectAll};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{debug, error, info};

use crate::chat::decide::Decider;
use crate::chat::event::ChatMessage;
use crate::chat::plan::{Decision, ReplyPlan, Silence, Ticket};
use crate::chat::rules::Rules;
use crate::clock::Clock;
use crate::config::Config;
use crate::health::{Component, HealthMonitor, Progress};
use crate::names::{RoomName, Username};
use crate::outcome::{Reason, ReplyEnd, ReplyOutcome};
use crate::reply::ReplyTools;
use crate::response_log::{Course, Record};
use crate::shutdown::Shutdown;
use handle::Note;

pub use handle::DeciderHandle;

/// Messages of one room that may wait for the decider.
const ROOM_QUEUE: usize = 512;
/// Where the intake puts a room's messages.
pub type RoomQueue = mpsc::Sender<ChatMessage>;

/// The decider's task. See [`DeciderLoop::run`].
pub struct DeciderLoop {
    decider: Decider,
    config: Arc<Config>,
    notes: mpsc::Receiver<Note>,
    queues: SelectAll<BoxStream<'static, (RoomName, ChatMessage)>>,
    replies: JoinSet<ReplyEnd>,
    tickets: HashMap<Id, (Ticket, Option<Username>)>,
    clock: Clock,
    health: HealthMonitor,
    progress: Progress,
}

impl DeciderLoop {
    /// The loop, how to talk to it, and the queue of each room in the configuration's order.
    pub fn new(
        config: Arc<Config>,
        clock: Clock,
        health: HealthMonitor,
    ) -> (Self, DeciderHandle, Vec<(RoomName, RoomQueue)>) {
        let (handle, notes) = DeciderHandle::new();
        let mut queues = SelectAll::new();
        let mut senders = Vec::new();
        for room in &config.rooms {
            let (sender, mut messages) = mpsc::channel(ROOM_QUEUE);
            let name = room.clone();
            let messages = stream::poll_fn(move |context| messages.poll_recv(context));
            queues.push(messages.map(move |message| (name.clone(), message)).boxed());
            senders.push((room.clone(), sender));
        }
        let decider = Decider::new(Rules::new(config.clone()), clock.now(), rand::random());
        let progress = health.progress(Component::Decider);
        let (replies, tickets) = (JoinSet::new(), HashMap::new());
        let decider = Self { decider, config, notes, queues, replies, tickets, clock, health, progress };
        (decider, handle, senders)
    }

    /// Decides until a stop is asked for, then waits for the replies in hand: each ends by itself,
    /// at the latest when it is told to give up.
    pub async fn run(mut self, tools: ReplyTools, shutdown: Shutdown) {
        loop {
            self.progress.end();
            tokio::select! {
                biased;
                Some(note) = self.notes.recv() => self.note(note),
                Some(ended) = self.replies.join_next_with_id() => self.ended(ended),
                () = shutdown.stop_taking.cancelled() => break,
                Some((room, message)) = self.queues.next() => {
                    self.progress.begin(self.clock.now());
                    #[cfg(feature = "test-hooks")]
                    crate::test_hooks::order_heartbeat(&message.text);
                    #[cfg(feature = "test-hooks")]
                    crate::test_hooks::stall("decider", &message.text).await;
                    self.decide(&room, &message, &tools);
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
                message = self.queues.next(), if !intakes_gone => match message {
                    Some(_) => {
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
        }
    }

    fn decide(&mut self, room: &RoomName, message: &ChatMessage, tools: &ReplyTools) {
        let now = self.clock.now();
        // One message that trips over a bug costs one reply, not the service.
        let decision = catch_unwind(AssertUnwindSafe(|| self.decider.on_chat(now, room, message, &|_| None)));
        let Ok(decision) = decision else {
            error!(%room, "deciding on a message panicked; this is a bug, please report it");
            self.health.reply_fired(now);
            self.health.reply_ended(now, ReplyOutcome::Failed(Reason::Internal));
            return;
        };
        match decision {
            Decision::Silence(Silence { reason, fired: None, .. }) => {
                self.health.message_ignored(reason);
                debug!(%room, user = ?message.user, reason = reason.as_str(), "message ignored");
            }
            Decision::Silence(ref silence @ Silence { reason, fired: Some(ref fired), .. }) => {
                self.health.reply_fired(now);
                self.health.reply_ended(now, ReplyOutcome::Silenced(reason));
                info!(%room, user = ?message.user, reason = reason.as_str(), "no reply");
                tools.log.write(&Record::of_silence(now, room, Some(message), silence, fired));
            }
            Decision::Reply(plan) => self.reply(plan, tools),
        }
    }

    fn reply(&mut self, plan: Box<ReplyPlan>, tools: &ReplyTools) {
        let now = self.clock.now();
        self.health.reply_fired(now);
        let (ticket, user) = (plan.ticket, plan.user.clone());
        if self.replies.len() >= self.config.max_concurrent_handlers {
            info!(room = %plan.room, user = ?plan.user, "no reply: max_concurrent_handlers are at work");
            let outcome = ReplyOutcome::Silenced(Reason::Overload);
            tools.log.write(&Record::of_reply(now, &plan, &Course::default(), outcome));
            self.settle(ticket, user.as_ref(), ReplyEnd::silent(outcome));
            return;
        }
        let task = self.replies.spawn(crate::reply::reply(plan, tools.clone()));
        self.tickets.insert(task.id(), (ticket, user));
    }

    fn ended(&mut self, ended: Result<(Id, ReplyEnd), JoinError>) {
        self.progress.begin(self.clock.now());
        let (id, end) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                error!(%error, "a reply task panicked; this is a bug, please report it");
                (error.id(), ReplyEnd::silent(ReplyOutcome::Failed(Reason::Internal)))
            }
        };
        if let Some((ticket, user)) = self.tickets.remove(&id) {
            self.settle(ticket, user.as_ref(), end);
        }
    }

    fn settle(&mut self, ticket: Ticket, user: Option<&Username>, end: ReplyEnd) {
        let now = self.clock.now();
        self.health.reply_ended(now, end.outcome);
        if end.outcome == ReplyOutcome::Sent
            && let Some(user) = user
        {
            self.health.user_answered(user);
        }
        self.decider.settle(ticket, end.spoken);
    }
}
