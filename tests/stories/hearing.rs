//! Whether the room hears what is said: only an echo proves it, whatever the robot says.

use std::time::{Duration, Instant};

use kryten_testkit::world::{BOT, SOON, World};
use kryten_testkit::{Manner, Message, Result, Room};
use serde_json::{Value, json};

use crate::BINARY;

/// How long an echo may take.
const ECHO: Duration = Duration::from_secs(10);

fn lounge() -> Room {
    Room::new("cytu.be", "Lounge")
}

fn attic() -> Room {
    Room::new("cytu.be", "Attic")
}

async fn two_rooms(manner: Manner) -> Result<World> {
    World::of(BINARY).rooms([lounge(), attic()]).robot(manner).start().await
}

/// Somebody asks in a room, and the next line there is awaited. Says when it came to the robot.
async fn ask_in(world: &World, room: &Room) -> Result<Instant> {
    let mark = world.robot.says.mark();
    world.robot.chat_in(room, "bob", "Cynthia, do you hear me?").await?;
    Ok(world.robot.wait_for_say(mark, SOON, |said| said.room == *room).await?.at)
}

async fn lines_are(world: &World, lines: Value) -> Result {
    world.wait_for_health(SOON, |health| health["lines"] == lines).await.map(drop)
}

fn of_the_robot(beat: &Message) -> &str {
    beat.text("/status/components/robot/message")
}

/// The first beat from now on that says this of the robot.
async fn robot_is(world: &World, words: &str) -> Result<Message> {
    world.wait_for_beat(world.recorder.mark(), SOON, |beat| of_the_robot(beat).contains(words)).await
}

/// The first beat so long after `since` says that all is well.
async fn all_is_well_after(world: &World, since: Instant, long: Duration) -> Result {
    let beat = world.wait_for_beat(world.recorder.mark(), SOON, |beat| beat.at > since + long).await?;
    assert_eq!((beat.text("/health"), of_the_robot(&beat)), ("healthy", ""), "{beat}");
    Ok(())
}

#[tokio::test]
async fn each_line_is_counted_as_sent_in_doubt_or_failed_and_as_heard() -> Result {
    let world = World::of(BINARY).start().await?;
    world.ask("bob", "hello?").await?;
    lines_are(&world, json!({ "sent": 1, "in_doubt": 0, "failed": 0, "heard": 1 })).await?;
    world.robot.behave(Manner::Refuses("no".to_owned())).await?;
    world.ask("bob", "hello again?").await?;
    lines_are(&world, json!({ "sent": 1, "in_doubt": 0, "failed": 1, "heard": 1 })).await?;
    world.robot.behave(Manner::SilentButEchoes).await?;
    world.ask("bob", "and now?").await?;
    lines_are(&world, json!({ "sent": 1, "in_doubt": 1, "failed": 1, "heard": 2 })).await?;
    world.robot.behave(Manner::Mute).await?;
    world.ask("bob", "still there?").await?;
    lines_are(&world, json!({ "sent": 2, "in_doubt": 1, "failed": 1, "heard": 2 })).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["in_doubt"], &ledger["failed"]), (&json!(2), &json!(1), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn three_lines_unheard_in_a_room_that_heard_us_are_told_until_it_hears_us_again() -> Result {
    let world = two_rooms(Manner::Echoes).await?;
    for room in [lounge(), attic()] {
        ask_in(&world, &room).await?;
    }
    lines_are(&world, json!({ "sent": 2, "in_doubt": 0, "failed": 0, "heard": 2 })).await?;
    // Muted or kicked: the robot takes every line, and nobody hears it.
    world.robot.behave(Manner::Mute).await?;
    for _ in 0..2 {
        ask_in(&world, &attic()).await?;
    }
    for _ in 0..2 {
        ask_in(&world, &lounge()).await?;
    }
    let third = ask_in(&world, &lounge()).await?;
    let told = robot_is(&world, "lines go unheard").await?;
    let took = told.at - third;
    assert!(took > ECHO - Duration::from_millis(500) && took < ECHO + Duration::from_secs(2), "{took:?}");
    assert_eq!(of_the_robot(&told), "Lounge: lines go unheard: muted or kicked?", "the other room had two");
    assert_eq!(told.text("/health"), "degraded");
    assert!(told.text("/health_reason").contains("robot"), "{told}");
    // What was sent was sent.
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(7), &json!(7)));
    // Another room that hears us is no proof for this one.
    world.robot.behave(Manner::Echoes).await?;
    ask_in(&world, &attic()).await?;
    lines_are(&world, json!({ "sent": 8, "in_doubt": 0, "failed": 0, "heard": 3 })).await?;
    robot_is(&world, "Lounge: lines go unheard").await?;
    ask_in(&world, &lounge()).await?;
    let well = world.wait_until("healthy", SOON).await?;
    assert_eq!(of_the_robot(&well), "");
    lines_are(&world, json!({ "sent": 9, "in_doubt": 0, "failed": 0, "heard": 4 })).await?;
    assert_eq!(world.ledger().await?["sent"], 9);
    Ok(())
}

