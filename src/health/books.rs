//! All that is known of the service's health, and the judgement on it.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::time::Duration;

use super::component::{Component, ComponentSet, Conditions};
use super::ledger::{Ledger, LineCounts, ReasonCounts, TokenCounts};
use super::news::{Change, LatestNews};
use super::progress::Progress;
use super::reply_times::ReplyTimes;
use super::snapshot::{AlertCounts, ComponentHealth, PausedRoom, ProviderHealth, Snapshot};
use super::state::{Cause, Facts, ProviderStatus, State, judge, state};
use super::text::listed;
use super::transition::Transition;
use super::window::SlidingCount;
use crate::clock::Moment;
use crate::names::{ProviderName, Username};

/// The books that the monitor keeps under its lock.
#[derive(Debug)]
pub(super) struct Books {
    /// The latest time that anybody came with.
    latest: Duration,
    /// Why the link is down, while it is.
    pub link_down: Option<String>,
    /// When the latest complete request ended, if it used up every provider.
    pub exhausted_at: Option<Duration>,
    pub providers: Vec<ProviderHealth>,
    pub watched: ComponentSet,
    /// In the order of [`Component::ALL`].
    pub conditions: [Conditions; Component::ALL.len()],
    pub progress: Vec<(Component, Progress)>,
    pub messages: SlidingCount<300>,
    pub errors: SlidingCount<300>,
    pub errors_of_the_hour: SlidingCount<3600>,
    pub messages_processed: u64,
    pub media_changes: u64,
    pub paused: Vec<PausedRoom>,
    pub changes_dropped: u64,
    pub alerts: AlertCounts,
    pub ledger: Ledger,
    pub lines: LineCounts,
    pub tokens: TokenCounts,
    pub reply_times: ReplyTimes,
    pub ignored: ReasonCounts,
    /// By what is wrong with them.
    pub malformed: BTreeMap<&'static str, u64>,
    pub users: UserCount,
    pub news: LatestNews,
    /// How often each state was followed by each other.
    transitions: BTreeMap<(State, State), u64>,
    /// What the latest judgement rests on, and what it came to.
    facts: Facts,
    cause: Option<Cause>,
    /// When it took its state.
    since: Moment,
}

impl Books {
    pub(super) fn new(
        now: Moment,
        providers: impl IntoIterator<Item = ProviderName>,
        watched: impl IntoIterator<Item = Component>,
    ) -> Self {
        let critical = Component::ALL.into_iter().filter(|component| component.is_critical());
        let unknown = |name| ProviderHealth { name, status: ProviderStatus::Unknown };
        Self {
            latest: now.elapsed,
            link_down: Some("not connected yet".to_owned()),
            exhausted_at: None,
            providers: providers.into_iter().map(unknown).collect(),
            watched: watched.into_iter().chain(critical).collect(),
            conditions: Default::default(),
            progress: Vec::new(),
            messages: SlidingCount::new(),
            errors: SlidingCount::new(),
            errors_of_the_hour: SlidingCount::new(),
            messages_processed: 0,
            media_changes: 0,
            paused: Vec::new(),
            changes_dropped: 0,
            alerts: AlertCounts::default(),
            ledger: Ledger::default(),
            lines: LineCounts::default(),
            tokens: TokenCounts::default(),
            reply_times: ReplyTimes::default(),
            ignored: ReasonCounts::default(),
            malformed: BTreeMap::new(),
            users: UserCount::default(),
            news: LatestNews::default(),
            transitions: BTreeMap::new(),
            facts: Facts::default(),
            cause: Some(Cause::Disconnected),
            since: now,
        }
    }

    /// This moment, or, if somebody came with a later time before, that one.
    pub(super) fn latest(&mut self, now: Moment) -> Moment {
        self.latest = self.latest.max(now.elapsed);
        Moment { elapsed: self.latest, wall: now.wall }
    }

    /// Finds the state, and says so when it is another one than before.
    pub(super) fn judge(&mut self, now: Moment) -> Option<Transition> {
        self.facts = self.facts(now.elapsed);
        let before = mem::replace(&mut self.cause, judge(&self.facts));
        let (from, to) = (state(before), state(self.cause));
        if from == to {
            return None;
        }
        let reason = match (self.cause, before) {
            (Some(cause), _) => cause.to_string(),
            (None, Some(before)) => format!("no longer: {before}"),
            (None, None) => return None,
        };
        let since = mem::replace(&mut self.since, now);
        let held = now.elapsed.saturating_sub(since.elapsed);
        let is_first = self.transitions.is_empty();
        let transition = Transition::new(from, to, reason, held, is_first);
        *self.transitions.entry((from, to)).or_default() += 1;
        self.news.add(now, Change::State(transition.clone()));
        Some(transition)
    }

