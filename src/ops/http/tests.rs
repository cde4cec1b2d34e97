//! The pages over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::server::REQUEST_TIME;
use super::{HttpState, serve};
use crate::bus::wire::Identity;
use crate::chat::rules::Rules;
use crate::clock::{Clock, Moment};
use crate::config::testing;
use crate::context_log::ContextLog;
use crate::health::{Component, HealthMonitor, LinkHealth, ProviderStatus};
use crate::history::History;
use crate::names::{ProviderName, Username};
use crate::ops::figures::testing::figures;
use crate::outcome::{Reason, ReplyOutcome};
use crate::settings::InForce;

struct Server {
    address: SocketAddr,
    health: HealthMonitor,
    clock: Clock,
    ready: watch::Sender<bool>,
    stopping: CancellationToken,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn in_force() -> InForce {
    let trigger = |name: &str| json!({"name": name, "patterns": [name]});
    let triggers = ["a", "b", "c"].map(trigger);
    let config = testing::config(json!({"testing": {"dry_run": true}, "triggers": triggers}));
    watch::channel(Rules::new(Arc::new(config))).1
}

/// A server that is ready, with the link up.
async fn server() -> Server {
    server_with("127.0.0.1", |_| {}).await
}

/// A server on this address, changed as a test needs it.
async fn server_with(host: &str, change: impl FnOnce(&mut HttpState)) -> Server {
    let clock = Clock::start();
    let providers = ["local", "openrouter"].map(ProviderName::new);
    let health = HealthMonitor::new(clock.now(), providers, [Component::Robot]);
    health.link(clock.now(), LinkHealth::Up);
    let (ready, is_ready) = watch::channel(true);
    let stopping = CancellationToken::new();
    let in_force = in_force();
    let mut state = HttpState {
        identity: Identity {
            service: "llm".to_owned(),
            version: "1.2.3".to_owned(),
            hostname: "vera".to_owned(),
            instance_id: "7f9c24e8".to_owned(),
            started: clock.now(),
        },
        figures: figures(in_force.clone(), health.clone(), clock),
        in_force,
        contexts: ContextLog::default(),
        health: health.clone(),
        history: History::off(),
        clock,
        ready: is_ready,
        stopping: stopping.clone(),
        health_path: "/health".to_owned(),
        metrics_path: "/metrics".to_owned(),
        token: None,
        own_hosts: vec!["bot.example.org".to_owned()],
    };
    change(&mut state);
    let listener = TcpListener::bind((host, 0)).await.expect("a port");
    let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().expect("its address").port()));
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, state, stop.clone()));
    Server { address, health, clock, ready, stopping, stop, task }
}

impl Server {
    /// Sends bytes and reads all that comes back.
    async fn send(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(request).await.expect("a request");
        let mut answer = Vec::new();
        // A server that has said no may close before all is read.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    }

    async fn request(&self, method: &str, path: &str, headers: &[&str]) -> (u16, String) {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            request += &format!("Host: {}\r\n", self.address);
        }
        headers.iter().for_each(|header| request += &format!("{header}\r\n"));
        let answer = self.send(format!("{request}\r\n").as_bytes()).await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        (status, body)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, &[]).await
    }

    async fn document(&self) -> Value {
        serde_json::from_str(&self.get("/health").await.1).expect("JSON")
    }

    fn cut_the_link(&self) {
        self.health.link(self.clock.now(), LinkHealth::Down { why: "cut".to_owned() });
    }

    /// A loop that has had the same work in hand for longer than it may.
    fn stall(&self, component: Component) {
        self.health.progress(component).due(Duration::ZERO);
        self.health.tick(Moment { elapsed: Duration::from_secs(60), ..self.clock.now() });
    }
}

#[tokio::test]
async fn livez_is_ok_whatever_the_link_does() {
    let server = server().await;
    assert_eq!(server.get("/livez").await, (200, "ok\n".to_owned()));
    server.cut_the_link();
    server.ready.send_replace(false);
    assert_eq!(server.get("/livez").await.0, 200);
}

#[tokio::test]
async fn livez_fails_when_a_loop_stalls_and_names_it() {
    for component in [Component::Intake, Component::Decider, Component::Heartbeat] {
        let server = server().await;
        server.stall(component);
        let expected = format!("stalled: {}\n", component.as_str());
        assert_eq!(server.get("/livez").await, (503, expected));
    }
}

