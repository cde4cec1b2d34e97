//! Every metric that there is: name, kind, labels and help. Dashboards and alert rules are compared with
//! this list.

/// A metric as it is announced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name in every scrape.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels; their values come from the configuration or from fixed lists.
    pub labels: &'static [&'static str],
    /// What it tells, for people.
    pub help: &'static str,
}

/// What a metric is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, from 0 at the start.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bounds, which rise; the name has `_bucket`, `_sum` and `_count` behind it.
    Histogram(&'static [f64]),
    /// Has the quantiles of [`QUANTILES`] of the last minutes, and `_sum` and `_count`.
    Summary,
}

impl Kind {
    /// As it stands behind `# TYPE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// The quantiles of every summary.
pub const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// Bounds in seconds for what takes a thousandth part of a second, or minutes when it goes wrong.
const STAGE: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0];
/// Bounds in seconds for whole replies.
const REPLY: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0, 300.0];
/// Bounds in seconds for our own work on a reply.
const OVERHEAD: &[f64] =
    &[0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Bounds in seconds for a beat behind its time.
const LATENESS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Bounds in seconds for a round trip to the server.
const ROUND_TRIP: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    bounds: &'static [f64],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Histogram(bounds), labels, help }
}

/// All of them.
pub const ALL: &[Metric] = &[
    // The service.
    gauge("llm_uptime_seconds", &[], "Seconds since the start."),
    gauge("llm_service_status", &[], "1 when healthy, 0.5 when degraded, 0 when failing."),
    gauge("llm_health_state", &[], "0 when healthy, 1 when degraded, 2 when failing."),
    counter("llm_health_transitions_total", &["to"], "Changes of the health state, by the new one."),
    gauge("llm_component_healthy", &["component"], "1 when nothing is wrong with the component, else 0."),
    gauge("llm_dry_run", &[], "1 when nothing is sent to chat (testing.dry_run), else 0."),
    gauge("llm_build_info", &["version"], "Always 1; the version is in the label."),
    gauge("process_resident_memory_bytes", &[], "Resident memory in bytes."),
    counter("process_cpu_seconds_total", &[], "Processor time used, user and system, in seconds."),
    gauge("process_open_fds", &[], "Open file descriptors."),
    gauge("process_start_time_seconds", &[], "When the process started, in seconds since 1970."),
    // The bus.
    gauge("llm_nats_connected", &[], "1 while the link to NATS is up and proven, else 0."),
    gauge("llm_link_up", &[], "1 while the link to NATS is up and proven, else 0."),
    counter("llm_link_reconnects_total", &[], "How often the link to NATS came back after a loss."),
    histogram("llm_link_round_trip_seconds", &[], ROUND_TRIP, "Round trips of echoes to the NATS server."),
    counter("llm_heartbeats_total", &[], "Heartbeats that went out."),
    gauge("llm_heartbeat_last_timestamp_seconds", &[], "When the last one went out, in seconds since 1970."),
    histogram("llm_heartbeat_lateness_seconds", &[], LATENESS, "How late regular heartbeats went out."),
    gauge("llm_other_instances", &[], "1 while another live instance has our service name, else 0."),
    // Messages.
    counter("llm_messages_processed_total", &[], "Well-formed chat messages of our rooms."),
    counter("llm_malformed_events_total", &["kind"], "Events that could not be read, by what is wrong."),
    counter("llm_changes_dropped_total", &[], "Changes of what plays or who is there that were dropped."),
    counter("llm_silences_total", &["reason"], "Messages and replies that ended in silence, by reason."),
    gauge("llm_queue_depth", &["queue"], "What waits: messages of rooms, lines, records, notes."),
    gauge("llm_rooms_paused", &[], "Rooms in which an operator wants silence."),
    gauge("llm_chat_history_size", &[], "Lines remembered of the rooms' conversations."),
    counter("llm_media_changes_total", &[], "Changes of what plays in our rooms."),
    counter("llm_media_changes_triggered_total", &[], "Those of them that called for a comment."),
    // What makes us speak.
    gauge("llm_triggers_configured", &[], "Triggers in the configuration."),
    counter("llm_trigger_checks_total", &[], "Messages that were looked through for triggers."),
    counter("llm_trigger_fires_total", &[], "Triggers that fired, also where something held the reply back."),
    counter("llm_trigger_fires_by_type_total", &["type"], "The same, by the trigger's type."),
    counter("llm_trigger_fires_by_name_total", &["name"], "The same, by the trigger's name."),
    counter("llm_rate_limit_hits_total", &[], "Replies held back by a rate limit."),
    counter("llm_rate_limit_hits_by_reason_total", &["reason"], "The same, by the limit."),
    counter("llm_cooldown_hits_total", &["type"], "Those of them that were held back by a cooldown."),
    gauge("llm_rate_limit_global_minute", &[], "Replies of the last minute."),
    gauge("llm_rate_limit_global_hour", &[], "Replies of the last hour."),
    gauge("llm_rate_limit_global_max_minute", &[], "rate_limits.global_max_per_minute."),
    gauge("llm_rate_limit_global_max_hour", &[], "rate_limits.global_max_per_hour."),
    gauge("llm_rate_limit_user_max_hour", &[], "rate_limits.user_max_per_hour."),
    gauge("llm_rate_limit_tracked_users", &[], "Users of whom the rate limits remember something."),
    gauge("llm_rate_limit_tracked_triggers", &[], "Triggers of which the rate limits remember something."),
    counter("llm_spam_detected_total", &[], "Messages not answered as spam."),
    counter("llm_spam_by_reason_total", &["reason"], "The same, by the rule."),
    // Replies.
    counter("llm_replies_fired_total", &[], "Replies begun."),
    counter("llm_replies_sent_total", &[], "Replies said."),
    counter("llm_replies_silenced_total", &[], "Replies not said on purpose."),
    counter("llm_replies_failed_total", &[], "Replies that should have gone out and did not."),
    counter("llm_replies_in_doubt_total", &[], "Replies of which nothing proves that anybody got them."),
    counter("llm_replies_abandoned_total", &[], "Replies given up at shutdown."),
    gauge("llm_replies_in_flight", &[], "Replies begun and not ended."),
    counter("llm_responses_sent_total", &[], "Replies said."),
    counter("llm_errors_total", &[], "Replies that failed, are in doubt or were abandoned."),
    gauge("llm_errors_last_5m", &[], "Those of the last five minutes."),
    gauge("llm_error_rate", &[], "Errors per message of the last five minutes, 0 to 1."),
    gauge("llm_unique_users_interacted", &[], "Different users who got an answer, counted up to 10,000."),
    histogram("llm_reply_stage_seconds", &["stage"], STAGE, "The stages of replies that were said."),
    histogram("llm_reply_seconds", &[], REPLY, "From a message to the robot's answer to the last line."),
    histogram("llm_reply_overhead_seconds", &[], OVERHEAD, "The same less provider, gaps and robot."),
    counter("llm_lines_total", &["fate"], "Lines handed over, by what became of them; heard ones again."),
    gauge("llm_lines_unheard", &[], "Lines in a row that were sent and not heard, in the worst room."),
    counter("llm_validation_failures_total", &[], "Answers that were rejected."),
    counter("llm_validation_failures_by_reason_total", &["reason"], "The same, by reason."),
    gauge("llm_config_max_message_length", &[], "The longest line in characters."),
    gauge("llm_config_validation_min_length", &[], "validation.min_length in characters."),
    gauge("llm_config_validation_max_length", &[], "validation.max_length in characters."),
    // Providers.
    gauge("llm_providers_configured", &[], "Providers in the configuration."),
    gauge("llm_provider_status", &["provider"], "The latest call: 1 answered, 0 failed, -1 none yet."),
    counter("llm_provider_requests_total", &["provider"], "Completed calls."),
    counter("llm_provider_failures_total", &["provider"], "Those of them that were not answered."),
    gauge("llm_provider_check_state", &["provider", "state"], "1 for the state of the latest check, else 0."),
    gauge("llm_breaker_state", &["provider"], "The circuit breaker: 0 closed, 1 half-open, 2 open."),
    counter("llm_requests_by_model_total", &["provider", "model"], "Answers."),
    counter("llm_token_usage_total", &["provider", "model", "type"], "Tokens, as far as the provider tells."),
    gauge(
        "llm_avg_tokens_per_request",
        &["provider", "model"],
        "Tokens of a call that tells them, on average.",
    ),
    Metric {
        name: "llm_response_time_seconds",
        kind: Kind::Summary,
        labels: &["provider", "model"],
        help: "How long answered calls took.",
    },
    gauge("llm_response_length_chars_avg", &[], "Characters of an answer, on average."),
    gauge("llm_response_length_chars_max", &[], "Characters of the longest answer."),
    gauge("llm_response_length_chars_min", &[], "Characters of the shortest answer."),
    gauge("llm_context_log_size", &[], "Answers that are remembered with their prompts."),
    gauge(
        "llm_spend_used",
        &["limit"],
        "How much of a spend limit is used, today or this minute; none when there is no limit.",
    ),
    gauge("llm_spend_limit", &["limit"], "The spend limits; the label none when there is none."),
    gauge("llm_cost_today", &[], "What the providers cost today, by the configured prices."),
    // What is written and told.
    counter("llm_history_write_failures_total", &[], "Writes to the history that failed."),
    counter("llm_history_lost_total", &[], "Minutes and changes that found no way into the history."),
    counter("llm_alerts_total", &["event"], "Alerts that began (alert) and ended (alert_end)."),
    counter("llm_alerts_undelivered_total", &[], "Alerts that the bus or the webhook did not get."),
];

