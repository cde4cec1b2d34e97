//! Does what the plan says, and tells health what came of it.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use tokio::time::{sleep, timeout};

use super::Inner;
use crate::chat::spend::{Call, Denied, Usage, estimated_tokens};
use crate::config::ProviderConfig;
use crate::llm::attempt::Attempt;
use crate::llm::charge::usage;
use crate::llm::endpoint::{Endpoint, Outcome};
use crate::llm::failure::{Failure, Kind};
use crate::llm::known::ProbeSlot;
use crate::llm::plan::{Candidate, Plan, PlannedCall, Step};
use crate::llm::{Answer, Completion, GaveUp, Request};
use crate::spend_book::OpenCall;

/// Why a call brought no answer: it failed, or a spend limit kept it from being made.
type NoAnswer = Result<Failure, Denied>;

/// A call under way. Dropping it cancels it.
type Calling<'a> = BoxFuture<'a, Result<Answer, NoAnswer>>;

impl Inner {
    pub(super) async fn ask(&self, request: &Request, time: Duration) -> Result<Answer, GaveUp> {
        let mut plan = Plan::new(
            self.strategy.clone(),
            self.candidates(request.preferred_provider.as_ref()),
            self.clock.now().elapsed + time,
        );
        let mut left = LeftRunning::default();
        loop {
            // Made before the plan looks, so that no end of a probe is missed in between.
            let probe_ended = self.shared.probe_ended.notified();
            match self.next_step(&mut plan) {
                Step::Call(call) => {
                    let mut calling = self.make(Attempt { request, call }).boxed();
                    let early = match call.hedge_after {
                        Some(after) => timeout(after, &mut calling).await.ok(),
                        None => None,
                    };
                    if early.is_none() && call.hedge_after.is_some() && self.leave(&mut plan, call) {
                        left = LeftRunning(Some((call.provider, calling)));
                        continue;
                    }
                    let end = match early {
                        Some(end) => end,
                        None => left.beside(&mut plan, calling).await.unwrap_or_else(Ok),
                    };
                    match end {
                        Ok(answer) => return Ok(answer),
                        Err(Ok(failure)) => self.plan_failed(&mut plan, failure),
                        Err(Err(limit)) => plan.denied(limit),
                    }
                }
                Step::Wait(delay) => {
                    if let Err(answer) = left.beside(&mut plan, sleep(delay)).await {
                        return Ok(answer);
                    }
                }
                Step::AwaitProbe(at_most) => _ = timeout(at_most, probe_ended).await,
                Step::AwaitLeft => {
                    if let Some(answer) = left.end(&mut plan).await {
                        return Ok(answer);
                    }
                }
                Step::GiveUp(gave_up) => return Err(self.gave_up(request, gave_up)),
            }
        }
    }

    fn next_step(&self, plan: &mut Plan) -> Step {
        let now = self.clock.now().elapsed;
        plan.next(now, &mut self.known().states)
    }

    fn plan_failed(&self, plan: &mut Plan, failure: Failure) {
        let now = self.clock.now().elapsed;
        plan.failed(now, failure, &mut self.known().random);
    }

    /// Whether a call that takes long is left running while the next provider is asked.
    fn leave(&self, plan: &mut Plan, call: PlannedCall) -> bool {
        let now = self.clock.now().elapsed;
        let leaves = plan.leave(now, &self.known().states);
        if leaves {
            let provider = &self.endpoint(call.provider).config().name;
            tracing::info!(%provider, "no answer yet: the next provider is asked too");
        }
        leaves
    }

    /// Makes a call, if it may be made.
    async fn make(&self, attempt: Attempt<'_>) -> Result<Answer, NoAnswer> {
        let PlannedCall { provider, probe, .. } = attempt.call;
        let _slot = probe.then(|| ProbeSlot::new(self.shared.clone(), provider));
        let began = self.clock.now().elapsed;
        let open_call = self.reserve(attempt.request, provider).await.map_err(Err)?;
        let reserving = self.clock.now().elapsed.saturating_sub(began);
        self.call(&attempt, open_call, reserving).await.map_err(Ok)
    }

    /// Asks for nothing but what the spend limits would say; see [`super::Router::denied`].
    pub(super) async fn denied(&self, request: &Request) -> Option<Denied> {
        let mut first = None;
        for Candidate { provider, .. } in self.candidates(request.preferred_provider.as_ref()) {
            match self.reserve(request, provider).await {
                Ok(_open_call) => return None,
                Err(limit) => _ = first.get_or_insert(limit),
            }
        }
        first
    }

