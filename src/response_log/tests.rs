use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::chat::plan::ReplyPlan;
use crate::chat::testing::{OneRoom, at};
use crate::config::testing;
use crate::outcome::{ReplyEnd, ReplyOutcome};

/// A log in a folder, with a health that hears of it, and a reply to write down.
struct World {
    plan: Box<ReplyPlan>,
    folder: TempDir,
    health: HealthMonitor,
    log: ResponseLog,
    writer: LogWriter,
}

fn world(file: &str) -> World {
    let folder = TempDir::new().expect("a folder");
    let clock = Clock::start();
    let health = HealthMonitor::new(clock.now(), [], []);
    let settings = testing::config(json!({"testing": {"log_file": folder.path().join(file)}})).testing;
    let (log, writer) = ResponseLog::new(&settings, clock, health.clone());
    let plan = OneRoom::new(json!({})).reply(1.0, "bob", "vera?");
    World { plan, folder, health, log, writer: writer.expect("a writer") }
}

fn write(log: &ResponseLog, plan: &mut ReplyPlan, text: &str) {
    plan.message = text.to_owned();
    log.write(&Record::of_reply(at(1.0), plan, &Course::default(), ReplyEnd::silent(ReplyOutcome::Sent)));
}

fn messages(world: &TempDir, file: &str) -> Vec<String> {
    let text = fs::read_to_string(world.path().join(file)).unwrap_or_default();
    let message = |line: &str| -> Value { serde_json::from_str(line).expect("JSON") };
    text.lines()
        .map(|line| message(line)["cleaned_message"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn trouble(health: &HealthMonitor) -> Option<String> {
    health.snapshot(Clock::start().now()).unhealthy(Component::ResponseLog).map(str::to_owned)
}

#[tokio::test]
async fn all_that_was_handed_in_is_written_in_order_before_the_end() {
    let World { mut plan, folder, log, writer, .. } = world("logs/x.jsonl");
    for number in 0..300 {
        write(&log, &mut plan, &number.to_string());
    }
    drop(log);
    writer.run().await;
    let expected: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(messages(&folder, "logs/x.jsonl"), expected);
}

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_lost_and_told_but_nobody_waits() {
    let World { mut plan, folder, health, log, writer } = world("x.jsonl");
    for number in 0..WAITING + 5 {
        write(&log, &mut plan, &number.to_string());
    }
    assert_eq!(trouble(&health).as_deref(), Some("the queue is full: records are lost"));
    drop(log);
    writer.run().await;
    let written = messages(&folder, "x.jsonl");
    assert_eq!(
        (written.len(), written.last().map(String::as_str)),
        (WAITING, Some("1023")),
        "the newest are lost"
    );
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_too() {
    let World { mut plan, folder, log, writer, .. } = world("x.jsonl");
    let long = "x".repeat(60_000);
    for _ in 0..200 {
        write(&log, &mut plan, &long);
    }
    drop(log);
    writer.run().await;
    let bytes = fs::metadata(folder.path().join("x.jsonl")).expect("a file").len();
    assert!(bytes > 3 << 20 && bytes <= WAITING_BYTES as u64, "{bytes}");
}

#[tokio::test]
async fn a_log_that_can_not_be_written_is_known_at_once_and_until_it_can() {
    let World { mut plan, folder, health, log, writer } = world("blocked/x.jsonl");
    fs::write(folder.path().join("blocked"), "a file where a folder should be").expect("a file");
    let task = tokio::spawn(writer.run());
    while trouble(&health).is_none() {
        tokio::task::yield_now().await;
    }
    assert!(trouble(&health).is_some_and(|message| message.starts_with("can't write ")));
    fs::remove_file(folder.path().join("blocked")).expect("no file");
    write(&log, &mut plan, "now");
    while trouble(&health).is_some() {
        tokio::task::yield_now().await;
    }
    drop(log);
    task.await.expect("no panic");
    assert_eq!(messages(&folder, "blocked/x.jsonl"), ["now"]);
}

#[test]
fn an_unwanted_log_takes_records_and_has_no_writer() {
    let clock = Clock::start();
    let settings = testing::config(json!({"testing": {"log_responses": false}})).testing;
    let (log, writer) = ResponseLog::new(&settings, clock, HealthMonitor::new(clock.now(), [], []));
    assert!(writer.is_none());
    write(&log, &mut OneRoom::new(json!({})).reply(1.0, "bob", "vera?"), "into the void");
}
