//! The health snapshot, under the path that the operator chose.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::{HttpState, metrics};
use crate::health::State as HealthState;
use crate::ops::document;

/// The pages whose paths are the operator's: the metrics, and the snapshot, 503 when failing. Anything else
/// is not found.
pub(super) async fn page(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    if uri.path() == state.metrics_path {
        return metrics::page(&state).await;
    }
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
