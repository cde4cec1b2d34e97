//! What is known of the providers: one book that outlives every change of the configuration.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Notify, watch};

use super::checks::Targets;
use super::provider::ProviderState;
use crate::chat::spend::ProviderSpent;
use crate::clock::Moment;
use crate::config::{Config, ProviderConfig};
use crate::health::listed;
use crate::names::ProviderName;
use crate::spend_book::SpendView;

/// What a router hands on to the one that follows it.
#[derive(Debug)]
pub(super) struct Shared {
    known: Mutex<Known>,
    /// Told whenever a probe is over.
    pub probe_ended: Notify,
    /// Tells the checks that a breaker has opened, or that its probe is over.
    pub breaker_moved: Notify,
    /// Who is checked from now on.
    pub targets: watch::Sender<Arc<Targets>>,
}

/// Held for moments only, never across an await.
#[derive(Debug)]
pub(super) struct Known {
    /// Of every provider, one for each way in which it was ever asked; their places never change.
    pub states: Vec<ProviderState>,
    /// The way of each.
    asked: Vec<ProviderConfig>,
    /// Who is asked from now on, by their places. Requests under way may still ask others.
    pub in_force: Vec<usize>,
    /// Those of the configuration in force that can't be asked, each with why.
    pub unusable: Vec<String>,
    pub random: StdRng,
}

impl Known {
    /// Whether anybody of the configuration in force can be asked, and if not, why.
    pub fn usable(&self) -> Result<(), String> {
        if self.in_force.is_empty() {
            return Err(listed("no provider can be used: ", &self.unusable));
        }
        let is_open = |place: &usize| !self.states[*place].breaker.is_closed();
        match self.in_force.iter().all(is_open) {
            true => Err("all circuit breakers are open".to_owned()),
            false => Ok(()),
        }
    }

    /// A state with the totals of the provider, in whatever way it was asked.
    pub fn with_totals(&self, place: usize) -> ProviderState {
        let mut state = self.states[place].clone();
        let others = self.states.iter().enumerate().filter(|(other, _)| *other != place);
        for (_, other) in others.filter(|(_, other)| other.name() == self.states[place].name()) {
            state.add_totals(other);
        }
        state
    }

    /// Where the state of a provider is: as it is asked now, else as it was asked last.
    fn latest(&self, name: &ProviderName) -> Option<usize> {
        let is_named = |place: &usize| self.states[*place].name() == name;
        let in_force = self.in_force.iter().copied().find(is_named);
        in_force.or_else(|| (0..self.states.len()).rfind(is_named))
    }
}

impl Shared {
    /// Nothing is known yet.
    pub fn new() -> Self {
        let known = Known {
            states: Vec::new(),
            asked: Vec::new(),
            in_force: Vec::new(),
            unusable: Vec::new(),
            random: rand::make_rng(),
        };
        Self {
            known: Mutex::new(known),
            probe_ended: Notify::new(),
            breaker_moved: Notify::new(),
            targets: watch::Sender::default(),
        }
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a provider's state is. One that is asked in a new way gets a new one, since what was wrong
    /// may be mended. Its breaker keeps to the limits.
    pub fn place(&self, config: &Config, provider: &ProviderConfig) -> usize {
        let Known { states, asked, .. } = &mut *self.known();
        let known = asked.iter().position(|asked| is_asked_alike(asked, provider));
        let place = known.unwrap_or_else(|| {
            states.push(ProviderState::new(provider.name.clone(), config.circuit_breaker.clone()));
            asked.push(provider.clone());
            states.len() - 1
        });
        states[place].breaker.adopt(config.circuit_breaker.clone());
        place
    }

    /// The probe of a provider is over, whatever came of it.
    pub fn end_probe(&self, provider: usize) {
        self.known().states[provider].breaker.end_probe();
        self.probe_ended.notify_waiters();
        self.breaker_moved.notify_one();
    }
}

/// The probe's slot of a provider's breaker. Dropping it gives it back, also when a call or a check is
/// cancelled.
pub(super) struct ProbeSlot {
    shared: Arc<Shared>,
    provider: usize,
}

impl ProbeSlot {
    /// To be made by whom the breaker has admitted as its probe.
    pub fn new(shared: Arc<Shared>, provider: usize) -> Self {
        Self { shared, provider }
    }
}

impl Drop for ProbeSlot {
    fn drop(&mut self) {
        self.shared.end_probe(self.provider);
    }
}

/// Whether the same requests go to the same place, signed in alike.
fn is_asked_alike(one: &ProviderConfig, other: &ProviderConfig) -> bool {
    // Each field is named, so that a new one can't be forgotten.
    let ProviderConfig {
        name,
        kind,
        base_url,
        api_key,
        model,
        max_tokens,
        max_tokens_field,
        temperature,
        custom_headers,
        extra_body,
        usable: _,
        timeout: _,
        max_retries: _,
        priority: _,
        price: _,
        health_check: _,
        hedge_after: _,
        fallback: _,
    } = one;
    (name, kind, base_url, model) == (&other.name, &other.kind, &other.base_url, &other.model)
        && (max_tokens, max_tokens_field) == (&other.max_tokens, &other.max_tokens_field)
        && (temperature, extra_body) == (&other.temperature, &other.extra_body)
        && exposed(api_key.as_ref()) == exposed(other.api_key.as_ref())
        && headers(custom_headers).eq(headers(&other.custom_headers))
}

fn exposed(secret: Option<&SecretString>) -> Option<&str> {
    secret.map(ExposeSecret::expose_secret)
}

fn headers(headers: &[(String, SecretString)]) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret()))
}

/// Shows people what is known of the providers. Cheap to clone; it stays true when the configuration
/// changes.
#[derive(Debug, Clone)]
pub struct ProvidersView {
    shared: Arc<Shared>,
    spend: SpendView,
}

impl ProvidersView {
    pub(super) fn new(shared: Arc<Shared>, spend: SpendView) -> Self {
        Self { shared, spend }
    }

    /// A provider's state; `None` when it could never be used.
    pub fn state(&self, name: &ProviderName) -> Option<ProviderState> {
        let known = self.shared.known();
        known.latest(name).map(|place| known.with_totals(place))
    }

    /// The sums of all of them.
    pub fn spend(&self) -> &SpendView {
        &self.spend
    }

    /// What a provider was used for today.
    pub fn spent(&self, now: Moment, name: &ProviderName) -> ProviderSpent {
        self.spend.of_provider(now, name)
    }
}
