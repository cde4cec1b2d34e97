//! Who may ask, and how.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::assets;
use crate::loopback::is_loopback_host;

/// What a request is checked against.
pub(super) struct Guard {
    /// Where we listen on loopback alone: the hosts that are ours besides the loopback ones.
    pub own_hosts: Option<Vec<String>>,
    /// What a request must bear, but for the dashboard's own files: they hold no data.
    pub token: Option<SecretString>,
}

/// Lets a request through, or answers it.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allowed = [(header::ALLOW, "GET, HEAD")];
        return (StatusCode::METHOD_NOT_ALLOWED, allowed, "read only\n").into_response();
    }
    if !guard.is_for_us(request.uri(), request.headers()) {
        return (StatusCode::MISDIRECTED_REQUEST, "this is another host\n").into_response();
    }
    if is_of_another_site(request.headers()) {
        return (StatusCode::FORBIDDEN, "not for other sites\n").into_response();
    }
    if !assets::is_one(request.uri().path()) && !guard.may_ask(request.headers()) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge, "a bearer token is needed\n").into_response();
    }
    next.run(request).await
}

/// Whether a browser asks in the name of another site, or of another page of this machine. Following a link
/// to us is not that.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let says = |name, word: &str| headers.get(name).is_some_and(|value| value == word);
    let is_foreign = says("sec-fetch-site", "cross-site") || says("sec-fetch-site", "same-site");
    is_foreign && !says("sec-fetch-mode", "navigate")
}

/// An address of version 6 without its brackets.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

impl Guard {
    /// On loopback a browser must not be talked into asking us in another site's name (DNS
    /// rebinding): each host that a request names has to be this one.
    fn is_for_us(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(own_hosts) = &self.own_hosts else { return true };
        let is_ours = |host: &str| {
            let host = bare(host);
            is_loopback_host(host) || own_hosts.iter().any(|own| bare(own).eq_ignore_ascii_case(host))
        };
        let named = headers.get_all(header::HOST).iter().map(|host| Authority::try_from(host.as_bytes()));
        uri.authority().is_none_or(|authority| is_ours(authority.host()))
            && named.into_iter().all(|host| host.is_ok_and(|host| is_ours(host.host())))
    }

    fn may_ask(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let borne = headers.get(header::AUTHORIZATION).and_then(|value| {
            let (scheme, borne) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(borne.trim())
        });
        borne.is_some_and(|borne| borne.as_bytes().ct_eq(token.expose_secret().as_bytes()).into())
    }
}
