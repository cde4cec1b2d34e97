//! Checks at work.

use kryten_testkit::Mark;
use secrecy::SecretString;

use super::*;
use crate::config::{HealthCheck, HealthCheckKind};
use crate::llm::checks::verdict::CheckState;

const KEY: &str = "planted-key-of-the-check";

/// So seldom that only a breaker brings a second check of a list. One that costs waits for its interval.
fn check_of(kind: HealthCheckKind) -> Option<HealthCheck> {
    let interval = match kind {
        HealthCheckKind::Models => Duration::from_secs(60),
        HealthCheckKind::Completion => Duration::from_millis(400),
    };
    Some(HealthCheck { interval, kind })
}

/// A stage whose only provider is checked, while the test lasts.
async fn checked(kind: HealthCheckKind, adjust: impl FnOnce(&mut Config)) -> (Stage, Running) {
    let stage = Stage::new(1, |config| {
        config.llm_providers[0].health_check = check_of(kind);
        adjust(config);
    })
    .await;
    stage.stand_ins[0].models(Behaviour::answer("small"));
    let running = Running(tokio::spawn(stage.router.checks().run()));
    (stage, running)
}

struct Running(tokio::task::JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until a check has found the provider like this; its message.
async fn found(stage: &Stage, state: CheckState) -> String {
    let waiting = async {
        loop {
            let states = stage.router.states();
            if let Some(check) = states[0].check().filter(|check| check.state == state) {
                return check.message.clone().unwrap_or_default();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.expect("a check in time")
}

/// Waits until the breaker of the only provider is closed.
async fn closed(stage: &Stage) {
    let waiting = async {
        while !stage.router.states()[0].breaker.is_closed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.expect("the breaker closes");
}

#[tokio::test]
async fn a_check_is_no_call_for_status_health_and_totals() {
    for kind in [HealthCheckKind::Models, HealthCheckKind::Completion] {
        for (behaviour, expected) in
            [(Behaviour::answer("small"), CheckState::Reachable), (server_error(), CheckState::Failed)]
        {
            let (stage, _running) = checked(kind, |_| {}).await;
            stage.stand_ins[0].models(behaviour.clone());
            stage.stand_ins[0].always(behaviour);
            found(&stage, expected).await;
            let state = &stage.router.states()[0];
            assert_eq!(
                (state.status(), state.calls(), state.failed_calls()),
                (ProviderStatus::Unknown, 0, 0)
            );
            assert!(state.last_failure().is_none() && state.latencies().is_none());
            assert_eq!((stage.statuses(), stage.state().0), (vec![ProviderStatus::Unknown], State::Healthy));
            if kind == HealthCheckKind::Models {
                assert_eq!(stage.stand_ins[0].requests().count(), 1);
            }
        }
    }
}

#[tokio::test]
async fn an_open_breaker_is_closed_by_a_check_at_once_when_its_time_is_up() {
    for kind in [HealthCheckKind::Models, HealthCheckKind::Completion] {
        let (stage, _running) = checked(kind, |config| {
            config.circuit_breaker = CircuitBreaker { failures: 1, open: Duration::from_millis(300) };
        })
        .await;
        found(&stage, CheckState::Reachable).await;
        stage.stand_ins[0].next([server_error()]);
        assert!(stage.ask("m").await.is_err());
        assert!(!stage.router.states()[0].breaker.is_closed());
        let calls = stage.router.states()[0].calls();
        closed(&stage).await;
        let requests = stage.stand_ins[0].requests().count();
        assert!(requests >= 3, "the first check, the call, the probe: {requests}");
        let state = &stage.router.states()[0];
        assert_eq!((state.status(), state.calls()), (ProviderStatus::Failed, calls), "no call was made");
        let components = stage.health.snapshot(stage.clock.now()).components;
        assert!(components.iter().all(|health| health.unhealthy.is_none()), "{components:?}");
    }
}

#[tokio::test]
async fn while_a_check_probes_no_message_does_and_what_it_finds_decides_for_both() {
    let (stage, _running) = checked(HealthCheckKind::Models, |config| {
        config.circuit_breaker = CircuitBreaker { failures: 1, open: Duration::from_millis(300) };
    })
    .await;
    found(&stage, CheckState::Reachable).await;
    let a = &stage.stand_ins[0];
    a.models(Behaviour::Hold("small".to_owned()));
    a.next([server_error()]);
    assert!(stage.ask("m").await.is_err());
    let mark = a.requests().mark();
    a.wait_for_request(mark, SOON, |request| request.method == "GET").await.unwrap();
    let release = async {
        let released = Instant::now();
        a.release();
        released
    };
    let (answer, released) = tokio::join!(stage.ask("n"), release);
    let call = a.requests().since(mark).into_iter().find(|request| request.method == "POST");
    assert!(call.is_some_and(|call| call.at > released), "the message waited");
    assert!(answer.is_ok());
}

/// Its only call fails; the next check, as the probe, gets these.
async fn probed_by_a_check(kind: HealthCheckKind, list: Behaviour, call: Behaviour) -> (Stage, Running) {
    let (stage, running) = checked(kind, |config| {
        config.circuit_breaker = CircuitBreaker { failures: 1, open: Duration::from_millis(300) };
    })
    .await;
    found(&stage, CheckState::Reachable).await;
    stage.stand_ins[0].models(list);
    stage.stand_ins[0].next([server_error(), call]);
    assert!(stage.ask("m").await.is_err());
    (stage, running)
}

#[tokio::test]
async fn a_check_that_fails_as_the_probe_opens_the_breaker_for_as_long_again() {
    let refused = || Behaviour::Status(401, String::new());
    for (kind, call, state) in [
        (HealthCheckKind::Models, Behaviour::answer("unused"), CheckState::BadKey),
        (HealthCheckKind::Completion, server_error(), CheckState::Failed),
    ] {
        let (stage, _running) = probed_by_a_check(kind, refused(), call).await;
        found(&stage, state).await;
        let state = &stage.router.states()[0];
        assert!(!state.breaker.is_closed());
        assert!(state.breaker.failed_probes() >= 1);
    }
}

#[tokio::test]
async fn a_check_that_proves_nothing_leaves_the_probe_to_the_next_message() {
    for (list, state) in [
        (Behaviour::answer("another model"), CheckState::MissingModel),
        (server_error(), CheckState::Failed),
        (Behaviour::Status(429, String::new()), CheckState::Failed),
        (Behaviour::Status(403, String::new()), CheckState::BadKey),
    ] {
        let (stage, _running) =
            probed_by_a_check(HealthCheckKind::Models, list, Behaviour::answer("small")).await;
        found(&stage, state).await;
        assert!(!stage.router.states()[0].breaker.is_closed());
        assert_eq!(stage.router.states()[0].breaker.failed_probes(), 0);
        assert!(stage.ask("n").await.is_ok(), "its call is the probe");
        assert!(stage.router.states()[0].breaker.is_closed());
    }
}

#[tokio::test]
async fn a_list_closes_the_breaker_on_trial_only() {
    let (stage, _running) = checked(HealthCheckKind::Models, |config| {
        config.circuit_breaker = CircuitBreaker { failures: 3, open: Duration::from_millis(300) };
    })
    .await;
    found(&stage, CheckState::Reachable).await;
    stage.stand_ins[0].always(server_error());
    while stage.router.states()[0].breaker.is_closed() {
        assert!(stage.ask("m").await.is_err());
    }
    closed(&stage).await;
    assert!(stage.ask("n").await.is_err());
    assert!(!stage.router.states()[0].breaker.is_closed(), "one failed call is enough");
}

#[tokio::test]
async fn a_completion_check_keeps_to_the_spend_limits_and_counts_in_them() {
    let (stage, _running) = checked(HealthCheckKind::Completion, |config| {
        config.spend.max_calls_per_day = Some(1);
    })
    .await;
    found(&stage, CheckState::Reachable).await;
    assert!(matches!(stage.ask("m").await, Err(GaveUp::Spent(denied)) if denied.limit == Reason::SpendCalls));
    let ping = stage.stand_ins[0].requests().all().remove(0);
    assert_eq!((&ping.json["max_tokens"], ping.prompt().as_str()), (&json!(1), "ping"));
}

#[tokio::test]
async fn no_check_repeats_a_secret_follows_a_redirect_or_reads_without_end() {
    let words = json!({"error": {"message": format!("{KEY} is wrong")}}).to_string();
    for (behaviour, state, told) in [
        (Behaviour::Status(401, words), CheckState::BadKey, "**** is wrong"),
        (Behaviour::Status(307, String::new()), CheckState::Failed, "a redirect, which is not followed"),
        (Behaviour::Huge(2 * LARGEST_BODY), CheckState::Reachable, "larger than 1 MiB"),
        (Behaviour::Hang, CheckState::Unreachable, "no whole answer within 0.5 s"),
        (Behaviour::Trickle, CheckState::Unreachable, "no whole answer within 0.5 s"),
        (Behaviour::Reset, CheckState::Unreachable, "connection"),
    ] {
        let (stage, _running) = checked(HealthCheckKind::Models, |config| {
            config.llm_providers[0].api_key = Some(SecretString::from(KEY));
            let is_mute = matches!(behaviour, Behaviour::Hang | Behaviour::Trickle);
            let timeout = if is_mute { 500 } else { 120_000 };
            config.llm_providers[0].timeout = Duration::from_millis(timeout);
        })
        .await;
        stage.stand_ins[0].models(behaviour.clone());
        let message = found(&stage, state).await;
        assert!(message.contains(told) && !message.contains(KEY), "{behaviour:?}: {message}");
        let request = stage.stand_ins[0].requests().all().remove(0);
        assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    }
}

#[tokio::test]
async fn anthropic_is_asked_in_its_own_way() {
    let (stage, _running) = checked(HealthCheckKind::Models, |config| {
        config.llm_providers[0].kind = ProviderKind::Anthropic;
        config.llm_providers[0].api_key = Some(SecretString::from(KEY));
    })
    .await;
    found(&stage, CheckState::Reachable).await;
    let request = stage.stand_ins[0].requests().all().remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/v1/models?limit=1000"));
    assert_eq!(request.header("x-api-key"), Some(KEY));
    assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
}

#[tokio::test]
async fn checks_follow_the_configuration_and_one_under_way_is_cancelled() {
    let (stage, _running) = checked(HealthCheckKind::Models, |_| {}).await;
    let a = &stage.stand_ins[0];
    a.models(Behaviour::Hang);
    a.wait_for_request(Mark::START, SOON, |_| true).await.unwrap();
    let mut off = config(json!({}));
    off.llm_providers = vec![ProviderConfig { base_url: a.base_url(), ..provider("a") }];
    let mut on = config(json!({}));
    on.llm_providers = vec![ProviderConfig {
        health_check: check_of(HealthCheckKind::Completion),
        ..off.llm_providers[0].clone()
    }];
    let router = stage.router.renewed(&off);
    a.hang_ups().wait_since(Mark::START, "a cancelled check", SOON, |_| true).await.unwrap();
    assert!(router.states()[0].check().is_none(), "it counts as nothing");
    let mark = a.requests().mark();
    drop(router.renewed(&on));
    a.wait_for_request(mark, SOON, |request| request.method == "POST").await.unwrap();
}

#[tokio::test]
async fn latencies_outlive_a_change_of_the_way_in_which_a_provider_is_asked() {
    let stage = Stage::new(1, |_| {}).await;
    for message in ["m", "n"] {
        stage.ask(message).await.unwrap();
    }
    let mut changed = config(json!({}));
    let base_url = stage.stand_ins[0].base_url();
    changed.llm_providers = vec![ProviderConfig { base_url, model: "other".to_owned(), ..provider("a") }];
    let router = stage.router.renewed(&changed);
    router.ask(&request("o"), TIME).await.unwrap();
    assert_eq!(router.states()[0].latencies().map(|latencies| latencies.samples), Some(3));
}
