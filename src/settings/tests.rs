use std::fs;

use serde_json::json;
use tokio::sync::oneshot::channel;

use super::*;
use crate::config::testing::{loaded, text};

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_a_change_does_not_wait_for_ever() {
    let (requests, _nobody_reads) = mpsc::channel(1);
    let settings = SettingsHandle { requests };
    assert_eq!(settings.reload().await, Err(NotChanged::TooLong));
    // The place in the queue is taken now.
    let toggle = Change::ToggleTrigger("one".to_owned());
    assert_eq!(settings.change(toggle).await, Err(NotChanged::TooLong));
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_does_not_end_is_a_fault_until_it_ends() {
    let clock = Clock::start();
    let health = HealthMonitor::new(clock.now(), [], []);
    let (end, ended) = channel();
    let reload = watched(ended, "the last reload does not end", clock, &health);
    let mut reload = pin!(reload);
    let unhealthy = || health.snapshot(clock.now()).unhealthy(Component::Config).map(str::to_owned);
    assert!(timeout(PATIENCE - Duration::from_secs(1), &mut reload).await.is_err());
    assert_eq!(unhealthy(), None);
    assert!(timeout(Duration::from_secs(2), &mut reload).await.is_err());
    assert_eq!(unhealthy().as_deref(), Some("the last reload does not end"));
    end.send("done").expect("somebody waits");
    assert_eq!(reload.await, Ok("done"));
    assert_eq!(unhealthy(), None);
}

/// A task on a file that has changed since it was loaded, with whom to ask.
fn task(folder: &tempfile::TempDir) -> (SettingsTask, SettingsHandle, InForce) {
    let path = folder.path().join("config.json");
    fs::write(&path, text(json!({"chat_min_delay": 2.5}))).expect("written");
    let clock = Clock::start();
    let health = HealthMonitor::new(clock.now(), [], []);
    let loaded = loaded(json!({"triggers": [{"name": "one", "patterns": ["a"]}]}));
    let source = Source { path, loaded, overrules: Overrules::default() };
    SettingsTask::new(source, clock, health)
}

fn put(settings: &SettingsHandle, work: Work) -> oneshot::Receiver<Result<Taken, NotChanged>> {
    let (answer, answered) = channel();
    assert!(settings.requests.try_send(Request { work, answer }).is_ok());
    answered
}

#[tokio::test]
async fn one_reload_serves_all_who_wait_and_changes_keep_their_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let (task, settings, in_force) = task(&folder);
    let toggle = || Work::Change(Change::ToggleTrigger("one".to_owned()));
    let before = put(&settings, toggle());
    let merged: Vec<_> = (0..20).map(|_| put(&settings, Work::Reload)).collect();
    let behind = put(&settings, toggle());
    let last = put(&settings, Work::Reload);
    let running = tokio::spawn(task.run());
    let changes = |taken: Result<Taken, NotChanged>| taken.map(|taken| taken.changes.len());
    assert_eq!(changes(before.await.expect("an answer")), Ok(1));
    for answer in merged {
        let taken = answer.await.expect("an answer").expect("a good file");
        // A second reload would have found nothing new.
        assert!(taken.commands_undone && !taken.changes.is_empty());
    }
    let refused = Refused::NoTrigger("one".to_owned());
    assert_eq!(behind.await.expect("an answer"), Err(refused.into()), "the file has no trigger");
    assert_eq!(changes(last.await.expect("an answer")), Ok(0));
    assert_eq!(in_force.borrow().shared_config().chat_min_delay.as_secs_f64(), 2.5);
    drop(settings);
    running.await.expect("it ends with those who can ask");
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_any_more_is_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let (task, settings, in_force) = task(&folder);
    drop(put(&settings, Work::Change(Change::ToggleTrigger("one".to_owned()))));
    drop(settings);
    task.run().await;
    assert!(in_force.borrow().shared_config().triggers[0].enabled);
}
