//! Time: shares, deadlines, waits.

use super::*;

#[tokio::test]
async fn a_try_that_hangs_or_trickles_ends_and_the_next_provider_answers_in_its_share() {
    for behaviour in [Behaviour::Hang, Behaviour::Trickle] {
        let stage = Stage::new(2, |_| ()).await;
        stage.stand_ins[0].always(behaviour);
        let began = Instant::now();
        let answer = stage.router.ask(&request("m"), Duration::from_secs(2)).await.unwrap();
        assert_eq!(answer.provider.as_str(), "b");
        assert!(
            began.elapsed() >= answer.latency + Duration::from_secs(1),
            "the first had its half of the time"
        );
        assert_eq!(stage.statuses(), [ProviderStatus::Failed, ProviderStatus::Ok]);
        let first = &stage.router.states()[0];
        assert_eq!(first.last_failure().map(|failure| failure.kind), Some(Kind::Timeout));
        assert!(first.last_latency() >= Some(Duration::from_secs(1)));
    }
}

#[tokio::test]
async fn the_timeout_of_a_try_covers_the_whole_body() {
    let stage = Stage::new(1, |config| config.llm_providers[0].timeout = Duration::from_millis(200)).await;
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
    assert!((time..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(stage.state(), (State::Failing, Some("all LLM providers exhausted".to_owned())));
    stage.stand_ins[0].always(Behaviour::AnswerAnew);
    stage.ask("m").await.unwrap();
    assert_eq!(stage.state(), (State::Healthy, None));
}

#[tokio::test]
async fn a_wait_that_the_provider_asks_for_is_kept_in_both_forms() {
    let date = |seconds| {
        let date = Utc::now() + TimeDelta::seconds(seconds);
        date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    for (header, wait) in
        [(date(2), true), ("1".to_owned(), true), (date(3600), false), ("3600".to_owned(), false)]
    {
        let stage = Stage::new(2, |config| config.llm_providers[0].max_retries = 1).await;
        stage.stand_ins[0].next([Behaviour::RetryAfter(429, header.clone())]);
        let answer = stage.ask("m").await.unwrap();
        assert_eq!(answer.provider.as_str(), if wait { "a" } else { "b" }, "{header}");
        if let [first, second] = &stage.stand_ins[0].requests().all()[..] {
            assert!(second.at - first.at >= Duration::from_millis(900), "{header}");
        }
    }
}
