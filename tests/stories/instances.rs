//! Other instances: two under one name are told of, two under different names don't disturb each
//! other.

use std::time::{Duration, Instant};

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Daemon, Exit, Launch, Mark, Message, Result};
use serde_json::{Value, json};

use crate::BINARY;

const BEAT: &str = "kryten.service.heartbeat.llm";

/// One more daemon like the world's, with changes to its config.
fn another(world: &World, changes: Value) -> Result<Daemon> {
    let mut config = world.config.clone();
    kryten_testkit::config::merge(&mut config, changes);
    Launch::new(BINARY).start(&config)
}

fn is_degraded_by_another(beat: &Message) -> bool {
    beat.text("/health_reason") == "unhealthy: instances"
}

#[tokio::test]
async fn req_010_a_second_instance_under_our_name_is_a_warning_and_degraded_until_it_is_gone() -> Result {
    let world = World::of(BINARY).start().await?;
    let ours = world.wait_for_beat(Mark::START, SOON, |_| true).await?.text("/instance_id").to_owned();
    let mark = world.recorder.mark();
    let second = another(&world, json!({}))?;
    let degraded = world
        .wait_for_beat(mark, SOON, |beat| beat.text("/instance_id") == ours && is_degraded_by_another(beat))
        .await?;
    assert_eq!(degraded.text("/health"), "degraded");
    // Two beats of the other one are needed; more may be under way before ours tells of it.
    let others: Vec<Message> = world
        .recorder
        .since(mark, BEAT)
        .into_iter()
        .filter(|beat| beat.text("/instance_id") != ours)
        .collect();
    let heard = others.iter().filter(|beat| beat.at < degraded.at).count();
    assert!((2..=5).contains(&heard), "{heard}");
    let theirs = others[0].text("/instance_id").to_owned();
    let message = degraded.text("/status/components/instances/message");
    assert!(message.contains(&theirs[..8]), "it is named: {message}");
    assert!(message.contains(others[0].text("/hostname").get(..10).unwrap_or(others[0].text("/hostname"))));
    let warned = |line: &str| {
        line.contains("WARN") && line.contains("another live instance") && line.contains(&theirs)
    };
    world.daemon.wait_for_log(Mark::START, SOON, warned).await?;
    // The other one sees us likewise.
    world
        .wait_for_beat(mark, SOON, |beat| beat.text("/instance_id") == theirs && is_degraded_by_another(beat))
        .await?;

    let gone = Instant::now();
    second.terminate()?;
    assert_eq!(second.wait_exit(SOON).await?, Exit::Code(0));
    let healed =
        world.wait_for_beat(world.recorder.mark(), SOON, |beat| beat.text("/health") == "healthy").await?;
    // Three of its intervals, one beat of ours, and what a busy machine adds.
    assert!(healed.at - gone < Duration::from_secs(10), "{:?}", healed.at - gone);
    assert_eq!(world.stop().await?, Exit::Code(0));
    let warnings = world.daemon.wait_for_lines("another live", 1).await?;
    assert_eq!(warnings.len(), 1, "told once");
    Ok(())
}

#[tokio::test]
async fn req_010_the_last_beat_of_a_predecessor_is_no_second_instance() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    let last = json!({ "service": "llm", "instance_id": "a-predecessor", "hostname": "elsewhere", "health": "healthy" });
    world.robot.publish(BEAT, last).await?;
    for _ in 0..2 {
        world
            .wait_for_beat(world.recorder.mark(), SOON, |beat| beat.text("/instance_id") != "a-predecessor")
            .await?;
    }
    assert!(world.recorder.since(mark, BEAT).iter().all(|beat| beat.text("/health") == "healthy"));
    assert!(!world.daemon.log().all().iter().any(|line| line.text.contains("WARN")));
    Ok(())
}

#[tokio::test]
async fn req_010_nonsense_on_the_heartbeat_subject_disturbs_nobody() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    let huge = json!({ "instance_id": "i".repeat(500_000), "hostname": "h".repeat(200_000) }).to_string();
    for body in [
        "",
        "nonsense",
        "null",
        "[]",
        r#"{"instance_id": 7}"#,
        r#"{"instance_id": null}"#,
        &huge,
        &huge,
        &huge,
    ] {
        world.robot.publish_raw(BEAT, body).await?;
    }
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |beat| beat.json["status"].is_object()).await?;
    }
    let ours = world.recorder.since(mark, BEAT).into_iter().filter(|beat| beat.json["status"].is_object());
    assert!(ours.into_iter().all(|beat| beat.text("/health") == "healthy"));
    world.ask("bob", "are you well?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn req_010_a_crowd_of_instances_is_shown_in_few_words_and_forgotten() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    for _ in 0..2 {
        for number in 0..16 {
            let beat =
                json!({ "instance_id": format!("other-{number}"), "hostname": format!("host\n{number}") });
            world.robot.publish(BEAT, beat).await?;
        }
    }
    let degraded = world.wait_for_beat(mark, SOON, is_degraded_by_another).await?;
    let message = degraded.text("/status/components/instances/message");
    assert!(!message.is_empty() && message.len() <= 60 && !message.contains('\n'), "{message}");
    world.wait_for_beat(world.recorder.mark(), SOON, |beat| beat.text("/health") == "healthy").await?;
    Ok(())
}

#[tokio::test]
async fn req_001_two_instances_with_different_names_do_not_disturb_each_other() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    let vera = another(&world, json!({ "service_metadata": { "service_name": "Vera Bot.2" } }))?;
    let startup =
        world.recorder.wait_since(mark, "kryten.lifecycle.vera-bot-2.startup", SOON, |_| true).await?;
    assert_eq!(startup.text("/service"), "vera-bot-2");
    let beats = "kryten.service.heartbeat.vera-bot-2";
    let mut count = 0;
    world
        .recorder
        .wait_since(mark, beats, SOON, |_| {
            count += 1;
            count == 4
        })
        .await?;
    for beat in world.recorder.since(mark, "kryten.service.heartbeat.*") {
        assert_eq!(beat.text("/health"), "healthy", "{beat}");
        assert_eq!(beat.subject, format!("kryten.service.heartbeat.{}", beat.text("/service")));
    }
    // Both answer one poll.
    let polled = world.recorder.mark();
    world.robot.publish("kryten.service.discovery.poll", json!({})).await?;
    for service in ["llm", "vera-bot-2"] {
        let is_from = |answer: &Message| answer.text("/service") == service;
        world.recorder.wait_since(polled, "kryten.service.discovery", SOON, is_from).await?;
    }
    // One goes, the other stays.
    vera.terminate()?;
    assert_eq!(vera.wait_exit(SOON).await?, Exit::Code(0));
    world.recorder.wait_since(mark, "kryten.lifecycle.vera-bot-2.shutdown", SOON, |_| true).await?;
    let behind = world.recorder.mark();
    world.wait_for_beat(behind, SOON, |beat| beat.text("/health") == "healthy").await?;
    world.recorder.none_since(Mark::START, "kryten.lifecycle.llm.shutdown").await?;
    Ok(())
}
