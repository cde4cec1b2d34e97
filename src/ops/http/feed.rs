//! The one task that makes what listeners get.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::events::text;
use super::{HttpState, status};
use crate::clock::iso;
use crate::health::{Change, News};
use crate::ops::commands::documents;
use crate::ops::status::without_clocks;

/// The most listeners.
pub(super) const LISTENERS: usize = 16;
/// Texts that a listener may be behind.
const BEHIND: usize = 16;
/// How often we look whether something is new.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a status holds when nothing changes.
const STATUS_HOLDS: Duration = Duration::from_secs(10);
/// How often a comment keeps the connection open.
const COMMENTS: Duration = Duration::from_secs(15);
/// The most new decisions at once: of those that fired, and of others.
const DECISIONS: usize = 50;

/// Where listeners join. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    texts: broadcast::Sender<Bytes>,
    places: Arc<Semaphore>,
    wake: Arc<Notify>,
    /// Whether what is new is being followed.
    follows: watch::Sender<bool>,
    stop: CancellationToken,
}

impl Feed {
    /// A feed that ends at `stop`.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            texts: broadcast::Sender::new(BEHIND),
            places: Arc::new(Semaphore::new(LISTENERS)),
            wake: Arc::default(),
            follows: watch::Sender::new(false),
            stop,
        }
    }

    /// Cancelled when no more comes.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Listens: whatever happens from when this returns is told. None when there is no place, or at a
    /// stop.
    pub(super) async fn join(&self) -> Option<(OwnedSemaphorePermit, broadcast::Receiver<Bytes>)> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let texts = self.texts.subscribe();
        self.wake.notify_one();
        let mut follows = self.follows.subscribe();
        let begun = follows.wait_for(|follows| *follows);
        self.stop.run_until_cancelled(begun).await?.ok()?;
        Some((place, texts))
    }

    /// Makes texts while somebody listens, until the stop.
    pub(super) async fn run(self, state: Arc<HttpState>) {
        let follow = async {
            loop {
                self.wake.notified().await;
                self.follow(&state).await;
            }
        };
        self.stop.run_until_cancelled(follow).await;
    }

    async fn follow(&self, state: &HttpState) {
        let mut follower = Follower::begin(state).await;
        let mut seconds = interval(PERIOD);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.follows.send_replace(true);
        loop {
            seconds.tick().await;
            if self.texts.receiver_count() == 0 {
                self.follows.send_replace(false);
                // Whoever has come in between may have seen that we follow.
                if self.texts.receiver_count() == 0 {
                    return;
                }
                self.follows.send_replace(true);
            }
            for text in follower.news(state).await {
                // A listener that has gone meanwhile needs nothing.
                let _ = self.texts.send(text);
            }
        }
    }
}

/// What was told last.
struct Follower {
    change: u64,
    /// None until the decider has said which is the newest.
    decision: Option<u64>,
    /// The latest status without its clocks, and when it was told.
    status: Option<(Value, Instant)>,
    commented: Instant,
}

impl Follower {
    /// From now on.
    async fn begin(state: &HttpState) -> Self {
        Self {
            change: state.figures.health.news_since(0).last().map_or(0, |news| news.number),
            decision: state.figures.asking.ask(|_, _, decisions| decisions.newest()).await,
            status: None,
            commented: Instant::now(),
        }
    }

    /// What is new.
    async fn news(&mut self, state: &HttpState) -> Vec<Bytes> {
        let before = self.decision;
        let looked = state.figures.asking.ask(move |now, decider, decisions| {
            let new = before.map_or_else(Vec::new, |before| decisions.since(before, DECISIONS));
            (decider.limits_in_use(now), decisions.newest(), new)
        });
        let (limits, new) = match looked.await {
            Some((limits, newest, new)) => {
                self.decision = Some(newest);
                (Some(limits), new)
            }
            None => (None, Vec::new()),
        };
        let changes = state.figures.health.news_since(self.change);
        self.change = changes.last().map_or(self.change, |news| news.number);

        let mut texts: Vec<Bytes> = changes.iter().filter_map(transition).collect();
        if !new.is_empty() {
            texts.push(text("decisions", &documents::decisions(&new)));
        }
        texts.extend(self.status(status::document(state, limits)));
        if self.commented.elapsed() >= COMMENTS {
            self.commented = Instant::now();
            texts.push(Bytes::from_static(b": here\n\n"));
        }
        texts
    }

    /// The status, when it is another one, or has held for long.
    fn status(&mut self, document: Value) -> Option<Bytes> {
        let told = text("status", &document);
        let now = without_clocks(document);
        let holds =
            self.status.as_ref().is_some_and(|(before, at)| *before == now && at.elapsed() < STATUS_HOLDS);
        (!holds).then(|| {
            self.status = Some((now, Instant::now()));
            told
        })
    }
}

fn transition(news: &News) -> Option<Bytes> {
    let Change::State(transition) = &news.change else { return None };
    let told = json!({
        "at": iso(news.at.wall),
        "from": transition.before(),
        "to": transition.to,
        "reason": transition.why(),
    });
    Some(text("transition", &told))
}
