//! The outbox: gaps between lines, whole answers, and no line twice, whatever the robot and the link do.

use std::time::{Duration, Instant};

use kryten_testkit::provider::Request;
use kryten_testkit::proxy::Direction;
use kryten_testkit::robot::Said;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Manner, Result};
use serde_json::{Value, json};

use crate::BINARY;

/// A line that was longer on its way than the one behind it came this much closer to it.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// Parts of at most 100 characters, of answers that may be long.
fn long_answers() -> Value {
    json!({ "formatting": { "max_message_length": 100 }, "validation": { "max_length": 5000 } })
}

/// So many words that begin alike.
fn words(beginning: &str, count: usize) -> String {
    (0..count).map(|number| format!("{beginning}{number}")).collect::<Vec<_>>().join(" ")
}

/// The pauses between the lines, as the robot got them.
fn gaps(says: &[Said]) -> Vec<Duration> {
    says.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

/// `user` asks, and the provider is asked: the answer is under way.
async fn mention_and_wait(world: &World, user: &str) -> Result {
    let mark = world.provider().requests().mark();
    world.mention(user, "what should we watch?").await?;
    world.provider().wait_for_request(mark, SOON, |_| true).await.map(drop)
}

/// Two more beats: whatever was to be said at once has been said.
async fn two_beats(world: &World) -> Result {
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    Ok(())
}

/// The robot's CyTube side goes, and the daemon knows.
async fn robot_leaves_the_room(world: &World) -> Result {
    world.robot.disconnected().await?;
    let is_away = |health: &Value| health["components"]["robot"]["healthy"] == false;
    world.wait_for_health(SOON, is_away).await.map(drop)
}

fn texts(world: &World) -> Vec<String> {
    world.robot.says.all().into_iter().map(|said| said.text).collect()
}

/// Every line was handed to the robot at most once.
fn none_twice(world: &World) {
    let mut said = texts(world);
    said.sort();
    let all = said.len();
    said.dedup();
    assert_eq!(said.len(), all, "{:?}", texts(world));
}

#[tokio::test]
async fn between_two_lines_of_a_room_lies_chat_min_delay() -> Result {
    let world = World::of(BINARY).config(json!({ "chat_min_delay": 1 })).start().await?;
    for user in ["ann", "bob", "eve", "joe"] {
        world.mention(user, "what should we watch?").await?;
    }
    world.wait_for_health(SOON, |health| health["ledger"]["sent"] == 4).await?;
    let gaps = gaps(&world.robot.says.all());
    assert_eq!(gaps.len(), 3);
    assert!(gaps.iter().all(|gap| *gap + ON_ITS_WAY >= Duration::from_secs(1)), "{gaps:?}");
    assert_eq!(world.ledger().await?["sent"], 4);
    Ok(())
}

#[tokio::test]
async fn the_first_line_after_a_long_silence_waits_for_no_gap() -> Result {
    let world = World::of(BINARY).config(json!({ "chat_min_delay": 10 })).start().await?;
    let asked = Instant::now();
    world.ask("bob", "what should we watch?").await?;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn between_the_parts_of_an_answer_lies_split_delay_seconds() -> Result {
    let split = json!({ "message_processing": { "split_delay_seconds": 1 } });
    let world = World::of(BINARY).config(long_answers()).config(split).start().await?;
    world.provider().next([Behaviour::answer(words("word", 40))]);
    world.ask("bob", "tell me a story").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    let parts = world.robot.says.all();
    assert!(parts.len() >= 3, "{:?}", texts(&world));
    let gaps = gaps(&parts);
    assert!(gaps.iter().all(|gap| *gap + ON_ITS_WAY >= Duration::from_secs(1)), "{gaps:?}");
    Ok(())
}

#[tokio::test]
async fn two_long_answers_are_not_mixed() -> Result {
    let split = json!({ "message_processing": { "split_delay_seconds": 1 } });
    let world = World::of(BINARY).config(long_answers()).config(split).start().await?;
    world.provider().always(Behaviour::choose(|request: &Request| {
        let is_anns = request.prompt().contains("ann says to you");
        Behaviour::Hold(words(if is_anns { "apple" } else { "zebra" }, 40))
    }));
    mention_and_wait(&world, "ann").await?;
    mention_and_wait(&world, "bob").await?;
    world.provider().release();
    world.wait_for_health(SOON, |health| health["ledger"]["sent"] == 2).await?;
    let firsts: Vec<char> = texts(&world).iter().filter_map(|text| text.chars().next()).collect();
    let changes = firsts.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(firsts.len() >= 6, "{firsts:?}");
    assert_eq!(changes, 1, "{firsts:?}");
    none_twice(&world);
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn while_the_robot_is_away_from_the_room_lines_are_held_and_then_said_once() -> Result {
    let world = World::of(BINARY).start().await?;
    robot_leaves_the_room(&world).await?;
    for (user, text) in [("ann", "This waits for the robot."), ("bob", "And so does the other line.")] {
        world.provider().next([Behaviour::answer(text)]);
        mention_and_wait(&world, user).await?;
    }
    two_beats(&world).await?;
    assert_eq!(texts(&world), Vec::<String>::new());
    world.robot.connected(&world.rooms[0]).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(2), &json!(2)));
    two_beats(&world).await?;
    let mut said = texts(&world);
    said.sort();
    assert_eq!(said, ["And so does the other line.", "This waits for the robot."]);
    Ok(())
}

#[tokio::test]
async fn while_no_robot_is_there_a_line_is_held_and_then_said_once() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.behave(Manner::Absent).await?;
    mention_and_wait(&world, "bob").await?;
    let is_missed = |health: &Value| health["components"]["robot"]["healthy"] == false;
    world.wait_for_health(SOON, is_missed).await?;
    world.robot.behave(Manner::Echoes).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    two_beats(&world).await?;
    assert_eq!(world.robot.says.count(), 1);
    Ok(())
}

