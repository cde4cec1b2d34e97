//! What can be switched off, and what goes on then.

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Exit, Mark, Result};
use serde_json::json;

use crate::BINARY;

const STARTUP: &str = "kryten.lifecycle.llm.startup";
const DISCOVERY: &str = "kryten.service.discovery";
const BEATS: [&str; 2] = ["kryten.service.heartbeat.llm", "kryten.lifecycle.llm.heartbeat"];
const SHUTDOWN: &str = "kryten.lifecycle.llm.shutdown";

#[tokio::test]
async fn req_004_without_service_discovery_nobody_is_answered_but_lifecycle_and_beats_go_on() -> Result {
    let changes = json!({ "service_metadata": { "enable_service_discovery": false } });
    let world = World::of(BINARY).config(changes).proxied().start().await?;
    let startup = world.recorder.wait_for(STARTUP, SOON, |_| true).await?;
    assert_eq!(startup.json.get("re_announcement"), None);
    let mark = world.recorder.mark();
    world.robot.publish("kryten.service.discovery.poll", json!({})).await?;
    world.robot.startup().await?;
    for _ in 0..2 {
        for beat in BEATS {
            world.recorder.wait_since(world.recorder.mark(), beat, SOON, |_| true).await?;
        }
    }
    world.recorder.none_since(mark, STARTUP).await?;
    // Back after an outage it registers anew.
    let mark = world.recorder.mark();
    world.proxy()?.cut().await?;
    let again = world.recorder.wait_since(mark, STARTUP, SOON, |_| true).await?;
    assert_eq!(again.json["re_announcement"], true);
    assert!(again.json["outage_seconds"].is_number());
    world.wait_for_beat(mark, SOON, |_| true).await?;
    world.ask("bob", "do you answer?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    world.recorder.wait_for(SHUTDOWN, SOON, |_| true).await?;
    world.recorder.none_since(Mark::START, DISCOVERY).await?;
    Ok(())
}

#[tokio::test]
async fn req_002_without_heartbeats_there_are_none_on_either_subject_but_the_rest_goes_on() -> Result {
    let changes = json!({ "service_metadata": { "enable_heartbeats": false } });
    let world = World::of(BINARY).config(changes).proxied().start_at_once().await?;
    world.recorder.wait_for(STARTUP, SOON, |_| true).await?;
    world.recorder.wait_for(DISCOVERY, SOON, |_| true).await?;
    // The announcement was the last step of the start.
    let line = world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("announced")).await?;
    assert!(line.stderr);
    world.wait_for_health(SOON, |health| health["status"] == "healthy").await?;
    assert_eq!(world.daemon.get("/readyz").await?.0, 200);
    world.ask("bob", "do you answer?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    let mark = world.recorder.mark();
    world.proxy()?.cut().await?;
    world.recorder.wait_since(mark, STARTUP, SOON, |again| again.json["re_announcement"] == true).await?;
    let mark = world.recorder.mark();
    world.robot.publish("kryten.service.discovery.poll", json!({})).await?;
    world.recorder.wait_since(mark, DISCOVERY, SOON, |_| true).await?;
    // A restart in two and a half seconds: beats would have come meanwhile.
    world.robot.publish("kryten.lifecycle.group.restart", json!({ "delay_seconds": 2.5 })).await?;
    world.recorder.wait_for(SHUTDOWN, SOON, |_| true).await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    for beat in BEATS {
        world.recorder.none_since(Mark::START, beat).await?;
    }
    Ok(())
}

#[tokio::test]
async fn req_007_with_both_switched_off_it_still_answers_chat_and_says_goodbye() -> Result {
    let changes = json!({
        "service_metadata": { "enable_service_discovery": false, "enable_heartbeats": false },
        "metrics": { "enabled": false },
    });
    let world = World::of(BINARY).config(changes).start_at_once().await?;
    world.recorder.wait_for(STARTUP, SOON, |_| true).await?;
    world.ask("bob", "do you answer?").await?;
    // What is in hand is settled before the end, so the farewell has it.
    assert_eq!(world.stop().await?, Exit::Code(0));
    let event = world.recorder.wait_for(SHUTDOWN, SOON, |_| true).await?;
    assert_eq!(event.json["responses_sent"], 1);
    for subject in [DISCOVERY, BEATS[0], BEATS[1]] {
        world.recorder.none_since(Mark::START, subject).await?;
    }
    Ok(())
}
