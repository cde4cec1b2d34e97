//! The history from what happens to what is shown.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::health::{Component, LinkHealth, ProviderStatus};
use crate::names::ProviderName;
use crate::outcome::{Reason, ReplyOutcome};

/// So many changes are kept by health.
const MOST_NEWS: usize = 256;

fn settings() -> config::History {
    config::History {
        enabled: true,
        file: "history.db".into(),
        retention: Duration::from_secs(30 * 86_400),
        max_mib: 50,
    }
}

fn health(clock: Clock) -> HealthMonitor {
    let nobody = std::iter::empty::<Component>();
    HealthMonitor::new(clock.now(), [ProviderName::new("local")], nobody)
}

async fn shown(history: &History, clock: Clock, range: Range) -> Value {
    let document = history.document(clock, range).await.expect("a history");
    serde_json::from_str(&document).expect("JSON")
}

/// Runs a service's history in which this happens, to its end.
async fn run(folder: &TempDir, clock: Clock, health: &HealthMonitor, happens: impl FnOnce()) -> History {
    let (history, keeping) = History::new(&settings(), folder.path(), clock, health);
    let (recorder, writer) = keeping.expect("it is kept");
    happens();
    let stop = CancellationToken::new();
    stop.cancel();
    tokio::join!(recorder.run(stop), writer.run());
    history
}

/// The sum of a figure over all minutes: a test may run over a border.
fn sum(document: &Value, pointer: &str) -> u64 {
    let minutes = document["minutes"].as_array().expect("minutes");
    minutes.iter().filter_map(|minute| minute.pointer(pointer)?.as_u64()).sum()
}

#[tokio::test]
async fn what_happened_in_two_runs_is_shown_with_what_changed() {
    let folder = TempDir::new().expect("a folder");
    let clock = Clock::start();
    for status in [ProviderStatus::Ok, ProviderStatus::Failed] {
        let health = health(clock);
        run(&folder, clock, &health, || {
            health.link(clock.now(), LinkHealth::Up);
            health.message_processed(clock.now());
            health.message_ignored(Reason::NoTrigger);
            health.reply_fired(clock.now());
            health.reply_ended(clock.now(), ReplyOutcome::Sent);
            health.reply_took(Duration::from_millis(120));
            health.tokens(30, 4);
            health.provider_status(clock.now(), &ProviderName::new("local"), status);
        })
        .await;
        let components = health.snapshot(clock.now()).components;
        let ours = components.iter().find(|health| health.component == Component::History);
        assert_eq!(ours.map(|health| &health.unhealthy), Some(&None), "it is watched, and well");
    }
    let (history, _) = History::new(&settings(), folder.path(), clock, &health(clock));
    for range in Range::ALL {
        let document = shown(&history, clock, range).await;
        assert_eq!(
            (&document["range"], &document["step_seconds"]),
            (&range.as_str().into(), &range.step().into())
        );
        for (pointer, expected) in [
            ("/messages", 2),
            ("/replies", 2),
            ("/errors", 0),
            ("/silences/no_trigger", 2),
            ("/tokens/prompt", 60),
            ("/tokens/completion", 8),
        ] {
            assert_eq!(sum(&document, pointer), expected, "{pointer}: {document}");
        }
        assert_eq!(document["minutes"][0]["latency_ms"]["p99"], 120, "{document}");
        let of = |list: &str, key: &str| {
            let list = document[list].as_array().expect("a list").clone();
            list.into_iter().map(|change| change[key].clone()).collect::<Vec<_>>()
        };
        assert_eq!(of("transitions", "to"), ["healthy", "healthy", "degraded"]);
        assert_eq!(of("transitions", "from"), [Value::Null, Value::Null, "healthy".into()]);
        let first = "for the first time since the start";
        let every_provider = "every LLM provider called so far failed last";
        assert_eq!(of("transitions", "reason"), [first, first, every_provider]);
        assert!(!of("minutes", "state").contains(&"failing".into()), "no start is a failure: {document}");
        assert_eq!(of("providers", "to"), ["ok", "unknown", "failed"], "a start knows nothing of them");
        assert_eq!(of("providers", "from"), ["unknown", "ok", "unknown"]);
        assert!(document.get("state_at_start").is_none(), "nothing is older: {document}");
    }
}

