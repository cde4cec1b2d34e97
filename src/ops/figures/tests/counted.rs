//! What only metrics count, where it happens.

use super::*;

#[tokio::test]
async fn what_happens_is_counted_where_it_happens() {
    let still = still(json!({}));
    let metrics = &still.figures.metrics;
    (0..5).for_each(|_| metrics.trigger_checked());
    let toddy = trigger(TriggerKind::TriggerWord, "toddy");
    (0..3).for_each(|_| metrics.fired(&toddy));
    metrics.fired(&trigger(TriggerKind::MediaChange, "media_change"));
    let held_back = |reason, detail| metrics.held_back(&toddy, &Silence { reason, detail, fired: None });
    held_back(Reason::TriggerCooldown, Detail::RetryAfter(3));
    held_back(Reason::GlobalHour, Detail::RetryAfter(3));
    held_back(Reason::Spam, Detail::Spam(Rule::Mentions, Duration::from_secs(1)));
    held_back(Reason::LoopGuard, Detail::None);
    for (text, total) in [("hello", 30), ("hi", 10)] {
        metrics.answered(&Answer {
            provider: ProviderName::new("local"),
            model: "small".to_owned(),
            text: text.to_owned(),
            tokens: Some(Tokens { prompt: total - 4, completion: 4, total }),
            cut_by_token_limit: false,
            latency: Duration::from_millis(500),
            reserving: Duration::ZERO,
        });
    }
    metrics.beat(still.figures.clock.now().wall, Some(Duration::from_millis(3)));
    metrics.beat(still.figures.clock.now().wall, None);
    let samples = scrape(&still).await;
    let of_model = |name: &str, more: &str| format!("{name}{{provider=\"local\",model=\"small\"{more}}}");
    for (sample, value) in [
        ("llm_trigger_checks_total".to_owned(), 5.0),
        (r#"llm_trigger_fires_by_type_total{type="trigger_word"}"#.to_owned(), 3.0),
        (r#"llm_trigger_fires_by_name_total{name="toddy"}"#.to_owned(), 3.0),
        ("llm_media_changes_triggered_total".to_owned(), 1.0),
        (r#"llm_rate_limit_hits_by_reason_total{reason="trigger 'toddy' cooldown active"}"#.to_owned(), 1.0),
        (r#"llm_rate_limit_hits_by_reason_total{reason="global per-hour limit reached"}"#.to_owned(), 1.0),
        (r#"llm_spam_by_reason_total{reason="mentions"}"#.to_owned(), 1.0),
        (of_model("llm_requests_by_model_total", ""), 2.0),
        (of_model("llm_token_usage_total", r#",type="completion""#), 8.0),
        (of_model("llm_token_usage_total", r#",type="total""#), 40.0),
        (of_model("llm_avg_tokens_per_request", ""), 20.0),
        (of_model("llm_response_time_seconds_count", ""), 2.0),
        (of_model("llm_response_time_seconds_sum", ""), 1.0),
        ("llm_response_length_chars_min".to_owned(), 2.0),
        ("llm_response_length_chars_max".to_owned(), 5.0),
        ("llm_response_length_chars_avg".to_owned(), 3.5),
        ("llm_heartbeats_total".to_owned(), 2.0),
        ("llm_heartbeat_lateness_seconds_count".to_owned(), 1.0),
        (r#"llm_heartbeat_lateness_seconds_bucket{le="0.002"}"#.to_owned(), 0.0),
        (r#"llm_heartbeat_lateness_seconds_bucket{le="0.005"}"#.to_owned(), 1.0),
    ] {
        assert_eq!(samples.get(&sample), Some(&value), "{sample}");
    }
    let median = samples[&of_model("llm_response_time_seconds", r#",quantile="0.5""#)];
    assert!((median - 0.5).abs() < 0.001, "{median}");
    assert!(samples["llm_heartbeat_last_timestamp_seconds"] > 1.7e9);
}

#[tokio::test]
async fn the_stages_of_a_reply_and_what_was_our_own_are_told() {
    let still = still(json!({}));
    still.figures.metrics.replied(&Timings::example());
    let samples = scrape(&still).await;
    let near = |sample: &str, seconds: f64| {
        assert!((samples[sample] - seconds).abs() < 1e-9, "{sample}: {}", samples[sample]);
    };
    for (stage, seconds) in [
        ("queue", 0.001),
        ("prompt", 0.002),
        ("spend", 0.005),
        ("provider", 0.7),
        ("check", 0.003),
        ("gap", 0.289),
        ("robot", 0.016),
    ] {
        near(&format!("llm_reply_stage_seconds_sum{{stage=\"{stage}\"}}"), seconds);
    }
    near("llm_reply_seconds_sum", 1.02);
    near("llm_reply_overhead_seconds_sum", 0.015);
    near("llm_reply_overhead_seconds_count", 1.0);
}
