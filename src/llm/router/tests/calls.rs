//! What is sent, and what becomes of each kind of answer.

use super::*;

#[tokio::test]
async fn a_call_carries_key_correlation_id_and_custom_headers_last() {
    let stage = Stage::new(1, |config| {
        let provider = &mut config.llm_providers[0];
        provider.api_key = Some("sk-planted-key".into());
        provider.custom_headers = vec![
            ("X-Title".to_owned(), "vera".into()),
            ("content-type".to_owned(), "application/json; charset=utf-8".into()),
        ];
    })
    .await;
    stage.stand_ins[0].always(Behaviour::answer(" hello you "));
    let answer = stage.ask("id-1\r\nX-Evil: 1").await.unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.provider.as_str(), answer.model.as_str()),
        ("hello you", "a", "small")
    );
    assert_eq!(
        answer.tokens.map(|tokens| (tokens.prompt, tokens.completion, tokens.total)),
        Some((100, 20, 120))
    );
    let call = &stage.stand_ins[0].requests().all()[0];
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/v1/chat/completions"));
    for (header, value) in [
        ("authorization", Some("Bearer sk-planted-key")),
        ("x-request-id", Some("id-1X-Evil:1")),
        ("x-title", Some("vera")),
        ("content-type", Some("application/json; charset=utf-8")),
        ("x-evil", None),
    ] {
        assert_eq!(call.header(header), value, "{header}");
    }
    assert_eq!(call.json["messages"][1]["content"], "hello");
    let state = &stage.router.states()[0];
    assert_eq!((state.calls(), state.tokens().total), (1, 120));
}

