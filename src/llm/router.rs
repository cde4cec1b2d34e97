//! Asks the providers as the plan says, and tells health what came of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use tokio::sync::Notify;

use super::attempt::Attempt;
use super::charge::usage;
use super::client::LazyClient;
use super::endpoint::Endpoint;
use super::failure::{Failure, Kind};
use super::order::{order, preferring};
use super::plan::{Candidate, Plan, Step};
use super::provider::ProviderState;
use super::{Answer, Completion, GaveUp, Request};
use crate::chat::spend::{Call, estimated_tokens};
use crate::clock::{Clock, Moment};
use crate::config::{Config, ProviderConfig, RetryStrategy};
use crate::health::HealthMonitor;
use crate::names::ProviderName;
use crate::outcome::Reason;
use crate::spend_book::{OpenCall, SpendBook};

/// Asks providers. Cheap to clone; all clones share connections and what is known of the
/// providers.
#[derive(Debug, Clone)]
pub struct Router(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The usable ones in the order of asking, each with its place among the states.
    endpoints: Vec<(usize, Endpoint)>,
    /// The others, each with why.
    unusable: Vec<String>,
    strategy: RetryStrategy,
    shared: Arc<Shared>,
    client: Arc<LazyClient>,
    spend: SpendBook,
    health: HealthMonitor,
    clock: Clock,
}

/// What a router hands on to the one that follows it.
#[derive(Debug)]
struct Shared {
    known: Mutex<Known>,
    probe_ended: Notify,
}

/// Held for moments only, never across an await.
#[derive(Debug)]
struct Known {
    /// Of every provider that was ever configured; their places never change.
    states: Vec<ProviderState>,
    random: StdRng,
}

impl Router {
    /// Prepares everything but the HTTP client, which [`Router::warm_up`] or the first call
    /// makes. `spend` is asked before each call.
    pub fn new(config: &Config, spend: SpendBook, health: HealthMonitor, clock: Clock) -> Self {
        let known = Known { states: Vec::new(), random: rand::make_rng() };
        let shared = Arc::new(Shared { known: Mutex::new(known), probe_ended: Notify::new() });
        Self::with(config, shared, None, spend, health, clock)
    }

    /// A router for a changed configuration that goes on from what is known of the providers. Requests
    /// under way end with the one that they began with.
    pub fn renewed(&self, config: &Config) -> Self {
        let Inner { shared, client, spend, health, clock, .. } = &*self.0;
        Self::with(config, shared.clone(), Some(client.clone()), spend.clone(), health.clone(), *clock)
    }

    fn with(
        config: &Config,
        shared: Arc<Shared>,
        client: Option<Arc<LazyClient>>,
        spend: SpendBook,
        health: HealthMonitor,
        clock: Clock,
    ) -> Self {
        let mut unusable: Vec<String> = config
            .llm_providers
            .iter()
            .filter_map(|provider| Some(format!("{}: {}", provider.name, provider.usable.as_ref().err()?)))
            .collect();
        let mut endpoints = Vec::new();
        for provider in order(&config.llm_providers, &config.default_provider_priority) {
            match Endpoint::new(provider) {
                Ok(endpoint) => endpoints.push((shared.place(config, &provider.name), endpoint)),
                Err(reason) => unusable.push(format!("{}: {reason}", provider.name)),
            }
        }
        let is_encrypted = endpoints.iter().any(|(_, endpoint)| endpoint.is_encrypted());
        let client = client.filter(|client| client.is_encrypted() || !is_encrypted);
        let inner = Inner {
            client: client.unwrap_or_else(|| Arc::new(LazyClient::new(is_encrypted))),
            endpoints,
            unusable,
            strategy: config.retry_strategy.clone(),
            shared,
            spend,
            health,
            clock,
        };
        inner.report_usable(inner.clock.now(), &inner.known().states);
        Self(Arc::new(inner))
    }

