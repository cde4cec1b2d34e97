//! Two daemons on one bus: under one name they are a mistake that is told, under two they are none.

use std::time::Duration;

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Daemon, Exit, Launch, Mark, Message, Result, config};
use serde_json::json;

use crate::BINARY;

const BEAT: &str = "kryten.service.heartbeat.llm";

/// The beats of one of several instances behind `mark`.
async fn beat_of(
    world: &World,
    mark: Mark,
    instance: &str,
    mut wanted: impl FnMut(&Message) -> bool,
) -> Result<Message> {
    let of_this = |beat: &Message| beat.text("/instance_id") == instance && wanted(beat);
    world.recorder.wait_since(mark, BEAT, SOON, of_this).await
}

async fn stop(daemon: &Daemon) -> Result<Exit> {
    daemon.terminate()?;
    daemon.wait_exit(SOON).await
}

#[tokio::test]
async fn req_003_a_second_instance_under_our_name_degrades_both_until_it_is_gone() -> Result {
    let world = World::of(BINARY).start().await?;
    let first = world.wait_for_beat(Mark::START, SOON, |_| true).await?.text("/instance_id").to_owned();
    let mark = world.recorder.mark();
    let intruder = Launch::new(BINARY).start(&world.config)?;
    let second = world
        .wait_for_beat(mark, SOON, |beat| beat.text("/instance_id") != first)
        .await?
        .text("/instance_id")
        .to_owned();
    let told = beat_of(&world, mark, &first, |beat| beat.text("/health") == "degraded").await?;
    assert!(told.text("/health_reason").contains("instances"), "{told}");
    let component = &told.json["status"]["components"]["instances"];
    assert_eq!(component["healthy"], false);
    assert!(component["message"].as_str().is_some_and(|text| text.contains(&second[..8])), "{told}");
    let beats_before = |until: &Message| {
        let beats = world.recorder.since(mark, BEAT);
        beats.iter().filter(|beat| beat.text("/instance_id") == second && beat.at < until.at).count()
    };
    assert!((2..=3).contains(&beats_before(&told)), "told after two of its beats: {}", beats_before(&told));
    beat_of(&world, mark, &second, |beat| beat.text("/health") == "degraded").await?;
    // One warning each, however many beats follow.
    for _ in 0..2 {
        beat_of(&world, world.recorder.mark(), &second, |_| true).await?;
    }
    for daemon in [&world.daemon, &intruder] {
        let lines = daemon.log().all().into_iter().map(|line| line.text);
        let warnings: Vec<String> =
            lines.filter(|line| line.contains("WARN another live instance")).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }

    let mark = world.recorder.mark();
    assert_eq!(stop(&intruder).await?, Exit::Code(0));
    let gone = world.recorder.wait_since(mark, "kryten.lifecycle.llm.shutdown", SOON, |_| true).await?;
    assert_eq!(gone.text("/instance_id"), second);
    let healed = beat_of(&world, mark, &first, |beat| beat.text("/health") == "healthy").await?;
    let took = healed.at - gone.at;
    assert!(took < Duration::from_secs(6), "three of its intervals, a tick and a beat: {took:?}");
    assert_eq!(healed.json["status"]["components"]["instances"], json!({ "healthy": true }));
    Ok(())
}

#[tokio::test]
async fn req_001_two_instances_under_different_names_do_not_disturb_each_other() -> Result {
    let world = World::of(BINARY).start().await?;
    let mut settings = world.config.clone();
    // A name as people write it, and what becomes of it on every subject.
    config::merge(&mut settings, json!({ "service_metadata": { "service_name": "LLM.Second" } }));
    let mark = world.recorder.mark();
    let other = Launch::new(BINARY).start(&settings)?;
    let startup =
        world.recorder.wait_since(mark, "kryten.lifecycle.llm-second.startup", SOON, |_| true).await?;
    assert_eq!(startup.text("/service"), "llm-second");
    // Some beats of each: both are well.
    for _ in 0..3 {
        let mark = world.recorder.mark();
        for service in ["llm", "llm-second"] {
            let subject = format!("kryten.service.heartbeat.{service}");
            let beat = world.recorder.wait_since(mark, &subject, SOON, |_| true).await?;
            assert_eq!((beat.text("/service"), beat.text("/health")), (service, "healthy"), "{beat}");
        }
    }
    // Both answer a poll.
    let mark = world.recorder.mark();
    world.robot.publish_raw("kryten.service.discovery.poll", "").await?;
    for service in ["llm", "llm-second"] {
        let ours = |answer: &Message| answer.text("/service") == service;
        world.recorder.wait_since(mark, "kryten.service.discovery", SOON, ours).await?;
    }
    // One goes; the other stays.
    let mark = world.recorder.mark();
    assert_eq!(stop(&other).await?, Exit::Code(0));
    world.recorder.wait_since(mark, "kryten.lifecycle.llm-second.shutdown", SOON, |_| true).await?;
    let beat = world.recorder.wait_since(world.recorder.mark(), BEAT, SOON, |_| true).await?;
    assert_eq!(beat.text("/health"), "healthy");
    world.recorder.none_since(Mark::START, "kryten.lifecycle.llm.shutdown").await?;
    for daemon in [&world.daemon, &other] {
        assert!(!daemon.log().all().iter().any(|line| line.text.contains("another live instance")));
    }
    Ok(())
}