/// The link is frozen once the provider has the question; the answer comes while it is.
async fn frozen_before_the_line(direction: Direction) -> Result {
    let world = World::of(BINARY).proxied().start().await?;
    world.provider().next([Behaviour::Hold("This is held back for a while.".to_owned())]);
    mention_and_wait(&world, "bob").await?;
    world.proxy()?.freeze(direction);
    world.provider().release();
    world.wait_for_health(SOON, |health| health["status"] == "failing").await?;
    let beats = world.recorder.mark();
    world.proxy()?.thaw();
    world.wait_for_beat(beats, SOON, |beat| beat.text("/health") != "failing").await?;
    let ledger = world.ledger().await?;
    two_beats(&world).await?;
    let said = world.robot.says.count() as u64;
    let count = |key: &str| ledger[key].as_u64().unwrap_or_default();
    let stale = ledger["silenced"]["stale"].as_u64().unwrap_or_default();
    assert_eq!(count("fired"), 1, "{ledger}");
    assert_eq!(count("sent") + count("in_doubt") + stale, 1, "{ledger}");
    assert!(said <= 1, "{:?}", texts(&world));
    assert!(count("sent") == 0 || said == 1, "sent, but nobody got it: {ledger}");
    assert!(stale == 0 || said == 0, "stale, but said: {ledger}");
    // It goes on as if nothing had been.
    world.ask("bob", "are you back?").await?;
    none_twice(&world);
    assert_eq!(world.ledger().await?["fired"], 2);
    Ok(())
}

#[tokio::test]
async fn a_link_frozen_both_ways_after_a_mention_says_the_line_at_most_once() -> Result {
    frozen_before_the_line(Direction::Both).await
}

#[tokio::test]
async fn a_link_deaf_after_a_mention_says_the_line_at_most_once() -> Result {
    frozen_before_the_line(Direction::Down).await
}

#[tokio::test]
async fn a_link_mute_after_a_mention_says_the_line_at_most_once() -> Result {
    frozen_before_the_line(Direction::Up).await
}

#[tokio::test]
async fn a_line_whose_answer_is_lost_with_the_link_is_in_doubt_and_not_said_again() -> Result {
    let world = World::of(BINARY).proxied().start().await?;
    world.ask("bob", "do you answer?").await?;
    world.ledger().await?;
    // The robot takes the line and says nothing, so that the link is gone before any answer.
    world.robot.behave(Manner::Silent).await?;
    world.ask("bob", "and now?").await?;
    world.proxy()?.freeze(Direction::Both);
    world.wait_for_health(SOON, |health| health["ledger"]["in_doubt"] == 1).await?;
    world.robot.behave(Manner::Echoes).await?;
    world.wait_for_health(SOON, |health| health["status"] == "failing").await?;
    let beats = world.recorder.mark();
    world.proxy()?.thaw();
    world.wait_for_beat(beats, SOON, |beat| beat.text("/health") != "failing").await?;
    two_beats(&world).await?;
    assert_eq!(world.robot.says.count(), 2, "{:?}", texts(&world));
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["in_doubt"]), (&json!(1), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn a_line_that_no_robot_takes_in_time_is_stale() -> Result {
    let world = World::of(BINARY).config(json!({ "outbox": { "stale_seconds": 1 } })).start().await?;
    world.robot.behave(Manner::Absent).await?;
    world.mention("bob", "is anybody there?").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["stale"] == 1).await?;
    // Nobody says it when the robot comes.
    world.robot.behave(Manner::Echoes).await?;
    world.robot.startup().await?;
    two_beats(&world).await?;
    assert_eq!(texts(&world), Vec::<String>::new());
    world.ask("bob", "and now?").await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["silenced"]), (&json!(1), &json!({ "stale": 1 })));
    Ok(())
}

#[tokio::test]
async fn a_reply_that_finds_the_outbox_full_is_silenced_as_overload() -> Result {
    let world = World::of(BINARY).config(json!({ "outbox": { "max_lines": 1 } })).start().await?;
    robot_leaves_the_room(&world).await?;
    for user in ["ann", "bob", "eve"] {
        mention_and_wait(&world, user).await?;
    }
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["overload"] == 2).await?;
    assert_eq!(world.daemon.health().await?["ledger"]["in_flight"], 1);
    world.robot.connected(&world.rooms[0]).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["silenced"]), (&json!(1), &json!({ "overload": 2 })));
    assert_eq!(world.robot.says.count(), 1);
    // There is room again.
    world.ask("bob", "and now?").await?;
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}
