//! Asks the providers as the plan says, and tells health what came of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use reqwest::Client;
use tokio::sync::{Notify, OnceCell};

use super::endpoint::Endpoint;
use super::failure::{Failure, Kind};
use super::order::{order, preferring};
use super::plan::{Candidate, Plan, Step};
use super::provider::{News, ProviderState};
use super::{Answer, Completion, GaveUp, Request};
use crate::clock::{Clock, Moment};
use crate::config::{CircuitBreaker, ProviderConfig, RetryStrategy};
use crate::health::HealthMonitor;
use crate::names::ProviderName;

/// Asks providers. Cheap to clone; all clones share connections and what is known of the
/// providers.
#[derive(Debug, Clone)]
pub struct Router(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// In the file's order, like the states.
    endpoints: Vec<Result<Endpoint, String>>,
    /// Indices of the usable ones, in the order of asking.
    order: Vec<usize>,
    strategy: RetryStrategy,
    shared: Mutex<Shared>,
    probe_ended: Notify,
    client: OnceCell<Client>,
    health: HealthMonitor,
    clock: Clock,
}

/// Held for moments only, never across an await.
#[derive(Debug)]
struct Shared {
    states: Vec<ProviderState>,
    random: StdRng,
}

impl Router {
    /// Prepares everything but the HTTP client, which [`Router::warm_up`] or the first call
    /// makes: reading the system's certificates takes longer than the service may take to start.
    pub fn new(
        providers: &[ProviderConfig],
        preference: &[ProviderName],
        strategy: RetryStrategy,
        breaker: CircuitBreaker,
        health: HealthMonitor,
        clock: Clock,
    ) -> Self {
        let endpoints: Vec<_> = providers.iter().map(Endpoint::new).collect();
        let mut order = order(providers, preference);
        order.retain(|index| endpoints[*index].is_ok());
        let states =
            providers.iter().map(|provider| ProviderState::new(provider.name.clone(), breaker.clone()));
        let shared = Shared { states: states.collect(), random: rand::make_rng() };
        let inner = Inner {
            endpoints,
            order,
            strategy,
            shared: Mutex::new(shared),
            probe_ended: Notify::new(),
            client: OnceCell::new(),
            health,
            clock,
        };
        inner.report_usable(inner.clock.now(), &inner.lock().states);
        Self(Arc::new(inner))
    }

    /// Makes the HTTP client ahead of the first call.
    pub async fn warm_up(&self) {
        if let Err(failure) = self.0.client().await {
            tracing::warn!(%failure, "the HTTP client can't be made yet; each call tries again");
        }
    }

    /// What is known of each provider, in the file's order.
    pub fn states(&self) -> Vec<ProviderState> {
        self.0.lock().states.clone()
    }

