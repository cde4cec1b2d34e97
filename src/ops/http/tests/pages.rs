//! The probes, and the snapshot.

use super::*;
use crate::health::ProviderStatus;
use crate::outcome::ReplyOutcome;

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

    let (_, document) = server.json("/health").await;
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
async fn the_metrics_say_that_they_are_in_prometheus_text_format_and_are_not_kept() {
    let server = server().await;
    let answer = server.answer("GET", "/metrics", &[]).await;
    for expected in [
        "HTTP/1.1 200",
        "content-type: text/plain; version=0.0.4; charset=utf-8\r\n",
        "cache-control: no-store\r\n",
        "# TYPE llm_health_state gauge\nllm_health_state 0\n",
    ] {
        assert!(answer.contains(expected), "{expected}: {answer}");
    }
}
