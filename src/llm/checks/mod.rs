//! Checks of the providers between calls: is it there, does it take our key, has it our model?
//!
//! [`schedule`] decides when, [`verdict`] what the end of a check says. What a check finds is shown beside
//! what is known from calls and changes none of it, but for one thing: it can be the breaker's probe.

pub mod ping;
pub mod schedule;
pub mod verdict;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use rand::rngs::StdRng;
use tokio::time::{sleep, timeout};

use super::breaker::Admit;
use super::charge::usage;
use super::client::LazyClient;
use super::endpoint::{Endpoint, Outcome};
use super::failure::{Failure, Kind};
use super::known::{ProbeSlot, Shared};
use crate::chat::spend::{Call, estimated_tokens};
use crate::clock::Clock;
use crate::config::{HealthCheck, HealthCheckKind, ProviderConfig};
use crate::health::HealthMonitor;
use crate::spend_book::SpendBook;
use schedule::{Next, Schedule};
use verdict::{Check, Proof, Verdict};

/// The longest that a list of models may take; a provider with a shorter `timeout_seconds` has that.
const LONGEST_LIST: Duration = Duration::from_secs(10);

/// Who is checked.
#[derive(Debug, Default)]
pub(super) struct Targets(Vec<Target>);

/// One who is checked. Cheap to clone.
#[derive(Debug, Clone)]
struct Target {
    /// Its place among the states.
    place: usize,
    endpoint: Arc<Endpoint>,
    client: Arc<LazyClient>,
    check: HealthCheck,
}

impl Targets {
    /// Those of these providers, each with its place, that ask to be checked.
    pub fn of(endpoints: &[(usize, Arc<Endpoint>)], client: &Arc<LazyClient>) -> Self {
        let target = |(place, endpoint): &(usize, Arc<Endpoint>)| {
            let check = endpoint.config().health_check.clone()?;
            Some(Target { place: *place, endpoint: endpoint.clone(), client: client.clone(), check })
        };
        Self(endpoints.iter().filter_map(target).collect())
    }

    fn at(&self, place: usize) -> Option<&Target> {
        self.0.iter().find(|target| target.place == place)
    }
}

/// Checks the providers. See [`Checks::run`].
#[derive(Debug)]
pub struct Checks {
    checker: Arc<Checker>,
    schedule: Schedule,
    random: StdRng,
}

/// What a check needs.
#[derive(Debug)]
struct Checker {
    shared: Arc<Shared>,
    spend: SpendBook,
    health: HealthMonitor,
    clock: Clock,
}

impl Checks {
    pub(super) fn new(shared: Arc<Shared>, spend: SpendBook, health: HealthMonitor, clock: Clock) -> Self {
        let checker = Arc::new(Checker { shared, spend, health, clock });
        Self { checker, schedule: Schedule::default(), random: rand::make_rng() }
    }

    /// Checks those who are to be checked, for ever. It does nothing while there are none. Dropping it
    /// cancels the checks under way, and so does a change of the configuration.
    pub async fn run(mut self) {
        let checker = self.checker.clone();
        let mut in_force = checker.shared.targets.subscribe();
        in_force.mark_changed();
        let mut targets = Arc::new(Targets::default());
        let mut under_way: FuturesUnordered<BoxFuture<'static, usize>> = FuturesUnordered::new();
        loop {
            let wait = loop {
                match self.next() {
                    Next::Check(place) => {
                        if let Some(target) = targets.at(place) {
                            under_way.push(checker.clone().check(target.clone()).boxed());
                        }
                    }
                    Next::WaitUntil(due) => break Some(due.saturating_sub(checker.clock.now().elapsed)),
                    Next::Rest => break None,
                }
            };
            let due = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = in_force.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    targets = in_force.borrow_and_update().clone();
                    under_way.clear();
                    let wanted = targets.0.iter().map(|target| (target.place, target.check.clone()));
                    self.schedule.adopt(checker.clock.now().elapsed, wanted, &mut self.random);
                }
                Some(place) = under_way.next() => {
                    self.schedule.ended(checker.clock.now().elapsed, place, &mut self.random);
                }
                () = checker.shared.breaker_moved.notified() => {}
                () = due => {}
            }
        }
    }

    fn next(&mut self) -> Next {
        let known = self.checker.shared.known();
        let now = self.checker.clock.now().elapsed;
        self.schedule.next(now, |place| known.states[place].breaker.probe_due())
    }
}

