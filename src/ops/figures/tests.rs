//! Scrapes, read as Prometheus reads them.

mod counted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::Figures;
use super::testing::figures;
use crate::chat::plan::{Detail, Silence};
use crate::chat::rules::Rules;
use crate::chat::spam::Rule;
use crate::chat::testing::{OneRoom, at};
use crate::chat::triggers::{Trigger, TriggerKind};
use crate::clock::Clock;
use crate::config::testing;
use crate::decider::DeciderHandle;
use crate::health::{Component, HealthMonitor, LineFate, LinkHealth, ProviderStatus};
use crate::history::History;
use crate::llm::{Answer, Tokens};
use crate::metrics::catalogue::{self, Kind};
use crate::names::ProviderName;
use crate::ops::remembered::Remembered;
use crate::outcome::{Reason, ReplyOutcome};
use crate::timings::Timings;

/// A service that does nothing, and who tells it what is in force.
struct Still {
    figures: Figures,
    in_force: watch::Sender<Arc<Rules>>,
}

fn rules(over: &Value) -> Arc<Rules> {
    let mut config = json!({
        "personality": {"character_name": "Vera", "name_variations": ["vee"]},
        "triggers": [{"name": "toddy", "patterns": ["toddy"]}],
        "llm_providers": {"local": {"type": "openai_compatible", "base_url": "http://127.0.0.1:1", "model": "small"}},
    });
    for (key, value) in over.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    Rules::new(Arc::new(testing::config(config)))
}

fn still(over: Value) -> Still {
    let clock = Clock::start();
    let rules = rules(&over);
    let providers = rules.config().llm_providers.iter().map(|provider| provider.name.clone());
    let health = HealthMonitor::new(clock.now(), providers.collect::<Vec<_>>(), [Component::Robot]);
    let (in_force, receiver) = watch::channel(rules);
    Still { figures: figures(receiver, health, clock), in_force }
}

/// The samples of a scrape by name and labels as they are written.
async fn scrape(still: &Still) -> BTreeMap<String, f64> {
    let text = still.figures.scrape(&History::off()).await;
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut known = BTreeMap::new();
    for line in samples {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(known.insert(name.to_owned(), value).is_none(), "told twice: {line}");
    }
    known
}

/// The name as it stands in the catalogue.
fn family(sample: &str) -> &str {
    let name = sample.split('{').next().unwrap_or_default();
    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    stem.filter(|stem| catalogue::names().any(|name| name == *stem)).unwrap_or(name)
}

#[tokio::test]
async fn every_name_of_the_catalogue_is_in_the_first_scrape_and_no_other() {
    let samples = scrape(&still(json!({}))).await;
    let told: BTreeSet<&str> = samples.keys().map(|sample| family(sample)).collect();
    let known: BTreeSet<&str> = catalogue::names().collect();
    assert_eq!(told, known);
}

#[tokio::test]
async fn every_family_has_its_help_its_type_and_its_labels() {
    let still = still(json!({}));
    let text = still.figures.scrape(&History::off()).await;
    let samples = scrape(&still).await;
    for metric in catalogue::ALL {
        let (name, kind) = (metric.name, metric.kind.as_str());
        let lines = |wanted: &str| text.lines().filter(|line| *line == wanted).count();
        assert_eq!(lines(&format!("# HELP {name} {}", metric.help)), 1, "{name}");
        assert_eq!(lines(&format!("# TYPE {name} {kind}")), 1, "{name}");
        for sample in samples.keys().filter(|sample| family(sample) == name) {
            let labels = sample.split_once('{').map_or("", |(_, labels)| labels.trim_end_matches('}'));
            let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0));
            let own: Vec<&str> = names.filter(|name| !["le", "quantile"].contains(name)).collect();
            assert_eq!(own, metric.labels, "{sample}");
        }
        if let Kind::Histogram(bounds) = metric.kind {
            let buckets = samples.keys().filter(|sample| sample.starts_with(&format!("{name}_bucket")));
            let series = if metric.labels.is_empty() { 1 } else { 7 };
            assert_eq!(buckets.count(), series * (bounds.len() + 1), "{name}");
        }
    }
}

