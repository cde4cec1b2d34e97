//! Asking the language-model providers.
//!
//! [`plan`] decides who is called when and [`provider`] what that says about a provider; both do
//! nothing themselves. [`router`] does what the plan says.

pub mod anthropic;
pub mod attempt;
pub mod breaker;
pub mod charge;
pub mod checks;
pub mod client;
pub mod endpoint;
pub mod failure;
#[cfg(test)]
mod fixtures;
pub mod known;
pub mod latency;
pub mod openai;
pub mod order;
pub mod plan;
pub mod provider;
pub mod rate_limit;
pub mod retry;
pub mod router;
pub mod secrets;
pub mod unsupported;

use std::fmt;
use std::time::Duration;

use crate::chat::spend::Denied;
use crate::names::{ProviderName, Username};
use failure::Failure;
pub use known::ProvidersView;
pub use router::Router;

/// What to ask.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who is answered, whose spend limit holds; `None` when nobody asked.
    pub for_whom: Option<Username>,
    /// The chat message's, sent along as `X-Request-Id`.
    pub correlation_id: String,
    /// Who the bot is. May be empty.
    pub system: String,
    /// What it is asked.
    pub user: String,
    /// The trigger's own provider, asked first when it can be used.
    pub preferred_provider: Option<ProviderName>,
}

/// What a provider answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who answered.
    pub provider: ProviderName,
    /// The model as configured.
    pub model: String,
    /// What was said: never empty, trimmed, otherwise as it came.
    pub text: String,
    /// What it cost, when the provider says so.
    pub tokens: Option<Tokens>,
    /// Whether the token limit ended it.
    pub cut_by_token_limit: bool,
    /// How long the successful call took.
    pub latency: Duration,
    /// How long it waited before until it was written down as spent.
    pub reserving: Duration,
}

/// Tokens used by one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Of the question.
    pub prompt: u64,
    /// Of the answer, reasoning included.
    pub completion: u64,
    /// Of both.
    pub total: u64,
}

impl Tokens {
    /// Adds up; providers may claim any number.
    pub(crate) fn add(&mut self, other: Self) {
        self.prompt = self.prompt.saturating_add(other.prompt);
        self.completion = self.completion.saturating_add(other.completion);
        self.total = self.total.saturating_add(other.total);
    }
}

/// A success's body, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What was said: never empty, trimmed.
    pub text: String,
    /// What it cost, when the provider says so.
    pub tokens: Option<Tokens>,
    /// Whether the token limit ended it.
    pub cut_by_token_limit: bool,
}

/// Why nobody answered.
#[derive(Debug, Clone, PartialEq)]
pub enum GaveUp {
    /// Every provider and every try failed, or the time was up; with the last failure of each
    /// provider in the order in which they first failed. Empty when no provider can be used.
    Exhausted(Vec<(ProviderName, Failure)>),
    /// Every provider refused the content: an error of this reply, not an outage.
    Refused,
    /// Somebody was left who could have been asked, but it might have exceeded this spend limit: no
    /// outage either, and no error.
    Spent(Denied),
}

impl fmt::Display for GaveUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => formatter.write_str("every provider refused the content"),
            Self::Spent(denied) => {
                write!(formatter, "the spend limit {} holds: {denied}", denied.limit.as_str())
            }
            Self::Exhausted(failures) if failures.is_empty() => {
                formatter.write_str("no provider could be asked")
            }
            Self::Exhausted(failures) => {
                formatter.write_str("all providers failed")?;
                failures.iter().try_for_each(|(name, failure)| write!(formatter, "; {name}: {failure}"))
            }
        }
    }
}

impl std::error::Error for GaveUp {}
