//! The handle on the bus, with a real server behind it.

use super::*;

#[tokio::test]
async fn a_request_that_waits_for_a_new_connection_names_the_one_that_carried_it() {
    let server = kryten_testkit::nats::Server::start().await.expect("a server");
    let silent = server.client().await.expect("a client");
    let _listening = silent.subscribe("silence").await.expect("a subscription");
    silent.flush().await.expect("subscribed");
    let clock = Clock::start();
    let client = server.client().await.expect("a client");
    let of_number = |connection, answered| Link {
        client: Some(client.clone()),
        proof: Some(Proof { began: answered, answered }),
        connection,
        ..Link::default()
    };
    // The first connection's proof is old, so the request waits; meanwhile another one is proven.
    let (link, watch) = watch::channel(of_number(1, Duration::ZERO));
    let bus = Bus { link: watch, echo_now: Arc::default(), clock };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let patience = Duration::from_millis(50);
    let asked = bus.request("silence", Vec::new(), None, patience);
    let replaced = async { link.send_replace(of_number(2, clock.now().elapsed)) };
    let (reply, _) = tokio::join!(biased; asked, replaced);
    assert!(matches!(reply, Ok(Reply::TimedOut { connection: 2 })), "{reply:?}");
}
