//! `/api/history`: how we were.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::HttpState;
use crate::history::{NoHistory, Range};

/// What there is of the range that is asked for, an hour when none is.
pub(super) async fn page(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    let fields = uri.query().unwrap_or_default().split('&');
    let asked = fields.filter_map(|field| field.strip_prefix("range=")).next_back();
    let Some(range) = asked.map_or(Some(Range::Hour), Range::of_name) else {
        let ranges = Range::ALL.map(Range::as_str).join(", ");
        return (StatusCode::BAD_REQUEST, format!("range is one of {ranges}\n")).into_response();
    };
    match state.history.document(state.figures.clock, range).await {
        Ok(document) => ([(header::CONTENT_TYPE, "application/json")], document).into_response(),
        Err(why) => {
            let status = match why {
                NoHistory::Off => StatusCode::NOT_FOUND,
                NoHistory::Unreadable(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, format!("{why}\n")).into_response()
        }
    }
}
