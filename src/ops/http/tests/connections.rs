//! What clients do to us.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::routing::MethodRouter;
use axum::{Extension, routing};
use futures_util::stream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::connection::Patience;
use super::super::server::REQUEST_TIME;
use super::*;

#[tokio::test]
async fn garbage_and_giants_get_an_error_and_the_server_goes_on() {
    let server = server().await;
    for request in [
        b"nonsense\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01".to_vec(),
        [b"GET /".as_slice(), &[b'x'; 100_000], b" HTTP/1.1\r\n\r\n"].concat(),
        [b"GET /health HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 100_000], b"\r\n\r\n"].concat(),
        b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
    ] {
        let answer = server.send(&request).await;
        let start = String::from_utf8_lossy(&request[..request.len().min(20)]).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{start}: {answer}");
    }
    assert_eq!(server.get("/livez").await.0, 200);
}

#[tokio::test]
async fn clients_that_never_finish_are_cut_off_and_others_get_their_turn() {
    let server = server().await;
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(server.address).await.expect("a connection");
        stream.write_all(b"GET /livez HTTP/1.1\r\nX-Slow: ").await.expect("a beginning");
        slow.push(stream);
    }
    let started = Instant::now();
    assert_eq!(server.get("/livez").await.0, 200);
    let waited = started.elapsed();
    assert!(waited < REQUEST_TIME + Duration::from_secs(3), "waited {waited:?}");
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn a_stop_ends_the_server_even_when_a_client_never_finishes() {
    let server = server().await;
    let mut slow = TcpStream::connect(server.address).await.expect("a connection");
    slow.write_all(b"GET /livez HTTP/1.1\r\n").await.expect("a beginning");
    assert_eq!(server.get("/livez").await.0, 200);
    server.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(2), server.task).await;
    assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_listener_that_takes_nothing_is_dropped() {
    let (gone, is_gone) = oneshot::channel::<()>();
    let gone = Arc::new(Mutex::new(Some(gone)));
    let page = async move |Extension(patience): Extension<Patience>| {
        patience.listens();
        let held = gone.lock().expect("no panic").take();
        let endless = stream::repeat_with(move || {
            let _ = &held;
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; 64 << 10]))
        });
        Body::from_stream(endless)
    };
    let client = client_of(routing::get(page)).await;
    let dropped = timeout(Duration::from_secs(60), async {
        tokio::time::pause();
        is_gone.await
    });
    assert!(dropped.await.expect("it is dropped in time").is_err());
    drop(client);
}

/// Real time, because the system's buffers take part.
#[tokio::test]
async fn a_listener_that_was_let_go_is_not_waited_for_while_it_takes_a_little_now_and_then() {
    // Far more than the system keeps for a connection; read at this pace it would take a minute.
    const BYTES: usize = 64 << 20;
    const PIECE: usize = BYTES / 256;
    let page = async |Extension(patience): Extension<Patience>| {
        patience.listens();
        Body::from(vec![0; BYTES])
    };
    let mut client = client_of(routing::get(page)).await;
    let mut taken = vec![0; PIECE];
    let began = Instant::now();
    while began.elapsed() < REQUEST_TIME + Duration::from_secs(1) {
        client.read_exact(&mut taken[..PIECE]).await.expect("a piece that was under way already");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    taken.clear();
    // Whether it ends with a reset or without is left to the system.
    let _ = client.read_to_end(&mut taken).await;
    assert!(taken.len() < BYTES / 2, "{} more bytes came", taken.len());
}

/// A server of this one page, and a client that has read the beginning of it.
async fn client_of(page: MethodRouter) -> TcpStream {
    let app = axum::Router::new().route("/", page);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(super::super::server::serve(listener, app, CancellationToken::new()));
    let mut client = TcpStream::connect(address).await.expect("a connection");
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("a request");
    client.read_exact(&mut [0; 1_000]).await.expect("a beginning");
    client
}
