//! One room's flood is that room's trouble: others are answered in time, and nothing grows for ever.

use std::time::{Duration, Instant};

use kryten_testkit::chat::line;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Result, Room};
use serde_json::{Value, json};

use super::{BINARY, MEBIBYTE, turn};

/// How soon somebody in another room is answered, whatever goes on.
const IN_TIME: Duration = Duration::from_secs(2);

fn count(health: &Value, path: &str) -> u64 {
    health.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// So many chat lines of a room, of five hundred people, made beforehand.
fn lines(room: &Room, count: u64) -> Vec<String> {
    let text = |number: u64| line(&format!("user{}", number % 500), &format!("line {number}"));
    (0..count).map(|number| room.envelope("chatmsg", text(number)).to_string()).collect()
}

/// Publishes them, 10,000 a second, or as fast as this machine does. Says how long it took.
async fn flood(world: &World, room: &Room, lines: &[String]) -> Result<Duration> {
    let began = Instant::now();
    let message = |number: u64| (room.subject("chatmsg"), lines[number as usize].clone());
    world.flood(lines.len() as u64, Some(10_000), message).await?;
    let took = began.elapsed();
    println!("{} lines in {took:?}: {:.0} a second", lines.len(), lines.len() as f64 / took.as_secs_f64());
    Ok(took)
}

/// Somebody asks in a room; how long until the answer is there.
async fn answered_after(world: &World, room: &Room, text: &str) -> Result<Duration> {
    let (asked, mark) = (Instant::now(), world.robot.says.mark());
    world.robot.chat_in(room, "bob", &format!("Cynthia, {text}")).await?;
    let said = world.robot.wait_for_say(mark, SOON, |said| said.room == *room).await?;
    Ok(said.at - asked)
}

/// Waits until so many lines were read, or it is told that some could not be, and until what was read
/// is decided on.
async fn read_or_told(world: &World, messages: u64) -> Result {
    let seen = |health: &Value| {
        let told = health.pointer("/components/nats/message").and_then(Value::as_str).unwrap_or_default();
        let processed = count(health, "/messages_processed");
        let ignored: u64 =
            health["ignored"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
        let is_decided = ignored + count(health, "/ledger/fired") == processed;
        is_decided && (processed >= messages || told.contains("slow consumer"))
    };
    world.wait_for_health(SOON, seen).await.map(drop)
}

#[tokio::test]
async fn ten_thousand_lines_a_second_in_one_room_leave_another_rooms_mention_alone() -> Result {
    const LINES: u64 = 50_000;
    let _turn = turn().await;
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Attic")];
    let world = World::of(BINARY).rooms(rooms.clone()).start().await?;
    let lines = lines(&rooms[0], LINES);
    let began = Instant::now();
    let questions = async {
        // In the middle of it.
        world.wait_for_health(SOON, |health| count(health, "/messages_processed") > 1_000).await?;
        let mut slowest = Duration::ZERO;
        for number in 0..5 {
            let text = format!("is it quiet here, {number}?");
            slowest = slowest.max(answered_after(&world, &rooms[1], &text).await?);
        }
        Ok((slowest, began.elapsed()))
    };
    let (flooded, (slowest, answered)) = tokio::try_join!(flood(&world, &rooms[0], &lines), questions)?;
    println!("the slowest of five answers in another room came after {slowest:?}");
    assert!(slowest < IN_TIME, "answered after {slowest:?}");
    assert!(answered < flooded, "all were answered while it went on");
    read_or_told(&world, LINES + 5).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["fired"]), (&json!(5), &json!(5)), "{ledger}");
    assert!(world.daemon.resident_bytes()? < 200 * MEBIBYTE);
    Ok(())
}

