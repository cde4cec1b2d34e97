//! Where everything reports, and where the one snapshot comes from.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::books::Books;
use super::component::{Component, ComponentSet};
use super::ledger::LineFate;
use super::news::News;
use super::progress::Progress;
use super::snapshot::{PausedRoom, ProviderHealth, Snapshot};
use super::state::ProviderStatus;
use super::text::message;
use crate::clock::Moment;
use crate::names::{ProviderName, Username};
use crate::outcome::{Reason, ReplyOutcome};

/// Whether the link to the bus is up and proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkHealth {
    /// Connected, and echoes come back.
    Up,
    /// Not connected, or not proven.
    Down {
        /// What is known of the cause.
        why: String,
    },
}

/// The one owner of health (REQ-003, REQ-010): a cheap handle, cloned to whoever reports.
///
/// Each report that can change the state is judged at once, so that a transition is logged
/// once, with its cause. Times that come out of order are taken as the latest one seen.
#[derive(Debug, Clone)]
pub struct HealthMonitor(Arc<Mutex<Books>>);

impl HealthMonitor {
    /// Begins with the link down and every provider unknown. Critical components are always
    /// watched; of the others those given here, and any that a condition is set for.
    pub fn new(
        now: Moment,
        providers: impl IntoIterator<Item = ProviderName>,
        watched: impl IntoIterator<Item = Component>,
    ) -> Self {
        Self(Arc::new(Mutex::new(Books::new(now, providers, watched))))
    }

    /// A well-formed chat message of one of our rooms came in.
    pub fn message_processed(&self, now: Moment) {
        self.report(now, |books, now| {
            books.messages_processed += 1;
            books.messages.add(now);
        });
    }

    /// A message began no reply.
    pub fn message_ignored(&self, reason: Reason) {
        self.books().ignored.add(reason);
    }

    /// An event could not be read; the kinds are few and fixed.
    pub fn message_malformed(&self, kind: &'static str) {
        *self.books().malformed.entry(kind).or_default() += 1;
    }

    /// A change of what plays or who is there found no room in its queue.
    pub fn change_dropped(&self) {
        self.books().changes_dropped += 1;
    }

    /// An alert was raised.
    pub fn alert_raised(&self) {
        self.books().alerts.alerts += 1;
    }

    /// An alert has ended.
    pub fn alert_ended(&self) {
        self.books().alerts.ends += 1;
    }

    /// The bus or the webhook did not get so many messages about alerts.
    pub fn alerts_undelivered(&self, number: u64) {
        self.books().alerts.undelivered += number;
    }

    /// The media changed in one of our rooms.
    pub fn media_changed(&self) {
        self.books().media_changes += 1;
    }

    /// In which rooms we are told to be silent: all of them.
    pub fn paused(&self, rooms: Vec<PausedRoom>) {
        self.books().paused = rooms;
    }

    /// A user got an answer.
    pub fn user_answered(&self, user: &Username) {
        self.books().users.add(user);
    }

    /// A reply was begun; exactly one [`Self::reply_ended`] has to follow.
    pub fn reply_fired(&self, now: Moment) {
        self.report(now, |books, _| books.ledger.fire());
    }

    /// A reply ended.
    pub fn reply_ended(&self, now: Moment, outcome: ReplyOutcome) {
        self.report(now, |books, now| {
            if !books.ledger.end(outcome) {
                tracing::error!(?outcome, "a reply ended that had not begun; it is not counted");
            } else if outcome.is_error() {
                books.errors.add(now);
                books.errors_of_the_hour.add(now);
            }
        });
    }

    /// A reply was sent, so long after it was begun.
    pub fn reply_took(&self, time: Duration) {
        self.books().reply_times.add(time);
    }

    /// How long the replies took that were sent after the first `seen` of all, oldest first, and how many
    /// were sent in all. Of many only the latest are kept.
    pub fn reply_times_since(&self, seen: u64) -> (Vec<Duration>, u64) {
        let books = self.books();
        (books.reply_times.since(seen), books.reply_times.total())
    }

    /// A provider told what a call has cost.
    pub fn tokens(&self, prompt: u64, completion: u64) {
        self.books().tokens.add(prompt, completion);
    }

    /// These providers are configured from now on, in this order; those that were before keep their
    /// status.
    pub fn providers(&self, names: impl Iterator<Item = ProviderName>) {
        let mut books = self.books();
        let with_status = |name: ProviderName| {
            let known = books.providers.iter().find(|known| known.name == name);
            ProviderHealth { status: known.map_or(ProviderStatus::Unknown, |known| known.status), name }
        };
        books.providers = names.map(with_status).collect();
    }

