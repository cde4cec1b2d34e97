//! The dashboard's files, and what they ask for.

use std::time::Instant;

use super::*;
use crate::chat::pause::Pause;
use crate::health::ProviderStatus;

#[tokio::test]
async fn the_dashboards_files_are_kept_until_they_change() {
    let server = server().await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/dashboard.css", "text/css"),
        ("/dashboard.js", "text/javascript"),
        ("/favicon.svg", "image/svg+xml"),
    ] {
        let answer = server.answer("GET", path, &[]).await;
        assert!(answer.contains(&format!("content-type: {kind}")), "{answer}");
        let tag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        let known = format!("If-None-Match: \"other\", {tag}");
        assert_eq!(server.request("GET", path, &[&known]).await, (304, String::new()), "{path}");
        assert_eq!(server.request("GET", path, &["If-None-Match: \"other\""]).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn the_status_says_what_there_is_to_see() {
    let server = server().await;
    let now = server.clock.now();
    let wrong = Some("muted".to_owned());
    server.health.condition(now, Component::Robot, "a", wrong, None);
    server.health.provider_status(now, &ProviderName::new("local"), ProviderStatus::Failed);
    let (code, status) = server.json("/api/status").await;
    assert_eq!(code, 200);
    for (place, expected) in [
        ("/service", json!("llm")),
        ("/version", json!("1.2.3")),
        ("/instance_id", json!("7f9c24e8")),
        ("/hostname", json!("vera")),
        ("/personality", json!("CynthiaRothbot")),
        ("/dry_run", json!(true)),
        ("/health/state", json!("degraded")),
        ("/nats_connected", json!(true)),
        ("/components/0", json!({"name": "nats", "healthy": true, "critical": true})),
        ("/components/4", json!({"name": "robot", "healthy": false, "message": "muted", "critical": false})),
        ("/rooms", json!([{"channel": "MovieNight", "domain": "cytu.be", "paused": false}])),
        ("/providers/0/name", json!("local")),
        ("/providers/0/breaker", json!({"state": "closed"})),
        ("/limits/0/name", json!("global_minute")),
        ("/limits/0/used", json!(0)),
        ("/spend", json!([])),
        ("/figures/queued_messages", json!(0)),
        ("/services", json!([])),
        ("/history", json!({"enabled": true, "retention_days": 30})),
    ] {
        assert_eq!(status.pointer(place), Some(&expected), "{place}");
    }
    assert!(status["at"].as_str().is_some_and(|at| at.ends_with("+00:00")));
    assert!(!status.to_string().contains("null"), "{status}");
    assert_eq!(status.get("decider"), None);
}

#[tokio::test]
async fn a_decider_that_does_not_answer_costs_the_limits_and_hangs_nobody() {
    let (decider, _notes) = DeciderHandle::unanswered();
    let stalled = decider.clone();
    let server = server_with("127.0.0.1", |state| {
        state.figures.asking = Remembered::new(stalled);
    })
    .await;
    let asked = Instant::now();
    let (code, status) = server.json("/api/status").await;
    assert_eq!((code, &status["decider"], status.get("limits")), (200, &json!("no answer"), None));
    assert_eq!(status["health"]["state"], "healthy");
    let (code, decisions) = server.json("/api/decisions").await;
    assert_eq!((code, decisions), (503, json!({"error": "the decider does not answer"})));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert_eq!(decider.pause_of(&RoomName::new("cytu.be", "MovieNight").expect("a room")), Pause::Off);
}

#[tokio::test]
async fn decisions_come_newest_first_as_they_are_wanted() {
    let server = server().await;
    server.decides(true, "bob", Reason::GlobalMinute).await;
    server.decides(false, "eve", Reason::NoTrigger).await;
    let users = async |query: &str| {
        let (code, answer) = server.json(&format!("/api/decisions{query}")).await;
        assert_eq!(code, 200, "{query}");
        let decisions = answer["decisions"].as_array().expect("a list").clone();
        decisions.iter().filter_map(|entry| entry["username"].as_str()).collect::<Vec<_>>().join(" ")
    };
    for (query, expected) in [
        ("", "eve bob"),
        ("?limit=1", "eve"),
        ("?fired=true", "bob"),
        ("?user=EVE", "eve"),
        ("?channel=movienight&fired=false", "eve bob"),
        ("?user=eve&fired=true", ""),
    ] {
        assert_eq!(users(query).await, expected, "{query}");
    }
    let (code, error) = server.json("/api/decisions?limit=0").await;
    let told = "limit: must be a whole number from 1 to 500; there are: limit (1 to 500), user, channel, \
                fired (true or false)";
    assert_eq!((code, error), (400, json!({"error": told})));
}
