//! What we publish, against the golden files: values, order of keys, and what is left out.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::*;
use crate::clock::Moment;
use crate::health::{Component, HealthMonitor, LinkHealth, PausedRoom, ProviderStatus, Snapshot, State};
use crate::names::{ProviderName, RoomName};
use crate::outcome::{Reason, ReplyOutcome};

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/", $name))
    };
}

/// Compares text with text, so that order and omissions count.
#[track_caller]
fn assert_golden(message: &[u8], golden: &str) {
    let golden: Value = serde_json::from_str(golden).expect("a golden file is JSON");
    assert_eq!(String::from_utf8_lossy(message), golden.to_string());
}

fn after(elapsed: Duration) -> Moment {
    let started: DateTime<Utc> = "2026-11-23T23:56:00.000250Z".parse().expect("a time stamp");
    Moment { elapsed, wall: started + elapsed }
}

fn start() -> Moment {
    after(Duration::ZERO)
}

fn now() -> Moment {
    let elapsed = Duration::from_micros(61_249_600);
    Moment { elapsed, wall: after(Duration::from_secs(61)).wall }
}

fn room(channel: &str) -> RoomName {
    RoomName::new("cytu.be", channel).expect("a room")
}

fn identity() -> Identity {
    Identity {
        service: "llm".to_owned(),
        version: "1.2.3".to_owned(),
        hostname: "vera.example.org".to_owned(),
        instance_id: "7f9c24e8-3b12-4c5d-9a6f-0d1e2f3a4b5c".to_owned(),
        started: start(),
    }
}

fn about() -> About {
    let model = |name, model: &str| Model { name: ProviderName::new(name), model: model.to_owned() };
    let endpoint = |path: &str| Endpoint { host: None, port: 28286, path: path.to_owned() };
    About {
        personality: "CynthiaRothbot".to_owned(),
        providers: vec![model("local", "qwen3:8b"), model("openrouter", "anthropic/claude-haiku-4.5")],
        triggers_loaded: 3,
        channels: vec![room("MovieNight"), room("kung fu")],
        features: vec!["chat", "http"],
        heartbeat_interval_seconds: 10,
        endpoints: Some(Endpoints { health: endpoint("/health"), metrics: Some(endpoint("/metrics")) }),
    }
}

fn nowhere() -> About {
    About { endpoints: None, ..about() }
}

fn monitor() -> HealthMonitor {
    let providers = ["local", "openrouter"].map(ProviderName::new);
    let monitor = HealthMonitor::new(start(), providers, [Component::Robot]);
    monitor.link(start(), LinkHealth::Up);
    monitor
}

fn end_with(monitor: &HealthMonitor, outcomes: &[ReplyOutcome]) {
    for outcome in outcomes {
        monitor.message_processed(now());
        monitor.reply_fired(now());
        monitor.reply_ended(now(), *outcome);
    }
}

fn beat() -> Beat {
    let proof =
        Proof { decider: Some(Duration::from_micros(240)), link: Some(Duration::from_micros(12_345)) };
    Beat { rate_limiter_active: true, spam_detector_active: false, proof }
}

#[test]
fn req_001_an_announcement_has_every_key_in_its_place() {
    assert_golden(&discovery(&identity(), &about(), now(), Occasion::Start), golden!("discovery.json"));
    assert_golden(&startup(&identity(), &about(), now(), Occasion::Start), golden!("startup.json"));
}

#[test]
fn req_004_an_answer_to_a_poll_says_that_it_is_one_and_leaves_out_endpoints_nobody_reaches() {
    assert_golden(&startup(&identity(), &nowhere(), now(), Occasion::Asked), golden!("startup_asked.json"));
}

#[test]
fn req_006_an_announcement_after_an_outage_says_how_long_it_was() {
    let occasion = Occasion::LinkBack(Duration::from_micros(4_123_400));
    assert_golden(&discovery(&identity(), &nowhere(), now(), occasion), golden!("discovery_link_back.json"));
    let mut elsewhere = about();
    let host = Some("bot.example.org".to_owned());
    let endpoint = |path: &str| Endpoint { host: host.clone(), port: 80, path: path.to_owned() };
    elsewhere.endpoints =
        Some(Endpoints { health: endpoint("/health"), metrics: Some(endpoint("/metrics")) });
    assert_golden(&startup(&identity(), &elsewhere, now(), occasion), golden!("startup_link_back.json"));
}

