//! Two bots must not talk for ever.

use kryten_testkit::chat::escape;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Result, Room};
use serde_json::{Value, json};

use crate::BINARY;
use crate::response_log::records_at_the_end;

async fn world(max_replies_in_a_row: u64) -> Result<World> {
    let guard =
        json!({ "loop_guard": { "max_replies_in_a_row": max_replies_in_a_row, "window_seconds": 10 } });
    World::of(BINARY).config(guard).start().await
}

fn refused(health: &Value) -> u64 {
    health["ledger"]["silenced"]["loop_guard"].as_u64().unwrap_or_default()
}

/// Somebody mentions the bot, and the loop guard says no.
async fn is_refused(world: &World, user: &str, text: &str) -> Result {
    let before = refused(&world.daemon.health().await?);
    world.mention(user, text).await?;
    world.wait_for_health(SOON, |health| refused(health) == before + 1).await.map(drop)
}

/// Another bot that answers each of our lines by naming us, until we say nothing any more. How often
/// we answered it.
async fn chatter(world: &World) -> Result<usize> {
    let (before, said_before) = (refused(&world.daemon.health().await?), world.robot.says.count());
    let mut line = "hello, I am a bot".to_owned();
    loop {
        let mark = world.robot.says.mark();
        world.mention("otherbot", &line).await?;
        tokio::select! {
            said = world.robot.wait_for_say(mark, SOON, |_| true) => line = said?.text,
            silent = world.wait_for_health(SOON, |health| refused(health) > before) => {
                silent?;
                return Ok(world.robot.says.count() - said_before);
            }
        }
    }
}

#[tokio::test]
async fn two_bots_fall_silent_until_somebody_else_speaks() -> Result {
    let world = world(3).await?;
    assert_eq!(chatter(&world).await?, 3);
    // Our own lines, which all came back, were nobody else's.
    world.wait_for_health(SOON, |health| health["ignored"]["own"] == 3).await?;
    for number in 0..5 {
        is_refused(&world, "OtherBot", &format!("insists {number}")).await?;
    }
    assert_eq!(world.provider().requests().count(), 3, "a loop costs nothing");
    // Somebody else speaks, not even to us.
    world.robot.chat("ann", "what a chatterbox").await?;
    assert_eq!(chatter(&world).await?, 3);
    // And somebody else is answered while the bot is not.
    world.ask("ann", "did it stop?").await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["silenced"]), (&json!(7), &json!({ "loop_guard": 7 })));
    assert_eq!(world.daemon.health().await?["errors_count"], 0);
    let records = records_at_the_end(&world).await?;
    let held_back: Vec<&Value> = records.iter().filter(|record| record["reason"] == "loop_guard").collect();
    assert_eq!(held_back.len(), 7);
    for record in held_back {
        assert_eq!(record["outcome"], "silenced");
        assert_eq!(record["rate_limit"]["allowed"], false);
        assert_eq!(record["rate_limit"]["reason"], "loop_guard");
    }
    Ok(())
}

#[tokio::test]
async fn whoever_pauses_for_the_window_is_answered_again_and_whoever_goes_on_is_not() -> Result {
    let world = world(1).await?;
    world.ask("bob", "hello").await?;
    // Beats come each second, and the window has ten: a line every four seconds keeps it open.
    for number in 0..3 {
        for _ in 0..4 {
            world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
        }
        is_refused(&world, "bob", &format!("still here {number}")).await?;
    }
    for _ in 0..11 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    world.ask("bob", "back again").await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["silenced"]), (&json!(2), &json!({ "loop_guard": 3 })));
    Ok(())
}

#[tokio::test]
async fn people_who_take_turns_are_no_loop() -> Result {
    let world = world(1).await?;
    for number in 0..5 {
        world.ask("ann", &format!("ann's question {number}")).await?;
        world.ask("bob", &format!("bob's question {number}")).await?;
    }
    is_refused(&world, "bob", "bob's question without ann").await?;
    assert_eq!(world.ledger().await?["sent"], 10);
    Ok(())
}

#[tokio::test]
async fn a_loop_in_one_room_silences_nobody_in_another() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Attic")];
    let guard = json!({ "loop_guard": { "max_replies_in_a_row": 2 } });
    let world = World::of(BINARY).rooms(rooms.clone()).config(guard).start().await?;
    assert_eq!(chatter(&world).await?, 2);
    for number in 0..2 {
        let mark = world.robot.says.mark();
        let text = escape(&format!("Cynthia, are you here too {number}?"));
        world.robot.chat_in(&rooms[1], "otherbot", &text).await?;
        world.robot.wait_for_say(mark, SOON, |said| said.room == rooms[1]).await?;
    }
    is_refused(&world, "otherbot", "in the lounge").await?;
    assert_eq!(world.ledger().await?["sent"], 4);
    Ok(())
}

#[tokio::test]
async fn the_guard_can_be_switched_off() -> Result {
    let world = world(0).await?;
    for number in 0..20 {
        world.ask("otherbot", &format!("and on {number}")).await?;
    }
    assert_eq!(world.ledger().await?["sent"], 20);
    Ok(())
}
