//! The pages, one file each. Read only.

mod assets;
mod connection;
mod decisions;
mod events;
mod feed;
mod guard;
mod headers;
mod health;
mod history;
mod metrics;
mod probes;
mod query;
mod server;
mod status;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, middleware, routing};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::commands::Pauses;
use super::document::Facts;
use super::figures::Figures;
use crate::decider::DeciderHandle;
use crate::group::ServicesView;
use crate::history::History;
use crate::loopback::is_loopback;
use feed::Feed;
use guard::Guard;

/// All that the pages are made of.
#[derive(Clone)]
pub struct HttpState {
    /// Whoever knows something of what runs, and what they are asked for at a scrape.
    pub figures: Figures,
    /// Which rooms are paused.
    pub decider: DeciderHandle,
    /// The rooms, by the names that people give them.
    pub rooms: Pauses,
    /// How we were.
    pub history: History,
    /// Every service on the bus.
    pub services: ServicesView,
    /// Whether we have announced ourselves and beat.
    pub ready: watch::Receiver<bool>,
    /// Cancelled when we stop.
    pub stopping: CancellationToken,
    /// The path of the snapshot, with its leading slash.
    pub health_path: String,
    /// The path of the metrics, with its leading slash.
    pub metrics_path: String,
    /// When there is one, every request must bear it.
    pub token: Option<SecretString>,
    /// Under which hosts, besides those that are loopback by name or address, we may be asked
    /// where we listen on loopback alone: the host that we are bound to, and the advertised one.
    pub own_hosts: Vec<String>,
}

impl HttpState {
    fn facts(&self) -> Facts {
        Facts::of(self.figures.in_force.borrow().config(), self.figures.contexts.len())
    }
}

/// Answers until `stop`; what is being answered then is finished. Nothing that a client does,
/// and no failed accept, ends it sooner.
pub async fn serve(listener: TcpListener, state: HttpState, stop: CancellationToken) {
    let on_loopback = listener.local_addr().is_ok_and(|address| is_loopback(address.ip()));
    let (state, feed) = (Arc::new(state), Feed::new(stop.clone()));
    let app = router(state.clone(), feed.clone(), on_loopback);
    tokio::join!(server::serve(listener, app, stop), feed.run(state));
}

fn router(state: Arc<HttpState>, feed: Feed, on_loopback: bool) -> Router {
    let own_hosts = on_loopback.then(|| state.own_hosts.clone());
    let guard = Arc::new(Guard { own_hosts, token: state.token.clone() });
    Router::new()
        .merge(assets::routes())
        .route("/livez", routing::get(probes::live))
        .route("/readyz", routing::get(probes::ready))
        .route("/api/status", routing::get(status::page))
        .route("/api/decisions", routing::get(decisions::page))
        .route("/api/events", routing::get(events::page))
        .route("/api/history", routing::get(history::page))
        .layer(Extension(feed))
        .fallback(named_by_the_operator)
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::map_response(headers::add))
        .with_state(state)
}

/// Paths that the operator chooses are compared, not routed: a router would read patterns into them.
async fn named_by_the_operator(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    match uri.path() {
        path if path == state.health_path => health::page(&state),
        path if path == state.metrics_path => metrics::page(&state).await,
        _ => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}

/// A JSON document.
fn json_page(status: StatusCode, document: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

/// Why a page can't say what it was asked for.
fn error_page(status: StatusCode, error: &str) -> Response {
    json_page(status, &json!({"error": error}))
}

#[cfg(test)]
mod tests;
