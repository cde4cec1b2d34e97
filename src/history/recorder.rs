//! Looks at health once a second and hands on what is to be kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::book::MinuteBook;
use super::losses::{LossTeller, Losses};
use super::minute::Figures;
use super::store::Entry;
use crate::clock::{Clock, Moment};
use crate::health::{HealthMonitor, missed};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What there is of the running minute is kept so often, if anything happened: so much may be lost by a kill.
const KEEP_EVERY: u32 = 5;

/// The task that looks. See [`Recorder::run`].
#[derive(Debug)]
pub struct Recorder {
    clock: Clock,
    health: HealthMonitor,
    /// When the service started, until that was handed on.
    started: Option<Moment>,
    book: MinuteBook,
    /// Up to which number of health's news it has seen.
    news: u64,
    /// How many reply times it has seen.
    replies: u64,
    /// The figures of the running minute as they were last handed on.
    kept: Figures,
    entries: mpsc::Sender<Entry>,
    losses: LossTeller,
}

impl Recorder {
    pub(super) fn new(
        clock: Clock,
        health: HealthMonitor,
        entries: mpsc::Sender<Entry>,
        losses: Arc<Losses>,
    ) -> Self {
        let started = clock.now();
        Self {
            clock,
            health,
            started: Some(started),
            book: MinuteBook::new(started),
            news: 0,
            replies: 0,
            kept: Figures::default(),
            entries,
            losses: LossTeller::new(losses),
        }
    }

    /// Looks until `stop`, and then once more. Never waits for the writer.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut second = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0_u32;
        while stop.run_until_cancelled(second.tick()).await.is_some() {
            self.look();
            if looks == 0 {
                // Whatever there is: so the file is made, or known to be trouble.
                self.hand_on(Entry::Minute(self.book.so_far()));
            } else if looks.is_multiple_of(KEEP_EVERY) {
                self.keep_what_is_new();
            }
            looks = looks.wrapping_add(1);
        }
        self.look();
        self.hand_on(Entry::Minute(self.book.so_far()));
    }

    fn look(&mut self) {
        if let Some(started) = self.started.take() {
            self.hand_on(Entry::Start(started));
        }
        let snapshot = self.health.snapshot(self.clock.now());
        let news = self.health.news_since(self.news);
        let (reply_times, replies) = self.health.reply_times_since(self.replies);
        // Health keeps only so many.
        let missed = missed(&news, self.news);
        if missed > 0 {
            self.lose(missed, "more happened at once than is kept");
        }
        self.news = news.last().map_or(self.news, |news| news.number);
        self.replies = replies;
        if let Some(minute) = self.book.show(&snapshot, &news, reply_times) {
            self.kept = Figures::default();
            self.hand_on(Entry::Minute(minute));
        }
        news.into_iter().for_each(|news| self.hand_on(Entry::News(news)));
    }

    /// An idle minute is written once, when it is over.
    fn keep_what_is_new(&mut self) {
        let minute = self.book.so_far();
        if minute.figures.say_more_than(&self.kept) {
            self.kept = minute.figures.clone();
            self.hand_on(Entry::Minute(minute));
        }
    }

    fn hand_on(&mut self, entry: Entry) {
        match self.entries.try_send(entry) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.lose(1, "it is written too slowly"),
            Err(TrySendError::Closed(_)) => self.lose(1, "nobody writes it any more until the next start"),
        }
    }

    fn lose(&mut self, count: u64, why: &str) {
        self.losses.lose(self.clock.now().elapsed, count, why);
    }
}
