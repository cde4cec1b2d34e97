//! `/api/events`: what happens, as it happens.
//!
//! One task makes the texts, once for all listeners, and only while there are any. A listener that
//! does not keep up is dropped: it comes back and gets what is so then.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio_util::sync::CancellationToken;

use super::connection::Patience;
use super::feed::Feed;
use super::status;
use super::{HttpState, json_page};

/// After how many seconds one more listener may try again.
const LATER: &str = "5";
/// After how many milliseconds a browser that lost us tries again.
const RETRY: &str = "retry: 2000\n\n";

/// The stream, beginning with the status; 503 when there are too many listeners.
pub(super) async fn page(
    State(state): State<Arc<HttpState>>,
    Extension(feed): Extension<Feed>,
    Extension(patience): Extension<Patience>,
) -> Response {
    let Some((place, texts)) = feed.join().await else {
        let why = json_page(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "too many listen already"}));
        return ([(header::RETRY_AFTER, LATER)], why).into_response();
    };
    let begin = [RETRY.as_bytes(), &text("status", &status::now(&state).await)].concat();
    patience.listens();
    let listener = Listener { begin: Some(begin.into()), texts, stop: feed.stop(), _place: place };
    let texts = stream::unfold(listener, async |mut listener| {
        let text = listener.next().await?;
        Some((Ok::<_, Infallible>(text), listener))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(texts)).into_response()
}

/// Somebody who listens.
struct Listener {
    begin: Option<Bytes>,
    texts: broadcast::Receiver<Bytes>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The next text; none at a stop, and for whoever is too far behind.
    async fn next(&mut self) -> Option<Bytes> {
        match self.begin.take() {
            Some(begin) => Some(begin),
            None => self.stop.run_until_cancelled(self.texts.recv()).await?.ok(),
        }
    }
}

/// An event as it goes over the wire; JSON has no line breaks.
pub(super) fn text(event: &str, data: &Value) -> Bytes {
    format!("event: {event}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_listener_that_falls_behind_is_let_go_and_the_others_go_on() {
        let sender = broadcast::Sender::new(2);
        let places = Arc::new(Semaphore::new(2));
        let listener = async || Listener {
            begin: Some(Bytes::from_static(b"begin")),
            texts: sender.subscribe(),
            stop: CancellationToken::new(),
            _place: places.clone().acquire_owned().await.expect("a place"),
        };
        let (mut slow, mut quick) = (listener().await, listener().await);
        assert_eq!(quick.next().await.as_deref(), Some(&b"begin"[..]));
        for number in 0..4_u8 {
            sender.send(vec![number].into()).expect("listeners");
            assert_eq!(quick.next().await.as_deref(), Some(&[number][..]));
        }
        assert_eq!(slow.next().await.as_deref(), Some(&b"begin"[..]));
        assert_eq!(slow.next().await, None);
        quick.stop.cancel();
        assert_eq!(quick.next().await, None);
    }

    #[test]
    fn an_event_is_a_line_of_its_kind_and_one_of_data() {
        let data = json!({"message": "two\nlines\r\nand \u{2028}"});
        let told = text("decisions", &data);
        let told = std::str::from_utf8(&told).expect("text");
        assert_eq!(told.matches(['\n', '\r']).count(), 3, "{told}");
        assert!(told.starts_with("event: decisions\ndata: {") && told.ends_with("}\n\n"), "{told}");
    }
}