#[tokio::test]
async fn what_can_happen_is_there_at_zero() {
    let samples = scrape(&still(json!({}))).await;
    for sample in [
        r#"llm_trigger_fires_by_name_total{name="toddy"}"#,
        r#"llm_trigger_fires_by_name_total{name="vera"}"#,
        r#"llm_trigger_fires_by_name_total{name="vee"}"#,
        r#"llm_trigger_fires_by_name_total{name="auto_participation"}"#,
        r#"llm_trigger_fires_by_name_total{name="media_change"}"#,
        r#"llm_trigger_fires_by_type_total{type="mention"}"#,
        r#"llm_rate_limit_hits_by_reason_total{reason="global per-minute limit reached"}"#,
        r#"llm_rate_limit_hits_by_reason_total{reason="trigger 'toddy' cooldown active"}"#,
        r#"llm_cooldown_hits_total{type="mention"}"#,
        r#"llm_spam_by_reason_total{reason="identical"}"#,
        r#"llm_validation_failures_by_reason_total{reason="rejected_short"}"#,
        r#"llm_silences_total{reason="no_trigger"}"#,
        r#"llm_token_usage_total{provider="local",model="small",type="prompt"}"#,
        r#"llm_response_time_seconds{provider="local",model="small",quantile="0.9"}"#,
        r#"llm_response_time_seconds_count{provider="local",model="small"}"#,
        r#"llm_reply_stage_seconds_count{stage="gap"}"#,
        r#"llm_alerts_total{event="alert_end"}"#,
        "llm_alerts_undelivered_total",
        r#"llm_malformed_events_total{kind="too_large"}"#,
        r#"llm_breaker_state{provider="local"}"#,
        r#"llm_queue_depth{queue="response_log"}"#,
        r#"llm_spend_limit{limit="none"}"#,
        "llm_history_write_failures_total",
        "llm_history_lost_total",
    ] {
        assert_eq!(samples.get(sample), Some(&0.0), "{sample}");
    }
    assert_eq!(samples[r#"llm_provider_status{provider="local"}"#], -1.0);
    assert_eq!(samples[r#"llm_provider_check_state{provider="local",state="off"}"#], 1.0);
    assert_eq!(samples[r#"llm_provider_check_state{provider="local",state="bad_key"}"#], 0.0);
    assert_eq!(samples["llm_health_state"], 2.0, "not connected yet");
    assert_eq!(samples[r#"llm_build_info{version="1.2.3"}"#], 1.0);
}

#[tokio::test]
async fn what_health_counts_is_told_as_it_stands() {
    let still = still(json!({"testing": {"dry_run": true}}));
    let (health, clock) = (&still.figures.health, still.figures.clock);
    let now = || clock.now();
    health.link(now(), LinkHealth::Up);
    (0..7).for_each(|_| health.message_processed(now()));
    (0..3).for_each(|_| health.message_ignored(Reason::NoTrigger));
    health.message_malformed("bad_json");
    for outcome in [
        ReplyOutcome::Sent,
        ReplyOutcome::Silenced(Reason::MentionCooldown),
        ReplyOutcome::Silenced(Reason::Spam),
        ReplyOutcome::Silenced(Reason::RejectedLong),
        ReplyOutcome::InDoubt,
    ] {
        health.reply_fired(now());
        health.reply_ended(now(), outcome);
    }
    health.reply_fired(now());
    health.line(LineFate::Sent);
    health.line(LineFate::Heard);
    health.provider_status(now(), &ProviderName::new("local"), ProviderStatus::Ok);
    (0..2).for_each(|_| health.alert_raised());
    health.alert_ended();
    health.alerts_undelivered(3);
    let lasts = Some(Duration::from_secs(60));
    health.condition(now(), Component::Instances, "other", Some("another".to_owned()), lasts);
    let expected = [
        ("llm_messages_processed_total", 7.0),
        ("llm_nats_connected", 1.0),
        ("llm_link_up", 1.0),
        ("llm_health_state", 1.0),
        ("llm_service_status", 0.5),
        (r#"llm_health_transitions_total{to="healthy"}"#, 1.0),
        (r#"llm_health_transitions_total{to="degraded"}"#, 1.0),
        (r#"llm_silences_total{reason="no_trigger"}"#, 3.0),
        (r#"llm_silences_total{reason="mention_cooldown"}"#, 1.0),
        (r#"llm_malformed_events_total{kind="bad_json"}"#, 1.0),
        ("llm_rate_limit_hits_total", 1.0),
        (r#"llm_cooldown_hits_total{type="mention"}"#, 1.0),
        (r#"llm_cooldown_hits_total{type="user"}"#, 0.0),
        ("llm_spam_detected_total", 1.0),
        ("llm_validation_failures_total", 1.0),
        (r#"llm_validation_failures_by_reason_total{reason="rejected_long"}"#, 1.0),
        ("llm_trigger_fires_total", 6.0),
        ("llm_replies_fired_total", 6.0),
        ("llm_replies_sent_total", 1.0),
        ("llm_responses_sent_total", 1.0),
        ("llm_replies_silenced_total", 3.0),
        ("llm_replies_in_doubt_total", 1.0),
        ("llm_replies_in_flight", 1.0),
        ("llm_errors_total", 1.0),
        ("llm_errors_last_5m", 1.0),
        (r#"llm_lines_total{fate="heard"}"#, 1.0),
        (r#"llm_provider_status{provider="local"}"#, 1.0),
        ("llm_other_instances", 1.0),
        (r#"llm_alerts_total{event="alert"}"#, 2.0),
        (r#"llm_alerts_total{event="alert_end"}"#, 1.0),
        ("llm_alerts_undelivered_total", 3.0),
        (r#"llm_component_healthy{component="instances"}"#, 0.0),
        (r#"llm_component_healthy{component="robot"}"#, 1.0),
        ("llm_dry_run", 1.0),
        ("llm_triggers_configured", 1.0),
    ];
    let samples = scrape(&still).await;
    for (sample, value) in expected {
        assert_eq!(samples.get(sample), Some(&value), "{sample}");
    }
    assert_eq!(scrape(&still).await["llm_messages_processed_total"], 7.0, "a scrape counts nothing again");
}

fn trigger(kind: TriggerKind, name: &str) -> Trigger {
    let plan = OneRoom::new(json!({})).reply(1.0, "bob", "vera, hello");
    Trigger { kind, name: name.into(), ..plan.trigger.clone() }
}

#[tokio::test]
async fn labels_are_escaped_so_that_no_two_names_are_mixed_up() {
    let names = ["a\"b", "a\\\"b", "a\\b", "a\\\\b", "a\nb", "a\\nb", "a\\\nb", "a\\"];
    let triggers: Vec<Value> = names.iter().map(|name| json!({"name": name, "patterns": ["x"]})).collect();
    // In a scrape no sample is told twice.
    let samples = scrape(&still(json!({ "triggers": triggers }))).await;
    for name in names {
        let escaped = name.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let sample = format!("llm_trigger_fires_by_name_total{{name=\"{escaped}\"}}");
        assert_eq!(samples.get(&sample), Some(&0.0), "{name:?}");
    }
}

#[tokio::test]
async fn after_a_reload_new_series_are_there_at_zero_and_counts_go_on() {
    let provider =
        |model: &str| json!({"type": "openai_compatible", "base_url": "http://127.0.0.1:1", "model": model});
    let still = still(json!({"llm_providers": {"near": provider("little")}}));
    still.figures.metrics.fired(&trigger(TriggerKind::TriggerWord, "toddy"));
    let before = scrape(&still).await;
    let lemon = r#"llm_trigger_fires_by_name_total{name="lemon"}"#;
    assert_eq!(before.get(lemon), None);
    let other = json!({
        "triggers": [{"name": "lemon", "patterns": ["lemon"]}],
        "llm_providers": {"far": provider("big")},
        "spend": {"max_calls_per_day": 50, "max_cost_per_day": 2.5},
    });
    still.in_force.send_replace(rules(&other));
    let after = scrape(&still).await;
    assert_eq!(after.get(lemon), Some(&0.0));
    assert_eq!(after.get(r#"llm_trigger_fires_by_name_total{name="toddy"}"#), Some(&1.0));
    let limit = r#"llm_rate_limit_hits_by_reason_total{reason="trigger 'lemon' per-hour limit reached"}"#;
    assert_eq!(after.get(limit), Some(&0.0));
    assert_eq!(after.get(r#"llm_requests_by_model_total{provider="far",model="big"}"#), Some(&0.0));
    let near = r#"llm_requests_by_model_total{provider="near",model="little"}"#;
    assert_eq!((before.get(near), after.get(near)), (Some(&0.0), None), "it is no longer configured");
}

#[tokio::test]
async fn limits_that_are_set_are_told_with_what_is_used() {
    let spend = json!({"max_calls_per_minute": 9, "max_calls_per_day": 50, "max_cost_per_day": 2.5});
    let samples = scrape(&still(json!({ "spend": spend }))).await;
    for (limit, most) in
        [("max_calls_per_minute", 9.0), ("max_calls_per_day", 50.0), ("max_cost_per_day", 2.5)]
    {
        assert_eq!(samples.get(&format!("llm_spend_limit{{limit=\"{limit}\"}}")), Some(&most));
        assert_eq!(samples.get(&format!("llm_spend_used{{limit=\"{limit}\"}}")), Some(&0.0));
    }
    assert_eq!(samples.keys().filter(|sample| sample.starts_with("llm_spend_limit")).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_decider_that_does_not_answer_costs_no_scrape_and_its_last_figures_stay() {
    const FIGURES: [&str; 3] =
        ["llm_chat_history_size", "llm_rate_limit_global_hour", "llm_rate_limit_tracked_users"];
    let mut still = still(json!({}));
    let (decider, mut notes) = DeciderHandle::unanswered();
    still.figures.asking = Remembered::new(decider);
    let told = |samples: BTreeMap<String, f64>| FIGURES.map(|name| samples[name]);
    assert_eq!(told(scrape(&still).await), [0.0; 3], "it has not told anything yet");
    notes.drop_all();

    let mut room = OneRoom::new(json!({}));
    room.answers(0.0, "bob", "Vera, are you there?");
    let (samples, ()) = tokio::join!(scrape(&still), notes.answer(at(1.0), &mut room.decider));
    let last = told(samples);
    assert!(last.iter().all(|figure| *figure > 0.0), "{last:?}");
    assert_eq!(told(scrape(&still).await), last);
    assert_eq!(notes.waiting(), 1, "it was asked once more");
}
