//! Alerts: a worse state that has held is told on the bus and to a webhook, and so is its end.

use std::time::Duration;

use kryten_testkit::nats::Settings;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{
    Behaviour, Context as _, Exit, Manner, Mark, Message, Provider, Result, config, ports, within,
};
use serde_json::{Value, json};

use crate::BINARY;
use crate::reload::reload;

const ALERTS: &str = "kryten.alert.*";

/// A webhook, and the config for it: any server that takes POST will do.
async fn webhook(hold_seconds: f64) -> Result<(Provider, Value)> {
    let webhook = Provider::start().await?;
    let url = format!("http://{}/planted-in-the-url", webhook.address());
    let config = json!({
        "log_level": "DEBUG",
        "alerts": {"hold_seconds": hold_seconds, "webhook_url": url, "webhook_token_file": "token"},
    });
    Ok((webhook, config))
}

/// What the webhook was told so far: event and health.
fn told(webhook: &Provider) -> Vec<(String, String)> {
    let word = |body: &Value, key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let requests = webhook.requests().all();
    requests.iter().map(|request| (word(&request.json, "event"), word(&request.json, "health"))).collect()
}

fn pair(event: &str, health: &str) -> (String, String) {
    (event.to_owned(), health.to_owned())
}

/// So many seconds no start takes, in which we are failing.
const HOLD: f64 = 3.0;

