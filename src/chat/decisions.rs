//! The last decisions and their reasons: "why didn't it answer me?"

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::event::ChatMessage;
use super::plan::{ReplyPlan, Silence};
use crate::clock::Moment;
use crate::names::{RoomName, Username};
use crate::outcome::{Reason, ReplyOutcome};

/// Decisions on what was meant for the bot: what a trigger fired for, or what said its name.
const FIRED: usize = 500;
/// Decisions on all other messages, so that busy chat doesn't push out the first kind.
const OTHERS: usize = 500;
/// The most characters kept of a message.
const MESSAGE_CHARACTERS: usize = 100;

/// One decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When it was made.
    pub at: DateTime<Utc>,
    /// Of the message; none when it had none.
    pub correlation_id: Option<String>,
    /// Where.
    pub room: RoomName,
    /// About whose message; none for a film.
    pub user: Option<Username>,
    /// The message's first 100 characters.
    pub message: String,
    /// What came of it.
    pub end: End,
    /// The figures of the reason, in words; may be empty.
    pub detail: String,
    /// After how many seconds the reason would not hold any more, which the words say at their end.
    pub retry_after: Option<u64>,
}

impl Entry {
    /// Of something that was not answered. `message` is none for a film.
    pub fn of_silence(
        now: Moment,
        room: &RoomName,
        message: Option<&ChatMessage>,
        silence: &Silence,
    ) -> Self {
        let given = message.and_then(|message| message.correlation_id.clone());
        let fired = silence.fired.as_ref().map(|fired| fired.correlation_id.clone());
        Self {
            at: now.wall,
            correlation_id: fired.or(given),
            room: room.clone(),
            user: message.map(|message| message.user.clone()),
            message: message
                .map(|message| beginning(&message.text, MESSAGE_CHARACTERS).to_owned())
                .unwrap_or_default(),
            end: End::Silence(silence.reason),
            detail: silence.detail.to_string(),
            retry_after: silence.detail.retry_after(),
        }
    }

    /// Of a reply that is begun; its end is to be filled in.
    pub fn of_plan(now: Moment, plan: &ReplyPlan) -> Self {
        Self {
            at: now.wall,
            correlation_id: Some(plan.correlation_id.clone()),
            room: plan.room.clone(),
            user: plan.user.clone(),
            message: beginning(&plan.original, MESSAGE_CHARACTERS).to_owned(),
            end: End::Reply(None),
            detail: String::new(),
            retry_after: None,
        }
    }
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was answered; the reason says when that isn't sure.
    Reply(Option<Reason>),
    /// It was not.
    Silence(Reason),
}

impl From<ReplyOutcome> for End {
    fn from(outcome: ReplyOutcome) -> Self {
        match outcome {
            ReplyOutcome::Sent => Self::Reply(None),
            ReplyOutcome::InDoubt => Self::Reply(Some(Reason::InDoubt)),
            ReplyOutcome::Silenced(reason) | ReplyOutcome::Failed(reason) => Self::Silence(reason),
            ReplyOutcome::Abandoned => Self::Silence(Reason::Abandoned),
        }
    }
}

/// The last decisions: at most 500 on what was meant for the bot, and 500 others.
#[derive(Debug, Default)]
pub struct Decisions {
    fired: VecDeque<Numbered>,
    others: VecDeque<Numbered>,
    newest: u64,
}

/// A decision and its number, which counts up from 1.
type Numbered = (u64, Entry);

/// Which decisions are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// About this user's messages.
    pub user: Option<Username>,
    /// In these rooms.
    pub rooms: Option<Vec<RoomName>>,
    /// Only what was meant for the bot.
    pub fired: bool,
    /// The most of them.
    pub limit: usize,
}

impl Wanted {
    fn holds(&self, entry: &Entry) -> bool {
        self.user.as_ref().is_none_or(|user| entry.user.as_ref() == Some(user))
            && self.rooms.as_ref().is_none_or(|rooms| rooms.contains(&entry.room))
    }
}

impl Decisions {
    /// Takes one in; `is_meant` says whether something made us answer, or said our name.
    pub fn push(&mut self, is_meant: bool, entry: Entry) {
        let (list, most) = if is_meant { (&mut self.fired, FIRED) } else { (&mut self.others, OTHERS) };
        if list.len() == most {
            list.pop_front();
        }
        self.newest += 1;
        list.push_back((self.newest, entry));
    }

    /// The newest ones that are wanted, newest first.
    pub fn recent(&self, wanted: &Wanted) -> Vec<Entry> {
        let others = self.others.iter().filter(|_| !wanted.fired);
        let all = self.fired.iter().chain(others).map(|(_, entry)| entry);
        let mut found: Vec<&Entry> = all.filter(|entry| wanted.holds(entry)).collect();
        found.sort_by_key(|entry| std::cmp::Reverse(entry.at));
        found.into_iter().take(wanted.limit).cloned().collect()
    }

