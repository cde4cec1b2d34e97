//! The outbox: gaps, order, holding, and no line twice, whatever the link does.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;
use kryten_testkit::provider::Request;
use kryten_testkit::robot::Said;
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Direction, Exit, Manner, Mark, Result};
use serde_json::{Value, json};

use crate::BINARY;

/// The wall clock may be adjusted a little between two lines.
const ADJUSTED: Duration = Duration::from_millis(2);

fn world(config: Value) -> Builder {
    World::of(BINARY).config(config)
}

/// The times between lines where they are handed over: on the way to the robot a busy machine changes them.
fn gaps(says: &[Said]) -> Vec<Duration> {
    let handed_over = |said: &Said| {
        let stamp = said.request["meta"]["timestamp"].as_str().unwrap_or_default();
        DateTime::parse_from_rfc3339(stamp).expect("a time stamp in every line")
    };
    let gap = |pair: &[Said]| (handed_over(&pair[1]) - handed_over(&pair[0])).to_std().expect("in order");
    says.windows(2).map(gap).collect()
}

/// Asks once for each user, at once, and waits until all are decided.
async fn all_ask(world: &World, users: &[&str]) -> Result {
    let fired = world.daemon.health().await?["ledger"]["fired"].as_u64().unwrap_or_default();
    for user in users {
        world.mention(user, &format!("says {user}")).await?;
    }
    let done = fired + users.len() as u64;
    world.wait_for_health(SOON, |health| health["ledger"]["fired"] == done).await.map(drop)
}

/// Answers with three lines of 100 characters at most, all of them naming who asked.
fn long_answers() -> Behaviour {
    Behaviour::choose(|request: &Request| {
        let prompt = request.prompt();
        let (_, user) = prompt.rsplit_once("says ").unwrap_or_default();
        let user = user.trim_end_matches('"');
        let words: Vec<String> = (0..30).map(|number| format!("{user}{number}")).collect();
        Behaviour::answer(words.join(" "))
    })
}

#[tokio::test]
async fn any_two_lines_are_a_gap_apart() -> Result {
    let world = world(json!({ "chat_min_delay": 0.5, "chat_jitter": 0.3 })).start().await?;
    all_ask(&world, &["ann", "bob", "eve", "joe", "kim"]).await?;
    assert_eq!(world.ledger().await?["sent"], 5);
    let says = world.robot.says.all();
    assert_eq!(says.len(), 5);
    for gap in gaps(&says) {
        assert!(gap + ADJUSTED >= Duration::from_millis(500), "{gap:?}");
    }
    let all = says[4].at - says[0].at;
    assert!(all > Duration::from_millis(4 * 500 - 500), "they came together: {all:?}");
    assert!(all < Duration::from_millis(4 * 800) + Duration::from_secs(1), "{all:?}");
    // After a silence nobody waits.
    let quiet = tokio::time::Instant::now();
    let fresh = world.ask("zoe", "still quick?").await?;
    assert!(fresh.at < (quiet + Duration::from_secs(2)).into_std());
    Ok(())
}

#[tokio::test]
async fn the_parts_of_a_reply_keep_the_split_delay_and_stay_together() -> Result {
    let config = json!({
        "message_processing": { "split_delay_seconds": 1 },
        "formatting": { "max_message_length": 100 },
    });
    let world = world(config).start().await?;
    world.provider().always(long_answers());
    all_ask(&world, &["ann", "bob"]).await?;
    assert_eq!(world.ledger().await?["sent"], 2);
    let says = world.robot.says.all();
    let half = says.len() / 2;
    assert!(half >= 2, "{} lines", says.len());
    let first = &says[0].text[..3];
    for (index, said) in says.iter().enumerate() {
        assert_eq!(said.text.starts_with(first), index < half, "interleaved at {index}: {said}");
    }
    for (index, gap) in gaps(&says).into_iter().enumerate() {
        let is_within_a_reply = index + 1 != half;
        assert!(!is_within_a_reply || gap + ADJUSTED >= Duration::from_secs(1), "{gap:?} behind {index}");
    }
    Ok(())
}

#[tokio::test]
async fn the_larger_of_gap_and_split_delay_counts() -> Result {
    let config = json!({
        "chat_min_delay": 0.8, "chat_jitter": 0,
        "message_processing": { "split_delay_seconds": 0 },
        "formatting": { "max_message_length": 100 },
    });
    let world = world(config).start().await?;
    world.provider().always(long_answers());
    all_ask(&world, &["ann"]).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    let gaps = gaps(&world.robot.says.all());
    assert!(!gaps.is_empty());
    assert!(gaps.iter().all(|gap| *gap + ADJUSTED >= Duration::from_millis(800)), "{gaps:?}");
    Ok(())
}

/// No text was said twice, and no request came twice.
fn nothing_was_said_twice(world: &World) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for said in world.robot.says.all() {
        *counts.entry(said.text).or_default() += 1;
        let id = said.request["meta"]["request_id"].as_str().unwrap_or_default().to_owned();
        *counts.entry(id).or_default() += 1;
    }
    let twice: Vec<&String> = counts.iter().filter(|(_, count)| **count > 1).map(|(what, _)| what).collect();
    assert_eq!(twice, Vec::<&String>::new());
}

