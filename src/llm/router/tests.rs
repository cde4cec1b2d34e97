mod breaker;
mod calls;
mod checks;
mod hedging;
mod renewed;
mod secrets;
mod spend;
mod time;

use std::time::Instant;

use chrono::{TimeDelta, Utc};
use kryten_testkit::provider::{Behaviour, Provider};
use secrecy::SecretString;
use serde_json::json;

use super::super::endpoint::LARGEST_BODY;
use super::super::failure::Kind;
use super::*;
use crate::config::testing::config;
use crate::config::{CircuitBreaker, ProviderKind};
use crate::health::{Component, LinkHealth, ProviderStatus, State};
use crate::llm::fixtures::{provider, request};
use crate::outcome::Reason;

/// Far more than any of these tests takes.
const TIME: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(60);

/// A router before stand-ins named a, b, …; a call by default may take long and has no retries.
struct Stage {
    router: Router,
    health: HealthMonitor,
    clock: Clock,
    stand_ins: Vec<Provider>,
}

impl Stage {
    async fn new(providers: usize, adjust: impl FnOnce(&mut Config)) -> Self {
        let mut stand_ins = Vec::new();
        let mut config = config(json!({}));
        config.llm_providers.clear();
        for name in &["a", "b"][..providers] {
            let stand_in = Provider::start().await.unwrap();
            let base_url = stand_in.base_url();
            config.llm_providers.push(ProviderConfig { base_url, max_retries: 0, ..provider(name) });
            stand_ins.push(stand_in);
        }
        config.retry_strategy = RetryStrategy {
            initial_delay: Duration::ZERO,
            multiplier: 1.0,
            max_delay: Duration::ZERO,
            rate_limit_delay: TIME * 2,
        };
        config.circuit_breaker = CircuitBreaker { failures: 100, open: Duration::from_secs(3600) };
        adjust(&mut config);
        let clock = Clock::start();
        let names = config.llm_providers.iter().map(|provider| provider.name.clone());
        let health = HealthMonitor::new(clock.now(), names, []);
        health.link(clock.now(), LinkHealth::Up);
        let spend = SpendBook::blank(&config, clock);
        let router = Router::new(&config, spend, health.clone(), clock);
        Self { router, health, clock, stand_ins }
    }

    async fn ask(&self, message: &str) -> Result<Answer, GaveUp> {
        self.router.ask(&request(message), TIME).await
    }

    /// The kinds of failure of an exhausted request, and how many calls the stand-ins got.
    async fn kinds(&self, time: Duration) -> (Vec<Kind>, Vec<usize>) {
        let Err(GaveUp::Exhausted(failures)) = self.router.ask(&request("m"), time).await else {
            panic!("the request must be exhausted")
        };
        let kinds = failures.iter().map(|(_, failure)| failure.kind).collect();
        (kinds, self.stand_ins.iter().map(|stand_in| stand_in.requests().count()).collect())
    }

    fn statuses(&self) -> Vec<ProviderStatus> {
        let snapshot = self.health.snapshot(self.clock.now());
        snapshot.providers.iter().map(|provider| provider.status).collect()
    }

    fn state(&self) -> (State, Option<String>) {
        let snapshot = self.health.snapshot(self.clock.now());
        (snapshot.state, snapshot.reason)
    }

    /// What health has against the providers as a whole.
    fn unhealthy(&self) -> Option<String> {
        self.health.snapshot(self.clock.now()).unhealthy(Component::LlmProviders).map(str::to_owned)
    }
}

fn server_error() -> Behaviour {
    Behaviour::Status(500, "{}".to_owned())
}
