//! A changed configuration.

use super::*;

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
    let components = stage.health.snapshot(stage.clock.now()).components;
    let llm = components.iter().find(|health| health.component == Component::LlmProviders);
    assert!(llm.and_then(|health| health.unhealthy.as_deref()).is_some_and(|why| why.contains("KEY")));
    drop(router.renewed(&of(&stage, &["a"])));
    let components = stage.health.snapshot(stage.clock.now()).components;
    assert!(components.iter().all(|health| health.unhealthy.is_none()), "{components:?}");
}
