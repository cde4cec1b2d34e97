//! `/api/status`: all that there is to see now.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::{HttpState, json_page};
use crate::chat::rate_limits::InUse;
use crate::ops::providers;
use crate::ops::status::{self, Seen};

/// The document.
pub(super) async fn page(State(state): State<Arc<HttpState>>) -> Response {
    json_page(StatusCode::OK, &now(&state).await)
}

/// What is to be seen now.
pub(super) async fn now(state: &HttpState) -> Value {
    let limits = state.figures.asking.ask(|now, decider, _| decider.limits_in_use(now)).await;
    document(state, limits)
}

/// The same, with the limits as the decider has told them.
pub(super) fn document(state: &HttpState, limits: Option<Vec<InUse>>) -> Value {
    let now = state.figures.clock.now();
    let config = state.figures.in_force.borrow().shared_config().clone();
    let mut providers = providers::list(now, &config, &state.figures.providers);
    status::document(&Seen {
        identity: &state.figures.identity,
        config: &config,
        facts: &state.facts(),
        snapshot: &state.figures.health.snapshot(now),
        round_trip: state.figures.bus.round_trip(),
        rooms: config.rooms.iter().map(|room| (room.clone(), state.decider.pause_of(room))).collect(),
        providers: providers["providers"].take(),
        services: state.services.rows(now),
        limits,
        spend: state.figures.providers.spend().limits_in_use(now),
        queued_messages: state.figures.queues.messages(),
        queued_lines: state.figures.queues.lines(),
    })
}