#[tokio::test]
async fn livez_does_not_fail_for_a_stalled_outbox() {
    let server = server().await;
    server.stall(Component::Outbox);
    assert_eq!(server.get("/livez").await.0, 200);
}

#[tokio::test]
async fn readyz_fails_before_ready_without_a_link_and_while_stopping() {
    let server = server().await;
    assert_eq!(server.get("/readyz").await, (200, "ok\n".to_owned()));
    server.ready.send_replace(false);
    assert_eq!(server.get("/readyz").await, (503, "not announced yet\n".to_owned()));
    server.ready.send_replace(true);
    server.cut_the_link();
    assert_eq!(server.get("/readyz").await, (503, "NATS disconnected\n".to_owned()));
    server.health.link(server.clock.now(), LinkHealth::Up);
    server.stopping.cancel();
    assert_eq!(server.get("/readyz").await, (503, "stopping\n".to_owned()));
    server.ready.send_replace(false);
    assert_eq!(server.get("/readyz").await, (503, "stopping, not announced yet\n".to_owned()));
}

#[tokio::test]
async fn verbose_probes_have_a_line_for_each_component() {
    let server = server().await;
    let wrong = Some("muted\nin a".to_owned());
    server.health.condition(server.clock.now(), Component::Robot, "a", wrong, None);
    let lines = "[+]nats ok\n[+]intake ok\n[+]decider ok\n[+]heartbeat ok\n[-]robot failed: muted in a\n";
    for query in ["verbose", "verbose=1", "a=b&verbose"] {
        let expected = (200, format!("{lines}readyz check passed: ok\n"));
        assert_eq!(server.get(&format!("/readyz?{query}")).await, expected, "{query}");
    }
    assert_eq!(server.get("/readyz?verbosely=1&a=verbose").await, (200, "ok\n".to_owned()));
    server.stopping.cancel();
    let expected = (503, format!("{lines}readyz check failed: stopping\n"));
    assert_eq!(server.get("/readyz?verbose").await, expected);
    assert_eq!(server.get("/livez?verbose").await, (200, format!("{lines}livez check passed: ok\n")));
}

