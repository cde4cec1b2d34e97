//! What the decider hears besides chat.

use std::time::Duration;

use super::{AskSpend, Decider, afford};
use crate::chat::event::ChatMessage;
use crate::chat::event::change::{Media, RoomChange};
use crate::chat::films::{MediaMemory, NewFilm};
use crate::chat::listener;
use crate::chat::pause::Pause;
use crate::chat::plan::{Decision, Detail, Fired, ReplyPlan, Silence, Ticket};
use crate::chat::shares;
use crate::chat::stored::StoredState;
use crate::chat::trace::Untraced;
use crate::chat::triggers::Trigger;
use crate::clock::Moment;
use crate::names::{RoomName, Username};
use crate::outcome::Reason;

/// What came of something else beginning to play.
#[derive(Debug)]
pub struct MediaChanged {
    /// To be written down for the next start, when it is another than before.
    pub memory: Option<MediaMemory>,
    /// Whether to comment on it; `None` when it is no new film.
    pub decision: Option<Decision>,
}

impl Decider {
    /// Takes what is known of a room. What plays is taken as commented on; the memory of it is to be
    /// written down, when there is one.
    pub fn load_state(&mut self, now: Moment, room: &RoomName, state: StoredState) -> Option<MediaMemory> {
        let rules = self.rules.clone();
        let config = rules.config();
        let room = self.room(room);
        if let Some(memory) = state.memory {
            room.films.remember(memory);
        }
        let known = room.films.last().cloned();
        if let Some(media) = &state.current {
            room.films.playing_at_start(&config.media_change, media);
        }
        room.screen.load(now, state.current, state.items);
        if let Some(users) = state.users {
            room.people.replace(shares::people_of_a_room(config), &users);
        }
        room.films.last().filter(|last| config.media_change.enabled && known.as_ref() != Some(last)).cloned()
    }

    /// Takes a change in a room; says something when something else plays.
    pub fn on_event(
        &mut self,
        now: Moment,
        room_name: &RoomName,
        change: RoomChange,
        spend: AskSpend,
    ) -> Option<MediaChanged> {
        let people_bytes = shares::people_of_a_room(self.rules.config());
        let room = self.room(room_name);
        match change {
            RoomChange::Media(media) => return self.media_changed(now, room_name, media, spend),
            RoomChange::Progress(progress) => room.screen.progressed(now, progress),
            RoomChange::Users(visitors) => room.people.replace(people_bytes, &visitors),
            RoomChange::Joined(visitor) => room.people.joined(people_bytes, &visitor),
            RoomChange::Left(user) => room.people.left(&user),
            RoomChange::Ranked(user, rank) => room.people.ranked(people_bytes, &user, rank),
            RoomChange::Away(user, is_away) => room.people.away(people_bytes, &user, is_away),
        }
        None
    }

    fn media_changed(
        &mut self,
        now: Moment,
        room_name: &RoomName,
        media: Media,
        spend: AskSpend,
    ) -> Option<MediaChanged> {
        let rules = self.rules.clone();
        let config = rules.config();
        let room = self.room(room_name);
        let is_in_grace = room.duplicates.is_in_grace(now, &config.context);
        let played = media.clone();
        if !room.screen.changed(now, &config.context, is_in_grace, media) {
            return None;
        }
        let film = room.films.changed(&config.media_change, &played).filter(|_| config.media_change.enabled);
        let memory = film.as_ref().and(room.films.last().cloned());
        let decision = film.filter(|film| film.is_news).map(|film| self.comment(now, room_name, film, spend));
        Some(MediaChanged { memory, decision })
    }

