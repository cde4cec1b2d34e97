//! What may be spent is asked before each call.

use kryten_testkit::provider::{COMPLETION_TOKENS, PROMPT_TOKENS};

use super::*;
use crate::config::Price;
use crate::names::Username;

const PRICE: Price = Price { input_per_million: 1.0, output_per_million: 10.0 };

/// The spend limit that kept everybody from being asked.
fn spent(asked: Result<Answer, GaveUp>) -> Option<Reason> {
    match asked {
        Err(GaveUp::Spent(denied)) => Some(denied.limit),
        _ => None,
    }
}

fn calls(stage: &Stage) -> Vec<usize> {
    stage.stand_ins.iter().map(|stand_in| stand_in.requests().count()).collect()
}

#[tokio::test]
async fn every_try_at_every_provider_counts_and_no_more_are_made_than_allowed() {
    for (allowed, expected) in [(0, [0, 0]), (1, [1, 0]), (2, [2, 0]), (4, [3, 1]), (5, [3, 2])] {
        let stage = Stage::new(2, |config| {
            config.spend.max_calls_per_day = Some(allowed);
            config.llm_providers.iter_mut().for_each(|provider| provider.max_retries = 2);
        })
        .await;
        stage.stand_ins.iter().for_each(|stand_in| stand_in.always(server_error()));
        assert_eq!(spent(stage.ask("m").await), Some(Reason::SpendCalls), "{allowed}");
        assert_eq!(calls(&stage), expected, "{allowed}");
        assert_ne!(stage.state().1.as_deref(), Some("all LLM providers exhausted"), "it is no outage");
    }
}

#[tokio::test]
async fn a_free_provider_answers_when_the_other_one_may_cost_too_much() {
    let stage = Stage::new(2, |config| {
        config.spend.max_cost_per_day = Some(0.000_1);
        config.llm_providers[0].price = Some(PRICE);
    })
    .await;
    assert_eq!(stage.ask("m").await.unwrap().provider.as_str(), "b");
    assert_eq!(calls(&stage), [0, 1]);
    assert_eq!(stage.statuses(), [ProviderStatus::Unknown, ProviderStatus::Ok]);
    assert!(stage.router.states()[0].breaker.is_closed());
}

#[tokio::test]
async fn what_an_answer_has_really_used_is_what_counts() {
    let used = PROMPT_TOKENS + COMPLETION_TOKENS;
    let stage = Stage::new(1, |config| config.spend.max_tokens_per_day = Some(300 + 3 * used)).await;
    for message in ["1", "2", "3"] {
        assert!(stage.ask(message).await.is_ok(), "{message}: 256 and the prompt fit behind what was used");
    }
    assert!(stage.ask("4").await.is_ok());
    assert_eq!(spent(stage.ask("5").await), Some(Reason::SpendTokens));
    assert_eq!(calls(&stage), [4]);
}

#[tokio::test]
async fn how_long_it_took_to_write_a_call_down_is_told_beside_what_the_provider_took() {
    let limited = Stage::new(1, |config| config.spend.max_calls_per_day = Some(1)).await;
    let answer = limited.ask("1").await.unwrap();
    assert!(answer.reserving > Duration::ZERO && answer.latency > Duration::ZERO, "{answer:?}");
}

