//! What a world asks of its daemon, tried with small scripts and the stand-ins in the daemon's place.

mod script;

use std::time::Duration;

use kryten_testkit::{Behaviour, Context as _, Exit, Mark, Provider, Result, World};
use script::script;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

/// A world whose daemon is a script, with a stand-in behind its HTTP address that says `health`.
async fn world_with_health(
    health: impl IntoIterator<Item = Value>,
) -> Result<(World, Provider, tempfile::TempDir)> {
    let http = Provider::start().await?;
    let mut answers: Vec<Behaviour> = health.into_iter().map(Behaviour::Json).collect();
    http.always(answers.pop().unwrap_or(Behaviour::Hang));
    http.next(answers);
    let (folder, path) = script(&format!("echo HTTP on {}; exec sleep 60", http.address()))?;
    Ok((World::of(path).start_at_once().await?, http, folder))
}

#[tokio::test]
async fn a_world_says_why_its_daemon_did_not_get_up() -> Result {
    let (_folder, path) = script("echo 'no such option' >&2; exit 2")?;
    let error = World::of(path).start().await.expect_err("a script that exits got up").to_string();
    assert!(error.contains("Code(2)") && error.contains("no such option"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_world_is_wired_as_it_was_asked_for() -> Result {
    let (_folder, path) = script("exec sleep 60")?;
    let world = World::of(path).providers(2).proxied().config(json!({ "metrics": { "host": "::1" } }));
    let mut world = world.start_at_once().await?;
    let proxy = world.proxy()?.address();
    assert_eq!(world.config["nats"]["servers"], json!([format!("nats://{proxy}")]));
    assert_eq!(world.config["metrics"], json!({ "port": 0, "host": "::1" }));
    assert_eq!(world.config["default_provider_priority"], json!(["first", "second"]));
    assert_eq!(world.config["llm_providers"]["second"]["base_url"], json!(world.providers[1].base_url()));
    world.server.kill().await?;
    world.restart_server().await?;
    let through =
        async_nats::connect(format!("nats://{proxy}")).await.context("connecting through the proxy")?;
    through.publish("kryten.word", "back".into()).await.context("publishing")?;
    world.recorder.wait_for("kryten.word", SOON, |_| true).await.map(drop)
}

#[tokio::test]
async fn a_world_is_up_when_it_is_announced_and_beats_and_a_robot_is_no_announcement() -> Result {
    let (_folder, path) = script("exec sleep 60")?;
    let world = World::of(path).start_at_once().await?;
    let beat = |health: &str| json!({ "health": health });
    world.robot.startup().await?;
    world.robot.publish("kryten.service.heartbeat.llm", beat("healthy")).await?;
    let up = tokio::time::timeout(Duration::from_millis(200), world.wait_until_up(Mark::START)).await;
    assert!(up.is_err(), "it was taken for up: {up:?}");
    let announce = world.robot.publish("kryten.lifecycle.llm.startup", json!({}));
    let (up, announced) = tokio::join!(world.wait_until_up(Mark::START), announce);
    announced?;
    up?;
    let failing = world.robot.publish("kryten.service.heartbeat.llm", beat("failing"));
    let (seen, published) = tokio::join!(world.wait_until("failing", SOON), failing);
    published?;
    assert_eq!(seen?.text("/health"), "failing");
    Ok(())
}

#[tokio::test]
async fn speaking_to_the_bot_and_its_line_come_in_pairs() -> Result {
    let (_folder, path) = script("exec sleep 60")?;
    let world = World::of(path).start_at_once().await?;
    let answer = async {
        let mention = world.recorder.wait_for("kryten.events.cytube.lounge.chatmsg", SOON, |_| true).await?;
        assert_eq!(mention.text("/payload/msg"), "Cynthia what&#39;s up?");
        let meta = json!({ "domain": "cytu.be", "channel": "Lounge" });
        let line = json!({ "command": "say", "args": { "message": "nothing" }, "meta": meta });
        world.robot.ask("kryten.robot.command", line).await
    };
    let (said, answered) = tokio::join!(world.ask("bob", "what's up?"), answer);
    answered?;
    assert_eq!(said?.text, "nothing");
    Ok(())
}

#[tokio::test]
async fn a_ledger_is_awaited_and_must_add_up() -> Result {
    let ledger = |fired: u64, in_flight: u64| {
        let silenced = json!({ "stale": 1, "spam": 1 });
        json!({ "ledger": { "fired": fired, "sent": 3, "silenced": silenced, "failed": 1, "in_doubt": 1,
            "abandoned": 1, "in_flight": in_flight } })
    };
    let (world, _http, _folder) = world_with_health([ledger(9, 1), ledger(8, 0)]).await?;
    assert_eq!(world.ledger().await?["sent"], 3);
    let (world, _http, _folder) = world_with_health([ledger(9, 0)]).await?;
    let error = world.ledger().await.expect_err("a false ledger was taken").to_string();
    assert!(error.contains("does not add up to 8"), "{error}");
    let (world, _http, _folder) = world_with_health([json!({})]).await?;
    let mut latest =
        world.wait_for_health(Duration::from_millis(100), |health| health.get("ledger").is_some()).await;
    assert!(latest.as_mut().is_err_and(|error| error.to_string().contains("the latest: {}")), "{latest:?}");
    Ok(())
}

#[tokio::test]
async fn a_daemon_is_asked_to_stop_and_its_end_is_awaited() -> Result {
    let (_folder, path) = script("trap 'exit 124' TERM; echo up; while true; do sleep 0.01; done")?;
    let world = World::of(path).start_at_once().await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line == "up").await?;
    assert_eq!(world.stop().await?, Exit::Code(124));
    Ok(())
}