#[test]
fn req_002_a_healthy_beat_has_every_key_in_its_place() {
    let monitor = monitor();
    monitor.provider_status(now(), &ProviderName::new("local"), ProviderStatus::Ok);
    monitor.message_processed(now());
    end_with(&monitor, &[ReplyOutcome::Sent]);
    let snapshot = monitor.snapshot(now());
    assert_golden(&heartbeat(&identity(), &snapshot, &beat()), golden!("heartbeat_healthy.json"));
    assert_golden(
        &lifecycle_heartbeat(&identity(), &about(), &snapshot),
        golden!("lifecycle_heartbeat.json"),
    );
}

#[test]
fn req_003_a_degraded_beat_says_why_and_what_did_not_answer_is_left_out() {
    let monitor = monitor();
    monitor.provider_status(now(), &ProviderName::new("local"), ProviderStatus::Failed);
    monitor.provider_status(now(), &ProviderName::new("openrouter"), ProviderStatus::Ok);
    monitor.message_processed(now());
    end_with(&monitor, &[ReplyOutcome::Failed(Reason::Exhausted), ReplyOutcome::InDoubt]);
    let muted = "muted in MovieNight: no line of the last three was heard, éé in all".to_owned();
    monitor.condition(now(), Component::Robot, "MovieNight", Some(muted), None);
    monitor.paused(vec![PausedRoom { channel: "MovieNight".to_owned(), until: None }]);
    let beat = Beat {
        rate_limiter_active: false,
        spam_detector_active: false,
        proof: Proof { decider: None, link: Some(Duration::from_millis(1800)) },
    };
    assert_golden(
        &heartbeat(&identity(), &monitor.snapshot(now()), &beat),
        golden!("heartbeat_degraded.json"),
    );
}

fn read(message: &[u8]) -> Value {
    serde_json::from_slice(message).expect("JSON")
}

#[test]
fn req_003_a_beat_of_a_stalled_decider_is_failing_instead_of_cheerful() {
    let monitor = monitor();
    monitor.progress(Component::Decider).begin(start());
    let beat = Beat {
        rate_limiter_active: false,
        spam_detector_active: false,
        proof: Proof { decider: None, ..beat().proof },
    };
    let message = read(&heartbeat(&identity(), &monitor.snapshot(now()), &beat));
    assert_eq!(message["health"], "failing");
    assert_eq!(message["health_reason"], "stalled: decider");
    assert_eq!(message["status"]["proof"], serde_json::json!({"link_ms": 12.3}));
    assert_eq!(
        message["status"]["components"]["decider"],
        serde_json::json!({"healthy": false, "message": "no progress for more than 1 s"})
    );
}

#[test]
fn req_003_a_beat_lists_every_configured_provider_before_any_was_called() {
    let message = read(&heartbeat(&identity(), &monitor().snapshot(now()), &beat()));
    let expected = serde_json::json!({"local": "unknown", "openrouter": "unknown"});
    assert_eq!(message["status"]["llm_providers"], expected);
}

#[test]
fn req_010_a_text_in_a_beat_has_at_most_sixty_bytes_on_one_line() {
    for (text, expected) in [
        ("x".repeat(60), "x".repeat(60)),
        ("x".repeat(61), format!("{}…", "x".repeat(57))),
        (format!("{}é", "x".repeat(59)), format!("{}…", "x".repeat(57))),
        ("a\r\nb".to_owned(), "a  b".to_owned()),
    ] {
        let monitor = monitor();
        monitor.condition(now(), Component::Robot, "test", Some(text), None);
        let message = read(&heartbeat(&identity(), &monitor.snapshot(now()), &beat()));
        assert_eq!(message["status"]["components"]["robot"]["message"], expected);
    }
}

#[test]
fn req_002_both_beats_of_a_failing_service_agree_and_no_endpoint_is_made_up() {
    let monitor = monitor();
    monitor.link(now(), LinkHealth::Down { why: "cut".to_owned() });
    let snapshot = monitor.snapshot(now());
    let service = read(&heartbeat(&identity(), &snapshot, &beat()));
    let lifecycle = read(&lifecycle_heartbeat(&identity(), &nowhere(), &snapshot));
    assert_eq!((&service["health"], &lifecycle["health"]), (&"failing".into(), &"failing".into()));
    assert_eq!(service["timestamp"], lifecycle["timestamp"]);
    assert_eq!(service["status"]["nats_connected"], false);
    assert_eq!(lifecycle.get("metadata"), None);
}

