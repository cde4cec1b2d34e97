//! The breaker at work.

use super::*;

#[tokio::test]
async fn an_open_breaker_skips_the_provider_then_lets_a_single_probe_through() {
    let stage = Stage::new(2, |config| {
        config.circuit_breaker = CircuitBreaker { failures: 2, open: Duration::from_secs(1) };
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
    let stage = Stage::new(1, |config| config.circuit_breaker.failures = 1).await;
    let a = &stage.stand_ins[0];
    a.next([server_error(), Behaviour::Hold("back".to_owned())]);
    assert!(stage.ask("m").await.is_err());
    assert_eq!(stage.unhealthy().as_deref(), Some("all circuit breakers are open"));
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
    assert_eq!(stage.unhealthy(), None);
}

#[tokio::test]
async fn a_cancelled_probe_gives_its_slot_back_and_counts_as_neither() {
    let stage = Stage::new(1, |config| config.circuit_breaker.failures = 1).await;
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
