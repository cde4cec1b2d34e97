//! A slow provider, and the next one that is asked beside it.

use kryten_testkit::journal::Mark;

use super::*;
use crate::llm::breaker::Admit;

const HEDGE: Duration = Duration::from_millis(100);

/// Two providers, of which the first is left running after a tenth of a second.
async fn stage(adjust: impl FnOnce(&mut Config)) -> Stage {
    let hedge = |config: &mut Config| {
        config.llm_providers[0].hedge_after = Some(HEDGE);
        adjust(config);
    };
    Stage::new(2, hedge).await
}

fn asked(stage: &Stage) -> [usize; 2] {
    [0, 1].map(|provider: usize| stage.stand_ins[provider].requests().count())
}

async fn hung_up(stand_in: &Provider) {
    stand_in.hang_ups().wait_since(Mark::START, "a closed connection", SOON, |_| true).await.unwrap();
}

#[tokio::test]
async fn the_second_answers_first_and_the_first_is_cancelled_and_counts_as_neither() {
    let stage = stage(|config| config.spend.max_calls_per_day = Some(2)).await;
    stage.stand_ins[0].always(Behaviour::Hang);
    let began = Instant::now();
    assert_eq!(stage.ask("m").await.unwrap().provider.as_str(), "b");
    assert!(began.elapsed() >= HEDGE);
    hung_up(&stage.stand_ins[0]).await;
    assert_eq!(stage.statuses(), [ProviderStatus::Unknown, ProviderStatus::Ok]);
    let states = stage.router.states();
    assert_eq!((states[0].calls(), states[1].calls()), (0, 1));
    assert!(states[0].last_failure().is_none() && states[0].breaker.is_closed());
    let view = stage.router.view();
    let spent = |name| view.spent(stage.clock.now(), &ProviderName::new(name));
    assert_eq!((spent("a").calls, spent("a").completion_tokens), (1, 256), "what was reserved stays counted");
    assert_eq!((spent("b").calls, spent("b").completion_tokens), (1, 20));
    assert!(
        matches!(stage.ask("n").await, Err(GaveUp::Spent(denied)) if denied.limit == Reason::SpendCalls),
        "both calls count"
    );
}

#[tokio::test]
async fn the_first_may_still_be_the_first_to_answer() {
    let stage = stage(|_| ()).await;
    let [a, b] = &stage.stand_ins[..] else { panic!("two stand-ins") };
    a.always(Behaviour::Hold("the first".to_owned()));
    b.always(Behaviour::Hang);
    let second_is_asked = async {
        b.wait_for_request(Mark::START, SOON, |_| true).await.unwrap();
        a.release();
    };
    let (answer, ()) = tokio::join!(stage.ask("m"), second_is_asked);
    assert_eq!(answer.unwrap().text, "the first");
    hung_up(b).await;
    assert_eq!(stage.statuses(), [ProviderStatus::Ok, ProviderStatus::Unknown]);
}

#[tokio::test]
async fn who_answers_in_time_is_asked_alone() {
    let stage = stage(|config| config.llm_providers[0].hedge_after = Some(SOON)).await;
    assert_eq!(stage.ask("m").await.unwrap().provider.as_str(), "a");
    stage.stand_ins[0].next([server_error()]);
    assert_eq!(stage.ask("n").await.unwrap().provider.as_str(), "b", "a failure is no slowness");
    assert_eq!(asked(&stage), [2, 1]);
    stage.stand_ins.iter().for_each(|stand_in| assert_eq!(stand_in.hang_ups().count(), 0));
}

#[tokio::test]
async fn when_both_fail_each_in_its_way_the_request_is_exhausted() {
    let stage = stage(|config| config.llm_providers[0].timeout = Duration::from_millis(400)).await;
    stage.stand_ins[0].always(Behaviour::Hang);
    stage.stand_ins[1].always(Behaviour::Status(401, "{}".to_owned()));
    assert_eq!(stage.kinds(TIME).await, (vec![Kind::BadKey, Kind::Timeout], vec![1, 1]));
    assert_eq!(stage.statuses(), [ProviderStatus::Failed; 2]);
    assert_eq!(stage.state(), (State::Failing, Some("all LLM providers exhausted".to_owned())));
}

#[tokio::test]
async fn a_failure_of_the_one_left_running_is_its_own_and_the_other_goes_on() {
    let stage = stage(|config| config.llm_providers[0].timeout = Duration::from_millis(300)).await;
    let [a, b] = &stage.stand_ins[..] else { panic!("two stand-ins") };
    a.always(Behaviour::Hang);
    b.always(Behaviour::Hold("at last".to_owned()));
    let first_is_over = async {
        hung_up(a).await;
        b.release();
    };
    let (answer, ()) = tokio::join!(stage.ask("m"), first_is_over);
    assert_eq!(answer.unwrap().text, "at last");
    assert_eq!(stage.statuses(), [ProviderStatus::Failed, ProviderStatus::Ok]);
    assert_eq!(asked(&stage), [1, 1], "the plan has moved on from the first");
}

#[tokio::test]
async fn a_probe_that_is_cancelled_by_the_others_answer_gives_its_slot_back() {
    for probed in [0, 1] {
        let stage = stage(|config| config.circuit_breaker.open = Duration::ZERO).await;
        let limits = CircuitBreaker { failures: 1, open: Duration::ZERO };
        {
            let breaker = &mut stage.router.0.known().states[probed].breaker;
            breaker.adopt(limits);
            assert!(breaker.failed(Duration::ZERO, false));
        }
        let [slow, quick] = [&stage.stand_ins[probed], &stage.stand_ins[1 - probed]];
        slow.always(Behaviour::Hang);
        quick.always(Behaviour::Hold("quick".to_owned()));
        let both_are_asked = async {
            slow.wait_for_request(Mark::START, SOON, |_| true).await.unwrap();
            quick.wait_for_request(Mark::START, SOON, |_| true).await.unwrap();
            assert_eq!(
                stage.router.0.known().states[probed].breaker.outlook(SOON),
                Admit::Skip,
                "it is taken"
            );
            quick.release();
        };
        let (answer, ()) = tokio::join!(stage.ask("m"), both_are_asked);
        assert_eq!(answer.unwrap().text, "quick");
        let state = &stage.router.states()[probed];
        assert_eq!((state.calls(), state.breaker.outlook(SOON)), (0, Admit::Probe), "{probed}");
    }
}

#[tokio::test]
async fn cancelling_the_request_cancels_both_calls() {
    let stage = stage(|_| ()).await;
    stage.stand_ins.iter().for_each(|stand_in| stand_in.always(Behaviour::Hang));
    let question = request("m");
    let second_is_asked = stage.stand_ins[1].wait_for_request(Mark::START, SOON, |_| true);
    tokio::select! {
        answer = stage.router.ask(&question, TIME) => panic!("{answer:?}"),
        request = second_is_asked => drop(request.unwrap()),
    }
    for stand_in in &stage.stand_ins {
        hung_up(stand_in).await;
    }
    assert_eq!(stage.statuses(), [ProviderStatus::Unknown; 2]);
}

#[tokio::test]
async fn the_deadline_holds_for_both_calls_together() {
    let stage = stage(|_| ()).await;
    stage.stand_ins.iter().for_each(|stand_in| stand_in.always(Behaviour::Hang));
    let began = Instant::now();
    let time = Duration::from_millis(600);
    let (mut kinds, calls) = stage.kinds(time).await;
    kinds.dedup();
    assert_eq!((kinds, calls), (vec![Kind::Timeout], vec![1, 1]));
    assert!((time..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
}
