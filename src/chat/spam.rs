//! Users who make the bot speak too often are not answered for a while.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::{MessageWindow, SpamDetection as Settings};
use crate::names::Username;
use crate::outcome::Reason;

use self::record::{Message, Record};
use self::users::Users;
use super::plan::Ticket;
use super::trace::Trace;

mod record;
mod users;

/// How many of a user's messages are compared by their text.
const COMPARED: usize = 20;
/// The most messages remembered of one user; a window that allows more never closes.
const REMEMBERED: usize = 1_024;

/// A message for which a trigger fired.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'message> {
    /// Who said it.
    pub user: &'message Username,
    /// The user's rank; may be a fraction.
    pub rank: f64,
    /// What was said.
    pub text: &'message str,
    /// Whether the bot was mentioned.
    pub is_mention: bool,
}

/// By which rule a message was found to be spam; few, so that they can label a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A penalty was running.
    Penalty,
    /// `mention_spam_threshold`.
    Mentions,
    /// One of `message_windows`.
    Messages,
    /// `identical_message_threshold`.
    Identical,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Penalty, Self::Mentions, Self::Messages, Self::Identical];

    /// The rule as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Penalty => "penalty",
            Self::Mentions => "mentions",
            Self::Messages => "messages",
            Self::Identical => "identical",
        }
    }
}

/// A message found to be spam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// Why.
    pub rule: Rule,
    /// How long the user's penalty still lasts.
    pub remaining: Duration,
}

/// What is remembered of the users of one room. Bounded in bytes; a running penalty is never
/// forgotten.
#[derive(Debug, Default)]
pub struct Spam {
    users: Users,
}

impl Spam {
    /// Judges a message. One found to be spam counts in the windows; of others only those do that
    /// are reserved. `max_bytes` is what all users of the room may take.
    ///
    /// # Errors
    /// When it is spam.
    pub fn check(
        &mut self,
        now: Moment,
        settings: &Settings,
        max_bytes: usize,
        asked: &Asked,
        trace: &mut impl Trace,
    ) -> Result<(), Caught> {
        if !settings.enabled || settings.admin_exempt_ranks.contains(&asked.rank) {
            trace.note(Reason::Spam, true, || match settings.enabled {
                true => format!("rank {} is exempt", asked.rank),
                false => "not enabled".to_owned(),
            });
            return Ok(());
        }
        // Nobody who is unknown can be caught: even a limit of one allows the first message.
        let Some(record) = self.users.get(asked.user) else {
            trace.note(Reason::Spam, true, || "the user's first message that counts".to_owned());
            return Ok(());
        };
        let rule = match record.remaining_penalty(now) {
            Some(remaining) => {
                trace.note(Reason::Spam, false, || {
                    format!("under a penalty for another {:.1} s", remaining.as_secs_f64())
                });
                Some(Rule::Penalty)
            }
            None => {
                record.forgive(now, settings.clean_period);
                broken_rule(now, settings, asked, record, trace)
            }
        };
        let Some(rule) = rule else { return Ok(()) };
        if rule != Rule::Penalty {
            record.punish(now, |offences| penalty(settings, offences));
        }
        let remaining = record.remaining_penalty(now).unwrap_or_default();
        record.push(Message::new(now, asked, None), remembered(settings));
        self.users.tidy(now, settings, max_bytes);
        Err(Caught { rule, remaining })
    }

    /// Counts a message that gets a reply.
    pub fn reserve(
        &mut self,
        now: Moment,
        settings: &Settings,
        max_bytes: usize,
        asked: &Asked,
        ticket: Ticket,
    ) {
        if !settings.enabled {
            return;
        }
        self.users.tidy(now, settings, max_bytes);
        if let Some(record) = self.users.get_or_insert(asked.user, settings, max_bytes) {
            record.push(Message::new(now, asked, Some(ticket)), remembered(settings));
        }
    }

    /// Takes a message out of the windows whose reply was not said.
    pub fn give_back(&mut self, user: &Username, ticket: Ticket) {
        if let Some(record) = self.users.get(user) {
            record.take_back(ticket);
        }
    }

    /// Ends a user's penalty and forgets the offences. Whether there was a penalty.
    pub fn pardon(&mut self, now: Moment, user: &Username) -> bool {
        self.users.get(user).is_some_and(|record| record.pardon(now))
    }
}

/// The first rule that a message breaks.
fn broken_rule(
    now: Moment,
    settings: &Settings,
    asked: &Asked,
    record: &Record,
    trace: &mut impl Trace,
) -> Option<Rule> {
    // The counts are of what came before this message.
    let mut is_reached = |count: usize, most: u32, window: Duration, what: &str| {
        let is_reached = count >= most as usize;
        trace.note(Reason::Spam, !is_reached, || match window {
            Duration::MAX => format!("{count} {what} before, of fewer than {most}"),
            _ => format!("{count} {what} before in {} s, of fewer than {most}", window.as_secs()),
        });
        is_reached
    };
    if asked.is_mention {
        let window = settings.mention_spam_window;
        let mentions = record.count(now, window, |message| message.is_mention);
        if is_reached(mentions, settings.mention_spam_threshold, window, "mentions") {
            return Some(Rule::Mentions);
        }
    }
    for MessageWindow { length, max_messages } in &settings.message_windows {
        if is_reached(record.count(now, *length, |_| true), *max_messages, *length, "messages") {
            return Some(Rule::Messages);
        }
    }
    let (window, threshold) = match &settings.identical_message_window {
        Some(window) => (window.length, window.max_messages),
        None => (Duration::MAX, settings.identical_message_threshold),
    };
    let identical = record.identical(now, window, asked.text, COMPARED);
    is_reached(identical, threshold, window, "messages of the same text").then_some(Rule::Identical)
}

/// How long the so-manieth offence in a row is punished.
fn penalty(settings: &Settings, offences: u32) -> Duration {
    if let Some(durations) = &settings.penalty_durations {
        let index = (offences as usize).min(durations.len()).saturating_sub(1);
        return durations.get(index).copied().unwrap_or_default();
    }
    let power = i32::try_from(offences.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = settings.initial_penalty.as_secs_f64() * settings.penalty_multiplier.powi(power);
    if seconds < settings.max_penalty.as_secs_f64() {
        Duration::from_secs_f64(seconds)
    } else {
        settings.max_penalty
    }
}

/// How many messages of a user the rules look back on.
fn remembered(settings: &Settings) -> usize {
    let windows = settings.message_windows.iter().map(|window| window.max_messages as usize);
    let needed = windows.chain([settings.mention_spam_threshold as usize, COMPARED]).max();
    needed.unwrap_or(COMPARED).min(REMEMBERED)
}

#[cfg(test)]
mod tests;
