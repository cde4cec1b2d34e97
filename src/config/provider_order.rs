//! Which provider is asked when: `default_provider`, `default_provider_priority`,
//! `retry_strategy`, `circuit_breaker`.

use std::time::Duration;

use serde_json::json;

use super::problem::shown_list;
use super::section::Section;
use crate::names::ProviderName;

/// `default_provider`: the name of one that exists.
pub(super) fn default_provider(s: &mut Section<'_>, providers: &[&str]) -> ProviderName {
    let name = s.text("default_provider", "local");
    // Without any provider that is the problem, and noted.
    if !providers.is_empty() && !providers.contains(&name.as_str()) {
        let found = match s.raw("default_provider") {
            None => "missing, so it is \"local\", which no provider is called",
            Some(value) if value.is_string() => "a text that is no provider's name",
            // Its kind is noted already.
            Some(_) => return ProviderName::new(&name),
        };
        let allowed = format!("one of {}", shown_list(providers));
        s.problem("default_provider", found, &allowed, "name one of them, or add that provider");
    }
    ProviderName::new(&name)
}

/// `default_provider_priority`: names that exist, each once.
pub(super) fn priority(s: &mut Section<'_>, providers: &[&str]) -> Vec<ProviderName> {
    let show = |names: &Vec<ProviderName>| {
        json!(names.iter().map(ProviderName::as_str).collect::<Vec<_>>()).to_string()
    };
    s.field("default_provider_priority", Vec::new(), show, |item| {
        let mut names: Vec<ProviderName> = Vec::new();
        for item in item.list()? {
            let Some(name) = item.or_report(item.text()) else { continue };
            if !providers.contains(&name.as_str()) {
                let known = shown_list(providers);
                item.reader.warning(&item.path, &format!("no provider has this name; known are {known}"));
            } else if !names.iter().any(|other| other.as_str() == name) {
                names.push(ProviderName::new(&name));
            }
        }
        Ok(names)
    })
}

/// `retry_strategy`: how long until the next try.
#[derive(Debug, Clone)]
pub struct RetryStrategy {
    pub initial_delay: Duration,
    /// 1–5.
    pub multiplier: f64,
    pub max_delay: Duration,
    /// After a 429 that doesn't say how long.
    pub rate_limit_delay: Duration,
}

impl RetryStrategy {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            initial_delay: s.seconds("initial_delay", 1.0, 0.1..=10.0),
            multiplier: s.number("multiplier", 2.0, 1.0..=5.0),
            max_delay: s.seconds("max_delay", 30.0, 1.0..=120.0),
            rate_limit_delay: s.seconds("rate_limit_delay", 60.0, 1.0..=600.0),
        }
    }
}

/// `circuit_breaker`: when a failing provider is left alone.
#[derive(Debug, Clone)]
pub struct CircuitBreaker {
    /// 1–100 failed calls in a row.
    pub failures: u32,
    pub open: Duration,
}

impl CircuitBreaker {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            failures: s.integer("failures", 5, 1..=100),
            open: s.seconds("open_seconds", 30.0, 1.0..=3600.0),
        }
    }
}
