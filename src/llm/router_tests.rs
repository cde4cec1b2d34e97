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

#[tokio::test]
async fn a_call_carries_key_correlation_id_and_custom_headers_last() {
    let stage = Stage::new(1, |cast| {
        let provider = &mut cast.providers[0];
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
    let stage = Stage::new(1, |cast| {
        cast.providers[0].kind = ProviderKind::Anthropic;
        cast.providers[0].api_key = Some("sk-planted-key".into());
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
        let stage = Stage::new(1, |cast| cast.providers[0].max_retries = 2).await;
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
async fn a_try_that_hangs_or_trickles_ends_and_the_next_provider_answers_in_its_share() {
    for behaviour in [Behaviour::Hang, Behaviour::Trickle] {
        let stage = Stage::new(2, |_| ()).await;
        stage.stand_ins[0].always(behaviour);
        let began = Instant::now();
        let answer = stage.router.ask(&request("m"), Duration::from_secs(1)).await.unwrap();
        assert_eq!(answer.provider.as_str(), "b");
        assert!(began.elapsed() >= Duration::from_millis(500), "the first had its half of the time");
        assert!(answer.latency < Duration::from_millis(500), "{:?}", answer.latency);
        assert_eq!(stage.statuses(), [ProviderStatus::Failed, ProviderStatus::Ok]);
        let first = &stage.router.states()[0];
        assert_eq!(first.last_failure().map(|failure| failure.kind), Some(Kind::Timeout));
        assert!(first.last_latency() >= Some(Duration::from_millis(500)));
    }
}

#[tokio::test]
async fn the_timeout_of_a_try_covers_the_whole_body() {
    let stage = Stage::new(1, |cast| cast.providers[0].timeout = Duration::from_millis(200)).await;
    stage.stand_ins[0].always(Behaviour::Trickle);
    assert_eq!(stage.kinds(TIME).await.0, [Kind::Timeout]);
}

#[tokio::test]
async fn the_deadline_passing_is_exhaustion_and_a_success_ends_it() {
    let stage = Stage::new(2, |_| ()).await;
    stage.stand_ins.iter().for_each(|stand_in| stand_in.always(Behaviour::Hang));
    let began = Instant::now();
    let time = Duration::from_millis(300);
    assert_eq!(stage.kinds(time).await, (vec![Kind::Timeout; 2], vec![1, 1]));
    assert!(began.elapsed() >= time && began.elapsed() < time * 4, "{:?}", began.elapsed());
    assert_eq!(stage.state(), (State::Failing, Some("all LLM providers exhausted".to_owned())));
    stage.stand_ins[0].always(Behaviour::AnswerAnew);
    stage.ask("m").await.unwrap();
    assert_eq!(stage.state(), (State::Healthy, None));
}

#[tokio::test]
async fn a_provider_has_max_retries_and_one_tries() {
    for (failures, answered) in [(2, true), (3, false)] {
        let stage = Stage::new(1, |cast| cast.providers[0].max_retries = 2).await;
        stage.stand_ins[0].next(std::iter::repeat_with(server_error).take(failures));
        assert_eq!(stage.ask("m").await.is_ok(), answered);
        assert_eq!(stage.stand_ins[0].requests().count(), 3);
    }
}

#[tokio::test]
async fn a_wait_that_the_provider_asks_for_is_kept_in_both_forms() {
    let date = (Utc::now() + TimeDelta::seconds(2)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let (long_date, long) = ("Fri, 31 Dec 2100 23:59:59 GMT".to_owned(), "3600".to_owned());
    for (header, wait) in [("1".to_owned(), true), (date, true), (long_date, false), (long, false)] {
        let stage = Stage::new(2, |cast| cast.providers[0].max_retries = 1).await;
        stage.stand_ins[0].next([Behaviour::RetryAfter(429, header.clone())]);
        let answer = stage.ask("m").await.unwrap();
        assert_eq!(answer.provider.as_str(), if wait { "a" } else { "b" }, "{header}");
        if let [first, second] = &stage.stand_ins[0].requests().all()[..] {
            assert!(second.at - first.at >= Duration::from_millis(900), "{header}");
        }
    }
}

#[tokio::test]
async fn req_003_refused_content_is_not_an_outage() {
    let status = |status: u16| Behaviour::Status(status, "{}".to_owned());
    for behaviour in [status(400), status(413), status(422), Behaviour::ContentFilter] {
        let stage = Stage::new(2, |cast| cast.providers[0].max_retries = 2).await;
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
async fn an_open_breaker_skips_the_provider_then_lets_a_single_probe_through() {
    let stage = Stage::new(2, |cast| {
        cast.breaker = CircuitBreaker { failures: 2, open: Duration::from_millis(300) };
    })
    .await;
    let [a, b] = &stage.stand_ins[..] else { unreachable!() };
    a.always(server_error());
    for _ in 0..3 {
        assert_eq!(stage.ask("m").await.unwrap().provider.as_str(), "b");
    }
    assert_eq!(a.requests().count(), 2, "the third request left it out");
    a.always(Behaviour::Hold("back".to_owned()));
    let probe = async {
        loop {
            let answer = stage.ask("m").await.unwrap();
            if answer.provider.as_str() == "a" {
                return answer;
            }
        }
    };
    let others = async {
        a.wait_for_request(a.requests().mark(), SOON, |_| true).await.unwrap();
        for _ in 0..20 {
            assert_eq!(stage.ask("m").await.unwrap().provider.as_str(), "b");
        }
        assert_eq!(a.requests().count(), 3, "one probe at a time");
        a.release();
    };
    assert_eq!(tokio::join!(probe, others).0.text, "back");
    a.always(Behaviour::AnswerAnew);
    let before = b.requests().count();
    assert_eq!(stage.ask("m").await.unwrap().provider.as_str(), "a");
    assert_eq!(b.requests().count(), before);
}

#[tokio::test]
async fn when_all_breakers_are_open_one_request_probes_and_the_others_wait_for_its_verdict() {
    let stage = Stage::new(1, |cast| cast.breaker.failures = 1).await;
    let a = &stage.stand_ins[0];
    a.next([server_error(), Behaviour::Hold("back".to_owned())]);
    assert!(stage.ask("m").await.is_err());
    let unusable = |stage: &Stage| {
        let components = stage.health.snapshot(stage.clock.now()).components;
        let providers = components.into_iter().find(|known| known.component == Component::LlmProviders);
        providers.and_then(|providers| providers.unhealthy)
    };
    assert_eq!(unusable(&stage).as_deref(), Some("all circuit breakers are open"));
    let mark = a.requests().mark();
    let release = async {
        a.wait_for_request(mark, SOON, |_| true).await.unwrap();
        assert_eq!(a.requests().since(mark).len(), 1, "the second one waits");
        a.release();
    };
    let (first, second, ()) = tokio::join!(stage.ask("m"), stage.ask("n"), release);
    assert_eq!(first.unwrap().text, "back");
    assert!(second.is_ok());
    assert_eq!(a.requests().since(mark).len(), 2);
    assert_eq!(unusable(&stage), None);
}

#[tokio::test]
async fn a_cancelled_probe_gives_its_slot_back_and_counts_as_neither() {
    let stage = Stage::new(1, |cast| cast.breaker.failures = 1).await;
    let a = &stage.stand_ins[0];
    a.next([server_error(), Behaviour::Hang]);
    assert!(stage.ask("m").await.is_err());
    let router = stage.router.clone();
    let mark = a.requests().mark();
    let probe = tokio::spawn(async move { router.ask(&request("m"), TIME).await });
    a.wait_for_request(mark, SOON, |_| true).await.unwrap();
    probe.abort();
    assert!(probe.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(stage.router.states()[0].calls(), 1);
    assert!(stage.ask("m").await.is_ok(), "the next request probes");
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

#[tokio::test]
async fn without_a_usable_provider_a_request_is_exhausted_and_health_says_why() {
    let stage = Stage::new(2, |cast| {
        cast.providers[0].usable = Err("OPENAI_KEY is not set".to_owned());
        cast.providers[1].api_key = Some("sk-planted\nkey".into());
    })
    .await;
    let (state, reason) = stage.state();
    let reason = reason.unwrap();
    assert_eq!(state, State::Degraded);
    let components = stage.health.snapshot(stage.clock.now()).components;
    let message = components.into_iter().find_map(|known| known.unhealthy).unwrap();
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
        let stage = Stage::new(1, |cast| {
            let secret = SecretString::from(secret);
            cast.providers[0].custom_headers = vec![("authorization".to_owned(), secret)];
        })
        .await;
        stage.stand_ins[0].always(behaviour.clone());
        let gave_up = stage.ask("m").await.unwrap_err();
        assert!(!format!("{gave_up} {gave_up:?}").contains("sk-p"), "{behaviour:?}: {gave_up}");
    }
}

#[tokio::test]
async fn an_answer_that_quotes_our_key_does_not_reach_chat_with_it() {
    let stage = Stage::new(1, |cast| cast.providers[0].api_key = Some("sk-planted-0123456789".into())).await;
    stage.stand_ins[0].always(Behaviour::answer("it is sk-planted-0123456789!"));
    assert_eq!(stage.ask("m").await.unwrap().text, "it is ****!");
}

#[tokio::test]
async fn a_provider_behind_tls_needs_the_certificates_and_others_are_not_held_up_by_it() {
    let stage = Stage::new(2, |cast| {
        let provider = &mut cast.providers[0];
        provider.base_url = provider.base_url.replace("http:", "https:");
    })
    .await;
    stage.router.warm_up().await;
    assert_eq!(stage.ask("m").await.unwrap().provider.as_str(), "b");
    let first = &stage.router.states()[0];
    assert_eq!(first.last_failure().map(|failure| failure.kind), Some(Kind::Connection));
}