#[tokio::test]
async fn a_line_is_never_said_twice_whenever_the_link_is_cut() -> Result {
    let config =
        json!({ "formatting": { "max_message_length": 100 }, "chat_min_delay": 0.1, "chat_jitter": 0 });
    let world = world(config).proxied().start().await?;
    let proxy = world.proxy()?;
    let mut asked = 0;
    for direction in [Direction::Down, Direction::Up, Direction::Both] {
        // In the middle of a long reply: right behind its first line, with more to come.
        let mark = world.robot.says.mark();
        let user = format!("user{asked}of");
        let words: Vec<String> = (0..30).map(|number| format!("{user}{number}")).collect();
        world.provider().next([Behaviour::answer(words.join(" "))]);
        world.mention(&user, "tell me a story").await?;
        world.robot.wait_for_say(mark, SOON, |_| true).await?;
        proxy.freeze(direction);
        asked += 1;
        world.wait_for_health(SOON, |health| health["status"] == "failing").await?;
        proxy.thaw();
        world.wait_for_health(SOON, |health| health["nats_connected"] == true).await?;
        world.ledger().await?;
    }
    // Resets, one behind the other, while lines are going out.
    for number in 0..5 {
        world.ask(&format!("guest{number}"), "a short one").await?;
        let mark = world.recorder.mark();
        proxy.cut().await?;
        asked += 1;
        // Not the health page: it may not have noticed yet, and would not hear the next question.
        world.wait_until_up(mark).await?;
        world.ledger().await?;
    }
    nothing_was_said_twice(&world);
    let ledger = world.ledger().await?;
    let ended = ledger["sent"].as_u64().unwrap_or_default() + ledger["in_doubt"].as_u64().unwrap_or_default();
    assert_eq!((ended, &ledger["fired"]), (asked, &json!(asked)), "{ledger}");
    Ok(())
}

#[tokio::test]
async fn a_line_that_fell_into_a_dying_link_is_in_doubt_also_with_a_robot_that_never_answers() -> Result {
    let world = world(json!({})).robot(Manner::Silent).proxied().start().await?;
    let proxy = world.proxy()?;
    world.ask("bob", "hello").await?;
    // The robot has it, but the proof of that does not come back on the connection that carried it.
    proxy.freeze(Direction::Down);
    world.wait_for_health(SOON, |health| health["status"] == "failing").await?;
    proxy.thaw();
    world.wait_for_health(SOON, |health| health["nats_connected"] == true).await?;
    assert_eq!(world.ledger().await?["in_doubt"], 1);
    nothing_was_said_twice(&world);
    Ok(())
}

#[tokio::test]
async fn while_the_link_is_down_a_reply_is_held_and_then_said() -> Result {
    let mut world = world(json!({})).proxied().start().await?;
    world.ask_and_hold("bob", "are you there?", "Patience is a virtue.").await?;
    world.cut_off().await?;
    world.release_cut_off().await?;
    assert_eq!(world.robot.says.count(), 0);
    world.restart_server().await?;
    world.robot.wait_for_say(Mark::START, SOON, |said| said.text == "Patience is a virtue.").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.robot.says.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_reply_held_for_too_long_is_stale_and_never_said() -> Result {
    let config = json!({ "outbox": { "stale_seconds": 1 } });
    let mut world = world(config).proxied().start().await?;
    world.ask_and_hold("bob", "are you there?", "Patience is a virtue.").await?;
    world.cut_off().await?;
    world.provider().release();
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["stale"] == 1).await?;
    let mark = world.recorder.mark();
    world.restart_server().await?;
    world.wait_until_up(mark).await?;
    world.ask("bob", "and now?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.robot.says.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_full_outbox_is_overload_and_what_is_in_it_is_said() -> Result {
    let world = world(json!({ "outbox": { "max_lines": 2 } })).start().await?;
    world.robot.disconnected().await?;
    let away = |health: &Value| health["components"]["robot"]["healthy"] == false;
    world.wait_for_health(SOON, away).await?;
    all_ask(&world, &["ann", "bob", "eve", "joe", "kim"]).await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["overload"] == 3).await?;
    assert_eq!(world.daemon.health().await?["ledger"]["in_flight"], 2);
    world.robot.connected(&world.rooms[0]).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(5), &json!(2)));
    assert_eq!(world.robot.says.count(), 2);
    // Its places are free again.
    world.ask("zoe", "and me?").await?;
    assert_eq!(world.ledger().await?["sent"], 3);
    Ok(())
}

#[tokio::test]
async fn what_is_still_held_at_the_end_is_given_up_and_counted() -> Result {
    let world =
        world(json!({ "service_metadata": { "graceful_shutdown_timeout_seconds": 5 } })).start().await?;
    world.robot.disconnected().await?;
    let away = |health: &Value| health["components"]["robot"]["healthy"] == false;
    world.wait_for_health(SOON, away).await?;
    all_ask(&world, &["ann", "bob"]).await?;
    assert_eq!(world.stop().await?, Exit::Code(124));
    let bye = world.recorder.wait_for("kryten.lifecycle.llm.shutdown", SOON, |_| true).await?;
    assert_eq!(bye.json["metrics"]["replies_abandoned"], 2, "{bye}");
    assert_eq!(world.robot.says.count(), 0);
    Ok(())
}