/// The names of all of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|metric| metric.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own_and_a_help_text() {
        let names: BTreeSet<&str> = names().collect();
        assert_eq!(names.len(), ALL.len());
        for Metric { name, help, .. } in ALL {
            let is_plain = |text: &str| {
                text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            };
            assert!(is_plain(name), "{name}");
            assert!(help.ends_with('.') && help.len() > 5, "{name}: {help}");
        }
    }

    #[test]
    fn names_keep_to_the_conventions() {
        for Metric { name, kind, labels, .. } in ALL {
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(name.starts_with("llm_") || name.starts_with("process_"), "{name}");
            for reserved in ["quantile", "le", "username", "user"] {
                assert!(!labels.contains(&reserved), "{name}: {reserved}");
            }
            if let Kind::Histogram(bounds) = kind {
                assert!(bounds.is_sorted_by(|one, next| one < next) && bounds.len() >= 10, "{name}");
            }
        }
    }

    #[test]
    fn every_name_of_the_python_original_is_kept() {
        let legacy = "llm_uptime_seconds llm_service_status llm_nats_connected llm_messages_processed_total \
            llm_responses_sent_total llm_errors_total llm_errors_last_5m llm_error_rate llm_provider_status \
            llm_provider_requests_total llm_provider_failures_total llm_trigger_checks_total \
            llm_trigger_fires_total llm_trigger_fires_by_type_total llm_trigger_fires_by_name_total \
            llm_rate_limit_hits_total llm_rate_limit_hits_by_reason_total llm_cooldown_hits_total \
            llm_rate_limit_global_minute llm_rate_limit_global_hour llm_rate_limit_global_max_minute \
            llm_rate_limit_global_max_hour llm_rate_limit_user_max_hour llm_rate_limit_tracked_users \
            llm_rate_limit_tracked_triggers llm_token_usage_total llm_requests_by_model_total \
            llm_avg_tokens_per_request llm_response_time_seconds llm_response_length_chars_avg \
            llm_response_length_chars_max llm_response_length_chars_min llm_validation_failures_total \
            llm_validation_failures_by_reason_total llm_spam_detected_total llm_spam_by_reason_total \
            llm_media_changes_total llm_media_changes_triggered_total llm_unique_users_interacted \
            llm_context_log_size llm_triggers_configured llm_chat_history_size llm_providers_configured \
            llm_config_max_message_length llm_config_validation_min_length \
            llm_config_validation_max_length llm_dry_run";
        let names: BTreeSet<&str> = names().collect();
        for name in legacy.split_whitespace() {
            assert!(names.contains(name), "{name}");
        }
    }
}
