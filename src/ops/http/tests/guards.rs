//! Who may ask, and what every answer says.

use std::io::Write;

use super::super::assets;
use super::*;

/// Every page that holds data.
const PAGES: [&str; 8] = [
    "/livez",
    "/readyz",
    "/health",
    "/metrics",
    "/api/status",
    "/api/decisions",
    "/api/events",
    "/api/history",
];

/// The stream of events would not end.
fn method(path: &str) -> &'static str {
    if path == "/api/events" { "HEAD" } else { "GET" }
}

/// How a page answers whoever may ask.
fn status(path: &str) -> u16 {
    // There is none here.
    if path == "/api/history" { 404 } else { 200 }
}

#[tokio::test]
async fn it_is_read_only_and_knows_no_other_page() {
    let server = server().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in PAGES.into_iter().chain(assets::paths()).chain(["/nowhere"]) {
            assert_eq!(server.request(method, path, &[]).await.0, 405, "{method} {path}");
        }
    }
    assert_eq!(server.request("HEAD", "/health", &[]).await, (200, String::new()));
    for path in
        ["/nowhere", "/health/", "/api", "/api/", "/api/nothing", "/dashboard", "/livez/x", "/../health"]
    {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_token_is_asked_for_where_there_is_one() {
    let server = server_with("127.0.0.1", |state| state.token = Some("s3cret".to_owned().into())).await;
    for (authorization, is_enough) in [
        ("X-None: x", false),
        ("Authorization: s3cret", false),
        ("Authorization: Basic s3cret", false),
        ("Authorization: Bearer s3cre", false),
        ("Authorization: Bearer s3crets", false),
        ("Authorization: Bearer ", false),
        ("Authorization: Bearer s3cret", true),
        ("authorization: bearer s3cret", true),
    ] {
        for path in PAGES {
            let expected = if is_enough { status(path) } else { 401 };
            let (status, _) = server.request(method(path), path, &[authorization]).await;
            assert_eq!(status, expected, "{authorization} {path}");
        }
    }
    assert_eq!(server.get("/nowhere").await.0, 401);
    for path in assets::paths() {
        assert_eq!(server.get(path).await.0, 200, "{path} without a token");
    }
}

#[tokio::test]
async fn on_loopback_a_foreign_host_is_refused() {
    let server = server().await;
    for (host, expected) in [
        ("Host: localhost", 200),
        ("Host: LOCALHOST:1234", 200),
        ("Host: 127.0.0.1", 200),
        ("Host: 127.8.8.8:80", 200),
        ("Host: [::ffff:127.0.0.1]:80", 200),
        ("Host: [::ffff:192.168.0.1]:80", 421),
        ("Host: [::1]:80", 200),
        ("Host: bot.example.org", 200),
        ("Host: Bot.Example.Org:443", 200),
        ("Host: evil.example.org", 421),
        ("Host: localhost.evil.example.org", 421),
        ("Host: 192.168.0.1", 421),
        ("Host: 127.0.0.1@evil.example.org", 421),
        ("Host: ", 421),
        ("Host: localhost\r\nHost: evil.example.org", 421),
    ] {
        assert_eq!(server.request("GET", "/health", &[host]).await.0, expected, "{host}");
    }
    let absolute = "http://evil.example.org/health";
    assert_eq!(server.request("GET", absolute, &["Host: localhost"]).await.0, 421);
}

#[tokio::test]
async fn loopback_is_loopback_when_it_is_written_as_an_address_of_version_6() {
    // A machine may be without version 6.
    if let Err(error) = std::net::TcpListener::bind("[::ffff:127.0.0.1]:0") {
        // Past the harness, which keeps to itself what a test prints that passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: loopback as an address of version 6: {error}");
        return;
    }
    let server = server_with("::ffff:127.0.0.1", |_| {}).await;
    assert_eq!(server.get("/health").await.0, 200);
    assert_eq!(server.request("GET", "/health", &["Host: evil.example.org"]).await.0, 421);
}

#[tokio::test]
async fn elsewhere_than_on_loopback_any_host_will_do() {
    let server = server_with("0.0.0.0", |_| {}).await;
    assert_eq!(server.request("GET", "/health", &["Host: vera.example.org"]).await.0, 200);
}

#[tokio::test]
async fn other_sites_get_nothing_but_may_link_to_us() {
    let server = server().await;
    let asks =
        |site: &str, mode: &str| [format!("Sec-Fetch-Site: {site}"), format!("Sec-Fetch-Mode: {mode}")];
    for path in PAGES.into_iter().chain(assets::paths()) {
        for (site, mode, may_ask) in [
            ("cross-site", "cors", false),
            ("cross-site", "no-cors", false),
            ("cross-site", "navigate", true),
            ("same-site", "cors", false),
            ("same-origin", "cors", true),
            ("none", "navigate", true),
        ] {
            let expected = if may_ask { status(path) } else { 403 };
            let headers = asks(site, mode);
            let headers = headers.each_ref().map(String::as_str);
            let (status, _) = server.request(method(path), path, &headers).await;
            assert_eq!(status, expected, "{path} {site} {mode}");
        }
    }
}

#[tokio::test]
async fn every_answer_tells_the_browser_to_keep_to_itself_what_is_here() {
    let server = server_with("127.0.0.1", |state| state.token = Some("s3cret".to_owned().into())).await;
    let token = "Authorization: Bearer s3cret";
    let files = assets::paths().map(|path| ("GET", path, token, 200, "no-cache"));
    let pages = PAGES.map(|path| (method(path), path, token, status(path), "no-store"));
    let others = [
        ("GET", "/readyz?verbose", token, 200, "no-store"),
        ("GET", "/api/decisions?limit=x", token, 400, "no-store"),
        ("GET", "/api/history?range=x", token, 400, "no-store"),
        ("GET", "/api/status", "X: y", 401, "no-store"),
        ("GET", "/api/status", "Sec-Fetch-Site: cross-site", 403, "no-store"),
        ("GET", "/nowhere", token, 404, "no-store"),
        ("POST", "/api/status", token, 405, "no-store"),
        ("GET", "/api/status", "Host: evil.example.org", 421, "no-store"),
    ];
    for (method, path, header, status, caching) in files.chain(pages).chain(others) {
        let answer = server.answer(method, path, &[header]).await;
        let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {head}");
        for expected in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; \
             img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "cross-origin-opener-policy: same-origin",
            &format!("cache-control: {caching}"),
        ] {
            assert_eq!(head.matches(expected).count(), 1, "{method} {path}: {expected} in {head}");
        }
    }
}
