//! What an operator can switch off, and what goes on without it (REQ-001, 002, 004, 005).

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Exit, Mark, Result};
use serde_json::json;

use crate::BINARY;

const STARTUP: &str = "kryten.lifecycle.llm.startup";
const DISCOVERY: &str = "kryten.service.discovery";
const POLL: &str = "kryten.service.discovery.poll";
const SHUTDOWN: &str = "kryten.lifecycle.llm.shutdown";

#[tokio::test]
async fn req_004_without_discovery_nobody_is_answered_and_lifecycle_and_beats_go_on() -> Result {
    let changes = json!({ "service_metadata": { "enable_service_discovery": false } });
    let world = World::of(BINARY).config(changes).start().await?;
    let startup = world.recorder.wait_for(STARTUP, SOON, |_| true).await?;
    assert_eq!(startup.json.get("re_announcement"), None);
    world.robot.publish_raw(POLL, "").await?;
    world.robot.startup().await?;
    // Two beats later an answer would be there.
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    world.recorder.wait_for("kryten.lifecycle.llm.heartbeat", SOON, |_| true).await?;
    assert_eq!(world.daemon.get("/readyz").await?.0, 200);
    world.ask("bob", "incognito?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    world.recorder.none_since(Mark::START, DISCOVERY).await?;
    assert_eq!(world.recorder.all(STARTUP).len(), 1, "robot starts are not answered either");
    assert_eq!(world.recorder.all(SHUTDOWN).len(), 1);
    Ok(())
}

#[tokio::test]
async fn req_002_without_heartbeats_there_is_none_on_either_subject_and_the_rest_goes_on() -> Result {
    let changes = json!({ "service_metadata": { "enable_heartbeats": false } });
    let world = World::of(BINARY).config(changes).proxied().start_at_once().await?;
    world.recorder.wait_for(STARTUP, SOON, |_| true).await?;
    world.recorder.wait_for(DISCOVERY, SOON, |_| true).await?;
    world.wait_for_health(SOON, |health| health["status"] == "healthy").await?;
    for ask in [POLL, "kryten.lifecycle.robot.startup"] {
        let mark = world.recorder.mark();
        world.robot.publish_raw(ask, "").await?;
        world.recorder.wait_since(mark, DISCOVERY, SOON, |_| true).await?;
    }
    assert_eq!(world.daemon.get("/readyz").await?, (200, "ok\n".to_owned()), "announced is ready then");
    // The link's return asks for a beat, too: not here.
    let mark = world.recorder.mark();
    world.proxy()?.cut().await?;
    let back = world.recorder.wait_since(mark, STARTUP, SOON, |_| true).await?;
    assert!(back.json["outage_seconds"].is_number(), "{back}");
    world.ask("bob", "without a pulse?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    // A longer life than a beat's interval.
    let uptime =
        |health: &serde_json::Value| health["uptime_seconds"].as_f64().is_some_and(|uptime| uptime > 2.5);
    assert_eq!(world.wait_for_health(SOON, uptime).await?["status"], "healthy");
    assert_eq!(world.stop().await?, Exit::Code(0));
    world.recorder.none_since(Mark::START, "kryten.service.heartbeat.>").await?;
    world.recorder.none_since(Mark::START, "kryten.lifecycle.llm.heartbeat").await?;
    assert_eq!(world.recorder.all(SHUTDOWN).len(), 1);
    Ok(())
}
