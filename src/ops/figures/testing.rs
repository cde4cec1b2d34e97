//! Figures of a service that does nothing.

use std::sync::{Arc, Mutex};

use super::{Figures, OfDecider, Queues};
use crate::bus::link::LinkKeeper;
use crate::bus::wire::Identity;
use crate::clock::Clock;
use crate::context_log::ContextLog;
use crate::decider::DeciderLoop;
use crate::health::HealthMonitor;
use crate::llm::Router;
use crate::metrics::Metrics;
use crate::ops::remembered::Remembered;
use crate::room_state::RoomState;
use crate::settings::InForce;
use crate::spend_book::SpendBook;

/// Whose decider has ended and whose link never was.
pub fn figures(in_force: InForce, health: HealthMonitor, clock: Clock) -> Figures {
    let config = in_force.borrow().shared_config().clone();
    let identity = Arc::new(Identity {
        service: "llm".to_owned(),
        version: "1.2.3".to_owned(),
        hostname: "vera".to_owned(),
        instance_id: "7f9c24e8".to_owned(),
        started: clock.now(),
    });
    // Whoever works here tells nobody's health.
    let idle = HealthMonitor::new(clock.now(), [], []);
    let spend = SpendBook::blank(&config, clock);
    let (_, bus) = LinkKeeper::new(config.nats.clone(), "llm", clock, idle.clone());
    let (_, memory) = RoomState::new();
    let (_, decider, _) = DeciderLoop::new(in_force.clone(), spend.clone(), clock, idle.clone(), memory);
    let providers = Router::new(&config, spend, idle, clock).view();
    let notes = decider.depth();
    Figures {
        identity,
        in_force,
        contexts: ContextLog::default(),
        health,
        clock,
        bus,
        metrics: Metrics::new(),
        providers,
        asking: Remembered::new(decider),
        queues: Queues { rooms: Vec::new(), outboxes: Vec::new(), response_log: None, notes },
        remembered: Arc::new(Mutex::new(OfDecider::default())),
    }
}