    /// Makes the HTTP client ahead of the first call. Holds nothing else of the router.
    pub fn warm_up(&self) -> impl Future<Output = ()> + use<> {
        let client = self.0.client.clone();
        async move {
            if let Err(failure) = client.get().await {
                tracing::warn!(%failure, "the HTTP client can't be made yet; each call tries again");
            }
        }
    }

    /// What is known of each usable provider, in the order of asking.
    pub fn states(&self) -> Vec<ProviderState> {
        let known = self.0.known();
        self.0.endpoints.iter().map(|(place, _)| known.states[*place].clone()).collect()
    }

    /// Asks the providers one after the other until one answers, for `time` at most. Dropping
    /// the future cancels the call; it then counts as neither success nor failure.
    ///
    /// # Errors
    /// When nobody answered.
    pub async fn ask(&self, request: &Request, time: Duration) -> Result<Answer, GaveUp> {
        let inner = &self.0;
        let prompt_tokens = estimated_tokens(&request.system) + estimated_tokens(&request.user);
        let mut plan = Plan::new(
            inner.strategy.clone(),
            inner.candidates(request.preferred_provider.as_ref()),
            inner.clock.now().elapsed + time,
        );
        loop {
            // Made before the plan looks, so that no end of a probe is missed in between.
            let probe_ended = inner.shared.probe_ended.notified();
            match inner.next_step(&mut plan) {
                Step::Call { provider, timeout, attempt, probe } => {
                    let _slot = probe.then(|| ProbeSlot { inner: inner.clone(), provider });
                    let attempt = Attempt { request, provider, timeout, number: attempt, probe };
                    let open_call = match inner.reserve(&attempt, prompt_tokens).await {
                        Ok(open_call) => open_call,
                        Err(limit) => {
                            plan.denied(limit);
                            continue;
                        }
                    };
                    match inner.call(&attempt, open_call).await {
                        Ok(answer) => return Ok(answer),
                        Err(failure) => inner.plan_failed(&mut plan, failure),
                    }
                }
                Step::Wait(delay) => tokio::time::sleep(delay).await,
                Step::AwaitProbe(at_most) => _ = tokio::time::timeout(at_most, probe_ended).await,
                Step::GiveUp(gave_up) => return Err(inner.gave_up(request, gave_up)),
            }
        }
    }
}

impl Inner {
    fn candidates(&self, preferred: Option<&ProviderName>) -> Vec<Candidate> {
        let index = |name: &ProviderName| {
            self.endpoints.iter().position(|(_, endpoint)| endpoint.config().name == *name)
        };
        let candidate = |index: usize| {
            let (provider, ref endpoint) = self.endpoints[index];
            let ProviderConfig { timeout, max_retries, .. } = *endpoint.config();
            Candidate { provider, timeout, max_retries }
        };
        preferring(self.endpoints.len(), preferred.and_then(index)).map(candidate).collect()
    }

    /// Of a provider by its place; only those of [`Self::candidates`] are asked for.
    fn endpoint(&self, provider: usize) -> &Endpoint {
        let found = self.endpoints.iter().find(|(place, _)| *place == provider);
        &found.expect("plans are made of our own endpoints").1
    }

    fn next_step(&self, plan: &mut Plan) -> Step {
        let now = self.clock.now().elapsed;
        plan.next(now, &mut self.known().states)
    }

    fn plan_failed(&self, plan: &mut Plan, failure: Failure) {
        let now = self.clock.now().elapsed;
        plan.failed(now, failure, &mut self.known().random);
    }

    async fn reserve(&self, attempt: &Attempt<'_>, prompt_tokens: u64) -> Result<OpenCall, Reason> {
        let endpoint = self.endpoint(attempt.provider);
        let call = Call {
            user: attempt.request.for_whom.as_ref(),
            prompt_tokens,
            max_tokens: endpoint.max_tokens(),
            price: endpoint.config().price,
        };
        self.spend.reserve(call).await
    }

