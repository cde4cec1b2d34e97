//! The pages, one file each. Read only.

mod guard;
mod health;
mod history;
mod metrics;
mod probes;
mod server;

use std::sync::Arc;

use axum::{Router, middleware, routing};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::document::Facts;
use super::figures::Figures;
use crate::bus::wire::Identity;
use crate::clock::Clock;
use crate::context_log::ContextLog;
use crate::health::HealthMonitor;
use crate::history::History;
use crate::settings::InForce;
use guard::Guard;

/// All that the pages are made of.
#[derive(Clone)]
pub struct HttpState {
    /// Who we are.
    pub identity: Identity,
    /// What is in force.
    pub in_force: InForce,
    /// What is remembered of answers.
    pub contexts: ContextLog,
    /// How we are.
    pub health: HealthMonitor,
    /// How we were.
    pub history: History,
    /// When it is.
    pub clock: Clock,
    /// Whether we have announced ourselves and beat.
    pub ready: watch::Receiver<bool>,
    /// Cancelled when we stop.
    pub stopping: CancellationToken,
    /// The path of the snapshot, with its leading slash.
    pub health_path: String,
    /// The path of the metrics, with its leading slash.
    pub metrics_path: String,
    /// What they are.
    pub figures: Figures,
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

/// Answers until `stop`; what is being answered then is finished. Nothing that a client does,
/// and no failed accept, ends it sooner.
pub async fn serve(listener: TcpListener, state: HttpState, stop: CancellationToken) {
    let on_loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    server::serve(listener, router(state, on_loopback), stop).await;
}

fn router(state: HttpState, on_loopback: bool) -> Router {
    let own_hosts = on_loopback.then(|| state.own_hosts.clone());
    let guard = Arc::new(Guard { own_hosts, token: state.token.clone() });
    // The paths of snapshot and metrics are the operator's to choose, so they are compared, not routed.
    Router::new()
        .route("/livez", routing::get(probes::live))
        .route("/readyz", routing::get(probes::ready))
        .route("/api/history", routing::get(history::page))
        .fallback(health::page)
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(Arc::new(state))
}

#[cfg(test)]
mod tests;
