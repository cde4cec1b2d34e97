//! A changed configuration.

use kryten_testkit::Mark;

use super::*;
use crate::config::{MaxTokensField, Price};

/// The configuration of a stage's providers, in this order.
fn of(stage: &Stage, order: &[&str]) -> Config {
    let mut config = config(json!({}));
    config.circuit_breaker = CircuitBreaker { failures: 1, open: Duration::from_secs(3600) };
    let base_url = |name: &str| stage.stand_ins[usize::from(name == "b")].base_url();
    let named = |name: &&str| ProviderConfig { base_url: base_url(name), max_retries: 0, ..provider(name) };
    config.llm_providers = order.iter().map(named).collect();
    config
}

#[tokio::test]
async fn what_is_known_of_the_providers_outlives_a_change_of_their_order_and_settings() {
    let stage = Stage::new(2, |config| config.circuit_breaker.failures = 1).await;
    stage.stand_ins[0].always(server_error());
    assert_eq!(stage.ask("m").await.unwrap().provider.as_str(), "b");
    assert_eq!(stage.stand_ins[0].requests().count(), 1);

    let renewed = stage.router.renewed(&of(&stage, &["b", "c", "a"]));
    let states = renewed.states();
    let calls: Vec<(&str, u64)> = states.iter().map(|state| (state.name().as_str(), state.calls())).collect();
    assert_eq!(calls, [("b", 1), ("c", 0), ("a", 1)]);
    assert!(!states[2].breaker.is_closed(), "still open");

    let without_a = renewed.renewed(&of(&stage, &["b"]));
    let back = without_a.renewed(&of(&stage, &["a", "b"]));
    let answer = back.ask(&request("m"), TIME).await.unwrap();
    assert_eq!(answer.provider.as_str(), "b");
    assert_eq!(
        stage.stand_ins[0].requests().count(),
        1,
        "its breaker is open, also after a while without it"
    );
}

#[tokio::test]
async fn a_request_under_way_ends_with_the_router_that_it_began_with() {
    let stage = Stage::new(2, |_| {}).await;
    stage.stand_ins[0].always(Behaviour::Hold("late".to_owned()));
    let question = request("m");
    let asking = stage.router.ask(&question, TIME);
    let changing = async {
        let first = stage.stand_ins[0].requests();
        stage.stand_ins[0].wait_for_request(first.mark(), SOON, |_| true).await.unwrap();
        let renewed = stage.router.renewed(&of(&stage, &["b"]));
        assert_eq!(renewed.ask(&request("n"), TIME).await.unwrap().provider.as_str(), "b");
        stage.stand_ins[0].release();
    };
    let (answer, ()) = tokio::join!(asking, changing);
    assert_eq!(answer.unwrap().text, "late");
}

#[tokio::test]
async fn health_hears_at_once_whether_any_provider_of_the_new_configuration_can_be_used() {
    let stage = Stage::new(1, |_| {}).await;
    let mut none = of(&stage, &["a"]);
    none.llm_providers[0].usable = Err("api_key: the variable KEY is not set".to_owned());
    let router = stage.router.renewed(&none);
    assert!(stage.unhealthy().is_some_and(|why| why.contains("KEY")));
    drop(router.renewed(&of(&stage, &["a"])));
    let components = stage.health.snapshot(stage.clock.now()).components;
    assert!(components.iter().all(|health| health.unhealthy.is_none()), "{components:?}");
}

#[tokio::test]
async fn what_a_provider_that_is_gone_still_does_is_not_told_of_those_in_force() {
    let stage = Stage::new(2, |config| {
        config.llm_providers.truncate(1);
        config.llm_providers[0].timeout = Duration::from_secs(1);
        config.circuit_breaker.failures = 1;
    })
    .await;
    stage.stand_ins[0].always(Behaviour::Hang);
    let question = request("m");
    let asking = stage.router.ask(&question, TIME);
    let changing = async {
        stage.stand_ins[0].wait_for_request(Mark::START, SOON, |_| true).await.unwrap();
        stage.health.providers(std::iter::once(ProviderName::new("b")));
        stage.router.renewed(&of(&stage, &["b"]))
    };
    let (gave_up, renewed) = tokio::join!(asking, changing);
    assert!(matches!(gave_up, Err(GaveUp::Exhausted(_))));
    assert_eq!(stage.statuses(), [ProviderStatus::Unknown]);
    assert_eq!(stage.unhealthy(), None);
    assert_eq!(stage.state(), (State::Healthy, None));

    stage.stand_ins[1].always(server_error());
    renewed.ask(&question, TIME).await.unwrap_err();
    assert_eq!(stage.unhealthy().as_deref(), Some("all circuit breakers are open"));
    assert_eq!(stage.state(), (State::Failing, Some("all LLM providers exhausted".to_owned())));
    stage.stand_ins[0].always(Behaviour::AnswerAnew);
    assert_eq!(stage.ask("n").await.unwrap().provider.as_str(), "a");
    assert_eq!(stage.state().0, State::Failing, "an answer of the one that is gone mends nothing");
}