#[tokio::test]
async fn five_lines_neither_answered_nor_ever_heard_most_likely_go_to_a_wrong_room() -> Result {
    let world = two_rooms(Manner::Mute).await?;
    // The robot says yes; where nothing was ever heard that is all there is to go by.
    for _ in 0..5 {
        ask_in(&world, &attic()).await?;
    }
    world.robot.behave(Manner::Silent).await?;
    for _ in 0..4 {
        ask_in(&world, &lounge()).await?;
    }
    let fourth = Instant::now();
    all_is_well_after(&world, fourth, ECHO + Duration::from_secs(1)).await?;
    ask_in(&world, &lounge()).await?;
    let told = robot_is(&world, "never answered nor echoed").await?;
    assert!(of_the_robot(&told).starts_with("Lounge: ") && !of_the_robot(&told).contains("Attic"), "{told}");
    assert_eq!(told.text("/health"), "degraded");
    assert!(of_the_robot(&told).len() <= 60, "{told}");
    // A round trip behind each says that the bus has it.
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(10), &json!(10)));
    world.robot.behave(Manner::Mute).await?;
    ask_in(&world, &lounge()).await?;
    world.wait_until("healthy", SOON).await?;
    assert_eq!(world.ledger().await?["sent"], 11);
    Ok(())
}

#[tokio::test]
async fn an_echo_that_passed_while_the_link_was_down_is_held_against_no_line() -> Result {
    let world = World::of(BINARY).proxied().start().await?;
    world.ask("bob", "do you hear me?").await?;
    lines_are(&world, json!({ "sent": 1, "in_doubt": 0, "failed": 0, "heard": 1 })).await?;
    world.robot.behave(Manner::Mute).await?;
    for _ in 0..3 {
        world.ask("bob", "do you hear me?").await?;
    }
    assert_eq!(world.ledger().await?["sent"], 4);
    let third = Instant::now();
    let mark = world.recorder.mark();
    world.proxy()?.cut().await?;
    world.wait_until_up(mark).await?;
    all_is_well_after(&world, third, ECHO + Duration::from_secs(1)).await
}

#[tokio::test]
async fn lines_whose_echo_nobody_looks_at_are_no_sign_of_a_deaf_room() -> Result {
    let world = World::of(BINARY).start().await?;
    world.ask("bob", "do you hear me?").await?;
    lines_are(&world, json!({ "sent": 1, "in_doubt": 0, "failed": 0, "heard": 1 })).await?;
    for number in 0..3 {
        // As a line it may be a command to some bot; those are never read.
        let text = format!("...and so it goes, for the {number}th time");
        world.provider().next([kryten_testkit::Behaviour::answer(text)]);
        assert!(world.ask("bob", "do you hear me?").await?.text.starts_with("..."));
    }
    let third = Instant::now();
    all_is_well_after(&world, third, ECHO + Duration::from_secs(1)).await?;
    lines_are(&world, json!({ "sent": 4, "in_doubt": 0, "failed": 0, "heard": 1 })).await?;
    assert_eq!(world.ledger().await?["sent"], 4);
    Ok(())
}

#[tokio::test]
async fn echoes_that_a_robot_drops_after_its_return_are_held_against_no_line() -> Result {
    let world = World::of(BINARY).start().await?;
    world.ask("bob", "do you hear me?").await?;
    lines_are(&world, json!({ "sent": 1, "in_doubt": 0, "failed": 0, "heard": 1 })).await?;
    world.robot.disconnected().await?;
    robot_is(&world, "away from CyTube").await?;
    for user in ["ann", "eve", "joe"] {
        world.mention(user, "are you there?").await?;
    }
    // It takes our lines at once, but passes on no chat yet.
    world.robot.behave(Manner::Mute).await?;
    world.robot.connected(&world.rooms[0]).await?;
    lines_are(&world, json!({ "sent": 4, "in_doubt": 0, "failed": 0, "heard": 1 })).await?;
    let last = Instant::now();
    all_is_well_after(&world, last, ECHO + Duration::from_secs(1)).await?;
    // What is said later must be heard again.
    for _ in 0..3 {
        world.ask("bob", "do you hear me?").await?;
    }
    robot_is(&world, "lines go unheard").await?;
    assert_eq!(world.ledger().await?["sent"], 7);
    Ok(())
}

#[tokio::test]
async fn a_bot_that_is_among_its_own_ignored_users_is_heard_all_the_same() -> Result {
    let config = json!({ "ignored_users": [BOT] });
    let world = World::of(BINARY).config(config).robot(Manner::SilentButEchoes).start().await?;
    for _ in 0..5 {
        world.ask("bob", "do you hear me?").await?;
    }
    lines_are(&world, json!({ "sent": 5, "in_doubt": 0, "failed": 0, "heard": 5 })).await?;
    let fifth = Instant::now();
    all_is_well_after(&world, fifth, ECHO + Duration::from_secs(1)).await?;
    assert_eq!(world.ledger().await?["sent"], 5);
    Ok(())
}
