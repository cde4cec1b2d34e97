//! What is remembered of one user.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::Asked;
use crate::chat::plan::Ticket;
use crate::clock::Moment;

/// One user's messages that count, and their offences.
#[derive(Debug, Default)]
pub struct Record {
    /// Oldest first.
    messages: VecDeque<Message>,
    offences: u32,
    last_offence: Duration,
    penalty_until: Duration,
}

/// A message that counts in the windows.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    at: Duration,
    /// The trimmed text in lower case, as a hash: its length costs nothing.
    text: u64,
    pub is_mention: bool,
    /// Whose reply may still be taken back; none when it was found to be spam.
    ticket: Option<Ticket>,
}

impl Message {
    pub fn new(now: Moment, asked: &Asked, ticket: Option<Ticket>) -> Self {
        Self { at: now.elapsed, text: hash(asked.text), is_mention: asked.is_mention, ticket }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.trim().to_lowercase().hash(&mut hasher);
    hasher.finish()
}

impl Record {
    /// Takes a message, and keeps at most so many.
    pub fn push(&mut self, message: Message, most: usize) {
        self.messages.push_back(message);
        while self.messages.len() > most {
            self.messages.pop_front();
        }
    }

    /// Forgets the message whose reply was not said.
    pub fn take_back(&mut self, ticket: Ticket) {
        self.messages.retain(|message| message.ticket != Some(ticket));
    }

    /// How many messages of a kind are in the window before now.
    pub fn count(&self, now: Moment, window: Duration, kind: impl Fn(&Message) -> bool) -> usize {
        self.within(now, window).filter(|message| kind(message)).count()
    }

    /// How many of the last messages said the same, within the window.
    pub fn identical(&self, now: Moment, window: Duration, text: &str, compared: usize) -> usize {
        let text = hash(text);
        self.within(now, window).take(compared).filter(|message| message.text == text).count()
    }

    /// The messages in the window, newest first.
    fn within(&self, now: Moment, window: Duration) -> impl Iterator<Item = &Message> {
        self.messages.iter().rev().take_while(move |message| now.elapsed.saturating_sub(message.at) < window)
    }

    /// How long the penalty still lasts; `None` when there is none.
    pub fn remaining_penalty(&self, now: Moment) -> Option<Duration> {
        self.penalty_until.checked_sub(now.elapsed).filter(|remaining| !remaining.is_zero())
    }

    /// Forgets the offences when the last one is so long ago.
    pub fn forgive(&mut self, now: Moment, clean_period: Duration) {
        if now.elapsed.saturating_sub(self.last_offence) >= clean_period {
            self.offences = 0;
        }
    }

    /// Counts an offence, and begins its penalty.
    pub fn punish(&mut self, now: Moment, penalty: impl FnOnce(u32) -> Duration) {
        self.offences = self.offences.saturating_add(1);
        self.last_offence = now.elapsed;
        self.penalty_until = now.elapsed + penalty(self.offences);
    }

    /// Ends the penalty and forgets the offences and what they were for. Whether there was a penalty.
    pub fn pardon(&mut self, now: Moment) -> bool {
        let was_punished = self.remaining_penalty(now).is_some();
        self.messages.retain(|message| message.ticket.is_some());
        (self.offences, self.penalty_until) = (0, Duration::ZERO);
        was_punished
    }

    /// When something last happened.
    pub fn last_seen(&self) -> Duration {
        self.messages.back().map_or(self.last_offence, |last| last.at.max(self.last_offence))
    }
}