    /// Takes in how a provider's latest attempt ended. One that is not configured is left out.
    pub(super) fn provider(&mut self, now: Moment, name: &ProviderName, status: ProviderStatus) {
        let Some(known) = self.providers.iter_mut().find(|known| known.name == *name) else { return };
        let before = mem::replace(&mut known.status, status);
        if before != status {
            let change = Change::Provider { provider: name.clone(), from: before, to: status };
            self.news.add(now, change);
        }
    }

    fn facts(&mut self, now: Duration) -> Facts {
        let with = |status| self.providers.iter().filter(|provider| provider.status == status).count();
        let (ok, failed) = (with(ProviderStatus::Ok), with(ProviderStatus::Failed));
        let stalled = self.stalled(now);
        let mut unhealthy = stalled;
        for component in Component::ALL {
            let conditions = &mut self.conditions[component as usize];
            conditions.heal(now);
            if !conditions.is_healthy() {
                unhealthy.insert(component);
            }
        }
        Facts {
            link_up: self.link_down.is_none(),
            exhausted_ago: self.exhausted_at.map(|at| now.saturating_sub(at)),
            stalled,
            providers_called: ok + failed,
            providers_failed: failed,
            error_rate: self.error_rate(now),
            unhealthy,
        }
    }

    fn stalled(&self, now: Duration) -> ComponentSet {
        let stalled = self.progress.iter().filter(|(_, progress)| progress.is_stalled(now));
        stalled.map(|(component, _)| *component).collect()
    }

    /// Which of intake, decider and heartbeat have something to do and do not move.
    pub(super) fn standing_still(&self, now: Duration) -> ComponentSet {
        let still = self.progress.iter().filter(|(_, progress)| progress.stands_still(now));
        still.map(|(component, _)| *component).collect::<ComponentSet>().critical()
    }

    fn error_rate(&mut self, now: Duration) -> f64 {
        match self.messages.total(now) {
            0 => 0.0,
            messages => (self.errors.total(now) as f64 / messages as f64).min(1.0),
        }
    }

    /// What there is to see, as of the latest judgement.
    pub(super) fn snapshot(&mut self, now: Moment) -> Snapshot {
        Snapshot {
            at: now,
            state: state(self.cause),
            reason: self.cause.map(|cause| cause.to_string()),
            since: self.since.wall,
            transitions: self.transitions.clone(),
            nats_connected: self.link_down.is_none(),
            providers: self.providers.clone(),
            messages_processed: self.messages_processed,
            responses_sent: self.ledger.sent,
            errors: self.ledger.errors(),
            errors_last_5min: self.errors.total(now.elapsed),
            errors_last_hour: self.errors_of_the_hour.total(now.elapsed),
            error_rate: self.facts.error_rate,
            components: self.watched.iter().map(|component| self.component(component)).collect(),
            stalled: self.facts.stalled.critical(),
            conditions_dropped: self.conditions.iter().map(|conditions| conditions.dropped).sum(),
            ledger: self.ledger.clone(),
            lines: self.lines.clone(),
            tokens: self.tokens,
            ignored: self.ignored.clone(),
            malformed: self.malformed.clone(),
            unique_users: self.users.count(),
            media_changes: self.media_changes,
            paused: self.paused(now.elapsed),
            changes_dropped: self.changes_dropped,
            alerts: self.alerts,
        }
    }

    fn paused(&self, now: Duration) -> Vec<String> {
        let lasts = |room: &&PausedRoom| room.until.is_none_or(|until| now < until);
        self.paused.iter().filter(lasts).map(|room| room.channel.clone()).collect()
    }

    fn component(&self, component: Component) -> ComponentHealth {
        let link = self.link_down.as_deref().filter(|_| component == Component::Nats);
        let stall = self.facts.stalled.contains(component).then_some("no progress for more than 1 s");
        let conditions = self.conditions[component as usize].messages();
        let messages: Vec<&str> = link.into_iter().chain(stall).chain(conditions).collect();
        let unhealthy = (!messages.is_empty()).then(|| listed("", &messages));
        ComponentHealth { component, unhealthy }
    }
}

/// Users told apart by a hash of their names; no crowd costs more than a fixed amount of memory.
#[derive(Debug, Default)]
pub(super) struct UserCount {
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl UserCount {
    const MOST: usize = 10_000;

    pub(super) fn add(&mut self, user: &Username) {
        if self.seen.len() < Self::MOST {
            self.seen.insert(self.hasher.hash_one(user));
        }
    }

    fn count(&self) -> u64 {
        self.seen.len() as u64
    }
}
