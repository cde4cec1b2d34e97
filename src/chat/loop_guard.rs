//! Two bots must not talk for ever.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::LoopGuard as Settings;
use crate::names::Username;

use super::plan::Ticket;

/// Who speaks in a room, and how often we answered them alone.
#[derive(Debug, Default)]
pub struct LoopGuard {
    run: Option<Run>,
}

/// Lines of one user with nobody else's between; ours don't count.
#[derive(Debug)]
struct Run {
    user: Username,
    last_line: Duration,
    /// The replies to them and when they were decided, open ones too; never more than are allowed.
    replies: Vec<(Ticket, Duration)>,
}

impl LoopGuard {
    /// Takes a line of somebody else.
    pub fn heard(&mut self, now: Moment, settings: &Settings, user: &Username) {
        match &mut self.run {
            Some(run) if run.user == *user => {
                if now.elapsed.saturating_sub(run.last_line) >= settings.window {
                    run.replies.clear();
                }
                run.last_line = now.elapsed;
            }
            _ => {
                self.run = Some(Run { user: user.clone(), last_line: now.elapsed, replies: Vec::new() });
            }
        }
    }

    /// Whether the user who spoke last may have another reply.
    pub fn allows(&mut self, now: Moment, settings: &Settings) -> bool {
        let most = settings.max_replies_in_a_row as usize;
        let Some(run) = self.run.as_mut().filter(|_| most > 0) else { return true };
        // Replies far from each other are no loop; but a silence lasts until the user pauses.
        let is_silenced = run.replies.len() >= most;
        let is_far = |(_, last): &(Ticket, Duration)| now.elapsed.saturating_sub(*last) > settings.window;
        if !is_silenced && run.replies.last().is_some_and(is_far) {
            run.replies.clear();
        }
        !is_silenced
    }

    /// How many replies in a row the user who spoke last has had, in words.
    pub fn in_words(&self, settings: &Settings) -> String {
        let in_a_row = self.run.as_ref().map_or(0, |run| run.replies.len());
        match settings.max_replies_in_a_row {
            0 => "switched off".to_owned(),
            most => format!("{in_a_row} of at most {most} replies in a row to one user alone"),
        }
    }

    /// Counts a reply to the user who spoke last.
    pub fn reserve(&mut self, now: Moment, settings: &Settings, ticket: Ticket) {
        if let Some(run) = self.run.as_mut().filter(|_| settings.max_replies_in_a_row > 0) {
            run.replies.push((ticket, now.elapsed));
        }
    }

    /// Takes a reply back of which nothing was said.
    pub fn give_back(&mut self, ticket: Ticket) {
        if let Some(run) = &mut self.run {
            run.replies.retain(|(reply, _)| *reply != ticket);
        }
    }
}

#[cfg(test)]
mod tests;