    /// Whether to comment on a new film: no rate limits, but pause and spend hold.
    fn comment(&mut self, now: Moment, room_name: &RoomName, film: NewFilm, spend: AskSpend) -> Decision {
        let trigger = Trigger::media_change();
        let correlation_id = self.correlation_id(None);
        let is_paused = self.room(room_name).pause.is_on(now);
        let silence = if is_paused {
            Some(Silence::new(Reason::Paused, Detail::None))
        } else {
            afford(&trigger, None, spend, &mut Untraced).err()
        };
        if let Some(Silence { reason, detail, .. }) = silence {
            let fired = Fired { trigger, message: String::new(), rank: 0.0, correlation_id };
            return Decision::Silence(Silence { reason, detail, fired: Some(Box::new(fired)) });
        }
        let ticket = self.ticket();
        let rules = self.rules.clone();
        let config = rules.config();
        let room = self.room(room_name);
        Decision::Reply(Box::new(ReplyPlan {
            room: room_name.clone(),
            ticket,
            user: None,
            rank: 0.0,
            message: String::new(),
            original: String::new(),
            trigger,
            history: room.history(config, config.media_change.chat_context_depth),
            scene: room.scene(now, config, true),
            previous_title: film.previous_title,
            correlation_id,
            rules,
        }))
    }

    /// Takes the end of a reply: what was reserved for it counts from when its first line went out
    /// (also when that is in doubt), or is given back when `spoken` is `None`. To be called exactly
    /// once for each plan.
    pub fn settle(&mut self, ticket: Ticket, spoken: Option<Moment>) {
        self.limits.settle(ticket, spoken);
        let Some((room, user)) = self.open.remove(&ticket) else { return };
        if spoken.is_none()
            && let Some(room) = self.rooms.get_mut(&room)
        {
            room.loop_guard.give_back(ticket);
            room.spam.give_back(&user, ticket);
        }
    }

    /// The newest ticket so far.
    pub fn newest_ticket(&self) -> Ticket {
        Ticket(self.last_ticket)
    }

    /// Gives back what was reserved with the tickets behind this one: deciding panicked, so that nobody
    /// has their plans.
    pub fn give_back_since(&mut self, before: Ticket) {
        (before.0 + 1..=self.last_ticket).for_each(|lost| self.settle(Ticket(lost), None));
    }

    /// Whether a message that the listener dropped is a line of ours all the same: we may be among the
    /// users whom we ignore.
    pub fn is_ignored_echo(&self, now: Moment, room: &RoomName, message: &ChatMessage) -> bool {
        // Of a line that only moderators see nobody has heard; and some lines are not waited for.
        let may_be = !message.is_shadow_muted && !listener::is_unheeded(&message.text);
        let names = self.rules.names();
        may_be
            && self
                .rooms
                .get(room)
                .is_some_and(|room| room.identity.seems_own(now, &names, &message.user, &message.text))
    }

    /// Takes what was sent to a room.
    pub fn sent_text(&mut self, now: Moment, room: &RoomName, text: &str) {
        self.room(room).identity.sent(now, text);
    }

    /// Takes the robot's answer to who we are in a room.
    pub fn own_name(&mut self, room: &RoomName, name: Option<Username>) {
        self.room(room).identity.told(name);
    }

    /// The robot of a room is back in CyTube: for a while it may repeat what was said before.
    pub fn robot_reconnected(&mut self, now: Moment, room: &RoomName) {
        let rules = self.rules.clone();
        self.room(room).duplicates.reconnected(now, &rules.config().context);
    }

    /// Says nothing in a room for so long, or until it is resumed.
    pub fn pause(&mut self, now: Moment, room: &RoomName, duration: Option<Duration>) {
        self.room(room).pause = Pause::begin(now, duration);
    }

    /// Speaks again in a room.
    pub fn resume(&mut self, room: &RoomName) {
        self.room(room).pause = Pause::Off;
    }

    /// The rooms that are paused.
    pub fn paused(&self, now: Moment) -> impl Iterator<Item = (&RoomName, Pause)> {
        let paused = move |(name, room): (_, &crate::chat::room::Room)| {
            room.pause.is_on(now).then_some((name, room.pause))
        };
        self.rooms.iter().filter_map(paused)
    }
}

#[cfg(test)]
mod tests;
