//! What clients do to us.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::routing::MethodRouter;
use axum::{Extension, routing};
use futures_util::stream;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::connection::Patience;
use super::super::server::{ANSWER_TIME, REQUEST_TIME, serve_within};
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
    nothing_is_taken(true).await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_dropped_as_soon() {
    nothing_is_taken(false).await;
}

async fn nothing_is_taken(listens: bool) {
    let (gone, is_gone) = oneshot::channel::<()>();
    let gone = Arc::new(Mutex::new(Some(gone)));
    let page = async move |Extension(patience): Extension<Patience>| {
        if listens {
            patience.listens();
        }
        let held = gone.lock().expect("no panic").take();
        let endless = stream::repeat_with(move || {
            let _ = &held;
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; 64 << 10]))
        });
        Body::from_stream(endless)
    };
    let client = client_of(routing::get(page)).await;
    tokio::time::pause();
    let dropped = timeout(REQUEST_TIME * 2, is_gone).await;
    assert!(dropped.expect("it is dropped in time").is_err());
    drop(client);
}

/// Real time, because the system's buffers take part.
#[tokio::test]
async fn a_listener_that_was_let_go_is_not_waited_for_while_it_takes_a_little_now_and_then() {
    // Far more than the system keeps for a connection; read at this pace it would take far longer than is waited for.
    const BYTES: usize = 64 << 20;
    let page = async |Extension(patience): Extension<Patience>| {
        patience.listens();
        Body::from(vec![0; BYTES])
    };
    let mut client = client_of(routing::get(page)).await;
    let until = REQUEST_TIME + Duration::from_secs(1);
    let pace = Duration::from_millis(250);
    // Whether it ends with a reset or without is left to the system.
    let _ = take_slowly(&mut client, BYTES / 256, pace, until).await;
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;
    assert!(rest.len() < BYTES / 2, "{} more bytes came", rest.len());
}

/// As long as the history of a busy day, to a phone with a bad line.
#[tokio::test]
async fn who_takes_a_few_kilobytes_at_a_time_gets_the_whole_answer() {
    const BYTES: usize = 512 << 10;
    let mut client = client_of(routing::get(async || Body::from(vec![0; BYTES]))).await;
    let began = Instant::now();
    let taken = take_slowly(&mut client, 4 << 10, Duration::from_millis(50), ANSWER_TIME).await;
    // All but what was read of the beginning, which holds the head.
    assert!(taken.as_ref().is_ok_and(|taken| *taken > BYTES - BEGINNING), "{taken:?}");
    assert!(began.elapsed() > REQUEST_TIME, "this tries nothing");
}

#[tokio::test]
async fn who_takes_a_little_now_and_then_for_ever_is_cut_off() {
    let in_all = REQUEST_TIME + Duration::from_millis(500);
    let began = Instant::now();
    let mut client = client_within(in_all, routing::get(async || Body::from(vec![0; 64 << 20]))).await;
    let taken = take_slowly(&mut client, 4 << 10, Duration::from_millis(50), ANSWER_TIME).await;
    let lasted = began.elapsed();
    assert!(lasted >= in_all && lasted < ANSWER_TIME, "{lasted:?}, {taken:?}");
}

/// Reads so much at a time, until the end or for so long. Returns how many bytes that were.
async fn take_slowly(
    client: &mut TcpStream,
    piece: usize,
    pace: Duration,
    most: Duration,
) -> std::io::Result<usize> {
    let (began, mut piece, mut taken) = (Instant::now(), vec![0; piece], 0);
    while began.elapsed() < most {
        match client.read(&mut piece).await? {
            0 => break,
            bytes => taken += bytes,
        }
        tokio::time::sleep(pace).await;
    }
    Ok(taken)
}

/// So much is read before a test begins.
const BEGINNING: usize = 1_000;

/// A server of this one page, and a client that has read the beginning of it.
async fn client_of(page: MethodRouter) -> TcpStream {
    client_within(ANSWER_TIME, page).await
}

/// The same, with another bound on the whole.
async fn client_within(in_all: Duration, page: MethodRouter) -> TcpStream {
    let app = axum::Router::new().route("/", page);
    // With buffers of the system's that hold little, as on a slow line.
    let small = || {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_send_buffer_size(16 << 10).expect("a small buffer");
        socket.set_recv_buffer_size(16 << 10).expect("a small buffer");
        socket
    };
    let server = small();
    server.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let listener = server.listen(64).expect("a listener");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(serve_within(in_all, listener, app, CancellationToken::new()));
    let mut client = small().connect(address).await.expect("a connection");
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("a request");
    client.read_exact(&mut [0; BEGINNING]).await.expect("a beginning");
    client
}
