//! Figures for Prometheus. What happens is counted here where it happens; what others count already, health
//! above all, is set in a [`Moment`](moment::Moment) of its own at each scrape, and never counted twice.

pub mod answers;
pub mod catalogue;
pub mod depth;
pub mod labels;
pub mod moment;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::{Counter, Gauge, Histogram};
use tokio::time::{MissedTickBehavior, interval};

use crate::bus::Bus;
use crate::chat::plan::{Detail, Silence};
use crate::chat::spam::Rule;
use crate::chat::triggers::{Trigger, TriggerKind, mention};
use crate::config::Config;
use crate::llm::Answer;
use crate::timings::Timings;
use answers::Answers;
use moment::{Moment, Recording};

/// How often samples are sorted into their buckets, whether anybody scrapes or not.
const UPKEEP: Duration = Duration::from_secs(10);

/// Counts what happens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What is counted since the start.
    lasting: Recording,
    trigger_checks: Counter,
    media_changes_triggered: Counter,
    heartbeats: Counter,
    last_heartbeat: Gauge,
    heartbeat_lateness: Histogram,
    round_trip: Histogram,
    reply: Histogram,
    overhead: Histogram,
    /// Held for moments only.
    answers: Mutex<Answers>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing has happened yet, and all that could is there at zero but for what hangs on the
    /// configuration: see [`Self::prepare`].
    pub fn new() -> Self {
        let lasting = Recording::new();
        let metrics = Self(Arc::new(Inner {
            trigger_checks: lasting.counter("llm_trigger_checks_total", &[]),
            media_changes_triggered: lasting.counter("llm_media_changes_triggered_total", &[]),
            heartbeats: lasting.counter("llm_heartbeats_total", &[]),
            last_heartbeat: lasting.gauge("llm_heartbeat_last_timestamp_seconds", &[]),
            heartbeat_lateness: lasting.histogram("llm_heartbeat_lateness_seconds", &[]),
            round_trip: lasting.histogram("llm_link_round_trip_seconds", &[]),
            reply: lasting.histogram("llm_reply_seconds", &[]),
            overhead: lasting.histogram("llm_reply_overhead_seconds", &[]),
            answers: Mutex::default(),
            lasting,
        }));
        for kind in TriggerKind::ALL {
            let _ = metrics.fires_by_type(kind);
        }
        Rule::ALL.into_iter().for_each(|rule| _ = metrics.spam_by_reason(rule));
        for (stage, _) in Timings::default().stages() {
            let _ = metrics.stage(stage);
        }
        metrics
    }

    /// Everything that a configuration can make happen is there, at zero where it has not happened.
    pub fn prepare(&self, config: &Config) {
        let names = mention::folded(config.personality.names());
        let triggers = config.triggers.iter().map(|trigger| trigger.name.as_str());
        let of_ours = ["auto_participation", "media_change"];
        let all: BTreeSet<String> = names.chain(triggers.clone().chain(of_ours).map(str::to_owned)).collect();
        all.iter().for_each(|name| _ = self.fires_by_name(name));
        labels::rate_limits(triggers).iter().for_each(|limit| _ = self.rate_limit_hits(limit));
        for provider in &config.llm_providers {
            let _ = self.response_time(provider.name.as_str(), &provider.model);
        }
    }

    /// A message was looked through for triggers. This is on the way of every message: it costs two
    /// atomic additions.
    pub fn trigger_checked(&self) {
        self.0.trigger_checks.increment(1);
    }

    /// Something made us answer, whether anything held the answer back or not.
    pub fn fired(&self, trigger: &Trigger) {
        self.fires_by_type(trigger.kind).increment(1);
        self.fires_by_name(&trigger.name).increment(1);
        if trigger.kind == TriggerKind::MediaChange {
            self.0.media_changes_triggered.increment(1);
        }
    }

    /// An answer that `trigger` called for was held back.
    pub fn held_back(&self, trigger: &Trigger, silence: &Silence) {
        if let Some(limit) = labels::rate_limit(silence.reason, &trigger.name) {
            self.rate_limit_hits(&limit).increment(1);
        }
        if let Detail::Spam(rule, _) = silence.detail {
            self.spam_by_reason(rule).increment(1);
        }
    }

    /// A provider answered.
    pub fn answered(&self, answer: &Answer) {
        self.response_time(answer.provider.as_str(), &answer.model).record(answer.latency);
        self.answers_book().add(answer);
    }

    /// A reply was said.
    pub fn replied(&self, timings: &Timings) {
        for (stage, took) in timings.stages() {
            self.stage(stage).record(took);
        }
        self.0.reply.record(timings.total());
        self.0.overhead.record(timings.overhead());
    }

    /// A beat went out, so long after it was due; none where it was not due at any time.
    pub fn beat(&self, at: DateTime<Utc>, lateness: Option<Duration>) {
        self.0.heartbeats.increment(1);
        self.0.last_heartbeat.set(at.timestamp_micros() as f64 / 1e6);
        lateness.iter().for_each(|lateness| self.0.heartbeat_lateness.record(*lateness));
    }

    /// What the answers were like so far.
    pub fn answers(&self) -> Answers {
        self.answers_book().clone()
    }

    /// All figures as Prometheus reads them: those that were counted, and those of a moment.
    pub fn render(&self, moment: &Moment) -> String {
        self.0.lasting.render() + &moment.render()
    }

    /// Takes each round trip of the link, and keeps samples from piling up when nobody scrapes. Never
    /// ends.
    pub async fn keep(self, mut bus: Bus) {
        let mut upkeep = interval(UPKEEP);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut latest = None;
        loop {
            tokio::select! {
                is_open = bus.changed() => {
                    let proof = bus.proof();
                    if proof != latest {
                        proof.iter().for_each(|proof| self.0.round_trip.record(proof.round_trip()));
                        latest = proof;
                    }
                    if !is_open {
                        // The link's keeper is gone; what comes now are only the last lines.
                        std::future::pending::<()>().await;
                    }
                }
                _ = upkeep.tick() => self.0.lasting.tidy(),
            }
        }
    }

    fn fires_by_type(&self, kind: TriggerKind) -> Counter {
        self.0.lasting.counter("llm_trigger_fires_by_type_total", &[("type", kind.as_str())])
    }

    fn fires_by_name(&self, name: &str) -> Counter {
        self.0.lasting.counter("llm_trigger_fires_by_name_total", &[("name", name)])
    }

    fn rate_limit_hits(&self, limit: &str) -> Counter {
        self.0.lasting.counter("llm_rate_limit_hits_by_reason_total", &[("reason", limit)])
    }

    fn spam_by_reason(&self, rule: Rule) -> Counter {
        self.0.lasting.counter("llm_spam_by_reason_total", &[("reason", rule.as_str())])
    }

    fn stage(&self, stage: &'static str) -> Histogram {
        self.0.lasting.histogram("llm_reply_stage_seconds", &[("stage", stage)])
    }

    fn response_time(&self, provider: &str, model: &str) -> Histogram {
        let labels = [("provider", provider), ("model", model)];
        self.0.lasting.histogram("llm_response_time_seconds", &labels)
    }

    fn answers_book(&self) -> MutexGuard<'_, Answers> {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
