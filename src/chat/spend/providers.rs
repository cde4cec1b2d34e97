//! What each provider was used for.

use serde::{Deserialize, Serialize};

use super::Amount;
use crate::names::ProviderName;

/// What a provider was used for on one day, calls under way included with all that they may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderSpent {
    /// Calls, whatever became of them.
    pub calls: u64,
    /// Tokens of the prompts.
    pub prompt_tokens: u64,
    /// Tokens of the answers.
    pub completion_tokens: u64,
    /// By the configured prices.
    pub cost: f64,
}

/// The sums of a day. There are never more than configured providers, so a list will do.
#[derive(Debug, Default)]
pub(super) struct Providers(Vec<(ProviderName, ProviderSpent)>);

impl Providers {
    /// What a provider was used for.
    pub fn of(&self, provider: &ProviderName) -> ProviderSpent {
        self.iter().find(|(name, _)| *name == provider).map_or_else(Default::default, |(_, spent)| *spent)
    }

    /// A call is reserved.
    pub fn add(&mut self, provider: &ProviderName, amount: Amount) {
        let spent = self.entry(provider);
        spent.calls = spent.calls.saturating_add(1);
        spent.change(Amount::default(), amount);
    }

    /// What was reserved becomes what was used.
    pub fn change(&mut self, provider: &ProviderName, reserved: Amount, used: Amount) {
        self.entry(provider).change(reserved, used);
    }

    /// Takes over what was written down.
    pub fn restore(&mut self, provider: ProviderName, spent: ProviderSpent) {
        *self.entry(&provider) = ProviderSpent { cost: super::plausible(spent.cost), ..spent };
    }

    /// Each provider with its sums.
    pub fn iter(&self) -> impl Iterator<Item = (&ProviderName, &ProviderSpent)> {
        self.0.iter().map(|(name, spent)| (name, spent))
    }

    fn entry(&mut self, provider: &ProviderName) -> &mut ProviderSpent {
        let place = self.0.iter().position(|(name, _)| name == provider).unwrap_or_else(|| {
            self.0.push((provider.clone(), ProviderSpent::default()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}

impl ProviderSpent {
    fn change(&mut self, before: Amount, after: Amount) {
        let exchange = |sum: u64, before: u64, after: u64| sum.saturating_sub(before).saturating_add(after);
        self.prompt_tokens = exchange(self.prompt_tokens, before.prompt, after.prompt);
        self.completion_tokens = exchange(self.completion_tokens, before.completion, after.completion);
        self.cost = (self.cost - before.cost).max(0.0) + after.cost;
    }
}