#[tokio::test]
async fn a_call_that_costs_nothing_leaves_its_tokens_to_others_and_one_of_unknown_cost_does_not() {
    let hang = |config: &mut Config| config.llm_providers[0].timeout = Duration::from_millis(100);
    let away = |config: &mut Config| config.llm_providers[0].base_url = "http://127.0.0.1:9/v1".to_owned();
    let as_is = |_: &mut Config| ();
    for (behaviour, adjust, second) in [
        (Behaviour::Status(400, "{}".to_owned()), &as_is as &dyn Fn(&mut Config), None),
        (Behaviour::Hang, &hang, Some(Reason::SpendTokens)),
        (Behaviour::NotJson, &as_is, Some(Reason::SpendTokens)),
        (Behaviour::CutMidBody, &as_is, Some(Reason::SpendTokens)),
        (server_error(), &as_is, Some(Reason::SpendTokens)),
    ] {
        let stage = Stage::new(1, |config| {
            config.spend.max_tokens_per_day = Some(300);
            adjust(config);
        })
        .await;
        stage.stand_ins[0].always(behaviour.clone());
        let _ = stage.ask("1").await;
        let asked = stage.ask("2").await;
        assert_eq!(asked == Err(GaveUp::Refused), second.is_none(), "{behaviour:?}");
        assert_eq!(spent(asked), second, "{behaviour:?}");
    }
    let stage = Stage::new(1, |config| {
        config.spend.max_tokens_per_day = Some(300);
        away(config);
    })
    .await;
    for message in ["1", "2"] {
        assert!(matches!(stage.ask(message).await, Err(GaveUp::Exhausted(_))), "nobody was reached");
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_counts_with_all_that_it_may_have_used() {
    let stage = Stage::new(1, |config| config.spend.max_tokens_per_day = Some(300)).await;
    stage.stand_ins[0].next([Behaviour::Hang]);
    let router = stage.router.clone();
    let mark = stage.stand_ins[0].requests().mark();
    let asking = tokio::spawn(async move { router.ask(&request("m"), TIME).await });
    stage.stand_ins[0].wait_for_request(mark, SOON, |_| true).await.unwrap();
    asking.abort();
    assert!(asking.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(spent(stage.ask("n").await), Some(Reason::SpendTokens));
}

#[tokio::test]
async fn a_users_limit_holds_for_that_user_alone() {
    let stage = Stage::new(1, |config| config.spend.max_tokens_per_user_per_day = Some(300)).await;
    for (user, is_answered) in
        [(Some("bob"), true), (Some("Bob"), false), (Some("ann"), true), (None, true), (None, true)]
    {
        let request = Request { for_whom: user.map(Username::new), ..request("m") };
        let answer = stage.router.ask(&request, TIME).await;
        match is_answered {
            true => assert!(answer.is_ok(), "{user:?}"),
            false => assert_eq!(spent(answer), Some(Reason::SpendUser)),
        }
    }
}

#[tokio::test]
async fn a_probe_that_may_not_be_made_gives_its_slot_back() {
    let stage = Stage::new(1, |config| {
        config.circuit_breaker.failures = 1;
        config.spend.max_calls_per_day = Some(1);
    })
    .await;
    stage.stand_ins[0].always(server_error());
    assert!(matches!(stage.ask("m").await, Err(GaveUp::Exhausted(_))));
    let (one, two) = tokio::join!(stage.ask("n"), stage.ask("o"));
    assert_eq!([one, two].map(spent), [Some(Reason::SpendCalls); 2]);
    let probe = stage.router.0.known().states[0].breaker.admit_as_last_resort();
    assert_eq!(probe, crate::llm::breaker::Admit::Probe, "nobody holds the slot");
    assert_eq!(calls(&stage), [1]);
}

#[tokio::test]
async fn of_many_requests_at_once_only_as_many_call_as_are_allowed() {
    let stage = Stage::new(1, |config| config.spend.max_calls_per_minute = Some(5)).await;
    stage.stand_ins[0].always(Behaviour::AnswerAfter(Duration::from_millis(50), "slowly".to_owned()));
    let messages: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let answers = futures_util::future::join_all(messages.iter().map(|message| stage.ask(message))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 5);
    assert_eq!(calls(&stage), [5]);
}

#[tokio::test]
async fn the_length_that_is_asked_for_in_extra_body_is_what_is_reserved() {
    for (field, is_asked) in [("max_tokens", false), ("max_completion_tokens", false), ("top_p", true)] {
        let stage = Stage::new(1, |config| {
            config.spend.max_tokens_per_day = Some(1_000);
            config.llm_providers[0].extra_body.insert(field.to_owned(), json!(2_000));
        })
        .await;
        assert_eq!(stage.ask("m").await.is_ok(), is_asked, "{field}");
    }
}
