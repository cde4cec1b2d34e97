//! The providers, their answers, and what they cost.

use crate::chat::spend::SpendInUse;
use crate::config::Config;
use crate::health::{ProviderStatus, Snapshot};
use crate::llm::ProvidersView;
use crate::llm::breaker::Position;
use crate::llm::checks::verdict::CheckState;
use crate::llm::provider::ProviderState;
use crate::metrics::answers::Answers;
use crate::metrics::moment::Moment;
use crate::names::ProviderName;

pub(super) fn tell(
    moment: &Moment,
    config: &Config,
    snapshot: &Snapshot,
    providers: &ProvidersView,
    answers: &Answers,
) {
    moment.count("llm_providers_configured", snapshot.providers.len());
    for provider in &snapshot.providers {
        let labels = [("provider", provider.name.as_str())];
        let status = match provider.status {
            ProviderStatus::Ok => 1.0,
            ProviderStatus::Failed => 0.0,
            ProviderStatus::Unknown => -1.0,
        };
        moment.gauge("llm_provider_status", &labels, status);
        // One that could never be asked has no state.
        let state = providers.state(&provider.name);
        let position = state.as_ref().map(|state| state.breaker.position(snapshot.at.elapsed));
        let breaker = match position {
            None | Some(Position::Closed) => 0.0,
            Some(Position::HalfOpen) => 1.0,
            Some(Position::Open { .. }) => 2.0,
        };
        moment.gauge("llm_breaker_state", &labels, breaker);
        tell_check(moment, config, &provider.name, state.as_ref());
        let (calls, failed) = state.map_or((0, 0), |state| (state.calls(), state.failed_calls()));
        moment.counter("llm_provider_requests_total", &labels, calls);
        moment.counter("llm_provider_failures_total", &labels, failed);
    }
    tell_answers(moment, config, answers);
    tell_spend(moment, &providers.spend().limits_in_use(snapshot.at));
    moment.gauge("llm_cost_today", &[], providers.spend().cost(snapshot.at));
}

/// All are 0 before the first check.
fn tell_check(moment: &Moment, config: &Config, name: &ProviderName, state: Option<&ProviderState>) {
    let configured = config.llm_providers.iter().find(|provider| provider.name == *name);
    let is_checked = state.is_some() && configured.is_some_and(|provider| provider.health_check.is_some());
    let found = state.filter(|_| is_checked).and_then(ProviderState::check).map(|check| check.state);
    for check in CheckState::ALL {
        let labels = [("provider", name.as_str()), ("state", check.as_str())];
        moment.is("llm_provider_check_state", &labels, found == Some(check));
    }
    moment.is("llm_provider_check_state", &[("provider", name.as_str()), ("state", "off")], !is_checked);
}

fn tell_answers(moment: &Moment, config: &Config, answers: &Answers) {
    let configured =
        config.llm_providers.iter().map(|provider| (provider.name.clone(), provider.model.clone()));
    for ((provider, model), of_model) in answers.by_model(configured) {
        let (provider, model) = (("provider", provider.as_str()), ("model", model.as_str()));
        moment.counter("llm_requests_by_model_total", &[provider, model], of_model.answers);
        moment.gauge("llm_avg_tokens_per_request", &[provider, model], of_model.average_tokens());
        let tokens = of_model.tokens;
        let kinds = [("prompt", tokens.prompt), ("completion", tokens.completion), ("total", tokens.total)];
        for (kind, count) in kinds {
            moment.counter("llm_token_usage_total", &[provider, model, ("type", kind)], count);
        }
    }
    let lengths = answers.lengths;
    moment.gauge("llm_response_length_chars_avg", &[], lengths.average());
    moment.gauge("llm_response_length_chars_max", &[], lengths.longest as f64);
    moment.gauge("llm_response_length_chars_min", &[], lengths.shortest as f64);
}

fn tell_spend(moment: &Moment, limits: &[SpendInUse]) {
    // Both names are there also where nothing is limited.
    let none = [SpendInUse { name: "none", used: 0.0, max: 0.0, soft: false, frees_in: None }];
    for limit in if limits.is_empty() { &none } else { limits } {
        moment.gauge("llm_spend_used", &[("limit", limit.name)], limit.used);
        moment.gauge("llm_spend_limit", &[("limit", limit.name)], limit.max);
    }
}