#[tokio::test]
async fn three_rooms_with_three_troubles_keep_them_to_themselves() -> Result {
    let _turn = turn().await;
    let rooms = ["Lounge", "Attic", "Cellar"].map(|name| Room::new("cytu.be", name));
    let [flooded, troubled, calm] = &rooms;
    let triggers = json!([{ "name": "tea", "patterns": ["tea time"], "preferred_provider": "second", "context": "Somebody wants tea.",
        "cooldown_seconds": 0, "max_responses_per_hour": 1_000 }]);
    let world = World::of(BINARY)
        .rooms(rooms.clone())
        .providers(2)
        .config(json!({ "triggers": triggers }))
        .start()
        .await?;
    // The provider of the trigger is broken, and the other one has nothing to say about tea.
    world.providers[1].always(Behaviour::Status(500, String::new()));
    world.provider().always(Behaviour::choose(|request| match request.prompt().contains("wants tea") {
        true => Behaviour::Status(500, String::new()),
        false => Behaviour::AnswerAnew,
    }));
    let lines = lines(flooded, 20_000);
    let trouble = async {
        for number in 1..=10 {
            world.robot.chat_in(troubled, "ann", &format!("tea time, number {number}")).await?;
            world.wait_for_health(SOON, |health| count(health, "/ledger/failed") == number).await?;
        }
        Ok(())
    };
    let questions = async {
        let mut slowest = Duration::ZERO;
        for number in 0..10 {
            let text = format!("is it calm here, {number}?");
            slowest = slowest.max(answered_after(&world, calm, &text).await?);
        }
        Ok(slowest)
    };
    let (_, (), slowest) = tokio::try_join!(flood(&world, flooded, &lines), trouble, questions)?;
    println!("the slowest of ten answers in the calm room came after {slowest:?}");
    assert!(slowest < IN_TIME, "answered after {slowest:?}");
    // A mention in the flooded room is answered, too, once it is over.
    read_or_told(&world, 20_020).await?;
    answered_after(&world, flooded, "is it over?").await?;
    assert!(world.robot.says.all().iter().all(|said| said.room != *troubled));
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"], &ledger["failed"]), (&json!(21), &json!(11), &json!(10)));
    Ok(())
}

#[tokio::test]
async fn one_person_with_ten_thousand_names_gets_no_more_than_the_limits_of_all() -> Result {
    const NAMES: u64 = 10_000;
    let _turn = turn().await;
    let config = json!({
        "rate_limits": { "global_max_per_minute": 5 },
        "spam_detection": { "enabled": true },
        "loop_guard": { "max_replies_in_a_row": 8 },
        "limits": { "users_bytes": MEBIBYTE },
    });
    let world = World::of(BINARY).config(config).start().await?;
    let (before, room) = (world.daemon.resident_bytes()?, world.rooms[0].clone());
    let message = |number: u64| {
        let line = line(&format!("mallory{number}"), &format!("Cynthia, look at me, I am new here {number}"));
        (room.subject("chatmsg"), room.envelope("chatmsg", line).to_string())
    };
    // Slowly enough that every one is looked at.
    world.flood(NAMES, Some(2_000), message).await?;
    let decided = |health: &Value| {
        let (fired, overload) = (count(health, "/ledger/fired"), count(health, "/ignored/overload"));
        fired + overload == NAMES
    };
    let health = world.wait_for_health(SOON, decided).await?;
    let ledger = world.ledger().await?;
    let (fired, limited) = (count(&ledger, "/fired"), count(&ledger, "/silenced/global_minute"));
    let grown = world.daemon.resident_bytes()?.saturating_sub(before) / MEBIBYTE;
    println!("{fired} of {NAMES} names looked at, {limited} held back; grown by {grown} MiB");
    assert_eq!((count(&ledger, "/sent"), limited), (5, fired - 5), "{ledger}");
    assert_eq!(world.provider().requests().count(), 5, "nobody is asked in vain");
    assert!(grown < 64, "grown by {grown} MiB");
    assert_eq!(health["errors_count"], 0, "{health}");
    // It is well; or it could not look at all of them, and says so.
    world.wait_until(if fired == NAMES { "healthy" } else { "degraded" }, SOON).await.map(drop)
}
