//! Taking connections, each with a bound on everything.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connection::{Client, Patience};

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// How long a client may take for its one request, and then without taking anything of the answer. Who
/// listens to events may go on for as long as it takes all that there is at a time within that.
pub(super) const REQUEST_TIME: Duration = Duration::from_secs(5);
/// How long all of it may take: a slow line gets the largest page, and who takes a byte now and then does not
/// keep its place.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(60);
/// The most that is read of a request's line and headers, in bytes.
const HEADER_BYTES: usize = 16 * 1024;
/// After a failed accept, before the next: out of file descriptors, for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long answers in hand may take once we stop.
const LAST_ANSWERS: Duration = Duration::from_millis(250);

/// Serves until `stop`.
pub(super) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    serve_within(ANSWER_TIME, listener, app, stop).await;
}

/// The same, with another bound on how long a request and its answer may take in all.
pub(super) async fn serve_within(
    in_all: Duration,
    listener: TcpListener,
    app: Router,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut accept_fails = false;
    while let Some((place, accepted)) = stop.run_until_cancelled(next(&listener, &places)).await {
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(stream) => {
                accept_fails = false;
                connections.spawn(answer(stream, app.clone(), place, in_all));
            }
            Err(error) => {
                if !accept_fails {
                    warn!(%error, "an HTTP connection could not be accepted; trying on");
                }
                accept_fails = true;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Nobody else is let in; who has asked gets an answer.
    drop(listener);
    let _ = timeout(LAST_ANSWERS, async { while connections.join_next().await.is_some() {} }).await;
}

/// The next connection, once there is a place for it.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, std::io::Result<TcpStream>) {
    let place = places.clone().acquire_owned().await.ok();
    (place, listener.accept().await.map(|(stream, _)| stream))
}

/// Answers the one request of a connection, or gives up on it.
async fn answer(stream: TcpStream, app: Router, place: Option<OwnedSemaphorePermit>, in_all: Duration) {
    let patience = Patience::default();
    let client = Client::new(stream, patience.clone());
    let of_connection = patience.clone();
    let app = TowerToHyperService::new(app);
    let pages = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(of_connection.clone());
        app.call(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .keep_alive(false)
            .half_close(true)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(client), pages)
    );
    let ended = match timeout(REQUEST_TIME, connection.as_mut()).await {
        Ok(ended) => Some(ended),
        Err(_) if patience.is_listener() => Some(connection.await),
        Err(_) if patience.is_answered() => {
            timeout(in_all.saturating_sub(REQUEST_TIME), connection).await.ok()
        }
        Err(_) => None,
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => debug!(%error, "an HTTP connection broke"),
        None => debug!("an HTTP client took too long"),
    }
    drop(place);
}
