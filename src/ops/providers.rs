//! What is told of the providers, by command and over HTTP.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bus::wire::rounded;
use crate::chat::spend::ProviderSpent;
use crate::clock::{Moment, iso};
use crate::config::{Config, ProviderConfig};
use crate::health::ProviderStatus;
use crate::llm::ProvidersView;
use crate::llm::breaker::Position;
use crate::llm::latency::Summary;
use crate::llm::provider::ProviderState;

/// The providers by priority: as configured, and what is known of each.
pub fn list(now: Moment, config: &Config, view: &ProvidersView) -> Value {
    let mut by_priority: Vec<&ProviderConfig> = config.llm_providers.iter().collect();
    by_priority.sort_by_key(|provider| provider.priority);
    let provider = |provider: &&ProviderConfig| {
        let mut listed = configured(config, provider);
        let state = view.state(&provider.name);
        listed["check"] = check(provider, state.as_ref());
        let spent = view.spent(now, &provider.name);
        if let Value::Object(listed) = &mut listed
            && let Value::Object(known) = known(now, state.as_ref(), spent)
        {
            listed.extend(known);
        }
        listed
    };
    json!({
        "default_provider": config.default_provider.as_str(),
        "default_provider_priority":
            config.default_provider_priority.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        "providers": by_priority.iter().map(provider).collect::<Vec<_>>(),
    })
}

fn configured(config: &Config, provider: &ProviderConfig) -> Value {
    json!({
        "name": provider.name.as_str(),
        "type": provider.kind.as_str(),
        "base_url": provider.shown_url(),
        "model": provider.model,
        "priority": provider.priority,
        "max_tokens": provider.max_tokens,
        "temperature": provider.temperature,
        "timeout_seconds": provider.timeout.as_secs_f64(),
        "fallback": provider.fallback,
        "api_key_masked": provider.api_key.as_ref().map(|_| "****"),
        "is_default": provider.name == config.default_provider,
        "unusable": provider.usable.as_ref().err(),
    })
}

/// A provider that can't be used has no state: it was never called.
fn known(now: Moment, state: Option<&ProviderState>, spent: ProviderSpent) -> Value {
    let last_failure = state.and_then(ProviderState::last_failure).map(|(failure, at)| {
        json!({"kind": failure.kind.as_str(), "message": failure.to_string(), "at": iso(*at)})
    });
    let rate_limit = state.and_then(ProviderState::rate_limit).map(|limit| {
        json!({
            "remaining_requests": limit.remaining_requests,
            "remaining_tokens": limit.remaining_tokens,
            "resets_at": limit.resets_at.map(iso),
        })
    });
    let latency = state.and_then(ProviderState::last_latency);
    json!({
        "status": state.map_or(ProviderStatus::Unknown, ProviderState::status).as_str(),
        "last_failure": last_failure,
        "latency_ms": latency.map(milliseconds),
        "latency": state.and_then(ProviderState::latencies).map(latencies),
        "calls": state.map_or(0, ProviderState::calls),
        "failed_calls": state.map_or(0, ProviderState::failed_calls),
        "breaker": breaker(state.map_or(Position::Closed, |state| state.breaker.position(now.elapsed))),
        "today": {
            "calls": spent.calls,
            "tokens": {"prompt": spent.prompt_tokens, "completion": spent.completion_tokens},
            "cost": rounded(spent.cost, 6),
        },
        "rate_limit": rate_limit,
    })
}

fn latencies(latencies: Summary) -> Value {
    json!({
        "ewma_ms": milliseconds(latencies.mean),
        "p50_ms": milliseconds(latencies.median),
        "p90_ms": milliseconds(latencies.p90),
        "p99_ms": milliseconds(latencies.p99),
        "samples": latencies.samples,
    })
}

/// Nothing before the first check.
fn check(provider: &ProviderConfig, state: Option<&ProviderState>) -> Value {
    if provider.health_check.is_none() || state.is_none() {
        return json!({"state": "off"});
    }
    let check = state.and_then(ProviderState::check).map(|check| {
        json!({
            "state": check.state.as_str(),
            "at": iso(check.at),
            "latency_ms": milliseconds(check.latency),
            "message": check.message,
        })
    });
    json!(check)
}

fn milliseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1000.0, 1)
}

fn breaker(position: Position) -> Value {
    match position {
        Position::Closed => json!({"state": "closed"}),
        Position::Open { left } => {
            json!({"state": "open", "seconds_left": rounded(left.as_secs_f64(), 1)})
        }
        Position::HalfOpen => json!({"state": "half-open"}),
    }
}