    /// The number of the newest; 0 when there was none.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Those behind a number, newest first; of what fired and of the others at most so many each.
    pub fn since(&self, number: u64, most_of_each: usize) -> Vec<Entry> {
        let latest = |list: &'_ VecDeque<Numbered>| -> Vec<Numbered> {
            let new = list.iter().rev().take_while(|(own, _)| *own > number);
            new.take(most_of_each).cloned().collect()
        };
        let mut new = [latest(&self.fired), latest(&self.others)].concat();
        new.sort_by_key(|(own, _)| std::cmp::Reverse(*own));
        new.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Forgets a user's messages. Returns how many.
    pub fn forget(&mut self, user: &Username) -> usize {
        let before = self.fired.len() + self.others.len();
        self.fired.retain(|(_, entry)| entry.user.as_ref() != Some(user));
        self.others.retain(|(_, entry)| entry.user.as_ref() != Some(user));
        before - self.fired.len() - self.others.len()
    }
}

/// A text's first characters.
pub fn beginning(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, user: &str, channel: &str) -> Entry {
        Entry {
            at: DateTime::from_timestamp(second, 0).expect("a time"),
            correlation_id: None,
            room: RoomName::new("cytu.be", channel).expect("a room"),
            user: Some(Username::new(user)),
            message: String::new(),
            end: End::Silence(Reason::NoTrigger),
            detail: String::new(),
            retry_after: None,
        }
    }

    fn all() -> Wanted {
        Wanted { limit: usize::MAX, ..Wanted::default() }
    }

    fn seconds(entries: &[Entry]) -> Vec<i64> {
        entries.iter().map(|entry| entry.at.timestamp()).collect()
    }

    #[test]
    fn the_newest_come_first_by_user_and_room() {
        let mut decisions = Decisions::default();
        for (second, user, channel) in [(1, "Bob", "A"), (2, "eve", "A"), (3, "bob", "B"), (4, "bob", "A")] {
            decisions.push(second % 2 == 0, entry(second, user, channel));
        }
        let bob = Username::new("BOB");
        let [a, b, c] = ["A", "B", "C"].map(|channel| [entry(0, "", channel).room]);
        for (user, rooms, fired, limit, expected) in [
            (None, None, false, 10, vec![4, 3, 2, 1]),
            (None, None, false, 2, vec![4, 3]),
            (None, None, true, 10, vec![4, 2]),
            (Some(&bob), None, false, 10, vec![4, 3, 1]),
            (Some(&bob), Some(&a[..]), false, 10, vec![4, 1]),
            (Some(&bob), Some(&a[..]), true, 10, vec![4]),
            (None, Some(&b[..]), false, 10, vec![3]),
            (None, Some(&c[..]), false, 10, vec![]),
        ] {
            let wanted = Wanted { user: user.cloned(), rooms: rooms.map(<[_]>::to_vec), fired, limit };
            assert_eq!(seconds(&decisions.recent(&wanted)), expected);
        }
        assert_eq!(decisions.forget(&bob), 3);
        assert_eq!(seconds(&decisions.recent(&all())), [2]);
    }

    #[test]
    fn whoever_follows_them_gets_what_is_new() {
        let mut decisions = Decisions::default();
        assert_eq!((decisions.newest(), decisions.since(0, 9)), (0, vec![]));
        (1..=4).for_each(|second| decisions.push(second % 2 == 0, entry(second, "bob", "A")));
        assert_eq!((decisions.newest(), seconds(&decisions.since(2, 9))), (4, vec![4, 3]));
        assert_eq!(seconds(&decisions.since(0, 1)), [4, 3], "one that fired, and one other");
        assert_eq!(decisions.since(4, 9), []);
        decisions.forget(&Username::new("bob"));
        decisions.push(true, entry(5, "eve", "A"));
        assert_eq!((decisions.newest(), seconds(&decisions.since(4, 9))), (5, vec![5]));
    }

    #[test]
    fn chatter_does_not_push_out_what_fired_and_both_are_bounded() {
        let mut decisions = Decisions::default();
        decisions.push(true, entry(0, "bob", "A"));
        (1..10_000).for_each(|second| decisions.push(false, entry(second, "eve", "A")));
        let kept = decisions.recent(&all());
        assert_eq!((kept.len(), kept.last().map(|entry| entry.at.timestamp())), (501, Some(0)));
        (1..10_000).for_each(|second| decisions.push(true, entry(second, "eve", "A")));
        assert_eq!(decisions.recent(&all()).len(), 1_000);
    }

    #[test]
    fn every_outcome_is_a_reply_or_a_silence_with_a_reason() {
        for (outcome, expected) in [
            (ReplyOutcome::Sent, End::Reply(None)),
            (ReplyOutcome::InDoubt, End::Reply(Some(Reason::InDoubt))),
            (ReplyOutcome::Silenced(Reason::Stale), End::Silence(Reason::Stale)),
            (ReplyOutcome::Failed(Reason::Exhausted), End::Silence(Reason::Exhausted)),
            (ReplyOutcome::Abandoned, End::Silence(Reason::Abandoned)),
        ] {
            assert_eq!(End::from(outcome), expected);
        }
    }

    #[test]
    fn a_beginning_is_cut_at_a_character() {
        assert_eq!(beginning(&"é".repeat(200), MESSAGE_CHARACTERS), "é".repeat(100));
    }
}
