mod breaker;
mod calls;
mod secrets;
mod time;

use std::time::Instant;

use chrono::{TimeDelta, Utc};
use kryten_testkit::provider::{Behaviour, Provider};
use secrecy::SecretString;
use serde_json::json;

use super::super::endpoint::LARGEST_BODY;
use super::*;
use crate::config::ProviderKind;
use crate::health::{Component, LinkHealth, ProviderStatus, State};
use crate::llm::fixtures::{provider, request};

/// Far more than any of these tests takes.
const TIME: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(10);

/// A router before stand-ins named a, b, …; a call by default may take long and has no retries.
struct Stage {
    router: Router,
    health: HealthMonitor,
    clock: Clock,
    stand_ins: Vec<Provider>,
}

struct Cast {
    providers: Vec<ProviderConfig>,
    strategy: RetryStrategy,
    breaker: CircuitBreaker,
}

impl Stage {
    async fn new(providers: usize, adjust: impl FnOnce(&mut Cast)) -> Self {
        let mut stand_ins = Vec::new();
        let mut configs = Vec::new();
        for name in &["a", "b"][..providers] {
            let stand_in = Provider::start().await.unwrap();
            let base_url = stand_in.base_url();
            configs.push(ProviderConfig { base_url, max_retries: 0, ..provider(name) });
            stand_ins.push(stand_in);
        }
        let strategy = RetryStrategy {
            initial_delay: Duration::ZERO,
            multiplier: 1.0,
            max_delay: Duration::ZERO,
            rate_limit_delay: TIME * 2,
        };
        let breaker = CircuitBreaker { failures: 100, open: Duration::from_secs(3600) };
        let mut cast = Cast { providers: configs, strategy, breaker };
        adjust(&mut cast);
        let clock = Clock::start();
        let names = cast.providers.iter().map(|provider| provider.name.clone());
        let health = HealthMonitor::new(clock.now(), names, []);
        health.link(clock.now(), LinkHealth::Up);
        let router = Router::new(&cast.providers, &[], cast.strategy, cast.breaker, health.clone(), clock);
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
}

fn server_error() -> Behaviour {
    Behaviour::Status(500, "{}".to_owned())
}
