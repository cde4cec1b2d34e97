//! What a scrape tells: the figures that others keep, each asked once at the moment of the scrape, beside
//! those that were counted where they happened.

mod decisions;
mod process;
mod providers;
mod replies;
mod service;

use std::sync::{Arc, Mutex, PoisonError};

use crate::bus::Bus;
use crate::bus::wire::Identity;
use crate::chat::rate_limits::Usage;
use crate::clock::Clock;
use crate::context_log::ContextLog;
use crate::health::HealthMonitor;
use crate::history::History;
use crate::llm::ProvidersView;
use crate::metrics::Metrics;
use crate::metrics::depth::Depth;
use crate::metrics::moment::Moment;
use crate::ops::remembered::Remembered;
use crate::outbox::OutboxView;
use crate::settings::InForce;

/// Whoever is asked for figures. Cheap to clone, and keeps nothing open.
#[derive(Clone)]
pub struct Figures {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// What is in force.
    pub in_force: InForce,
    /// What is remembered of answers.
    pub contexts: ContextLog,
    /// How we are.
    pub health: HealthMonitor,
    /// When it is.
    pub clock: Clock,
    /// How the link is.
    pub bus: Bus,
    /// What is counted where it happens.
    pub metrics: Metrics,
    /// What is known of the providers, and what they cost.
    pub providers: ProvidersView,
    /// Asks the decider, who keeps the rate limits and the conversations.
    pub asking: Remembered,
    /// Where things wait.
    pub queues: Queues,
    /// What the decider told last.
    pub remembered: Arc<Mutex<OfDecider>>,
}

/// The queues, seen from outside.
#[derive(Debug, Clone)]
pub struct Queues {
    /// What rooms say, on its way to the decider.
    pub rooms: Vec<Depth>,
    /// The outboxes of the rooms.
    pub outboxes: Vec<OutboxView>,
    /// The response log's records; none when there is no such log.
    pub response_log: Option<Depth>,
    /// Notes to the decider.
    pub notes: Depth,
}

impl Queues {
    /// What rooms have said and nobody has looked at.
    pub fn messages(&self) -> usize {
        self.rooms.iter().map(Depth::now).sum()
    }

    /// Lines that wait to be said, or for their answer.
    pub fn lines(&self) -> usize {
        self.outboxes.iter().map(|outbox| outbox.lines.now()).sum()
    }
}

/// The decider's own figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfDecider {
    /// How far the rate limits are used up; none before the decider has told.
    pub usage: Option<Usage>,
    /// How many lines the conversations hold.
    pub lines: usize,
}

impl Figures {
    /// All figures as Prometheus reads them; `history` is where it is counted how it is kept.
    pub async fn scrape(&self, history: &History) -> String {
        let remembered = self.ask_decider().await;
        let rules = self.in_force.borrow().clone();
        let config = rules.config();
        self.metrics.prepare(config);
        let snapshot = self.health.snapshot(self.clock.now());
        let mut moment = Moment::default();
        service::tell(&moment, &self.identity, &snapshot, &self.bus.link());
        decisions::tell(&moment, config, &snapshot, remembered);
        replies::tell(&moment, config, &snapshot);
        providers::tell(&moment, config, &snapshot, &self.providers, &self.metrics.answers());
        process::tell(&mut moment, &self.identity);
        self.tell_queues(&moment);
        moment.count("llm_context_log_size", self.contexts.len());
        moment.counter("llm_history_write_failures_total", &[], history.write_failures());
        moment.counter("llm_history_lost_total", &[], history.lost());
        self.metrics.render(&moment)
    }

    /// What the decider tells, or told last.
    async fn ask_decider(&self) -> OfDecider {
        let ask = self
            .asking
            .ask(|now, decider, _| OfDecider { usage: Some(decider.usage(now)), lines: decider.lines() });
        let told = ask.await;
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = told {
            *remembered = told;
        }
        *remembered
    }

    fn tell_queues(&self, moment: &Moment) {
        let Queues { outboxes, response_log, notes, .. } = &self.queues;
        let depths = [
            ("rooms", self.queues.messages()),
            ("outbox", self.queues.lines()),
            ("response_log", response_log.as_ref().map_or(0, Depth::now)),
            ("notes", notes.now()),
        ];
        for (queue, depth) in depths {
            moment.gauge("llm_queue_depth", &[("queue", queue)], depth as f64);
        }
        let unheard = outboxes.iter().map(OutboxView::unheard).max().unwrap_or(0);
        moment.gauge("llm_lines_unheard", &[], f64::from(unheard));
    }
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
