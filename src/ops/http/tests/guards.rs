//! Who may ask, and what every answer says.

use super::*;

#[tokio::test]
async fn it_is_read_only_and_knows_no_other_page() {
    let server = server().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in
            ["/livez", "/readyz", "/health", "/nowhere", "/", "/dashboard.js", "/api/status", "/api/events"]
        {
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
    for (authorization, expected) in [
        ("X-None: x", 401),
        ("Authorization: s3cret", 401),
        ("Authorization: Basic s3cret", 401),
        ("Authorization: Bearer s3cre", 401),
        ("Authorization: Bearer s3crets", 401),
        ("Authorization: Bearer ", 401),
        ("Authorization: Bearer s3cret", 200),
        ("authorization: bearer s3cret", 200),
    ] {
        for path in ["/livez", "/readyz", "/health", "/metrics", "/api/status", "/api/decisions"] {
            assert_eq!(
                server.request("GET", path, &[authorization]).await.0,
                expected,
                "{authorization} {path}"
            );
        }
    }
    for (path, expected) in [
        ("/nowhere", 401),
        ("/api/events", 401),
        ("/", 200),
        ("/dashboard.css", 200),
        ("/dashboard.js", 200),
        ("/words.js", 200),
        ("/favicon.svg", 200),
    ] {
        assert_eq!(server.request("GET", path, &[]).await.0, expected, "{path} without a token");
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
async fn elsewhere_than_on_loopback_any_host_will_do() {
    let server = server_with("0.0.0.0", |_| {}).await;
    assert_eq!(server.request("GET", "/health", &["Host: vera.example.org"]).await.0, 200);
}

#[tokio::test]
async fn other_sites_get_nothing_but_may_link_to_us() {
    let server = server().await;
    let asks =
        |site: &str, mode: &str| [format!("Sec-Fetch-Site: {site}"), format!("Sec-Fetch-Mode: {mode}")];
    for path in ["/api/status", "/api/events", "/health", "/livez", "/dashboard.js", "/"] {
        for (site, mode, expected) in [
            ("cross-site", "cors", 403),
            ("cross-site", "no-cors", 403),
            ("cross-site", "navigate", 200),
            ("same-site", "cors", 403),
            ("same-origin", "cors", 200),
            ("none", "navigate", 200),
        ] {
            // The stream of events would not end.
            let method = if path == "/api/events" { "HEAD" } else { "GET" };
            let headers = asks(site, mode);
            let (status, _) = server.request(method, path, &headers.each_ref().map(String::as_str)).await;
            assert_eq!(status, expected, "{path} {site} {mode}");
        }
    }
}

#[tokio::test]
async fn every_answer_tells_the_browser_to_keep_to_itself_what_is_here() {
    let server = server_with("127.0.0.1", |state| state.token = Some("s3cret".to_owned().into())).await;
    let token = "Authorization: Bearer s3cret";
    for (method, path, header, status, caching) in [
        ("GET", "/", token, 200, "no-cache"),
        ("GET", "/dashboard.css", token, 200, "no-cache"),
        ("GET", "/dashboard.js", token, 200, "no-cache"),
        ("GET", "/over-time.js", token, 200, "no-cache"),
        ("GET", "/favicon.svg", token, 200, "no-cache"),
        ("GET", "/livez", token, 200, "no-store"),
        ("GET", "/readyz?verbose", token, 200, "no-store"),
        ("GET", "/health", token, 200, "no-store"),
        ("GET", "/api/status", token, 200, "no-store"),
        ("GET", "/api/decisions", token, 200, "no-store"),
        ("HEAD", "/api/events", token, 200, "no-store"),
        ("GET", "/api/decisions?limit=x", token, 400, "no-store"),
        ("GET", "/api/history", token, 404, "no-store"),
        ("GET", "/api/history?range=x", token, 400, "no-store"),
        ("GET", "/api/status", "X: y", 401, "no-store"),
        ("GET", "/api/status", "Sec-Fetch-Site: cross-site", 403, "no-store"),
        ("GET", "/nowhere", token, 404, "no-store"),
        ("POST", "/api/status", token, 405, "no-store"),
        ("GET", "/api/status", "Host: evil.example.org", 421, "no-store"),
    ] {
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