#[test]
fn req_007_the_farewell_has_the_final_figures() {
    let monitor = monitor();
    end_with(
        &monitor,
        &[
            ReplyOutcome::Sent,
            ReplyOutcome::Failed(Reason::SendFailed),
            ReplyOutcome::InDoubt,
            ReplyOutcome::Abandoned,
        ],
    );
    monitor.message_processed(now());
    monitor.reply_fired(now());
    let snapshot = monitor.snapshot(now());
    assert_golden(&shutdown(&identity(), &snapshot, "SIGTERM", None), golden!("shutdown.json"));
    let restart = read(&shutdown(&identity(), &snapshot, "Group restart: update", Some("ops")));
    assert_eq!((&restart["reason"], &restart["initiator"]), (&"Group restart: update".into(), &"ops".into()));
}

#[test]
fn a_line_is_asked_for_in_the_room_as_configured() {
    let line = "Kick \"first\", ask later.";
    let request = "0b54f8c1-96a5-4f0e-8f55-3a8e4a1d2c3b";
    assert_golden(&say(&identity(), &room("MovieNight"), line, request, now()), golden!("say.json"));
}

#[test]
fn an_alert_and_its_end_have_every_key_in_its_place() {
    let alert = Alert {
        event: AlertEvent::Alert,
        health: State::Failing,
        previous: Some(State::Degraded),
        reason: "all LLM providers exhausted".to_owned(),
        since: after(Duration::from_secs(1)).wall,
        held: Duration::from_micros(60_249_600),
    };
    assert_golden(&alert.to_bytes(&identity(), now()), golden!("alert.json"));
    let from_the_start = Alert { previous: None, ..alert.clone() };
    assert!(read(&from_the_start.to_bytes(&identity(), now())).get("previous").is_none());
    let end = Alert {
        event: AlertEvent::AlertEnd,
        health: State::Healthy,
        previous: Some(State::Failing),
        reason: "no longer: all LLM providers exhausted".to_owned(),
        held: Duration::from_secs(720),
        ..alert
    };
    assert_golden(&end.to_bytes(&identity(), now()), golden!("alert_end.json"));
}

/// Three providers, long names, all that can be watched, and counters of a very long run.
fn large_healthy_beat() -> (Vec<u8>, Snapshot) {
    let providers = ["openrouter-1", "openrouter-2", "openrouter-3"].map(ProviderName::new);
    let monitor = HealthMonitor::new(start(), providers.clone(), Component::ALL);
    monitor.link(start(), LinkHealth::Up);
    for provider in &providers {
        monitor.provider_status(start(), provider, ProviderStatus::Ok);
    }
    let mut snapshot = monitor.snapshot(after(Duration::from_millis(98_765_432_123)));
    snapshot.messages_processed = 123_456_789;
    snapshot.responses_sent = 1_234_567;
    snapshot.errors = 123_456;
    snapshot.errors_last_5min = 999;
    snapshot.errors_last_hour = 9_999;
    snapshot.error_rate = 0.099_87;
    let beat = Beat {
        spam_detector_active: true,
        proof: Proof {
            decider: Some(Duration::from_micros(999_900)),
            link: Some(Duration::from_micros(1_799_900)),
        },
        ..beat()
    };
    let identity = Identity { hostname: "h".repeat(40), ..identity() };
    (heartbeat(&identity, &snapshot, &beat), snapshot)
}

#[test]
fn req_002_a_healthy_beat_is_at_most_a_thousand_bytes() {
    let (message, snapshot) = large_healthy_beat();
    assert_eq!((snapshot.state.as_str(), snapshot.components.len()), ("healthy", 12));
    assert!(message.len() <= 1000, "{} bytes: {}", message.len(), String::from_utf8_lossy(&message));
}

#[test]
fn numbers_have_no_more_decimals_than_they_need() {
    let (message, _) = large_healthy_beat();
    let message = read(&message);
    assert_eq!(message["uptime_seconds"].to_string(), "98765432.123");
    assert_eq!(message["status"]["error_rate"].to_string(), "0.0999");
    assert_eq!(message["status"]["proof"]["decider_ms"].to_string(), "999.9");
    assert_eq!(message["status"]["proof"]["link_ms"].to_string(), "1799.9");
}