    /// Asks the providers one after the other until one answers, for `time` at most. Dropping
    /// the future cancels the call; it then counts as neither success nor failure.
    ///
    /// # Errors
    /// When nobody answered.
    pub async fn ask(&self, request: &Request, time: Duration) -> Result<Answer, GaveUp> {
        let inner = &self.0;
        let mut plan = Plan::new(
            inner.strategy.clone(),
            inner.candidates(request.preferred_provider.as_ref()),
            inner.clock.now().elapsed + time,
        );
        loop {
            // Made before the plan looks, so that no end of a probe is missed in between.
            let probe_ended = inner.probe_ended.notified();
            match inner.next_step(&mut plan) {
                Step::Call { provider, timeout, attempt, probe } => {
                    let _slot = probe.then(|| ProbeSlot { inner: inner.clone(), provider });
                    let call = Call { request, provider, timeout, attempt, probe };
                    match inner.call(&call).await {
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

/// One try.
struct Call<'a> {
    request: &'a Request,
    provider: usize,
    timeout: Duration,
    attempt: u32,
    probe: bool,
}

impl Inner {
    fn candidates(&self, preferred: Option<&ProviderName>) -> Vec<Candidate> {
        let config = |index: usize| self.endpoints[index].as_ref().ok().map(Endpoint::config);
        let preferred = preferred.and_then(|name| {
            self.order.iter().copied().find(|index| config(*index).is_some_and(|config| config.name == *name))
        });
        let candidate = |index: usize| {
            config(index).map(|config| Candidate {
                provider: index,
                timeout: config.timeout,
                max_retries: config.max_retries,
            })
        };
        preferring(&self.order, preferred).into_iter().filter_map(candidate).collect()
    }

    fn next_step(&self, plan: &mut Plan) -> Step {
        let now = self.clock.now().elapsed;
        plan.next(now, &mut self.lock().states)
    }

    fn plan_failed(&self, plan: &mut Plan, failure: Failure) {
        let now = self.clock.now().elapsed;
        plan.failed(now, failure, &mut self.lock().random);
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let began = self.clock.now().elapsed;
        let unusable = |reason: &String| Failure::new(Kind::BadKey, reason);
        let endpoint = self.endpoints[call.provider].as_ref().map_err(unusable)?;
        let result = match self.client().await {
            Ok(client) => endpoint.call(client, call.request, call.timeout, &self.clock).await,
            Err(failure) => Err(failure),
        };
        let latency = self.clock.now().elapsed.saturating_sub(began);
        self.record(latency, call, endpoint, &result);
        let Completion { text, tokens, cut_by_token_limit } = result?;
        let ProviderConfig { name, model, .. } = endpoint.config();
        Ok(Answer { provider: name.clone(), model: model.clone(), text, tokens, cut_by_token_limit, latency })
    }

    /// Writes down how a call ended: state, health, log, in one go, so that health never sees
    /// two calls in another order than the state.
    fn record(
        &self,
        latency: Duration,
        call: &Call<'_>,
        endpoint: &Endpoint,
        result: &Result<Completion, Failure>,
    ) {
        let mut shared = self.lock();
        let now = self.clock.now();
        let state = &mut shared.states[call.provider];
        let news = match result {
            Ok(completion) => state.answered(latency, completion.tokens),
            Err(failure) => {
                state.failed(now.elapsed, latency, failure, &call.request.correlation_id, call.probe)
            }
        };
        self.health.provider_status(now, state.name(), state.status());
        if result.is_ok() {
            self.health.request_succeeded(now);
        }
        self.report_usable(now, &shared.states);
        drop(shared);
        log(call, endpoint.config(), latency, result, news);
    }

    fn report_usable(&self, now: Moment, states: &[ProviderState]) {
        let usable = if self.order.is_empty() {
            let reason = |(state, endpoint): (&ProviderState, &Result<Endpoint, String>)| {
                endpoint.as_ref().err().map(|reason| format!("{}: {reason}", state.name()))
            };
            let reasons: Vec<String> = states.iter().zip(&self.endpoints).filter_map(reason).collect();
            Err(format!("no provider can be used: {}", reasons.join("; ")))
        } else if self.order.iter().all(|index| !states[*index].breaker.is_closed()) {
            Err("all circuit breakers are open".to_owned())
        } else {
            Ok(())
        };
        self.health.providers_usable(now, usable);
    }

    fn gave_up(&self, request: &Request, gave_up: GaveUp) -> GaveUp {
        if let GaveUp::Exhausted(_) = gave_up {
            // Under the lock, so that a success can't slip in between the moment and the report.
            let _shared = self.lock();
            self.health.providers_exhausted(self.clock.now());
        }
        tracing::warn!(correlation_id = ?request.correlation_id, reason = %gave_up, "no provider answered");
        gave_up
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one HTTP client, made in a thread that may block.
    async fn client(&self) -> Result<&Client, Failure> {
        let encrypted = self.endpoints.iter().flatten().any(Endpoint::is_encrypted);
        let make = || async move {
            let made = tokio::task::spawn_blocking(move || client(encrypted)).await;
            match made {
                Ok(Ok(client)) => Ok(client),
                Ok(Err(error)) => Err(Failure::new(Kind::Connection, &format!("no HTTP client: {error:?}"))),
                Err(_) => Err(Failure::new(Kind::Connection, "no HTTP client: the runtime is stopping")),
            }
        };
        self.client.get_or_try_init(make).await
    }
}

/// Makes the client. Redirects are not followed: the key is meant for the configured host only.
/// The one retry loop is ours. Without an encrypted provider the system's certificates are not
/// needed, and may be missing.
fn client(encrypted: bool) -> Result<Client, reqwest::Error> {
    // Somebody else may have installed it before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("kryten-llm/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    let builder = if encrypted { builder } else { builder.tls_certs_only([]) };
    builder.build()
}

/// Gives the probe's slot back, also when the call is cancelled.
struct ProbeSlot {
    inner: Arc<Inner>,
    provider: usize,
}

impl Drop for ProbeSlot {
    fn drop(&mut self) {
        self.inner.lock().states[self.provider].breaker.end_probe();
        self.inner.probe_ended.notify_waiters();
    }
}

/// One line a try, and one for each thing that an operator should read once.
fn log(
    call: &Call<'_>,
    config: &ProviderConfig,
    latency: Duration,
    result: &Result<Completion, Failure>,
    news: News,
) {
    let provider = config.name.as_str();
    let (attempt, probe) = (call.attempt, call.probe);
    let correlation_id = &call.request.correlation_id;
    let milliseconds = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(completion) => {
            let tokens = completion.tokens.map(|tokens| tokens.total);
            tracing::debug!(
                provider,
                attempt,
                probe,
                milliseconds,
                tokens,
                ?correlation_id,
                "provider answered"
            );
        }
        Err(failure) if failure.kind == Kind::BadKey && !news.key_went_bad => {
            tracing::debug!(provider, attempt, probe, milliseconds, ?correlation_id, %failure, "provider failed");
        }
        Err(failure) => {
            tracing::warn!(provider, attempt, probe, milliseconds, ?correlation_id, %failure, "provider failed");
        }
    }
    if news.key_went_bad {
        tracing::error!(
            provider,
            "the provider refuses our key: check api_key; said once until a call succeeds"
        );
    }
    if news.refuses_all {
        tracing::error!(provider, "the provider refuses whatever it is asked: check model and extra_body");
    }
    if news.breaker_opened {
        tracing::warn!(provider, "too many failed calls in a row: the provider is skipped for a while");
    }
    if news.breaker_closed {
        tracing::info!(provider, "the provider is back");
    }
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
