//! Looks at health once a second and hands on what is to be kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::book::MinuteBook;
use super::losses::{LossTeller, Losses};
use super::minute::{Figures, Minute};
use super::store::Entry;
use crate::clock::{Clock, Moment};
use crate::health::{HealthMonitor, State, missed};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What was counted in the running minute is kept so often, if anything was: so much may be lost by a kill.
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
    /// What of the running minute was handed on.
    kept: Kept,
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
            kept: Kept::default(),
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
            self.keep_what_is_new(looks.is_multiple_of(KEEP_EVERY));
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
            self.kept = Kept::after(minute.state);
            self.hand_on(Entry::Minute(minute));
        }
        news.into_iter().for_each(|news| self.hand_on(Entry::News(news)));
    }

    /// An idle minute in which all is well is written once, when it is over.
    fn keep_what_is_new(&mut self, also_figures: bool) {
        let minute = self.book.so_far();
        if self.kept.lacks_state_of(&minute) || also_figures && self.kept.lacks_figures_of(&minute) {
            let kept = Kept { state: Some(minute.state), figures: minute.figures.clone() };
            // When there is no room it is tried again, at the latest when the minute is over.
            if self.entries.try_send(Entry::Minute(minute)).is_ok() {
                self.kept = kept;
            }
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

/// What is known of the running minute to whoever writes it.
#[derive(Debug, Default)]
struct Kept {
    /// The state that it is known with. None at the start, so that the file is made, or known to be trouble.
    state: Option<State>,
    figures: Figures,
}

impl Kept {
    /// Nothing of a minute that follows one of this state. Where all was well that is taken to go on; anything
    /// else is worth a word at once: trouble must not be lost by a kill, nor its end be shown late.
    fn after(state: State) -> Self {
        Self { state: Some(state).filter(|state| *state == State::Healthy), figures: Figures::default() }
    }

    fn lacks_state_of(&self, minute: &Minute) -> bool {
        self.state != Some(minute.state)
    }

    fn lacks_figures_of(&self, minute: &Minute) -> bool {
        minute.figures.say_more_than(&self.figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Component, LinkHealth};

    fn minute(state: State, messages: u64) -> Minute {
        let ran = Duration::from_secs(messages);
        Minute { at: 60, part: 1, state, figures: Figures { ran, messages, ..Figures::default() } }
    }

    #[test]
    fn a_minute_is_news_by_its_state_unless_all_stays_well() {
        use State::{Degraded, Failing, Healthy};
        for (before, now, is_news) in [
            (Kept::default(), Healthy, true),
            (Kept::after(Healthy), Healthy, false),
            (Kept::after(Healthy), Degraded, true),
            (Kept::after(Failing), Healthy, true),
            (Kept::after(Failing), Failing, true),
            (Kept { state: Some(Degraded), figures: Figures::default() }, Degraded, false),
            (Kept { state: Some(Degraded), figures: Figures::default() }, Failing, true),
        ] {
            assert_eq!(before.lacks_state_of(&minute(now, 0)), is_news, "{before:?}, now {now:?}");
        }
    }

    #[test]
    fn a_minute_is_news_by_its_figures_unless_only_time_went_by() {
        let kept = Kept { state: None, figures: minute(State::Healthy, 3).figures };
        let mut idle = minute(State::Healthy, 3);
        idle.figures.ran += LOOK_EVERY;
        assert!(!kept.lacks_figures_of(&idle));
        assert!(kept.lacks_figures_of(&minute(State::Healthy, 4)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worse_state_is_handed_on_at_the_next_look_though_nothing_is_counted() {
        let clock = Clock::start();
        let health = HealthMonitor::new(clock.now(), [], std::iter::empty::<Component>());
        health.link(clock.now(), LinkHealth::Up);
        let (entries, mut handed_on) = mpsc::channel(256);
        let recorder = Recorder::new(clock, health.clone(), entries, Arc::default());
        tokio::spawn(recorder.run(CancellationToken::new()));
        // So that nothing of the start is left, and no look keeps figures.
        tokio::time::sleep(LOOK_EVERY * (KEEP_EVERY + 1)).await;
        while handed_on.try_recv().is_ok() {}
        health.link(clock.now(), LinkHealth::Down { why: "cut".to_owned() });
        tokio::time::sleep(LOOK_EVERY).await;
        let mut states = Vec::new();
        while let Ok(entry) = handed_on.try_recv() {
            if let Entry::Minute(minute) = entry {
                states.push(minute.state);
            }
        }
        assert_eq!(states.last(), Some(&State::Failing), "{states:?}");
    }
}