#[tokio::test]
async fn a_request_that_asked_everybody_in_force_counts_whatever_else_was_changed_meanwhile() {
    let stage = Stage::new(1, |config| config.circuit_breaker.failures = 1).await;
    stage.stand_ins[0].always(server_error());
    let renewed = stage.router.renewed(&of(&stage, &["a"]));
    stage.ask("m").await.unwrap_err();
    assert_eq!(stage.statuses(), [ProviderStatus::Failed]);
    assert_eq!(stage.unhealthy().as_deref(), Some("all circuit breakers are open"));
    assert_eq!(stage.state().1.as_deref(), Some("all LLM providers exhausted"));
    assert!(!renewed.states()[0].breaker.is_closed(), "the same one");
}

#[tokio::test]
async fn a_provider_that_is_asked_in_another_way_begins_anew_but_keeps_its_totals() {
    type Change = fn(&mut ProviderConfig);
    let mending: [Change; 9] = [
        |provider| provider.kind = ProviderKind::OpenAi,
        |provider| provider.base_url.push_str("/v2"),
        |provider| provider.api_key = Some(SecretString::from("another")),
        |provider| provider.model.push_str("er"),
        |provider| provider.max_tokens = 99,
        |provider| provider.max_tokens_field = MaxTokensField::None,
        |provider| provider.temperature = None,
        |provider| provider.custom_headers.push(("x-a".to_owned(), SecretString::from("b"))),
        |provider| _ = provider.extra_body.insert("a".to_owned(), json!(1)),
    ];
    let others: [Change; 5] = [
        |provider| provider.timeout = Duration::from_secs(7),
        |provider| provider.max_retries = 1,
        |provider| provider.priority = 7,
        |provider| provider.hedge_after = Some(Duration::from_secs(1)),
        |provider| provider.price = Some(Price { input_per_million: 1.0, output_per_million: 1.0 }),
    ];
    let changes = mending.into_iter().map(|change| (change, true));
    for (number, (change, mends)) in changes.chain(others.map(|change| (change, false))).enumerate() {
        let stage = Stage::new(1, |config| config.circuit_breaker.failures = 1).await;
        stage.stand_ins[0].always(Behaviour::Status(401, "{}".to_owned()));
        stage.ask("m").await.unwrap_err();
        let mut changed = of(&stage, &["a"]);
        change(&mut changed.llm_providers[0]);
        let renewed = stage.router.renewed(&changed);
        let state = &renewed.states()[0];
        let status = if mends { ProviderStatus::Unknown } else { ProviderStatus::Failed };
        assert_eq!(
            (state.breaker.is_closed(), state.status(), state.last_failure().is_none()),
            (mends, status, mends),
            "change {number}"
        );
        assert_eq!((state.calls(), state.failed_calls()), (1, 1), "change {number}");
        assert_eq!(stage.statuses(), [status], "change {number}");
        assert_eq!(stage.unhealthy().is_none(), mends, "change {number}");
        let shown = renewed.view().state(state.name()).unwrap();
        assert_eq!((shown.status(), shown.calls()), (status, 1), "change {number}");
    }
}

#[tokio::test]
async fn a_call_of_before_that_ends_late_counts_but_does_not_tell_how_the_provider_is_now() {
    let stage = Stage::new(1, |config| {
        config.circuit_breaker.failures = 1;
        config.llm_providers[0].timeout = Duration::from_secs(1);
    })
    .await;
    stage.stand_ins[0].next([Behaviour::Hang]);
    let mut mended = of(&stage, &["a"]);
    mended.llm_providers[0].model = "mended".to_owned();
    let question = request("m");
    let changing = async {
        stage.stand_ins[0].wait_for_request(Mark::START, SOON, |_| true).await.unwrap();
        let renewed = stage.router.renewed(&mended);
        renewed.ask(&request("n"), TIME).await.unwrap();
        renewed
    };
    let (gave_up, renewed) = tokio::join!(stage.router.ask(&question, TIME), changing);
    gave_up.unwrap_err();
    let state = &renewed.states()[0];
    assert_eq!((state.status(), state.calls(), state.failed_calls()), (ProviderStatus::Ok, 2, 1));
    assert!(state.breaker.is_closed());
    assert_eq!((stage.statuses(), stage.state().0), (vec![ProviderStatus::Ok], State::Healthy));
}