    async fn reserve(&self, request: &Request, provider: usize) -> Result<OpenCall, Denied> {
        let Request { system, user, for_whom, .. } = request;
        let endpoint = self.endpoint(provider);
        let call = Call {
            provider: &endpoint.config().name,
            user: for_whom.as_ref(),
            prompt_tokens: estimated_tokens(system) + estimated_tokens(user),
            max_tokens: endpoint.max_tokens(),
            price: endpoint.config().price,
        };
        self.spend.reserve(call).await
    }

    async fn call(
        &self,
        attempt: &Attempt<'_>,
        open_call: OpenCall,
        reserving: Duration,
    ) -> Result<Answer, Failure> {
        let began = self.clock.now().elapsed;
        let endpoint = self.endpoint(attempt.call.provider);
        let call = async {
            match self.client.get().await {
                Ok(client) => endpoint.call(client, attempt.request, &self.clock).await,
                Err(failure) => Outcome::from(failure),
            }
        };
        let outcome = timeout(attempt.call.timeout, call).await.unwrap_or_else(|_| {
            let seconds = attempt.call.timeout.as_secs_f64();
            Outcome::from(Failure::new(Kind::Timeout, &format!("no whole answer within {seconds:.1} s")))
        });
        let usage = usage(&outcome.result);
        if let Usage::Known { prompt, completion } = usage {
            self.health.tokens(prompt, completion);
        }
        open_call.settle(usage);
        let latency = self.clock.now().elapsed.saturating_sub(began);
        self.record(latency, attempt, endpoint, &outcome);
        let Completion { text, tokens, cut_by_token_limit } = outcome.result?;
        let ProviderConfig { name, model, .. } = endpoint.config();
        let (provider, model) = (name.clone(), model.clone());
        Ok(Answer { provider, model, text, tokens, cut_by_token_limit, latency, reserving })
    }

    /// Writes down how a call ended: state, health, log, in one go, so that health never sees
    /// two calls in another order than the state.
    fn record(
        &self,
        latency: Duration,
        attempt: &Attempt<'_>,
        endpoint: &Endpoint,
        Outcome { result, rate_limit }: &Outcome,
    ) {
        let PlannedCall { provider, probe, .. } = attempt.call;
        let mut known = self.known();
        let now = self.clock.now();
        let state = &mut known.states[provider];
        rate_limit.iter().for_each(|rate_limit| state.limited(*rate_limit));
        let news = match result {
            Ok(completion) => state.answered(now, latency, completion.tokens),
            Err(failure) => state.failed(now, latency, failure, &attempt.request.correlation_id, probe),
        };
        let (name, status) = (state.name().clone(), state.status());
        // What is no longer configured tells nothing of what is.
        if known.in_force.contains(&provider) {
            self.health.provider_status(now, &name, status);
            if result.is_ok() {
                self.health.request_succeeded(now);
            }
            self.health.providers_usable(now, known.usable());
        }
        drop(known);
        if news.breaker_opened {
            self.shared.breaker_moved.notify_one();
        }
        attempt.log(&endpoint.config().name, latency, result, news);
    }
}

/// The call that the plan has moved on from, with its provider; it may still be the first to answer.
#[derive(Default)]
struct LeftRunning<'a>(Option<(usize, Calling<'a>)>);

impl LeftRunning<'_> {
    /// Waits for something else. When the call that is left running fails meanwhile, the plan learns it.
    ///
    /// # Errors
    /// With its answer, when that comes first.
    async fn beside<T>(&mut self, plan: &mut Plan, other: impl Future<Output = T>) -> Result<T, Answer> {
        let mut other = pin!(other);
        while let Some((provider, calling)) = &mut self.0 {
            match select(other.as_mut(), calling).await {
                Either::Left((end, _)) => return Ok(end),
                Either::Right((Ok(answer), _)) => return Err(answer),
                Either::Right((Err(no_answer), _)) => {
                    plan.left_failed(*provider, no_answer);
                    self.0 = None;
                }
            }
        }
        Ok(other.await)
    }

    /// Waits for the end of the call that is left running: its answer, unless it fails.
    async fn end(&mut self, plan: &mut Plan) -> Option<Answer> {
        let (provider, calling) = self.0.take()?;
        calling.await.map_err(|no_answer| plan.left_failed(provider, no_answer)).ok()
    }
}
