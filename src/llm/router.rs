//! The providers of a configuration, ready to be asked.

mod asking;

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::checks::{Checks, Targets};
use super::client::LazyClient;
use super::endpoint::Endpoint;
use super::known::{Known, ProvidersView, Shared};
use super::order::{order, preferring};
use super::plan::Candidate;
use super::provider::ProviderState;
use super::secrets::Secrets;
use super::{Answer, GaveUp, Request};
use crate::chat::spend::Denied;
use crate::clock::Clock;
use crate::config::{Config, ProviderConfig, RetryStrategy};
use crate::health::HealthMonitor;
use crate::names::ProviderName;
use crate::spend_book::SpendBook;

/// Asks providers. Cheap to clone; all clones share connections and what is known of the
/// providers.
#[derive(Debug, Clone)]
pub struct Router(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The usable ones in the order of asking, each with its place among the states.
    endpoints: Vec<(usize, Arc<Endpoint>)>,
    secrets: Arc<Secrets>,
    strategy: RetryStrategy,
    shared: Arc<Shared>,
    client: Arc<LazyClient>,
    spend: SpendBook,
    health: HealthMonitor,
    clock: Clock,
}

impl Router {
    /// Prepares everything but the HTTP client, which [`Router::warm_up`] or the first call
    /// makes. `spend` is asked before each call.
    pub fn new(config: &Config, spend: SpendBook, health: HealthMonitor, clock: Clock) -> Self {
        let secrets = Secrets::of(&config.llm_providers);
        Self::with(config, secrets, Arc::new(Shared::new()), None, spend, health, clock)
    }

    /// A router for a changed configuration that goes on from what is known of the providers. Requests
    /// under way end with the one that they began with.
    pub fn renewed(&self, config: &Config) -> Self {
        let Inner { secrets, shared, client, spend, health, clock, .. } = &*self.0;
        let secrets = Secrets::of(&config.llm_providers).after(secrets);
        Self::with(
            config,
            secrets,
            shared.clone(),
            Some(client.clone()),
            spend.clone(),
            health.clone(),
            *clock,
        )
    }

    fn with(
        config: &Config,
        secrets: Secrets,
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
        let secrets = Arc::new(secrets);
        let mut endpoints = Vec::new();
        for provider in order(&config.llm_providers, &config.default_provider_priority) {
            match Endpoint::new(provider, secrets.clone()) {
                Ok(endpoint) => endpoints.push((shared.place(config, provider), Arc::new(endpoint))),
                Err(reason) => unusable.push(format!("{}: {reason}", provider.name)),
            }
        }
        let is_encrypted = endpoints.iter().any(|(_, endpoint)| endpoint.is_encrypted());
        let client = client.filter(|client| client.is_encrypted() || !is_encrypted);
        let inner = Inner {
            client: client.unwrap_or_else(|| Arc::new(LazyClient::new(is_encrypted))),
            endpoints,
            secrets,
            strategy: config.retry_strategy.clone(),
            shared,
            spend,
            health,
            clock,
        };
        inner.come_into_force(unusable);
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
        self.0.places().map(|place| known.with_totals(place)).collect()
    }

    /// Shows people what is known of the providers, also after a change of the configuration.
    pub fn view(&self) -> ProvidersView {
        ProvidersView::new(self.0.shared.clone(), self.0.spend.view())
    }

    /// What checks the providers between calls, also after a change of the configuration.
    pub fn checks(&self) -> Checks {
        let Inner { shared, spend, health, clock, .. } = &*self.0;
        Checks::new(shared.clone(), spend.clone(), health.clone(), *clock)
    }

    /// Asks the providers one after the other until one answers, for `time` at most. Dropping
    /// the future cancels the calls; they then count as neither success nor failure.
    ///
    /// # Errors
    /// When nobody answered.
    pub async fn ask(&self, request: &Request, time: Duration) -> Result<Answer, GaveUp> {
        self.0.ask(request, time).await
    }

    /// The spend limit that keeps every usable provider from being asked; none when one may be. For
    /// looking ahead with a book of its own: what is found to be allowed counts in it as a call.
    pub async fn denied(&self, request: &Request) -> Option<Denied> {
        self.0.denied(request).await
    }
}

impl Inner {
    fn candidates(&self, preferred: Option<&ProviderName>) -> Vec<Candidate> {
        let index = |name: &ProviderName| {
            self.endpoints.iter().position(|(_, endpoint)| endpoint.config().name == *name)
        };
        let candidate = |index: usize| {
            let (provider, ref endpoint) = self.endpoints[index];
            let ProviderConfig { timeout, max_retries, hedge_after, .. } = *endpoint.config();
            Candidate { provider, timeout, max_retries, hedge_after }
        };
        preferring(self.endpoints.len(), preferred.and_then(index)).map(candidate).collect()
    }

    /// Of a provider by its place; only those of [`Self::candidates`] are asked for.
    fn endpoint(&self, provider: usize) -> &Endpoint {
        let found = self.endpoints.iter().find(|(place, _)| *place == provider);
        &found.expect("plans are made of our own endpoints").1
    }

    /// From now on it is our providers that health is told of, whoever asks them.
    fn come_into_force(&self, unusable: Vec<String>) {
        let mut known = self.known();
        known.in_force = self.places().collect();
        known.unusable = unusable;
        let now = self.clock.now();
        for state in self.places().map(|place| &known.states[place]) {
            self.health.provider_status(now, state.name(), state.status());
        }
        self.health.providers_usable(now, known.usable());
        drop(known);
        self.shared.targets.send_replace(Arc::new(Targets::of(&self.endpoints, &self.client)));
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.endpoints.iter().map(|(place, _)| *place)
    }

    fn gave_up(&self, request: &Request, gave_up: GaveUp) -> GaveUp {
        if let GaveUp::Exhausted(_) = gave_up {
            // Under the lock, so that a success can't slip in between the moment and the report.
            let known = self.known();
            // One that began before a change of the configuration may not have asked everybody of now.
            if known.in_force.iter().all(|provider| self.places().any(|own| own == *provider)) {
                self.health.providers_exhausted(self.clock.now());
            }
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

#[cfg(test)]
mod tests;
