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

const ASSETS: [Asset; 13] = [
    Asset { path: "/", kind: HTML, text: include_str!("../dashboard/index.html") },
    Asset { path: "/dashboard.css", kind: CSS, text: include_str!("../dashboard/dashboard.css") },
    Asset { path: "/favicon.svg", kind: SVG, text: include_str!("../dashboard/favicon.svg") },
    Asset { path: "/dashboard.js", kind: SCRIPT, text: include_str!("../dashboard/dashboard.js") },
    Asset { path: "/charts.js", kind: SCRIPT, text: include_str!("../dashboard/charts.js") },
    Asset { path: "/connection.js", kind: SCRIPT, text: include_str!("../dashboard/connection.js") },
    Asset { path: "/decisions.js", kind: SCRIPT, text: include_str!("../dashboard/decisions.js") },
    Asset { path: "/elements.js", kind: SCRIPT, text: include_str!("../dashboard/elements.js") },
    Asset { path: "/figures.js", kind: SCRIPT, text: include_str!("../dashboard/figures.js") },
    Asset { path: "/now.js", kind: SCRIPT, text: include_str!("../dashboard/now.js") },
    Asset { path: "/over-time.js", kind: SCRIPT, text: include_str!("../dashboard/over-time.js") },
    Asset { path: "/time.js", kind: SCRIPT, text: include_str!("../dashboard/time.js") },
    Asset { path: "/words.js", kind: SCRIPT, text: include_str!("../dashboard/words.js") },
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Whether one of them has this path.
pub(super) fn is_one(path: &str) -> bool {
    ASSETS.iter().any(|asset| asset.path == path)
}

/// All their paths.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    ASSETS.iter().map(|asset| asset.path)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_dashboard_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops/dashboard");
        for file in std::fs::read_dir(folder).expect("the folder") {
            let name = file.expect("a file").file_name().into_string().expect("a name");
            let path = if name == "index.html" { "/".to_owned() } else { format!("/{name}") };
            let asset = ASSETS.iter().find(|asset| asset.path == path);
            let text = std::fs::read_to_string(format!("{folder}/{name}")).expect("a text");
            assert_eq!(asset.map(|asset| asset.text), Some(text.as_str()), "{path}");
        }
    }
}
