//! Keys and certificates.

use super::*;

#[tokio::test]
async fn without_a_usable_provider_a_request_is_exhausted_and_health_says_why() {
    let stage = Stage::new(2, |config| {
        config.llm_providers[0].usable = Err("OPENAI_KEY is not set".to_owned());
        config.llm_providers[1].api_key = Some("sk-planted\nkey".into());
    })
    .await;
    let (state, reason) = stage.state();
    let reason = reason.unwrap();
    assert_eq!(state, State::Degraded);
    let message = stage.unhealthy().unwrap();
    assert!(message.contains("OPENAI_KEY is not set") && message.contains("b: its api_key"), "{message}");
    assert!(!message.contains("planted") && !reason.contains("planted"), "{message} {reason}");
    assert_eq!(stage.ask("m").await, Err(GaveUp::Exhausted(Vec::new())));
    assert_eq!(stage.state().0, State::Failing);
}

#[tokio::test]
async fn no_failure_repeats_a_secret() {
    let secret = "sk-planted-0123456789";
    let words = format!("{}{secret} is wrong", "x".repeat(190));
    for behaviour in [
        Behaviour::Status(401, json!({"error": {"message": words}}).to_string()),
        Behaviour::Status(500, format!("{secret} {secret}")),
        Behaviour::Json(json!({"error": words})),
        Behaviour::Json(json!({"choices": [{"message": {"refusal": secret}}]})),
    ] {
        let stage = Stage::new(1, |config| {
            let secret = SecretString::from(format!("Bearer {secret}"));
            config.llm_providers[0].custom_headers = vec![("authorization".to_owned(), secret)];
        })
        .await;
        stage.stand_ins[0].always(behaviour.clone());
        let gave_up = stage.ask("m").await.unwrap_err();
        assert!(!format!("{gave_up} {gave_up:?}").contains("sk-p"), "{behaviour:?}: {gave_up}");
    }
}

#[tokio::test]
async fn a_key_that_was_replaced_is_not_repeated_either() {
    let stage = Stage::new(1, |config| {
        config.llm_providers[0].api_key = Some("key-of-yesterday".into());
    })
    .await;
    let mut changed = config(json!({}));
    changed.llm_providers = vec![ProviderConfig {
        base_url: stage.stand_ins[0].base_url(),
        api_key: Some("key-of-today".into()),
        ..provider("a")
    }];
    let router = stage.router.renewed(&changed);
    stage.stand_ins[0].always(Behaviour::answer("key-of-yesterday, dear friend"));
    assert_eq!(router.ask(&request("m"), TIME).await.unwrap().text, "****, dear friend");
}

#[tokio::test]
async fn a_provider_repeats_nothing_of_another_ones_either() {
    for behaviour in [
        Behaviour::Status(401, r#"{"error":{"message":"no key\/of-the-second"}}"#.to_owned()),
        Behaviour::Status(500, "key/of-the-second".to_owned()),
        Behaviour::Json(json!({"error": "key/of-the-second"})),
        Behaviour::answer("key/of-the-second, dear friend"),
    ] {
        let stage = Stage::new(2, |config| {
            config.llm_providers[1].api_key = Some("key/of-the-second".into());
            config.llm_providers[1].usable = Err("not now".to_owned());
        })
        .await;
        stage.stand_ins[0].always(behaviour.clone());
        let told = format!("{:?} {:?}", stage.ask("m").await, stage.router.states());
        assert!(told.contains("****") && !told.contains("of-the-second"), "{behaviour:?}: {told}");
    }
}

#[tokio::test]
async fn a_title_may_be_said_but_is_not_logged() {
    for (behaviour, is_told) in [
        (Behaviour::answer("this is long-title"), true),
        (Behaviour::Json(json!({"error": "long-title"})), false),
        (Behaviour::Status(400, r#"{"error":"long-title"}"#.to_owned()), false),
    ] {
        let stage = Stage::new(1, |config| {
            config.llm_providers[0].custom_headers = vec![("X-Title".to_owned(), "long-title".into())];
        })
        .await;
        stage.stand_ins[0].always(behaviour.clone());
        let told = format!("{:?} {:?}", stage.ask("m").await, stage.router.states());
        assert_eq!(told.contains("long-title"), is_told, "{behaviour:?}: {told}");
    }
}

#[tokio::test]
async fn an_answer_that_quotes_our_key_does_not_reach_chat_with_it() {
    let stage =
        Stage::new(1, |config| config.llm_providers[0].api_key = Some("sk-planted-0123456789".into())).await;
    stage.stand_ins[0].always(Behaviour::answer("it is sk-planted-0123456789!"));
    assert_eq!(stage.ask("m").await.unwrap().text, "it is ****!");

    let title = |config: &mut Config| {
        config.llm_providers[0].custom_headers = vec![("X-Title".to_owned(), "Movie Night".into())]
    };
    let stage = Stage::new(1, title).await;
    stage.stand_ins[0].always(Behaviour::answer("Welcome to Movie Night!"));
    assert_eq!(stage.ask("m").await.unwrap().text, "Welcome to Movie Night!");
}

#[tokio::test]
async fn a_provider_behind_tls_needs_the_certificates_and_others_are_not_held_up_by_it() {
    let stage = Stage::new(2, |config| {
        let provider = &mut config.llm_providers[0];
        provider.base_url = provider.base_url.replace("http:", "https:");
    })
    .await;
    stage.router.warm_up().await;
    assert_eq!(stage.ask("m").await.unwrap().provider.as_str(), "b");
    let first = &stage.router.states()[0];
    assert_eq!(first.last_failure().map(|(failure, _)| failure.kind), Some(Kind::Connection));
}
