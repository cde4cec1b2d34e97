//! The figures for Prometheus, under the path that the operator chose.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::HttpState;

/// Every figure that there is, in Prometheus' text format.
pub(super) async fn page(state: &HttpState) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, state.figures.scrape(&state.history).await).into_response()
}
