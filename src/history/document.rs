//! What `/api/history` shows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::steps::{Range, Step};
use crate::clock::iso;

/// A range of the history.
#[derive(Debug, Serialize)]
pub struct Document {
    pub range: &'static str,
    pub from: String,
    pub to: String,
    pub step_seconds: i64,
    /// The steps in which the service ran.
    pub minutes: Vec<Step>,
    /// Changes of the state.
    pub transitions: Vec<Transition>,
    /// Changes of the providers.
    pub providers: Vec<ProviderChange>,
    /// How it was when the range began, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_at_start: Option<StateAtStart>,
    /// How each known provider was then.
    pub providers_at_start: BTreeMap<String, String>,
}

/// A change of the state.
#[derive(Debug, Serialize)]
pub struct Transition {
    pub at: String,
    /// The state before; null where only a start has ended.
    pub from: Option<String>,
    pub to: String,
    pub reason: String,
}

/// A change of a provider's status.
#[derive(Debug, Serialize)]
pub struct ProviderChange {
    pub at: String,
    pub provider: String,
    pub from: String,
    pub to: String,
}

/// The state when a range began.
#[derive(Debug, Serialize)]
pub struct StateAtStart {
    pub state: String,
}

impl Document {
    /// Of a range that ends now, in which nothing was written down.
    pub fn empty(now: DateTime<Utc>, range: Range) -> Self {
        let begin = DateTime::<Utc>::from_timestamp(range.begin(now), 0).unwrap_or_default();
        Self {
            range: range.as_str(),
            from: iso(begin),
            to: iso(now),
            step_seconds: range.step(),
            minutes: Vec::new(),
            transitions: Vec::new(),
            providers: Vec::new(),
            state_at_start: None,
            providers_at_start: BTreeMap::new(),
        }
    }

    /// As a text of JSON.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn text(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|error| error.to_string())
    }
}
