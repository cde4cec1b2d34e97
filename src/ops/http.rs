//! The pages: `/livez`, `/readyz` and the health snapshot. Read only.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware, routing};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::document;
use super::guard::{self, Guard};
use super::server;
use crate::bus::wire::Identity;
use crate::clock::Clock;
use crate::config::Config;
use crate::context_log::ContextLog;
use crate::health::{HealthMonitor, Snapshot, State as HealthState};
use crate::settings::InForce;

/// All that the pages are made of.
#[derive(Debug, Clone)]
pub struct HttpState {
    /// Who we are.
    pub identity: Identity,
    /// What is in force.
    pub in_force: InForce,
    /// What is remembered of answers.
    pub contexts: ContextLog,
    /// How we are.
    pub health: HealthMonitor,
    /// When it is.
    pub clock: Clock,
    /// Whether we have announced ourselves and beat.
    pub ready: watch::Receiver<bool>,
    /// Cancelled when we stop.
    pub stopping: CancellationToken,
    /// The path of the snapshot, with its leading slash.
    pub health_path: String,
    /// When there is one, every request must bear it.
    pub token: Option<SecretString>,
    /// Under which hosts, besides those that are loopback by name or address, we may be asked
    /// where we listen on loopback alone: the host that we are bound to, and the advertised one.
    pub own_hosts: Vec<String>,
}

impl HttpState {
    fn facts(&self) -> Facts {
        Facts::of(self.in_force.borrow().config(), self.contexts.len())
    }
}

/// What the configuration says, as far as it is shown.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The character's name.
    pub personality: String,
    /// The provider that is asked first.
    pub default_provider: String,
    /// Whether nothing is sent to chat.
    pub dry_run: bool,
    /// How many triggers are loaded.
    pub triggers_configured: usize,
    /// How many contexts are remembered.
    pub context_log_size: usize,
}

impl Facts {
    /// What is in force.
    pub fn of(config: &Config, context_log_size: usize) -> Self {
        Self {
            personality: config.personality.character_name.clone(),
            default_provider: config.default_provider.to_string(),
            dry_run: config.testing.dry_run,
            triggers_configured: config.triggers.len(),
            context_log_size,
        }
    }
}

/// Answers until `stop`; what is being answered then is finished. Nothing that a client does,
/// and no failed accept, ends it sooner.
pub async fn serve(listener: TcpListener, state: HttpState, stop: CancellationToken) {
    let on_loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    server::serve(listener, router(state, on_loopback), stop).await;
}

fn router(state: HttpState, on_loopback: bool) -> Router {
    let own_hosts = on_loopback.then(|| state.own_hosts.clone());
    let guard = Arc::new(Guard { own_hosts, token: state.token.clone() });
    // The path of the snapshot is the operator's to choose, so it is compared, not routed.
    Router::new()
        .route("/livez", routing::get(live))
        .route("/readyz", routing::get(ready))
        .fallback(page)
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(Arc::new(state))
}

/// 503 only when a restart would help: the loops that do the work have stopped doing it.
async fn live(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    let snapshot = state.health.snapshot(state.clock.now());
    let stalled = (!snapshot.stalled.is_empty()).then(|| format!("stalled: {}", snapshot.stalled));
    probe("livez", stalled.as_slice(), &snapshot, &uri)
}

/// 503 while nothing should be asked of us.
async fn ready(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    let snapshot = state.health.snapshot(state.clock.now());
    let obstacles: Vec<String> = [
        (state.stopping.is_cancelled(), "stopping"),
        (!*state.ready.borrow(), "not announced yet"),
        (!snapshot.nats_connected, "NATS disconnected"),
    ]
    .into_iter()
    .filter(|(stands, _)| *stands)
    .map(|(_, obstacle)| obstacle.to_owned())
    .collect();
    probe("readyz", &obstacles, &snapshot, &uri)
}

/// A probe's answer: a word, or with `?verbose` a line for each component.
fn probe(name: &str, obstacles: &[String], snapshot: &Snapshot, uri: &Uri) -> Response {
    let passes = obstacles.is_empty();
    let verdict = if passes { "ok".to_owned() } else { obstacles.join(", ") };
    let asks_for_more = uri
        .query()
        .is_some_and(|query| query.split('&').any(|field| field.split('=').next() == Some("verbose")));
    let mut body = String::new();
    if asks_for_more {
        for health in &snapshot.components {
            let name = health.component.as_str();
            // Writing to a text can't fail.
            let _ = match &health.unhealthy {
                None => writeln!(body, "[+]{name} ok"),
                Some(wrong) => writeln!(body, "[-]{name} failed: {wrong}"),
            };
        }
        let check = if passes { "passed" } else { "failed" };
        let _ = writeln!(body, "{name} check {check}: {verdict}");
    } else {
        let _ = writeln!(body, "{verdict}");
    }
    let status = if passes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// The snapshot, 503 when failing; anything else is not found.
async fn page(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    if uri.path() != state.health_path {
        return (StatusCode::NOT_FOUND, "not found\n").into_response();
    }
    let snapshot = state.health.snapshot(state.clock.now());
    let status = match snapshot.state {
        HealthState::Healthy | HealthState::Degraded => StatusCode::OK,
        HealthState::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    let document = document::health(&state.identity, &state.facts(), &snapshot);
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, document.to_string()).into_response()
}
