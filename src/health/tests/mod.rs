//! The monitor as its users see it.

mod books;
mod components;
mod rules;
mod transitions;

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::*;
use crate::clock::Moment;
use crate::names::ProviderName;
use crate::outcome::{Reason, ReplyOutcome};

/// A moment so long after the start.
fn after(elapsed: Duration) -> Moment {
    Moment { elapsed, wall: DateTime::<Utc>::UNIX_EPOCH + elapsed }
}

pub(super) fn at(seconds: u64) -> Moment {
    after(Duration::from_secs(seconds))
}

fn at_millis(millis: u64) -> Moment {
    after(Duration::from_millis(millis))
}

fn providers<const N: usize>(names: [&str; N]) -> [ProviderName; N] {
    names.map(ProviderName::new)
}

/// A monitor with the link up and nothing else known.
fn connected() -> HealthMonitor {
    let monitor = HealthMonitor::new(at(0), providers(["local", "openrouter"]), Component::ALL);
    monitor.link(at(0), LinkHealth::Up);
    monitor
}

fn down(why: &str) -> LinkHealth {
    LinkHealth::Down { why: why.to_owned() }
}

fn status(monitor: &HealthMonitor, now: Moment, provider: &str, status: ProviderStatus) {
    monitor.provider_status(now, &ProviderName::new(provider), status);
}

fn messages(monitor: &HealthMonitor, now: Moment, count: usize) {
    (0..count).for_each(|_| monitor.message_processed(now));
}

fn errors(monitor: &HealthMonitor, now: Moment, count: usize) {
    for _ in 0..count {
        monitor.reply_fired(now);
        monitor.reply_ended(now, ReplyOutcome::Failed(Reason::Exhausted));
    }
}

fn unhealthy(monitor: &HealthMonitor, now: Moment, component: Component) {
    monitor.condition(now, component, "test", Some("broken".to_owned()), None);
}

fn state(monitor: &HealthMonitor, now: Moment) -> State {
    monitor.snapshot(now).state
}

fn reason(monitor: &HealthMonitor, now: Moment) -> String {
    monitor.snapshot(now).reason.unwrap_or_default()
}

/// What is wrong with a component.
fn wrong(monitor: &HealthMonitor, now: Moment, component: Component) -> Option<String> {
    monitor.snapshot(now).unhealthy(component).map(str::to_owned)
}
