//! The dashboard's own files. They are in the program, and hold no data.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing;

use super::HttpState;

/// A file, and under which path it is.
#[derive(Debug, Clone, Copy)]
struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 4] = [
    Asset { path: "/", kind: "text/html; charset=utf-8", text: include_str!("../dashboard/index.html") },
    Asset {
        path: "/dashboard.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("../dashboard/dashboard.css"),
    },
    Asset {
        path: "/dashboard.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("../dashboard/dashboard.js"),
    },
    Asset { path: "/favicon.svg", kind: "image/svg+xml", text: include_str!("../dashboard/favicon.svg") },
];

/// Whether one of them has this path.
pub(super) fn is_one(path: &str) -> bool {
    ASSETS.iter().any(|asset| asset.path == path)
}

/// Their routes.
pub(super) fn routes() -> Router<Arc<HttpState>> {
    ASSETS.into_iter().fold(Router::new(), |router, asset| {
        let tag = tag(asset.text);
        router.route(asset.path, routing::get(async move |asked: HeaderMap| asset.answer(&tag, &asked)))
    })
}

/// Another text has another one.
fn tag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

impl Asset {
    /// The file, unless the browser has this very one.
    fn answer(self, tag: &str, asked: &HeaderMap) -> Response {
        let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let is_known = known.flat_map(|tags| tags.split(',')).any(|known| known.trim() == tag);
        let headers = [(header::ETAG, tag), (header::CACHE_CONTROL, "no-cache")];
        if is_known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(header::CONTENT_TYPE, self.kind)], self.text).into_response()
    }
}
