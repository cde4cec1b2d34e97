//! What became of replies and lines.

use crate::config::Config;
use crate::health::Snapshot;
use crate::metrics::moment::Moment;
use crate::outcome::Reason;

pub(super) fn tell(moment: &Moment, config: &Config, snapshot: &Snapshot) {
    let ledger = &snapshot.ledger;
    for (name, replies) in [
        ("llm_trigger_fires_total", ledger.fired),
        ("llm_replies_fired_total", ledger.fired),
        ("llm_replies_sent_total", ledger.sent),
        ("llm_responses_sent_total", snapshot.responses_sent),
        ("llm_replies_silenced_total", ledger.silenced.total()),
        ("llm_replies_failed_total", ledger.failed),
        ("llm_replies_in_doubt_total", ledger.in_doubt),
        ("llm_replies_abandoned_total", ledger.abandoned),
        ("llm_errors_total", snapshot.errors),
        ("llm_validation_failures_total", snapshot.silences(Reason::is_rejection)),
    ] {
        moment.counter(name, &[], replies);
    }
    moment.gauge("llm_replies_in_flight", &[], ledger.in_flight as f64);
    moment.gauge("llm_errors_last_5m", &[], snapshot.errors_last_5min as f64);
    moment.gauge("llm_error_rate", &[], snapshot.error_rate);
    moment.gauge("llm_unique_users_interacted", &[], snapshot.unique_users as f64);
    for rejection in Reason::ALL.into_iter().filter(|reason| reason.is_rejection()) {
        let times = snapshot.silences(|reason| reason == rejection);
        let labels = [("reason", rejection.as_str())];
        moment.counter("llm_validation_failures_by_reason_total", &labels, times);
    }
    let lines = &snapshot.lines;
    let fates = [
        ("sent", lines.sent),
        ("in_doubt", lines.in_doubt),
        ("failed", lines.failed),
        ("heard", lines.heard),
    ];
    for (fate, count) in fates {
        moment.counter("llm_lines_total", &[("fate", fate)], count);
    }
    moment.count("llm_config_max_message_length", config.formatting.max_message_length);
    moment.count("llm_config_validation_min_length", config.validation.min_length);
    moment.count("llm_config_validation_max_length", config.validation.max_length);
}