#[tokio::test]
async fn health_is_503_only_when_failing() {
    let server = server().await;
    assert_eq!(server.get("/health").await.0, 200);
    let wrong = Some("muted".to_owned());
    server.health.condition(server.clock.now(), Component::Robot, "a", wrong, None);
    let (status, body) = server.get("/health").await;
    assert!(status == 200 && body.contains(r#""status":"degraded""#), "{body}");
    server.cut_the_link();
    let (status, body) = server.get("/health").await;
    assert!(status == 503 && body.contains(r#""reason":"NATS disconnected""#), "{body}");
}

#[tokio::test]
async fn health_has_every_key_that_it_ever_had() {
    let server = server().await;
    let now = server.clock.now();
    server.health.provider_status(now, &ProviderName::new("local"), ProviderStatus::Failed);
    server.health.provider_status(now, &ProviderName::new("openrouter"), ProviderStatus::Ok);
    for _ in 0..40 {
        server.health.message_processed(now);
    }
    for outcome in [
        ReplyOutcome::Sent,
        ReplyOutcome::Failed(Reason::Exhausted),
        ReplyOutcome::Silenced(Reason::UserHour),
        ReplyOutcome::Silenced(Reason::RejectedShort),
        ReplyOutcome::Silenced(Reason::RejectedRepetition),
    ] {
        server.health.reply_fired(now);
        server.health.reply_ended(now, outcome);
    }
    server.health.reply_fired(now);
    for reason in [Reason::Spam, Reason::GlobalMinute, Reason::Own] {
        server.health.message_ignored(reason);
    }
    server.health.message_malformed("no payload");
    server.health.user_answered(&Username::new("bob"));
    server.health.media_changed();
    server.health.change_dropped();

    let document = server.document().await;
    for (key, expected) in [
        ("service", r#""llm""#),
        ("status", r#""healthy""#),
        ("version", r#""1.2.3""#),
        ("nats_connected", "true"),
        ("personality", r#""CynthiaRothbot""#),
        ("default_provider", r#""local""#),
        ("dry_run", "true"),
        ("messages_processed", "40"),
        ("responses_sent", "1"),
        ("errors_count", "1"),
        ("errors_last_5min", "1"),
        ("errors_last_hour", "1"),
        ("error_rate", "0.025"),
        ("providers_ok", "1"),
        ("providers_failed", "1"),
        ("trigger_fires", "6"),
        ("rate_limit_hits", "2"),
        ("spam_detected", "1"),
        ("validation_failures", "2"),
        ("media_changes", "1"),
        ("unique_users", "1"),
        ("triggers_configured", "3"),
        ("context_log_size", "0"),
        ("providers_configured", "2"),
        ("llm_providers", r#"{"local":"failed","openrouter":"ok"}"#),
        ("conditions_dropped", "0"),
        ("ignored", r#"{"own":1,"spam":1,"global_minute":1}"#),
        ("malformed", r#"{"no payload":1}"#),
        ("changes_dropped", "1"),
        (
            "ledger",
            r#"{"fired":6,"sent":1,"silenced":{"user_hour":1,"rejected_short":1,"rejected_repetition":1},"failed":1,"in_doubt":0,"abandoned":0,"in_flight":1}"#,
        ),
    ] {
        assert_eq!(document[key].to_string(), expected, "{key}");
    }
    assert!(document["uptime_seconds"].is_f64());
    assert_eq!(document["components"]["robot"], serde_json::json!({"healthy": true}));
    assert_eq!(document.get("reason"), None);
    assert!(!document.to_string().contains("null"));
}

#[tokio::test]
async fn the_path_of_health_is_the_operators_to_choose() {
    for path in ["/status/llm", "/{odd}", "/*rest"] {
        let server = server_with("127.0.0.1", |state| state.health_path = path.to_owned()).await;
        assert_eq!(server.get(path).await.0, 200, "{path}");
        assert_eq!(server.get("/health").await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn it_is_read_only_and_knows_no_other_page() {
    let server = server().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in ["/livez", "/readyz", "/health", "/nowhere"] {
            assert_eq!(server.request(method, path, &[]).await.0, 405, "{method} {path}");
        }
    }
    assert_eq!(server.request("HEAD", "/health", &[]).await, (200, String::new()));
    for path in ["/", "/nowhere", "/health/", "/livez/x", "/../health"] {
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
        for path in ["/livez", "/readyz", "/health"] {
            assert_eq!(
                server.request("GET", path, &[authorization]).await.0,
                expected,
                "{authorization} {path}"
            );
        }
    }
    assert_eq!(server.request("GET", "/nowhere", &[]).await.0, 401);
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
async fn garbage_and_giants_get_an_error_and_the_server_goes_on() {
    let server = server().await;
    for request in [
        b"nonsense\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01".to_vec(),
        [b"GET /".as_slice(), &[b'x'; 100_000], b" HTTP/1.1\r\n\r\n"].concat(),
        [b"GET /health HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 100_000], b"\r\n\r\n"].concat(),
        b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
    ] {
        let answer = server.send(&request).await;
        let start = String::from_utf8_lossy(&request[..request.len().min(20)]).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{start}: {answer}");
    }
    assert_eq!(server.get("/livez").await.0, 200);
}

#[tokio::test]
async fn clients_that_never_finish_are_cut_off_and_others_get_their_turn() {
    let server = server().await;
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(server.address).await.expect("a connection");
        stream.write_all(b"GET /livez HTTP/1.1\r\nX-Slow: ").await.expect("a beginning");
        slow.push(stream);
    }
    let started = Instant::now();
    assert_eq!(server.get("/livez").await.0, 200);
    let waited = started.elapsed();
    assert!(waited < REQUEST_TIME + Duration::from_secs(3), "waited {waited:?}");
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn a_stop_ends_the_server_even_when_a_client_never_finishes() {
    let server = server().await;
    let mut slow = TcpStream::connect(server.address).await.expect("a connection");
    slow.write_all(b"GET /livez HTTP/1.1\r\n").await.expect("a beginning");
    assert_eq!(server.get("/livez").await.0, 200);
    server.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(2), server.task).await;
    assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    assert!(TcpStream::connect(server.address).await.is_err());
}