impl Checker {
    /// Checks once, and tells whom.
    async fn check(self: Arc<Self>, target: Target) -> usize {
        let now = self.clock.now().elapsed;
        let probe = self.shared.known().states[target.place].breaker.admit(now) == Admit::Probe;
        let _slot = probe.then(|| ProbeSlot::new(self.shared.clone(), target.place));
        let verdict = match target.check.kind {
            HealthCheckKind::Models => Some(self.ask_for_models(&target).await),
            HealthCheckKind::Completion => self.ask_for_a_word(&target).await,
        };
        let latency = self.clock.now().elapsed.saturating_sub(now);
        if let Some(verdict) = verdict {
            let verdict = verdict.after(latency, target.endpoint.config().timeout);
            self.record(&target, probe, latency, verdict);
        }
        target.place
    }

    async fn ask_for_models(&self, target: &Target) -> Verdict {
        let Target { endpoint, client, .. } = target;
        let ProviderConfig { kind, model, timeout: longest, .. } = endpoint.config();
        let longest = LONGEST_LIST.min(*longest);
        let asking = async { endpoint.models(client.get().await?, &self.clock).await };
        let listed = timeout(longest, asking).await.unwrap_or_else(|_| Err(too_late(longest)));
        Verdict::of_models(*kind, model, &listed)
    }

    /// A call like any other for the spend limits; no verdict when they don't allow it. Near them whatever
    /// nobody asked for stops, and so does this.
    async fn ask_for_a_word(&self, target: &Target) -> Option<Verdict> {
        let Target { endpoint, client, .. } = target;
        let ProviderConfig { name: provider, price, timeout: longest, .. } = endpoint.config();
        let (body, max_tokens) = ping::body(endpoint);
        let prompt_tokens = estimated_tokens(ping::WORD);
        let call = Call { provider, user: None, prompt_tokens, max_tokens, price: *price };
        let open_call = match self.spend.near(self.clock.now(), None) {
            None => self.spend.reserve(call).await.ok(),
            Some(_) => None,
        };
        let Some(open_call) = open_call else {
            tracing::debug!(%provider, "the provider is not checked: a spend limit is near");
            return None;
        };
        let calling = async {
            match client.get().await {
                Ok(client) => endpoint.post(client, body, "", &self.clock).await,
                Err(failure) => Outcome::from(failure),
            }
        };
        let outcome = timeout(*longest, calling).await.unwrap_or_else(|_| Outcome::from(too_late(*longest)));
        open_call.settle(usage(&outcome.result));
        Some(Verdict::of_completion(&outcome.result))
    }

    /// Writes down how a check ended. What is known from calls stays, and so does health, unless this was
    /// the breaker's probe.
    fn record(&self, target: &Target, probe: bool, latency: Duration, verdict: Verdict) {
        let Verdict { state: found, proof, message } = verdict;
        let mut known = self.shared.known();
        let now = self.clock.now();
        let state = &mut known.states[target.place];
        let before = state.check().map(|check| check.state);
        state.checked(Check { state: found, at: now.wall, latency, message: message.clone() });
        let closed = match proof {
            _ if !probe => None,
            Proof::Answers => state.breaker.succeeded().then_some("the provider is back"),
            Proof::ShouldAnswer => {
                let lists = "the provider lists its model: the next message is tried at it";
                state.breaker.close_on_trial().then_some(lists)
            }
            Proof::Broken => {
                state.breaker.failed(now.elapsed, true);
                None
            }
            Proof::Nothing => None,
        };
        if probe && known.in_force.contains(&target.place) {
            self.health.providers_usable(now, known.usable());
        }
        drop(known);

        let check = tracing::error_span!(
            "check",
            provider = %target.endpoint.config().name,
            probe,
            milliseconds = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            state = found.as_str(),
        );
        let _entered = check.enter();
        let message = message.unwrap_or_default();
        match found.is_good() {
            false if probe || before != Some(found) => {
                tracing::warn!(message, "the check of the provider failed")
            }
            true if before.is_some_and(|before| !before.is_good()) => {
                tracing::info!(message, "the check of the provider succeeds again");
            }
            _ => tracing::debug!(message, "the provider was checked"),
        }
        if let Some(closed) = closed {
            tracing::info!("{closed}");
        }
    }
}

fn too_late(longest: Duration) -> Failure {
    Failure::new(Kind::Timeout, &format!("no whole answer within {:.1} s", longest.as_secs_f64()))
}
