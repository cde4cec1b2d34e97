//! Silence on an operator's word, and speech again.

use std::time::{Duration, Instant};

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Context as _, Exit, Mark, Result, Room};
use serde_json::{Value, json};

use super::commands::data;
use crate::BINARY;

#[tokio::test]
async fn a_paused_room_is_silent_at_once_without_a_call_and_the_others_speak() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Other")];
    let world = World::of(BINARY).rooms(rooms.clone()).start().await?;
    let answer = data(&world, json!({"command": "chat.pause", "channel": "Lounge"})).await?;
    assert_eq!(answer, json!({"paused": [{"channel": "Lounge"}]}));
    world.mention("bob", "hello?").await?;
    let ignored = |health: &Value| health["ignored"]["paused"] == 1;
    world.wait_for_health(SOON, ignored).await?;
    assert_eq!(world.provider().requests().all().len(), 0, "no call");
    let meant_for_us = world.daemon.get("/api/decisions?fired=true").await?.1;
    assert!(meant_for_us.contains("\"reason\":\"paused\""), "{meant_for_us}");
    let mark = world.recorder.mark();
    let beat = world.wait_for_beat(mark, SOON, |_| true).await?;
    assert_eq!(beat.json["status"]["paused"], json!(["Lounge"]));

    world.robot.chat_in(&rooms[1], "eve", "Cynthia hello").await?;
    world.robot.wait_for_say(Mark::START, SOON, |said| said.room.channel == "Other").await?;
    assert_eq!(data(&world, json!({"command": "chat.resume"})).await?, json!({"paused": []}));
    world.ask("bob", "and now?").await?;
    let beat = world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    assert_eq!(beat.json["status"].get("paused"), None);
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn a_pause_with_an_end_ends_by_itself() -> Result {
    let world = World::of(BINARY).start().await?;
    let began = Instant::now();
    let answer = data(&world, json!({"command": "chat.pause", "duration_seconds": 2})).await?;
    assert!(answer["paused"][0]["until"].is_string(), "{answer}");
    let beat =
        world.wait_for_beat(world.recorder.mark(), SOON, |beat| beat.json["status"].get("paused").is_none());
    beat.await?;
    assert!(began.elapsed() >= Duration::from_secs(2));
    world.ask("bob", "and now?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn a_pause_outlives_a_reload_and_a_kill() -> Result {
    let mut world = World::of(BINARY).start().await?;
    data(&world, json!({"command": "chat.pause"})).await?;
    data(&world, json!({"command": "system.reload"})).await?;
    world.mention("bob", "one").await?;
    world.wait_for_health(SOON, |health| health["ignored"]["paused"] == 1).await?;
    world.daemon.kill();
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    world.wait_until_up(mark).await?;
    let beat = world.wait_for_beat(mark, SOON, |_| true).await?;
    assert_eq!(beat.json["status"]["paused"], json!(["Lounge"]));
    world.mention("bob", "two").await?;
    world.wait_for_health(SOON, |health| health["ignored"]["paused"] == 1).await?;
    data(&world, json!({"command": "chat.resume", "channel": "lounge"})).await?;
    world.ask("bob", "three").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn a_reply_under_way_is_not_said_in_a_room_that_is_paused_meanwhile() -> Result {
    let world = World::of(BINARY).start().await?;
    world.provider().always(Behaviour::Hold("Here is the answer to that.".to_owned()));
    world.mention("bob", "one").await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    data(&world, json!({"command": "chat.pause"})).await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["paused"] == 1).await?;
    data(&world, json!({"command": "chat.resume"})).await?;
    world.provider().release();
    world.provider().always(Behaviour::AnswerAnew);
    world.ask("eve", "two").await?;
    let says = world.robot.says.since(Mark::START);
    assert!(says.iter().all(|said| !said.text.contains("the answer to that")), "{says:?}");
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn lines_that_wait_when_their_room_is_paused_are_not_said() -> Result {
    let slowly = json!({"message_processing": {"split_delay_seconds": 2}});
    let world = World::of(BINARY).config(slowly).start().await?;
    let long = (0..40).map(|number| format!("This is sentence number {number}. ")).collect::<String>();
    world.provider().always(Behaviour::answer(long.trim()));
    world.ask("bob", "tell me everything").await?;
    data(&world, json!({"command": "chat.pause"})).await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["paused"] == 1).await?;
    assert_eq!(world.robot.says.since(Mark::START).len(), 1, "only what was out before");
    world.ledger().await?;
    Ok(())
}

#[tokio::test]
async fn which_rooms_were_paused_and_can_not_be_read_shows_until_somebody_pauses_or_resumes() -> Result {
    let mut world = World::of(BINARY).start().await?;
    data(&world, json!({"command": "chat.pause"})).await?;
    world.daemon.kill();
    let file = world.daemon.folder().join("state/pauses.json");
    std::fs::write(&file, "[{").context("breaking the file")?;
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    world.wait_until_up(mark).await?;
    let config = |health: &Value| health["components"]["config"].to_string();
    let health = world.wait_for_health(SOON, |health| config(health).contains("can't be read")).await?;
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(file.with_extension("broken").exists(), "it is there to be looked at");
    data(&world, json!({"command": "chat.pause"})).await?;
    world.wait_for_health(SOON, |health| !config(health).contains("can't be read")).await?;
    Ok(())
}
