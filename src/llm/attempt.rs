//! One try at one provider, and what the log says of it.

use std::time::Duration;

use super::failure::{Failure, Kind};
use super::plan::PlannedCall;
use super::provider::News;
use super::{Completion, Request};
use crate::names::ProviderName;

/// One try.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// What is asked.
    pub request: &'a Request,
    /// Who is called, and how.
    pub call: PlannedCall,
}

impl Attempt<'_> {
    /// Logs how it ended: one line a try, and one for each thing that an operator should read
    /// once.
    pub fn log(
        &self,
        provider: &ProviderName,
        latency: Duration,
        result: &Result<Completion, Failure>,
        news: News,
    ) {
        // A span of the highest level is there whatever the log level is.
        let attempt = tracing::error_span!(
            "attempt",
            %provider,
            number = self.call.attempt,
            probe = self.call.probe,
            milliseconds = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            correlation_id = ?self.request.correlation_id,
        );
        let _entered = attempt.enter();
        match result {
            Ok(Completion { tokens: Some(tokens), .. }) => {
                tracing::debug!(tokens.prompt, tokens.completion, "the provider answered");
            }
            Ok(_) => tracing::debug!("the provider answered"),
            Err(failure) if failure.kind == Kind::BadKey && !news.key_went_bad => {
                tracing::debug!(%failure, "the provider failed");
            }
            Err(failure) => tracing::warn!(%failure, "the provider failed"),
        }
        if news.key_went_bad {
            tracing::error!("the provider refuses our key: check api_key; said once until a call succeeds");
        }
        if news.refuses_all {
            tracing::error!("the provider refuses whatever it is asked: check its model and extra_body");
        }
        if news.breaker_opened {
            tracing::warn!("too many failed calls in a row: the provider is skipped for a while");
        }
        if news.breaker_closed {
            tracing::info!("the provider is back");
        }
    }
}
