//! The figures for Prometheus, as a scrape of the running daemon tells them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use kryten_llm::metrics::catalogue;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Daemon, Direction, Mark, Result};
use serde_json::json;

use super::reload::reload;
use crate::BINARY;

/// The samples of a scrape, by name and labels as they are written.
async fn scrape(daemon: &Daemon) -> Result<BTreeMap<String, f64>> {
    let (status, text) = daemon.get("/metrics").await?;
    assert_eq!(status, 200, "{text}");
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(samples
        .map(|line| {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
            (sample.to_owned(), value.parse().expect("a number"))
        })
        .collect())
}

#[tokio::test]
async fn every_name_is_there_at_the_first_scrape_and_no_other() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    let (status, text) = world.daemon.get("/metrics").await?;
    assert_eq!(status, 200);
    let told = |name: &str| {
        text.contains(&format!("\n# TYPE {name} ")) || text.starts_with(&format!("# TYPE {name} "))
    };
    let missing: Vec<&str> = catalogue::names().filter(|name| !told(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let types: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(types.len(), catalogue::ALL.len(), "no other is told");
    Ok(())
}

#[tokio::test]
async fn a_busy_evening_moves_the_right_figures() -> Result {
    let trigger = json!({"name": "kung fu", "patterns": ["kung fu"], "cooldown_seconds": 300});
    let changes = json!({"triggers": [trigger], "spend": {"max_calls_per_day": 50}});
    let world = World::of(BINARY).config(changes).start().await?;
    world.ask("bob", "what should we watch?").await?;
    let mark = world.robot.says.mark();
    world.robot.chat("ann", "I like kung fu").await?;
    world.robot.wait_for_say(mark, SOON, |_| true).await?;
    // The trigger is in its cooldown, one answer is rejected, one call fails, and one message is only chat.
    world.robot.chat("eve", "more kung fu!").await?;
    world.provider().next([Behaviour::answer("x")]);
    world.mention("bob", "say x").await?;
    world.wait_for_health(SOON, |health| health["validation_failures"] == 1).await?;
    world.provider().next([Behaviour::Status(500, "{}".to_owned())]);
    world.mention("bob", "and now?").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == 1).await?;
    world.robot.chat("eve", "good night").await?;
    world.wait_for_health(SOON, |health| health["ignored"]["no_trigger"] == 1).await?;
    world.wait_for_health(SOON, |health| health["lines"]["heard"] == 2).await?;
    world.ledger().await?;

    let samples = scrape(&world.daemon).await?;
    let of_model =
        |name: &str, more: &str| format!("{name}{{provider=\"first\",model=\"model-of-first\"{more}}}");
    let of_provider = |name: &str| format!("{name}{{provider=\"first\"}}");
    for (sample, value) in [
        // The only provider failed last.
        ("llm_health_state".to_owned(), 2.0),
        ("llm_link_up".to_owned(), 1.0),
        // Six of theirs, and two echoes of ours.
        ("llm_messages_processed_total".to_owned(), 8.0),
        ("llm_trigger_checks_total".to_owned(), 6.0),
        ("llm_trigger_fires_total".to_owned(), 5.0),
        (r#"llm_trigger_fires_by_type_total{type="mention"}"#.to_owned(), 3.0),
        (r#"llm_trigger_fires_by_type_total{type="trigger_word"}"#.to_owned(), 2.0),
        (r#"llm_trigger_fires_by_name_total{name="cynthia"}"#.to_owned(), 3.0),
        (r#"llm_trigger_fires_by_name_total{name="kung fu"}"#.to_owned(), 2.0),
        ("llm_rate_limit_hits_total".to_owned(), 1.0),
        (
            r#"llm_rate_limit_hits_by_reason_total{reason="trigger 'kung fu' cooldown active"}"#.to_owned(),
            1.0,
        ),
        (r#"llm_cooldown_hits_total{type="trigger"}"#.to_owned(), 1.0),
        (r#"llm_validation_failures_by_reason_total{reason="rejected_short"}"#.to_owned(), 1.0),
        (r#"llm_silences_total{reason="no_trigger"}"#.to_owned(), 1.0),
        (r#"llm_silences_total{reason="own"}"#.to_owned(), 2.0),
        (r#"llm_silences_total{reason="trigger_cooldown"}"#.to_owned(), 1.0),
        ("llm_replies_fired_total".to_owned(), 5.0),
        ("llm_replies_sent_total".to_owned(), 2.0),
        ("llm_replies_silenced_total".to_owned(), 2.0),
        ("llm_replies_failed_total".to_owned(), 1.0),
        (r#"llm_lines_total{fate="sent"}"#.to_owned(), 2.0),
        (r#"llm_lines_total{fate="heard"}"#.to_owned(), 2.0),
        ("llm_lines_unheard".to_owned(), 0.0),
        (of_provider("llm_provider_requests_total"), 4.0),
        (of_provider("llm_provider_failures_total"), 1.0),
        (of_provider("llm_provider_status"), 0.0),
        (of_provider("llm_breaker_state"), 0.0),
        (of_model("llm_requests_by_model_total", ""), 3.0),
        (of_model("llm_response_time_seconds_count", ""), 3.0),
        (r#"llm_spend_limit{limit="max_calls_per_day"}"#.to_owned(), 50.0),
        (r#"llm_spend_used{limit="max_calls_per_day"}"#.to_owned(), 4.0),
        ("llm_rate_limit_global_minute".to_owned(), 2.0),
        ("llm_chat_history_size".to_owned(), 8.0),
        ("llm_context_log_size".to_owned(), 3.0),
        ("llm_reply_seconds_count".to_owned(), 2.0),
        ("llm_reply_overhead_seconds_count".to_owned(), 2.0),
        (r#"llm_reply_stage_seconds_count{stage="provider"}"#.to_owned(), 2.0),
        (r#"llm_queue_depth{queue="rooms"}"#.to_owned(), 0.0),
        (r#"llm_queue_depth{queue="outbox"}"#.to_owned(), 0.0),
    ] {
        assert_eq!(samples.get(&sample), Some(&value), "{sample}");
    }
    for sample in ["llm_heartbeats_total", "llm_link_round_trip_seconds_count", "process_start_time_seconds"]
    {
        assert!(samples[sample] > 0.0, "{sample}");
    }
    #[cfg(target_os = "linux")]
    for sample in ["process_resident_memory_bytes", "process_open_fds"] {
        assert!(samples[sample] > 0.0, "{sample}");
    }
    for user in ["bob", "ann", "eve", "CynthiaBot"] {
        let value = format!("=\"{user}\"");
        assert!(!samples.keys().any(|sample| sample.contains(&value)), "{user}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_slow_provider_takes_is_not_our_own_overhead() -> Result {
    let world = World::of(BINARY).start().await?;
    world.ask_and_hold("bob", "take your time", "I did take my time.").await?;
    let held = Instant::now();
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    let held = held.elapsed().as_secs_f64();
    world.provider().release();
    world.robot.wait_for_say(Mark::START, SOON, |_| true).await?;
    world.ledger().await?;
    let samples = scrape(&world.daemon).await?;
    let (total, provider) =
        (samples["llm_reply_seconds_sum"], samples[r#"llm_reply_stage_seconds_sum{stage="provider"}"#]);
    let overhead = samples["llm_reply_overhead_seconds_sum"];
    assert!(provider >= held && total > provider, "{provider} of {total}, held for {held}");
    assert!(overhead > 0.0 && overhead < total - provider + 1e-6, "{overhead} of {total}, {provider}");
    Ok(())
}

#[tokio::test]
async fn what_a_dead_link_takes_before_anybody_knows_is_not_our_own_overhead() -> Result {
    let spend = json!({ "spend": { "max_calls_per_day": 100 } });
    let world = World::of(BINARY).config(spend).proxied().start().await?;
    world.ask_and_hold("bob", "are you there?", "Yes, all the time.").await?;
    world.proxy()?.freeze(Direction::Both);
    world.provider().release();
    world.wait_for_health(SOON, |health| health["nats_connected"] == false).await?;
    world.proxy()?.thaw();
    world.robot.wait_for_say(Mark::START, SOON, |_| true).await?;
    world.ledger().await?;
    let samples = scrape(&world.daemon).await?;
    let stage = |stage: &str| samples[&format!("llm_reply_stage_seconds_sum{{stage=\"{stage}\"}}")];
    let (robot, overhead) = (stage("robot"), samples["llm_reply_overhead_seconds_sum"]);
    assert!(robot > 1.0 && overhead < robot, "{robot}, {overhead}");
    let spend = stage("spend");
    assert!(spend > 0.0 && spend < overhead, "writing the call down is ours: {spend} of {overhead}");
    Ok(())
}

#[tokio::test]
async fn after_a_reload_a_new_triggers_series_is_there_at_zero() -> Result {
    let world = World::of(BINARY).start().await?;
    world.ask("bob", "hello?").await?;
    let sample = r#"llm_trigger_fires_by_name_total{name="kung fu"}"#;
    assert_eq!(scrape(&world.daemon).await?.get(sample), None);
    let triggers = json!([{"name": "kung fu", "patterns": ["kung fu"]}]);
    reload(&world, json!({ "triggers": triggers })).await?;
    let samples = scrape(&world.daemon).await?;
    assert_eq!(samples.get(sample), Some(&0.0));
    assert_eq!(samples["llm_triggers_configured"], 1.0);
    assert_eq!(samples[r#"llm_trigger_fires_by_name_total{name="cynthia"}"#], 1.0, "counts go on");
    Ok(())
}

#[tokio::test]
async fn a_link_that_came_back_is_counted() -> Result {
    let world = World::of(BINARY).proxied().start().await?;
    assert_eq!(scrape(&world.daemon).await?["llm_link_reconnects_total"], 0.0);
    world.cut_off().await?;
    let samples = scrape(&world.daemon).await?;
    assert_eq!((samples["llm_link_up"], samples["llm_health_state"]), (0.0, 2.0));
    world.proxy()?.admit().await?;
    world.wait_for_health(SOON, |health| health["nats_connected"] == true).await?;
    let samples = scrape(&world.daemon).await?;
    assert_eq!((samples["llm_link_up"], samples["llm_link_reconnects_total"]), (1.0, 1.0));
    assert_eq!(samples[r#"llm_health_transitions_total{to="failing"}"#], 1.0);
    Ok(())
}

#[tokio::test]
async fn the_path_is_the_operators() -> Result {
    let world = World::of(BINARY).config(json!({"metrics": {"metrics_path": "/figures"}})).start().await?;
    assert_eq!(world.daemon.get("/figures").await?.0, 200);
    assert_eq!(world.daemon.get("/metrics").await?.0, 404);
    Ok(())
}