    /// A line was handed over, and this became of it.
    pub fn line(&self, fate: LineFate) {
        self.books().lines.add(fate);
    }

    /// A provider's latest completed attempt, as the owner of its state sees it. A provider
    /// that is not configured is left out.
    pub fn provider_status(&self, now: Moment, provider: &ProviderName, status: ProviderStatus) {
        self.report(now, |books, at| {
            books.provider(Moment { elapsed: at, wall: now.wall }, provider, status);
        });
    }

    /// A request used up every provider and every try. One that was refused for its content
    /// alone is no such request.
    pub fn providers_exhausted(&self, now: Moment) {
        self.report(now, |books, now| books.exhausted_at = Some(now));
    }

    /// A request was answered by a provider.
    pub fn request_succeeded(&self, now: Moment) {
        self.report(now, |books, _| books.exhausted_at = None);
    }

    /// Whether any provider can be used, and if not, why.
    pub fn providers_usable(&self, now: Moment, usable: Result<(), String>) {
        self.condition(now, Component::LlmProviders, "usable", usable.err(), None);
    }

    /// The link to the bus came up or went down.
    pub fn link(&self, now: Moment, link: LinkHealth) {
        self.report(now, |books, _| {
            books.link_down = match link {
                LinkHealth::Up => None,
                LinkHealth::Down { why } => Some(message(&why)),
            };
        });
    }

    /// Something is wrong with a component (`Some`), or no longer (`None`), under a key of its
    /// own; with `lasts` it heals by itself after that long. Of more than 64 keys at once the
    /// newest are only counted.
    pub fn condition(
        &self,
        now: Moment,
        component: Component,
        key: impl Into<Cow<'static, str>>,
        unhealthy: Option<String>,
        lasts: Option<Duration>,
    ) {
        self.report(now, |books, now| {
            books.watched.insert(component);
            books.conditions[component as usize].set(now, key.into(), unhealthy, lasts);
        });
    }

    /// A place for one loop of a component to say what it is at.
    pub fn progress(&self, component: Component) -> Progress {
        let mut books = self.books();
        books.progress.retain(|(_, progress)| !progress.is_over());
        let progress = Progress::new();
        books.progress.push((component, progress.clone()));
        books.watched.insert(component);
        progress
    }

    /// Which of intake, decider and heartbeat have something to do and have not moved since the last
    /// call that found none. An idle loop does not stand still. For one caller: the watchdog.
    pub fn standing_still(&self, now: Moment) -> ComponentSet {
        let mut books = self.books();
        let now = books.latest(now);
        let still = books.standing_still(now.elapsed);
        if still.is_empty() {
            books.progress.iter().for_each(|(_, progress)| progress.begin_watch());
        }
        still
    }

    /// Lets time pass, once a second: windows and conditions heal, stalls are seen.
    pub fn tick(&self, now: Moment) {
        self.report(now, |_, _| {});
    }

    /// What changed since the news of this number, oldest first; 0 is before all. Of much news only
    /// the latest is kept.
    pub fn news_since(&self, number: u64) -> Vec<News> {
        self.books().news.since(number)
    }

    /// Health at this moment.
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        self.settle(now, |_, _| {}, |books, now| books.snapshot(now))
    }

    fn report(&self, now: Moment, book: impl FnOnce(&mut Books, Duration)) {
        self.settle(now, book, |_, _| ());
    }

    /// Books, judges, and looks at the result, all at one moment. The log is written when the
    /// lock is free again.
    fn settle<T>(
        &self,
        now: Moment,
        book: impl FnOnce(&mut Books, Duration),
        look: impl FnOnce(&mut Books, Moment) -> T,
    ) -> T {
        let (result, transition) = {
            let mut books = self.books();
            let now = books.latest(now);
            book(&mut books, now.elapsed);
            let transition = books.judge(now);
            (look(&mut books, now), transition)
        };
        if let Some(transition) = transition {
            transition.log();
        }
        result
    }

    /// A reporter that panicked has left nothing half done that matters: a poisoned lock is used.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock itself, for tests that look behind it.
    #[cfg(test)]
    pub(super) fn hold_for_test(&self) -> MutexGuard<'_, Books> {
        self.books()
    }
}
