//! When every provider fails: one message instead, now and then, and an error all the same.

use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Exit, Manner, Result, Room};
use serde_json::{Value, json};

use crate::BINARY;

const MESSAGE: &str = "My mind is elsewhere today.";

/// A world in which every provider fails and `message` may be said instead.
fn world(message: &str, config: Value) -> Builder {
    let fallback = json!({ "error_handling": {
        "enable_fallback_responses": true, "fallback_messages": [message]
    } });
    World::of(BINARY).config(fallback).config(config)
}

async fn start(builder: Builder) -> Result<World> {
    let world = builder.start().await?;
    world.provider().always(Behaviour::Status(500, "{}".to_owned()));
    Ok(world)
}

/// Asks in a room, and waits until so many replies have failed.
async fn fails(world: &World, room: &Room, failed: u64) -> Result<Value> {
    world.robot.chat_in(room, "bob", "Cynthia, are you there?").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == failed).await?;
    world.ledger().await
}

/// Stops the daemon; then every record is in the file: reason, lines, whether the answer was said.
async fn records(world: &World) -> Result<Vec<(String, Value, Value)>> {
    assert_eq!(world.stop().await?, Exit::Code(0));
    let text =
        std::fs::read_to_string(world.daemon.folder().join("logs/llm-responses.jsonl")).unwrap_or_default();
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).expect("a line of JSON");
        assert_eq!(record["outcome"], "failed", "{record}");
        let reason = record["reason"].as_str().unwrap_or_default().to_owned();
        (reason, record["formatted_parts"].clone(), record["response_sent"].clone())
    };
    Ok(text.lines().map(record).collect())
}

fn said(world: &World) -> Vec<(String, String)> {
    world.robot.says.all().into_iter().map(|said| (said.room.channel, said.text)).collect()
}

#[tokio::test]
async fn each_room_is_told_once_a_minute_and_what_it_is_told_is_no_command() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Attic")];
    let message = "/kick Cynthia: My mind is\nelsewhere today.";
    let world = start(world(message, json!({})).rooms(rooms.clone())).await?;
    let mut failed = 0;
    for room in [&rooms[0], &rooms[0], &rooms[1], &rooms[1], &rooms[0]] {
        failed += 1;
        fails(&world, room, failed).await?;
    }
    let line = "kick Cynthia: My mind is elsewhere today.".to_owned();
    assert_eq!(said(&world), [("Lounge".to_owned(), line.clone()), ("Attic".to_owned(), line.clone())]);
    let health = world.daemon.health().await?;
    assert_eq!((&health["status"], &health["responses_sent"]), (&json!("failing"), &json!(0)), "{health}");
    assert_eq!((&health["errors_count"], &health["lines"]["sent"]), (&json!(5), &json!(2)), "{health}");
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["failed"]), (&json!(5), &json!(5)), "{ledger}");
    let told = || ("fallback".to_owned(), json!([line]), json!(false));
    let silent = || ("exhausted".to_owned(), json!([]), json!(false));
    assert_eq!(records(&world).await?, [told(), silent(), told(), silent(), silent()]);
    Ok(())
}

#[tokio::test]
async fn several_at_once_are_told_once() -> Result {
    let world = start(world(MESSAGE, json!({}))).await?;
    for user in ["ann", "bob", "eve", "joe"] {
        world.mention(user, "are you there?").await?;
    }
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == 4).await?;
    assert_eq!(said(&world), [("Lounge".to_owned(), MESSAGE.to_owned())]);
    assert_eq!(world.ledger().await?["fired"], 4);
    Ok(())
}

#[tokio::test]
async fn a_fallback_message_uses_up_the_limits_like_a_reply() -> Result {
    let limits = json!({ "rate_limits": { "global_max_per_hour": 1 } });
    let world = start(world(MESSAGE, limits)).await?;
    fails(&world, &world.rooms[0], 1).await?;
    world.mention("ann", "and for me?").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["global_hour"] == 1).await?;
    assert_eq!(world.ledger().await?["fired"], 2);
    assert_eq!(world.robot.says.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_dry_run_says_no_fallback_message_either() -> Result {
    for config in [json!({ "testing": { "dry_run": true } }), json!({ "testing": { "send_to_chat": false } })]
    {
        let world = start(world(MESSAGE, config)).await?;
        fails(&world, &world.rooms[0], 1).await?;
        assert_eq!(world.ledger().await?["fired"], 1);
        assert_eq!(world.robot.says.count(), 0);
        assert_eq!(records(&world).await?, [("exhausted".to_owned(), json!([]), json!(false))]);
    }
    Ok(())
}

#[tokio::test]
async fn one_that_the_room_never_had_does_not_count_but_one_that_it_may_have_does() -> Result {
    let world = start(world(MESSAGE, json!({}))).await?;
    let room = &world.rooms[0];
    world.robot.behave(Manner::Refuses("no".to_owned())).await?;
    fails(&world, room, 1).await?;
    // The robot has answered before, so its silence leaves the line in doubt.
    world.robot.behave(Manner::SilentButEchoes).await?;
    fails(&world, room, 2).await?;
    world.robot.behave(Manner::Echoes).await?;
    fails(&world, room, 3).await?;
    assert_eq!(world.robot.says.count(), 2);
    let lines = &world.daemon.health().await?["lines"];
    assert_eq!((&lines["failed"], &lines["in_doubt"], &lines["sent"]), (&json!(1), &json!(1), &json!(0)));
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["failed"], &ledger["in_doubt"]), (&json!(3), &json!(3), &json!(0)));
    let reasons: Vec<String> = records(&world).await?.into_iter().map(|(reason, ..)| reason).collect();
    assert_eq!(reasons, ["exhausted", "fallback", "exhausted"]);
    Ok(())
}

#[tokio::test]
async fn what_was_only_refused_is_told_no_fallback_message() -> Result {
    let world = world(MESSAGE, json!({})).start().await?;
    world.provider().always(Behaviour::Status(400, "{}".to_owned()));
    fails(&world, &world.rooms[0], 1).await?;
    assert_eq!(world.robot.says.count(), 0);
    assert_eq!(records(&world).await?, [("refused".to_owned(), json!([]), json!(false))]);
    Ok(())
}
