use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::bus::link::LinkKeeper;
use crate::chat::rules::Rules;
use crate::config::testing::config;
use crate::health::{Component, LinkHealth, ProviderStatus, State};
use crate::names::ProviderName;

struct Bench {
    settings: watch::Sender<Arc<Rules>>,
    alerts: Alerts,
    told: Receiver<Arc<Alert>>,
    health: HealthMonitor,
    clock: Clock,
    folder: TempDir,
    _keeper: LinkKeeper,
}

fn rules(folder: &TempDir, alerts: Value) -> Arc<Rules> {
    Rules::new(Arc::new(config(json!({ "state_dir": folder.path(), "alerts": alerts }))))
}

fn bench(alerts: Value) -> Bench {
    start_in(tempfile::tempdir().expect("a folder"), alerts)
}

fn start_in(folder: TempDir, alerts: Value) -> Bench {
    let clock = Clock::start();
    let health = HealthMonitor::new(clock.now(), [ProviderName::new("local")], []);
    health.link(clock.now(), LinkHealth::Up);
    let (settings, in_force) = watch::channel(rules(&folder, alerts));
    let nats = in_force.borrow().config().nats.clone();
    let (keeper, bus) = LinkKeeper::new(nats, "llm", clock, health.clone());
    let identity = Arc::new(Identity {
        service: "llm".to_owned(),
        version: "1.2.3".to_owned(),
        hostname: "vera".to_owned(),
        instance_id: "one".to_owned(),
        started: clock.now(),
    });
    let alerts = Alerts::new(AlertParts { identity, in_force, bus, health: health.clone(), clock });
    let told = alerts.tellers.subscribe();
    Bench { settings, alerts, told, health, clock, folder, _keeper: keeper }
}

impl Bench {
    fn robot(&self, trouble: Option<&str>) {
        let trouble = trouble.map(str::to_owned);
        self.health.condition(self.clock.now(), Component::Robot, "here", trouble, None);
    }

    fn change(&self, alerts: Value) {
        self.settings.send_replace(rules(&self.folder, alerts));
    }

    /// Writes down what has no end yet.
    async fn keep(&mut self) {
        let open = self.alerts.without_end();
        // However slow the disk is.
        while self.alerts.memory.kept() != open {
            self.alerts.memory.finish(self.clock.now(), open).await;
        }
    }

    /// What was told since the last time.
    fn told(&mut self) -> Vec<(AlertEvent, State)> {
        self.alerts.look().into_iter().for_each(|alert| self.alerts.tell(alert));
        std::iter::from_fn(|| self.told.try_recv().ok()).map(|alert| (alert.event, alert.health)).collect()
    }
}

#[test]
fn each_change_between_two_looks_is_heard_and_counted() {
    let mut bench = bench(json!({ "hold_seconds": 0 }));
    assert_eq!(bench.told(), [], "the start is over before anybody looked, and nothing is wrong");
    bench.robot(Some("gone"));
    bench.robot(None);
    bench.robot(Some("gone"));
    let degraded = (AlertEvent::Alert, State::Degraded);
    assert_eq!(bench.told(), [degraded, (AlertEvent::AlertEnd, State::Healthy), degraded]);
    assert_eq!(bench.told(), []);
    let counts = bench.health.snapshot(bench.clock.now()).alerts;
    assert_eq!((counts.alerts, counts.ends, counts.undelivered), (2, 1, 0));
}

#[test]
fn switched_off_nothing_is_told_and_switched_on_what_still_is_wrong() {
    let mut bench = bench(json!({ "enabled": false, "hold_seconds": 0 }));
    bench.robot(Some("gone"));
    assert_eq!(bench.told(), []);
    bench.change(json!({ "hold_seconds": 3600 }));
    assert_eq!(bench.told(), [], "it has not held so long");
    bench.change(json!({ "hold_seconds": 0 }));
    assert_eq!(bench.told(), [(AlertEvent::Alert, State::Degraded)]);
}

