//! Replies as the decider's loop keeps their books: begun, held back, ended.

use std::time::Duration;

use tokio::task::{Id, JoinError};
use tracing::{error, info};

use super::DeciderLoop;
use crate::chat::decisions::Entry;
use crate::chat::event::ChatMessage;
use crate::chat::plan::{Detail, ReplyPlan, Silence, Ticket};
use crate::names::RoomName;
use crate::outcome::{Reason, ReplyEnd, ReplyOutcome};
use crate::reply::ReplyTools;
use crate::response_log::{Course, Record};

/// A reply that is being made.
pub(super) struct InHand {
    ticket: Ticket,
    /// When what is answered came in, since the service started.
    read: Duration,
    /// What is to be told of it, but for its end.
    decision: Entry,
}

impl DeciderLoop {
    /// A fault of ours is an error like a reply that failed, and uses nothing up. `message` is none for
    /// another change in a room; `before` was the newest ticket before it.
    pub(super) fn book_panic(
        &mut self,
        room: &RoomName,
        message: Option<&ChatMessage>,
        before: Ticket,
        tools: &ReplyTools,
    ) {
        let now = self.clock.now();
        self.decider.give_back_since(before);
        self.health.reply_fired(now);
        self.health.reply_ended(now, ReplyOutcome::Failed(Reason::Internal));
        tools.log.write(&Record::of_fault(now, room, message));
        let detail = Detail::Because("deciding on it panicked");
        let silence = Silence { reason: Reason::Internal, detail, fired: None };
        self.decisions.push(true, Entry::of_silence(now, room, message, &silence));
    }

    /// Books an answer that something held back. `message` is none for a comment on a film.
    pub(super) fn hold_back(
        &mut self,
        room: &RoomName,
        message: Option<&ChatMessage>,
        silence: &Silence,
        tools: &ReplyTools,
    ) {
        let Some(fired) = &silence.fired else { return };
        let (now, reason) = (self.clock.now(), silence.reason);
        tools.metrics.fired(&fired.trigger);
        tools.metrics.held_back(&fired.trigger, silence);
        self.health.reply_fired(now);
        self.health.reply_ended(now, ReplyOutcome::Silenced(reason));
        let user = message.map(|message| &message.user);
        info!(%room, ?user, reason = reason.as_str(), "no reply");
        tools.log.write(&Record::of_silence(now, room, message, silence, fired));
        self.decisions.push(true, Entry::of_silence(now, room, message, silence));
    }

    /// `read` is when what is answered came in, since start.
    pub(super) fn reply(&mut self, plan: Box<ReplyPlan>, read: Duration, tools: &ReplyTools) {
        let now = self.clock.now();
        tools.metrics.fired(&plan.trigger);
        self.health.reply_fired(now);
        let in_hand = InHand { ticket: plan.ticket, read, decision: Entry::of_plan(now, &plan) };
        if self.replies.len() >= plan.config().max_concurrent_handlers {
            info!(room = %plan.room, user = ?plan.user, "no reply: max_concurrent_handlers are at work");
            let end = ReplyEnd::silent(ReplyOutcome::Silenced(Reason::Overload));
            tools.log.write(&Record::of_reply(now, &plan, &Course::default(), end));
            self.settle(in_hand, end);
            return;
        }
        let task = self.replies.spawn(crate::reply::reply(plan, read, tools.clone()));
        self.in_hand.insert(task.id(), in_hand);
    }

    pub(super) fn ended(&mut self, ended: Result<(Id, ReplyEnd), JoinError>) {
        self.progress.begin(self.clock.now());
        let (id, end) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                error!(%error, "a reply task panicked; this is a bug, please report it");
                (error.id(), ReplyEnd::silent(ReplyOutcome::Failed(Reason::Internal)))
            }
        };
        if let Some(in_hand) = self.in_hand.remove(&id) {
            self.settle(in_hand, end);
        }
    }

    fn settle(&mut self, in_hand: InHand, end: ReplyEnd) {
        let InHand { ticket, read, decision } = in_hand;
        let now = self.clock.now();
        self.health.reply_ended(now, end.outcome);
        if end.outcome == ReplyOutcome::Sent {
            self.health.reply_took(end.waits.total(read));
            if let Some(user) = &decision.user {
                self.health.user_answered(user);
            }
        }
        self.decider.settle(ticket, end.spoken);
        let mut entry = Entry { end: end.outcome.into(), ..decision };
        if let Some(denied) = end.denied {
            // Its wait counts from now on.
            entry.at = now.wall;
            entry.detail = denied.to_string();
            entry.retry_after = denied.retry_after();
        }
        self.decisions.push(true, entry);
    }
}