    async fn call(&self, attempt: &Attempt<'_>, open_call: OpenCall) -> Result<Answer, Failure> {
        let began = self.clock.now().elapsed;
        let endpoint = self.endpoint(attempt.provider);
        let call = async { endpoint.call(self.client.get().await?, attempt.request, &self.clock).await };
        let result = tokio::time::timeout(attempt.timeout, call).await.unwrap_or_else(|_| {
            let seconds = attempt.timeout.as_secs_f64();
            Err(Failure::new(Kind::Timeout, &format!("no whole answer within {seconds:.1} s")))
        });
        open_call.settle(usage(&result));
        let latency = self.clock.now().elapsed.saturating_sub(began);
        self.record(latency, attempt, endpoint, &result);
        let Completion { text, tokens, cut_by_token_limit } = result?;
        let ProviderConfig { name, model, .. } = endpoint.config();
        Ok(Answer { provider: name.clone(), model: model.clone(), text, tokens, cut_by_token_limit, latency })
    }

    /// Writes down how a call ended: state, health, log, in one go, so that health never sees
    /// two calls in another order than the state.
    fn record(
        &self,
        latency: Duration,
        attempt: &Attempt<'_>,
        endpoint: &Endpoint,
        result: &Result<Completion, Failure>,
    ) {
        let mut known = self.known();
        let now = self.clock.now();
        let state = &mut known.states[attempt.provider];
        let news = match result {
            Ok(completion) => state.answered(latency, completion.tokens),
            Err(failure) => {
                state.failed(now.elapsed, latency, failure, &attempt.request.correlation_id, attempt.probe)
            }
        };
        self.health.provider_status(now, state.name(), state.status());
        if result.is_ok() {
            self.health.request_succeeded(now);
        }
        self.report_usable(now, &known.states);
        drop(known);
        attempt.log(&endpoint.config().name, latency, result, news);
    }

    fn report_usable(&self, now: Moment, states: &[ProviderState]) {
        let mut own = self.endpoints.iter().map(|(place, _)| &states[*place]);
        let usable = if self.endpoints.is_empty() {
            Err(format!("no provider can be used: {}", self.unusable.join("; ")))
        } else if own.all(|state| !state.breaker.is_closed()) {
            Err("all circuit breakers are open".to_owned())
        } else {
            Ok(())
        };
        self.health.providers_usable(now, usable);
    }

    fn gave_up(&self, request: &Request, gave_up: GaveUp) -> GaveUp {
        if let GaveUp::Exhausted(_) = gave_up {
            // Under the lock, so that a success can't slip in between the moment and the report.
            let _known = self.known();
            self.health.providers_exhausted(self.clock.now());
        }
        let correlation_id = &request.correlation_id;
        match gave_up {
            GaveUp::Spent(_) => {
                tracing::info!(?correlation_id, reason = %gave_up, "no provider may be asked")
            }
            _ => tracing::warn!(?correlation_id, reason = %gave_up, "no provider answered"),
        }
        gave_up
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.shared.known()
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a provider's state is; an unknown one gets a new one. Its breaker keeps to the limits.
    fn place(&self, config: &Config, name: &ProviderName) -> usize {
        let states = &mut self.known().states;
        let known = states.iter().position(|state| state.name() == name);
        let place = known.unwrap_or_else(|| {
            states.push(ProviderState::new(name.clone(), config.circuit_breaker.clone()));
            states.len() - 1
        });
        states[place].breaker.adopt(config.circuit_breaker.clone());
        place
    }
}

/// Gives the probe's slot back, also when the call is cancelled.
struct ProbeSlot {
    inner: Arc<Inner>,
    provider: usize,
}

impl Drop for ProbeSlot {
    fn drop(&mut self) {
        self.inner.known().states[self.provider].breaker.end_probe();
        self.inner.shared.probe_ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
