//! The real daemon under a real Prometheus.

use kryten_testkit::world::SOON;
use kryten_testkit::{Context as _, Result, World};
use serde_json::{Value, json};

use crate::prometheus::Prometheus;
use crate::{BINARY, dashboard, program, rules};

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[tokio::test]
async fn prometheus_scrapes_the_daemon_the_dashboard_has_data_and_an_alert_goes_off_when_it_dies() -> Result {
    let Some(program) = program("prometheus", "a real Prometheus") else { return Ok(()) };
    // Limits, so that there is something to show of each.
    let changes = json!({
        "rate_limits": { "user_max_per_hour": 1 },
        "spend": { "max_calls_per_day": 1_000 },
    });
    let mut world = World::of(BINARY).config(changes).start().await?;
    let prometheus = Prometheus::start(&program, world.daemon.http_address().await?).await?;
    prometheus.wait_for("up{job=\"kryten-llm\"} == 1 and on (instance) llm_build_info").await?;

    // What begins at nothing must be seen there before it grows.
    world.ask("bob", "how are you?").await?;
    world.mention("bob", "and now?").await?;
    world.wait_for_health(SOON, |health| health["rate_limit_hits"] == 1).await?;
    for question in dashboard::questions()? {
        let what = format!("the panel {:?} asks {}", question.panel, question.expression);
        prometheus.wait_for(&question.expression).await.context(what)?;
    }
    for expression in dashboard::annotations()? {
        prometheus.query(&expression).await?;
    }

    let evaluated = |data: &Value| {
        let rules: Vec<&Value> =
            list(&data["groups"]).iter().flat_map(|group| list(&group["rules"])).collect();
        // A scrape that took too long on a busy machine makes one pending, for a moment.
        !rules.is_empty()
            && rules.iter().all(|rule| rule["health"] != "unknown" && rule["state"] == "inactive")
    };
    let groups = prometheus.wait("rules", evaluated).await?;
    let loaded: Vec<&Value> =
        list(&groups["groups"]).iter().flat_map(|group| list(&group["rules"])).collect();
    let names: Vec<&str> = loaded.iter().filter_map(|rule| rule["name"].as_str()).collect();
    assert_eq!(names, rules::alerts()?);
    for rule in loaded {
        assert_eq!(rule["health"], "ok", "{rule}");
    }

    world.daemon.kill();
    let down = |alert: &Value| alert["labels"]["alertname"] == "KrytenLlmDown" && alert["state"] == "firing";
    prometheus.wait("alerts", |data| list(&data["alerts"]).iter().any(down)).await?;
    Ok(())
}