#[tokio::test]
async fn a_worse_state_that_holds_is_told_once_and_so_is_its_end() -> Result {
    let (webhook, config) = webhook(1.0).await?;
    let world = World::of(BINARY)
        .robot(Manner::Absent)
        .config(config)
        .launch(|launch| launch.file("token", "planted-token\n"))
        .start_at_once()
        .await?;
    let alert = world.recorder.wait_for(ALERTS, SOON, |_| true).await?;
    assert_eq!(alert.subject, "kryten.alert.llm");
    let keys: Vec<&String> = alert.json.as_object().expect("an object").keys().collect();
    let expected = [
        "service",
        "version",
        "hostname",
        "timestamp",
        "uptime_seconds",
        "instance_id",
        "event",
        "health",
        "previous",
        "reason",
        "since",
        "held_seconds",
    ];
    assert_eq!(keys, expected, "{alert}");
    assert_eq!((alert.text("/event"), alert.text("/health")), ("alert", "degraded"));
    assert_eq!((alert.text("/previous"), alert.text("/reason")), ("healthy", "unhealthy: robot"));
    let held = alert.json["held_seconds"].as_f64().expect("a number");
    assert!((1.0..15.0).contains(&held), "{alert}");
    let beat = world.wait_for_beat(Mark::START, SOON, |beat| beat.text("/health") == "degraded").await?;
    assert_eq!(alert.text("/since"), beat.text("/health_since"));

    world.robot.behave(Manner::Echoes).await?;
    world.robot.startup().await?;
    let end = world.recorder.wait_for(ALERTS, SOON, |one| one.text("/event") == "alert_end").await?;
    assert_eq!((end.text("/health"), end.text("/previous")), ("healthy", "degraded"));
    assert_eq!(end.text("/reason"), "no longer: unhealthy: robot");
    assert!(end.json["held_seconds"].as_f64() > Some(held), "{end}");
    webhook.wait_for_request(Mark::START, SOON, |one| one.json["event"] == "alert_end").await?;

    // Nothing comes behind, however long it is well.
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    assert_eq!(world.recorder.all(ALERTS).len(), 2);
    assert_eq!(told(&webhook), [pair("alert", "degraded"), pair("alert_end", "healthy")]);
    for (request, message) in webhook.requests().all().iter().zip([&alert, &end]) {
        assert_eq!((&*request.method, &*request.path), ("POST", "/planted-in-the-url"));
        assert_eq!(request.header("authorization"), Some("Bearer planted-token"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        for key in expected.iter().filter(|key| !["timestamp", "uptime_seconds"].contains(key)) {
            assert_eq!(request.json[key], message.json[key], "{key}");
        }
    }
    for secret in ["planted-in-the-url", "planted-token"] {
        assert_eq!(world.daemon.lines(secret).len(), 0, "{secret}");
    }
    Ok(())
}

#[tokio::test]
async fn what_comes_and_goes_is_told_by_nobody() -> Result {
    let world = World::of(BINARY).config(json!({"alerts": {"hold_seconds": 2}})).start().await?;
    // Longer than a state would have to hold.
    for _ in 0..4 {
        reload(&world, json!({"chat_min_delay": -1})).await?;
        reload(&world, json!({})).await?;
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    world.daemon.wait_for_lines("unhealthy: config", 4).await?;
    assert!(!world.daemon.folder().join("state/alerts.json").exists());
    world.recorder.none_since(Mark::START, ALERTS).await
}

#[tokio::test]
async fn a_webhook_that_is_down_harms_nobody_and_its_address_is_in_no_log() -> Result {
    let nobody = ports::free()?;
    let url = format!("http://127.0.0.1:{nobody}/planted-in-the-url");
    let config = json!({"log_level": "DEBUG", "alerts": {"hold_seconds": 0.5, "webhook_url": url}});
    let world = World::of(BINARY).robot(Manner::Absent).config(config).start_at_once().await?;
    world.recorder.wait_for(ALERTS, SOON, |one| one.text("/event") == "alert").await?;
    let refused = |line: &str| line.contains("the webhook (alerts.webhook_url) did not take an alert");
    world.daemon.wait_for_log(Mark::START, SOON, refused).await?;
    assert_eq!(world.daemon.lines("planted-in-the-url").len(), 0);
    world.robot.behave(Manner::Echoes).await?;
    world.robot.startup().await?;
    world.wait_until("healthy", SOON).await?;
    world.ask("bob", "are you well again?").await?;
    world.recorder.wait_for(ALERTS, SOON, |one| one.text("/event") == "alert_end").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn a_lost_link_is_told_to_the_webhook_at_once_and_on_the_bus_when_it_is_back() -> Result {
    let (webhook, config) = webhook(1.0).await?;
    // It is asked again, and where it leads elsewhere nobody goes.
    webhook
        .next([Behaviour::Status(503, "planted-answer".to_owned()), Behaviour::Status(204, String::new())]);
    let world = World::of(BINARY)
        .proxied()
        .config(config)
        .launch(|launch| launch.file("token", "planted-token"))
        .start()
        .await?;
    let mark = world.recorder.mark();
    world.cut_off().await?;
    let alert = webhook.wait_for_request(Mark::START, SOON, |_| true).await?;
    assert_eq!(
        (&alert.json["health"], &alert.json["reason"]),
        (&json!("failing"), &json!("NATS disconnected"))
    );
    webhook.requests().wait("the second try", SOON, |_| webhook.requests().count() == 2).await?;
    world.recorder.none_since(mark, ALERTS).await?;

    world.proxy()?.admit().await?;
    let late = world.recorder.wait_since(mark, ALERTS, SOON, |_| true).await?;
    assert_eq!((late.text("/event"), late.text("/health")), ("alert", "failing"));
    assert_eq!(late.json["since"], alert.json["since"]);
    let end = world.recorder.wait_since(mark, ALERTS, SOON, |one| one.text("/event") == "alert_end").await?;
    assert_eq!((end.text("/health"), end.text("/previous")), ("healthy", "failing"));
    webhook.wait_for_request(Mark::START, SOON, |one| one.json["event"] == "alert_end").await?;
    assert_eq!(
        told(&webhook),
        [pair("alert", "failing"), pair("alert", "failing"), pair("alert_end", "healthy")]
    );
    for secret in ["planted-in-the-url", "planted-answer"] {
        assert_eq!(world.daemon.lines(secret).len(), 0, "{secret}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reload_switches_them_on_and_a_stop_ends_none() -> Result {
    let (webhook, mut on) = webhook(0.0).await?;
    let off = json!({"alerts": {"enabled": false, "hold_seconds": 0}});
    let world = World::of(BINARY).robot(Manner::Absent).config(off).start_at_once().await?;
    world.wait_until("degraded", SOON).await?;
    world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    world.recorder.none_since(Mark::START, ALERTS).await?;

    std::fs::write(world.daemon.folder().join("token"), "planted-token").context("a file")?;
    config::merge(&mut on, json!({"log_level": "INFO", "alerts": {"enabled": true}}));
    reload(&world, on).await?;
    world.recorder.wait_for(ALERTS, SOON, |one| one.text("/event") == "alert").await?;
    webhook.wait_for_request(Mark::START, SOON, |_| true).await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert_eq!(world.recorder.all(ALERTS).len(), 1);
    assert_eq!(told(&webhook), [pair("alert", "degraded")]);
    assert_eq!(world.daemon.lines("planted-in-the-url").len(), 0);
    Ok(())
}

/// The end that is told after a restart, and that nothing else was told: one alert and this, to both.
async fn only_end(world: &World, webhook: &Provider) -> Result<Message> {
    let end = world.recorder.wait_for(ALERTS, SOON, |one| one.text("/event") == "alert_end").await?;
    assert_eq!((end.text("/health"), end.text("/previous")), ("healthy", "degraded"));
    webhook.wait_for_request(Mark::START, SOON, |one| one.json["event"] == "alert_end").await?;
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    let on_bus: Vec<_> = world.recorder.all(ALERTS);
    assert_eq!(on_bus.iter().map(|one| one.text("/event")).collect::<Vec<_>>(), ["alert", "alert_end"]);
    assert_eq!(told(webhook), [pair("alert", "degraded"), pair("alert_end", "healthy")]);
    let held = |message: &Message| message.json["held_seconds"].as_f64();
    assert!(held(&end) > held(&on_bus[0]), "{end}");
    Ok(end)
}

#[tokio::test]
async fn an_alert_that_is_mended_by_a_restart_has_its_end() -> Result {
    let (webhook, config) = webhook(HOLD).await?;
    let mut world = World::of(BINARY)
        .robot(Manner::Absent)
        .config(config)
        .launch(|launch| launch.file("token", "planted-token"))
        .start_at_once()
        .await?;
    let alert = world.recorder.wait_for(ALERTS, SOON, |_| true).await?;
    webhook.wait_for_request(Mark::START, SOON, |_| true).await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    world.robot.behave(Manner::Echoes).await?;
    world.daemon.restart()?;
    let end = only_end(&world, &webhook).await?;
    assert_eq!(end.text("/reason"), "for the first time since the start");
    assert_ne!(end.json["instance_id"], alert.json["instance_id"]);

    // It is over for good.
    world.stop().await?;
    world.daemon.restart()?;
    wait_until_it_has_run(&world, &end).await?;
    assert_eq!((world.recorder.all(ALERTS).len(), told(&webhook).len()), (2, 2));
    Ok(())
}

/// Waits until another instance than that of `before` has run for longer than a state has to hold, twice.
async fn wait_until_it_has_run(world: &World, before: &Message) -> Result<Message> {
    let has_run = |beat: &Message| {
        beat.json["instance_id"] != before.json["instance_id"]
            && beat.json["uptime_seconds"].as_f64() > Some(2.0 * HOLD)
    };
    world.wait_for_beat(world.recorder.mark(), SOON, has_run).await
}

#[tokio::test]
async fn a_trouble_that_outlasts_a_kill_is_not_told_again_and_has_its_end() -> Result {
    let (webhook, config) = webhook(HOLD).await?;
    let mut world = World::of(BINARY)
        .config(config)
        .launch(|launch| launch.file("token", "planted-token").file("templates/system.j2", "{{ broken"))
        .start_at_once()
        .await?;
    let alert = world.recorder.wait_for(ALERTS, SOON, |_| true).await?;
    assert_eq!((alert.text("/health"), alert.text("/reason")), ("degraded", "unhealthy: config"));
    webhook.wait_for_request(Mark::START, SOON, |_| true).await?;
    // On a slow disk nobody is kept waiting for that.
    let file = world.daemon.folder().join("state/alerts.json");
    let written = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(SOON, "the alert to be written down", written).await?;
    world.daemon.kill();
    world.daemon.restart()?;
    let beat = wait_until_it_has_run(&world, &alert).await?;
    assert_eq!(beat.text("/health"), "degraded");
    assert_eq!((world.recorder.all(ALERTS).len(), told(&webhook).len()), (1, 1));

    std::fs::write(world.daemon.folder().join("templates/system.j2"), "mended").context("a file")?;
    world.ask("bob", "are you well again?").await?;
    only_end(&world, &webhook).await.map(drop)
}

#[tokio::test]
async fn where_alerts_are_denied_to_us_that_is_no_trouble() -> Result {
    let settings = Settings { deny_publish: vec!["kryten.alert.>".to_owned()], ..Settings::default() };
    let hold = json!({"alerts": {"hold_seconds": 0}});
    let world = World::of(BINARY).server(settings).robot(Manner::Absent).config(hold).start_at_once().await?;
    let denied = |line: &str| line.contains("that we can do without") && line.contains("kryten.alert.llm");
    world.daemon.wait_for_log(Mark::START, SOON, denied).await?;
    world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    let health = world.daemon.health().await?;
    assert_eq!(health["reason"], "unhealthy: robot", "{health}");
    assert_eq!(health.pointer("/components/nats/healthy"), Some(&json!(true)), "{health}");
    Ok(())
}
