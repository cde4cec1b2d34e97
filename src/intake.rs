//! What rooms say, from the bus: bytes in, typed events into the queue of their room. One task a
//! subject.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::bus::subscription::{Message, Subscription};
use crate::chat::event::{self, ChatEvent, ChatMessage, RoomEvent};
use crate::clock::{Clock, Moment};
use crate::decider::{NotTaken, RoomInput, RoomQueue};
use crate::health::{Component, HealthMonitor, Progress};
use crate::names::{self, RoomName};
use crate::outcome::Reason;
use crate::seldom::Seldom;

/// How long an overflow keeps the component unhealthy.
const OVERFLOW_LASTS: Duration = Duration::from_secs(60);

/// The intake of one subject: all rooms whose names are equal as tokens share it.
pub struct Intake {
    rooms: Vec<(RoomName, RoomQueue)>,
    max_event_bytes: usize,
    clock: Clock,
    health: HealthMonitor,
    progress: Progress,
    /// Warnings by their kind: of trouble, and of event.
    warnings: HashMap<(&'static str, &'static str), Seldom>,
    warned_of_domain: bool,
    /// Once a stop was asked for: how many chat messages were refused since.
    refused: Option<u64>,
}

impl Intake {
    /// `rooms` share one token. Events over `max_event_bytes` are dropped unparsed.
    pub fn new(
        rooms: Vec<(RoomName, RoomQueue)>,
        max_event_bytes: usize,
        clock: Clock,
        health: HealthMonitor,
    ) -> Self {
        let progress = health.progress(Component::Intake);
        Self {
            rooms,
            max_event_bytes,
            clock,
            health,
            progress,
            warnings: HashMap::new(),
            warned_of_domain: false,
            refused: None,
        }
    }

    /// Takes messages until a stop is asked for; then it unsubscribes, and counts what it has not
    /// come to as abandoned.
    pub async fn run(mut self, mut subscription: Subscription, stop_taking: CancellationToken) {
        while let Some(Some(message)) = stop_taking.run_until_cancelled(subscription.next()).await {
            self.progress.begin(self.clock.now());
            #[cfg(feature = "test-hooks")]
            crate::test_hooks::stall("intake", &String::from_utf8_lossy(message.payload())).await;
            self.take(&message);
            self.progress.end();
        }
        self.refused = Some(0);
        subscription.into_rest().for_each(|message| self.take(&message));
        if let Some(messages) = self.refused.filter(|messages| *messages > 0) {
            info!(room = %self.rooms[0].0, messages, "messages that were not read yet were refused");
        }
    }

    /// One event that trips over a bug costs one event, not the service.
    fn take(&mut self, message: &Message) {
        if catch_unwind(AssertUnwindSafe(|| self.read(message))).is_err() {
            error!(subject = ?message.subject(), "reading an event panicked; this is a bug, please report it");
            self.health.message_malformed("panic");
        }
    }

    fn read(&mut self, message: &Message) {
        let now = self.clock.now();
        // Senders don't agree on the case.
        let kind = message.subject().rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        if message.length() > self.max_event_bytes {
            self.drop_too_large(now, &kind, message.length());
            return;
        }
        match event::parse(&kind, message.payload()) {
            Err(malformed) => self.drop_malformed(now, malformed.as_str()),
            Ok(RoomEvent { event: ChatEvent::Other, .. }) => {}
            Ok(RoomEvent { domain, event }) => {
                let Some(index) = self.room_of(now, domain.as_deref()) else { return };
                match event {
                    ChatEvent::Chat(chat) => self.chat(now, index, chat),
                    // Nobody will ask any more what plays.
                    ChatEvent::Room(_) if self.refused.is_some() => {}
                    ChatEvent::Room(change) => self.put(now, index, RoomInput::Change(change)),
                    ChatEvent::Other => {}
                }
            }
        }
    }

    /// With several rooms of one token the domain decides; a single room takes what comes.
    fn room_of(&mut self, now: Moment, domain: Option<&str>) -> Option<usize> {
        let named = names::by_domain(self.rooms.iter().map(|(room, _)| room), domain);
        let Some(domain) = domain else {
            if named.is_none() {
                self.drop_malformed(now, "no_domain");
            }
            return named;
        };
        let is_known = self.rooms.iter().any(|(room, _)| room.is_on(domain));
        if !is_known && !std::mem::replace(&mut self.warned_of_domain, true) {
            warn!(
                domain = ?domain.chars().take(100).collect::<String>(),
                room = %self.rooms[0].0,
                "events name another domain than the configured one; said once"
            );
        }
        named
    }

    fn chat(&mut self, now: Moment, index: usize, chat: ChatMessage) {
        self.health.message_processed(now);
        if let Some(refused) = &mut self.refused {
            *refused += 1;
            self.health.message_ignored(Reason::Abandoned);
            return;
        }
        self.put(now, index, RoomInput::Chat(chat));
    }

    fn put(&mut self, now: Moment, index: usize, input: RoomInput) {
        let (room, queue) = &self.rooms[index];
        let is_chat = matches!(input, RoomInput::Chat(_));
        match queue.put(now.elapsed, input) {
            Ok(()) => {}
            Err(NotTaken::Full) => {
                let (what, lost) = if is_chat {
                    self.health.message_ignored(Reason::Overload);
                    ("chat", "new messages are dropped")
                } else {
                    self.health.change_dropped();
                    ("news", "changes of what plays or who is there are dropped")
                };
                let room = room.clone();
                let why = format!("{}: more {what} than can be read", room.channel());
                let key = format!("overflow {room}");
                self.health.condition(now, Component::Intake, key, Some(why), Some(OVERFLOW_LASTS));
                if self.is_news(now, "overflow", what) {
                    warn!(%room, "the room's queue is full: {lost}");
                }
            }
            // The decider has stopped taking; so have we, in a moment.
            Err(NotTaken::Closed) if is_chat => self.health.message_ignored(Reason::Abandoned),
            Err(NotTaken::Closed) => {}
        }
    }

    /// Whoever raises the limit has to know by which kind of event it was reached.
    fn drop_too_large(&mut self, now: Moment, kind: &str, bytes: usize) {
        const TOO_LARGE: &str = "too_large";
        self.health.message_malformed(TOO_LARGE);
        let event = event::known_kind(kind).unwrap_or("other");
        if self.is_news(now, TOO_LARGE, event) {
            let (limit, room) = (self.max_event_bytes, &self.rooms[0].0);
            warn!(
                kind = TOO_LARGE, %room, event, bytes, limit,
                "an event is dropped unread, since it is longer than limits.max_event_bytes"
            );
        }
    }

    fn drop_malformed(&mut self, now: Moment, kind: &'static str) {
        self.health.message_malformed(kind);
        if self.is_news(now, kind, "") {
            warn!(kind, room = %self.rooms[0].0, "an event can't be read and is dropped");
        }
    }

    /// Whether a warning of this kind is due; the kinds are few and fixed.
    fn is_news(&mut self, now: Moment, kind: &'static str, of: &'static str) -> bool {
        self.warnings.entry((kind, of)).or_default().is_due(now.elapsed)
    }
}
