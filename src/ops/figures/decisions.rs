//! Messages, and what was decided on them.

use super::OfDecider;
use crate::chat::rate_limits::Usage;
use crate::config::Config;
use crate::health::Snapshot;
use crate::metrics::labels::COOLDOWNS;
use crate::metrics::moment::Moment;
use crate::outcome::Reason;

/// What can be wrong with an event; more kinds show when they come up.
const MALFORMED: [&str; 3] = ["no_domain", "panic", "too_large"];

pub(super) fn tell(moment: &Moment, config: &Config, snapshot: &Snapshot, remembered: OfDecider) {
    moment.counter("llm_messages_processed_total", &[], snapshot.messages_processed);
    moment.counter("llm_changes_dropped_total", &[], snapshot.changes_dropped);
    moment.counter("llm_media_changes_total", &[], snapshot.media_changes);
    for kind in MALFORMED {
        moment.counter("llm_malformed_events_total", &[("kind", kind)], 0);
    }
    for (kind, events) in &snapshot.malformed {
        moment.counter("llm_malformed_events_total", &[("kind", kind)], *events);
    }
    for reason in Reason::ALL {
        let silences = snapshot.silences(|silence| silence == reason);
        moment.counter("llm_silences_total", &[("reason", reason.as_str())], silences);
    }
    moment.counter("llm_rate_limit_hits_total", &[], snapshot.silences(Reason::is_rate_limit));
    for (kind, cooldown) in COOLDOWNS {
        let hits = snapshot.silences(|reason| reason == cooldown);
        moment.counter("llm_cooldown_hits_total", &[("type", kind)], hits);
    }
    moment.counter("llm_spam_detected_total", &[], snapshot.silences(|reason| reason == Reason::Spam));
    moment.count("llm_triggers_configured", config.triggers.len());
    moment.is("llm_dry_run", &[], config.testing.dry_run);

    let limits = &config.rate_limits;
    moment.gauge("llm_rate_limit_global_max_minute", &[], f64::from(limits.global_max_per_minute));
    moment.gauge("llm_rate_limit_global_max_hour", &[], f64::from(limits.global_max_per_hour));
    moment.gauge("llm_rate_limit_user_max_hour", &[], f64::from(limits.user_max_per_hour));
    let usage = |of: fn(&Usage) -> usize| remembered.usage.as_ref().map_or(0, of);
    moment.count("llm_rate_limit_global_minute", usage(|usage| usage.minute));
    moment.count("llm_rate_limit_global_hour", usage(|usage| usage.hour));
    moment.count("llm_rate_limit_tracked_users", usage(|usage| usage.users));
    moment.count("llm_rate_limit_tracked_triggers", usage(|usage| usage.triggers));
    moment.count("llm_chat_history_size", remembered.lines);
}
