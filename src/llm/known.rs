//! What is known of the providers: one book that outlives every change of the configuration.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use tokio::sync::Notify;

use super::provider::ProviderState;
use crate::chat::spend::ProviderSpent;
use crate::clock::Moment;
use crate::config::Config;
use crate::names::ProviderName;
use crate::spend_book::SpendView;

/// What a router hands on to the one that follows it.
#[derive(Debug)]
pub(super) struct Shared {
    known: Mutex<Known>,
    /// Told whenever a probe is over.
    pub probe_ended: Notify,
}

/// Held for moments only, never across an await.
#[derive(Debug)]
pub(super) struct Known {
    /// Of every provider that was ever configured; their places never change.
    pub states: Vec<ProviderState>,
    pub random: StdRng,
}

impl Shared {
    /// Nothing is known yet.
    pub fn new() -> Self {
        let known = Known { states: Vec::new(), random: rand::make_rng() };
        Self { known: Mutex::new(known), probe_ended: Notify::new() }
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a provider's state is; an unknown one gets a new one. Its breaker keeps to the limits.
    pub fn place(&self, config: &Config, name: &ProviderName) -> usize {
        let states = &mut self.known().states;
        let known = states.iter().position(|state| state.name() == name);
        let place = known.unwrap_or_else(|| {
            states.push(ProviderState::new(name.clone(), config.circuit_breaker.clone()));
            states.len() - 1
        });
        states[place].breaker.adopt(config.circuit_breaker.clone());
        place
    }

    /// The probe of a provider is over, whatever came of it.
    pub fn end_probe(&self, provider: usize) {
        self.known().states[provider].breaker.end_probe();
        self.probe_ended.notify_waiters();
    }
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
        self.shared.known().states.iter().find(|state| state.name() == name).cloned()
    }

    /// What a provider was used for today.
    pub fn spent(&self, now: Moment, name: &ProviderName) -> ProviderSpent {
        self.spend.of_provider(now, name)
    }
}
