//! `/api/history`: how we were.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::query::parameters;
use super::{HttpState, error_page};
use crate::history::{NoHistory, Range};

/// What may be asked.
const ALLOWED: &str = "there is: range (1h, 24h, 7d or 30d)";

/// What there is of the range that is asked for, an hour when none is; 400 for what can't be asked.
pub(super) async fn page(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    let range = match wanted(uri.query().unwrap_or_default()) {
        Ok(range) => range,
        Err(error) => return error_page(StatusCode::BAD_REQUEST, &error),
    };
    match state.history.document(state.figures.clock, range).await {
        Ok(document) => ([(header::CONTENT_TYPE, "application/json")], document).into_response(),
        Err(why) => {
            let status = match why {
                NoHistory::Off => StatusCode::NOT_FOUND,
                NoHistory::Unreadable(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            error_page(status, &why.to_string())
        }
    }
}

fn wanted(query: &str) -> Result<Range, String> {
    let mut range = Range::Hour;
    for parameter in parameters(query, ALLOWED) {
        let parameter = parameter?;
        range = match &*parameter.name {
            "range" => {
                Range::of_name(&parameter.value).ok_or_else(|| parameter.bad("must be 1h, 24h, 7d or 30d"))?
            }
            _ => return Err(parameter.bad("is unknown")),
        };
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_understood_and_all_else_is_told() {
        assert_eq!(wanted(""), Ok(Range::Hour));
        for range in Range::ALL {
            let name = range.as_str();
            assert_eq!(wanted(&format!("range={name}")), Ok(range));
            assert!(ALLOWED.contains(name), "{name}");
        }
        for (query, error) in [
            ("range=2h", "range: must be 1h, 24h, 7d or 30d; there is: range (1h, 24h, 7d or 30d)"),
            ("range=", "range: must be 1h"),
            ("range", "range: must be 1h"),
            ("range=1h&range=7d", "range: is there twice; there is: range"),
            ("range=1h&limit=1", "limit: is unknown; there is: range"),
        ] {
            let told = wanted(query).expect_err(query);
            assert!(told.starts_with(error), "{query}: {told}");
        }
    }
}
