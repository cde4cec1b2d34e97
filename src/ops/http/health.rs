//! The health snapshot, under the path that the operator chose.

use axum::http::StatusCode;
use axum::response::Response;

use super::{HttpState, json_page};
use crate::health::State as HealthState;
use crate::ops::document;

/// The snapshot, 503 when failing.
pub(super) fn page(state: &HttpState) -> Response {
    let snapshot = state.figures.health.snapshot(state.figures.clock.now());
    let status = match snapshot.state {
        HealthState::Healthy | HealthState::Degraded => StatusCode::OK,
        HealthState::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    json_page(status, &document::health(&state.figures.identity, &state.facts(), &snapshot))
}