#[tokio::test]
async fn anthropic_is_spoken_where_it_is_configured() {
    let stage = Stage::new(1, |config| {
        config.llm_providers[0].kind = ProviderKind::Anthropic;
        config.llm_providers[0].api_key = Some("sk-planted-key".into());
    })
    .await;
    stage.stand_ins[0].always(Behaviour::answer("hello"));
    assert_eq!(stage.ask("m").await.unwrap().text, "hello");
    let call = &stage.stand_ins[0].requests().all()[0];
    assert_eq!((call.path.as_str(), call.header("authorization")), ("/v1/messages", None));
    assert_eq!(call.header("x-api-key"), Some("sk-planted-key"));
    assert_eq!(call.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(call.json["system"], "You are Vera.");
}

#[tokio::test]
async fn each_misbehaviour_has_its_kind_and_its_number_of_tries() {
    let status = |status: u16| Behaviour::Status(status, "{}".to_owned());
    for (behaviour, kind, tries) in [
        (Behaviour::Reset, Kind::Connection, 3),
        (Behaviour::CutMidBody, Kind::Connection, 3),
        (Behaviour::Huge(2 * 1024 * 1024), Kind::UnusableBody, 2),
        (Behaviour::NotJson, Kind::UnusableBody, 2),
        (Behaviour::NoChoices, Kind::UnusableBody, 2),
        (Behaviour::EmptyContent, Kind::UnusableBody, 2),
        (Behaviour::ReasoningAteTokens, Kind::ReasoningAteTokens, 2),
        (status(302), Kind::Rejected, 1),
        (status(401), Kind::BadKey, 1),
        (status(403), Kind::BadKey, 1),
        (status(404), Kind::ModelNotFound, 1),
        (status(408), Kind::Timeout, 3),
        (status(409), Kind::Server, 3),
        (status(425), Kind::Server, 3),
        (status(429), Kind::RateLimited, 1),
        (status(500), Kind::Server, 3),
        (status(503), Kind::Server, 3),
    ] {
        let stage = Stage::new(1, |config| config.llm_providers[0].max_retries = 2).await;
        stage.stand_ins[0].always(behaviour.clone());
        assert_eq!(stage.kinds(TIME).await, (vec![kind], vec![tries]), "{behaviour:?}");
        assert_eq!(stage.statuses(), [ProviderStatus::Failed], "{behaviour:?}");
        assert_eq!(stage.state(), (State::Failing, Some("all LLM providers exhausted".to_owned())));
    }
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_read() {
    let stage = Stage::new(1, |_| ()).await;
    stage.stand_ins[0].always(Behaviour::Huge(LARGEST_BODY - 1024));
    assert_eq!(stage.ask("m").await.unwrap().text.len(), LARGEST_BODY - 1024);
}

#[tokio::test]
async fn a_provider_has_max_retries_and_one_tries() {
    for (failures, answered) in [(2, true), (3, false)] {
        let stage = Stage::new(1, |config| config.llm_providers[0].max_retries = 2).await;
        stage.stand_ins[0].next(std::iter::repeat_with(server_error).take(failures));
        assert_eq!(stage.ask("m").await.is_ok(), answered);
        assert_eq!(stage.stand_ins[0].requests().count(), 3);
    }
}

#[tokio::test]
async fn req_003_refused_content_is_not_an_outage() {
    let status = |status: u16| Behaviour::Status(status, "{}".to_owned());
    for behaviour in [status(400), status(413), status(422), Behaviour::ContentFilter] {
        let stage = Stage::new(2, |config| config.llm_providers[0].max_retries = 2).await;
        stage.stand_ins.iter().for_each(|stand_in| stand_in.always(behaviour.clone()));
        assert_eq!(stage.ask("m").await, Err(GaveUp::Refused), "{behaviour:?}");
        assert_eq!(stage.stand_ins[0].requests().count(), 1, "{behaviour:?}");
        assert_eq!(stage.statuses(), [ProviderStatus::Unknown; 2], "{behaviour:?}");
        assert_eq!(stage.state(), (State::Healthy, None), "{behaviour:?}");
        stage.stand_ins[1].always(Behaviour::AnswerAnew);
        assert_eq!(stage.ask("n").await.unwrap().provider.as_str(), "b", "the next one is asked");
    }
}

#[tokio::test]
async fn a_provider_that_refuses_five_different_messages_is_seen() {
    let stage = Stage::new(1, |_| ()).await;
    stage.stand_ins[0].always(Behaviour::Status(400, r#"{"error":{"message":"no top_k"}}"#.to_owned()));
    for message in ["1", "1", "2", "3", "4"] {
        assert_eq!(stage.ask(message).await, Err(GaveUp::Refused));
        assert_eq!(stage.state().0, State::Healthy);
    }
    assert_eq!(stage.ask("5").await, Err(GaveUp::Refused));
    assert_eq!(stage.statuses(), [ProviderStatus::Failed]);
    assert_eq!(stage.state().0, State::Degraded);
}

#[tokio::test]
async fn connections_are_used_again() {
    let stage = Stage::new(1, |_| ()).await;
    for behaviour in [Behaviour::AnswerAnew, server_error(), Behaviour::AnswerAnew, Behaviour::NotJson] {
        stage.stand_ins[0].next([behaviour]);
        let _ = stage.ask("m").await;
    }
    assert_eq!((stage.stand_ins[0].requests().count(), stage.stand_ins[0].connections()), (4, 1));
}

#[tokio::test]
async fn a_hundred_requests_are_under_way_at_once() {
    let stage = Stage::new(1, |_| ()).await;
    let a = &stage.stand_ins[0];
    a.always(Behaviour::Hold("all".to_owned()));
    let messages: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let asked = futures_util::future::join_all(messages.iter().map(|message| stage.ask(message)));
    let mut arrived = 0;
    let release = async {
        let hundredth = |_: &_| {
            arrived += 1;
            arrived == 100
        };
        a.wait_for_request(kryten_testkit::journal::Mark::START, SOON, hundredth).await.unwrap();
        a.release();
    };
    let (answers, ()) = tokio::join!(asked, release);
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.text == "all")));
}

#[tokio::test]
async fn the_triggers_own_provider_is_asked_first() {
    let stage = Stage::new(2, |_| ()).await;
    for (preferred, expected) in [(Some("b"), "b"), (Some("nobody"), "a"), (None, "a")] {
        let request = Request { preferred_provider: preferred.map(ProviderName::new), ..request("m") };
        assert_eq!(stage.router.ask(&request, TIME).await.unwrap().provider.as_str(), expected);
    }
}
