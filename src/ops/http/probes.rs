//! `/livez` and `/readyz`: for whoever restarts us, and for whoever sends us work.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::HttpState;
use crate::health::Snapshot;

/// 503 only when a restart would help: the loops that do the work have stopped doing it.
pub(super) async fn live(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    let snapshot = state.figures.health.snapshot(state.figures.clock.now());
    let stalled = (!snapshot.stalled.is_empty()).then(|| format!("stalled: {}", snapshot.stalled));
    probe("livez", stalled.as_slice(), &snapshot, &uri)
}

/// 503 while nothing should be asked of us.
pub(super) async fn ready(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    let snapshot = state.figures.health.snapshot(state.figures.clock.now());
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
    (status, body).into_response()
}