#[tokio::test]
async fn what_was_before_the_range_is_known_as_it_was_left() {
    let folder = TempDir::new().expect("a folder");
    let clock = Clock::start();
    let health = health(clock);
    let ago = |hours| {
        let now = clock.now();
        crate::clock::Moment { wall: now.wall - chrono::TimeDelta::hours(hours), ..now }
    };
    health.provider_status(ago(5), &ProviderName::new("local"), ProviderStatus::Ok);
    health.link(ago(4), LinkHealth::Up);
    health.provider_status(ago(3), &ProviderName::new("local"), ProviderStatus::Failed);
    let history = run(&folder, clock, &health, || {}).await;
    let hour = shown(&history, clock, Range::Hour).await;
    assert_eq!(hour["state_at_start"]["state"], "degraded", "{hour}");
    assert_eq!(hour["providers_at_start"]["local"], "failed", "{hour}");
    assert_eq!((&hour["transitions"], &hour["providers"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    let day = shown(&history, clock, Range::Day).await;
    assert_eq!(day["transitions"].as_array().map(Vec::len), Some(2), "{day}");
}

#[tokio::test]
async fn before_anything_was_written_every_range_is_empty() {
    let folder = TempDir::new().expect("a folder");
    let clock = Clock::start();
    let (history, _) = History::new(&settings(), &folder.path().join("state"), clock, &health(clock));
    for range in Range::ALL {
        let document = shown(&history, clock, range).await;
        for list in ["minutes", "transitions", "providers"] {
            assert_eq!(document[list], Value::Array(vec![]), "{list}: {document}");
        }
        assert_eq!(document["providers_at_start"], serde_json::json!({}), "{document}");
        assert_eq!(document["range"], range.as_str());
        assert!(document["from"].is_string() && document["to"].is_string(), "{document}");
    }
}

#[tokio::test]
async fn without_a_file_a_writer_that_has_failed_is_told() {
    let folder = TempDir::new().expect("a folder");
    let blocked = folder.path().join("state");
    fs::write(&blocked, "a file where a folder should be").expect("written");
    let clock = Clock::start();
    let health = health(clock);
    let (history, keeping) = History::new(&settings(), &blocked.join("deeper"), clock, &health);
    let (recorder, writer) = keeping.expect("it is kept");
    let stop = CancellationToken::new();
    stop.cancel();
    tokio::join!(recorder.run(stop), writer.run());
    fs::remove_file(&blocked).expect("gone");
    let unreadable = history.document(clock, Range::Hour).await.expect_err("no history");
    assert!(unreadable.to_string().starts_with("the last write failed: "), "{unreadable}");
}

#[tokio::test]
async fn a_file_that_can_not_be_written_makes_the_component_unhealthy_until_it_can() {
    let folder = TempDir::new().expect("a folder");
    let clock = Clock::start();
    let health = health(clock);
    let in_the_way = folder.path().join("history.db");
    fs::create_dir(&in_the_way).expect("a folder where the file should be");
    let wrong = |health: &HealthMonitor| {
        health.snapshot(clock.now()).unhealthy(Component::History).map(str::to_owned)
    };
    let history = run(&folder, clock, &health, || {}).await;
    let message = wrong(&health).expect("unhealthy");
    assert!(message.starts_with("the last write failed: "), "{message}");
    assert_eq!(history.write_failures(), 1);
    let unreadable = history.document(clock, Range::Hour).await.expect_err("no history");
    assert_eq!(unreadable, NoHistory::Unreadable(message), "in the words of the component");
    fs::remove_dir(&in_the_way).expect("gone");
    let history = run(&folder, clock, &health, || {}).await;
    assert_eq!((wrong(&health), history.write_failures()), (None, 0));
}

#[tokio::test]
async fn a_writer_that_does_not_come_along_costs_entries_and_no_time() {
    let folder = TempDir::new().expect("a folder");
    let clock = Clock::start();
    let health = health(clock);
    let missed = 50;
    for round in 0..MOST_NEWS + missed {
        let status = if round % 2 == 0 { ProviderStatus::Ok } else { ProviderStatus::Failed };
        health.provider_status(clock.now(), &ProviderName::new("local"), status);
    }
    let (history, keeping) = History::new(&settings(), folder.path(), clock, &health);
    let (recorder, _writer_that_never_runs) = keeping.expect("it is kept");
    let stop = CancellationToken::new();
    stop.cancel();
    recorder.run(stop).await;
    let handed_on = 1 + MOST_NEWS + 1;
    let lost = missed + handed_on - WAITING;
    assert_eq!(
        usize::try_from(history.lost()),
        Ok(lost),
        "more than is kept, then the latest changes and the minute"
    );
}

#[tokio::test]
async fn without_a_history_nothing_is_made_and_it_says_why() {
    let folder = TempDir::new().expect("a folder");
    let clock = Clock::start();
    let off = config::History { enabled: false, ..settings() };
    let (history, keeping) = History::new(&off, folder.path(), clock, &health(clock));
    assert!(keeping.is_none() && !history.is_kept());
    assert_eq!(history.document(clock, Range::Hour).await, Err(NoHistory::Off));
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