#[test]
fn switched_off_what_was_told_still_gets_its_end_and_nothing_new_is_told() {
    let mut bench = bench(json!({ "hold_seconds": 0 }));
    bench.robot(Some("gone"));
    assert_eq!(bench.told(), [(AlertEvent::Alert, State::Degraded)]);
    bench.change(json!({ "enabled": false, "hold_seconds": 0 }));
    assert_eq!(bench.told(), []);
    bench.robot(None);
    assert_eq!(bench.told(), [(AlertEvent::AlertEnd, State::Healthy)]);
    bench.robot(Some("gone again"));
    assert_eq!(bench.told(), []);
}

/// The alerts of a service that has written down what is open, and of the one that is started then.
async fn restarted(alerts: Value) -> Bench {
    let mut bench = bench(json!({ "hold_seconds": 0 }));
    bench.robot(Some("gone"));
    assert_eq!(bench.told(), [(AlertEvent::Alert, State::Degraded)]);
    bench.keep().await;
    start_in(bench.folder, alerts)
}

#[tokio::test]
async fn what_was_told_before_the_start_gets_its_end_also_when_alerts_are_off_by_then() {
    for enabled in [true, false] {
        let mut bench = restarted(json!({ "enabled": enabled, "hold_seconds": 0 })).await;
        assert_eq!(bench.told(), [(AlertEvent::AlertEnd, State::Healthy)], "{enabled}");
        bench.keep().await;
        let mut bench = start_in(bench.folder, json!({ "hold_seconds": 0 }));
        assert_eq!(bench.told(), [], "once");
    }
}

#[tokio::test]
async fn an_end_that_was_on_its_way_at_the_stop_is_told_by_the_next_run() {
    let end = (AlertEvent::AlertEnd, State::Healthy);
    for is_delivered in [false, true] {
        let mut bench = restarted(json!({ "hold_seconds": 0 })).await;
        let mut teller = bench.alerts.tellers.subscribe();
        assert_eq!(bench.told(), [end]);
        let in_hand = teller.recv().await.expect("the end");
        if is_delivered {
            drop(in_hand);
        }
        bench.keep().await;
        let mut bench = start_in(bench.folder, json!({ "hold_seconds": 0 }));
        assert_eq!(bench.told(), if is_delivered { vec![] } else { vec![end] });
    }
}

#[tokio::test]
async fn switched_off_nothing_new_is_written_down() {
    let mut bench = bench(json!({ "enabled": false, "hold_seconds": 0 }));
    bench.robot(Some("gone"));
    assert_eq!(bench.told(), []);
    bench.keep().await;
    assert_eq!(std::fs::read_dir(bench.folder.path()).expect("a folder").count(), 0);
}

#[test]
fn after_more_news_than_is_kept_the_present_state_counts() {
    let mut bench = bench(json!({ "hold_seconds": 0 }));
    bench.robot(Some("gone"));
    for number in 0..1_000 {
        let status = if number % 2 == 0 { ProviderStatus::Ok } else { ProviderStatus::Failed };
        bench.health.provider_status(bench.clock.now(), &ProviderName::new("local"), status);
    }
    let told = bench.told();
    assert_eq!(told.last(), Some(&(AlertEvent::Alert, State::Degraded)), "{told:?}");
    bench.robot(None);
    bench.health.provider_status(bench.clock.now(), &ProviderName::new("local"), ProviderStatus::Ok);
    assert_eq!(bench.told().last(), Some(&(AlertEvent::AlertEnd, State::Healthy)));
}

#[tokio::test]
async fn what_waits_is_bounded_and_the_oldest_are_dropped_and_counted() {
    let mut bench = bench(json!({ "hold_seconds": 0 }));
    let mut waiting = bench.alerts.waiting("a test");
    for _ in 0..WAITING {
        bench.robot(Some("gone"));
        bench.robot(None);
    }
    bench.alerts.look().into_iter().for_each(|alert| bench.alerts.tell(alert));
    let mut kept = Vec::new();
    for _ in 0..WAITING {
        kept.push(waiting.next().await.event);
    }
    assert_eq!(kept.last(), Some(&AlertEvent::AlertEnd));
    assert_eq!(bench.health.snapshot(bench.clock.now()).alerts.undelivered, WAITING as u64);
}
