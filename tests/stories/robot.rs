//! The robot, in every manner: takes a line, refuses it, is silent, is away, is not there at all.

use std::time::Duration;

use chrono::DateTime;
use futures_util::StreamExt as _;
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Manner, Mark, Recorder, Result, Room};
use serde_json::{Value, json};

use crate::BINARY;

fn world(config: Value) -> Builder {
    World::of(BINARY).config(config)
}

/// The first beat from now on in which the robot's component says this; empty means that it is well.
async fn robot_is(world: &World, words: &str) -> Result {
    let said = |text: &str| if words.is_empty() { text.is_empty() } else { text.contains(words) };
    let mark = world.recorder.mark();
    let told =
        world.wait_for_beat(mark, SOON, |beat| said(beat.text("/status/components/robot/message"))).await?;
    let healthy = told.json.pointer("/status/components/robot/healthy");
    assert_eq!(healthy, Some(&json!(words.is_empty())), "{told}");
    let health = told.text("/health");
    assert_eq!(health == "healthy", words.is_empty(), "{told}");
    Ok(())
}

/// Two more beats have gone out: whatever would have been said by itself has been said.
async fn two_beats(world: &World) -> Result {
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    Ok(())
}

async fn ledger_says(world: &World, key: &str) -> Result {
    world
        .wait_for_health(SOON, |health| health.pointer(&format!("/ledger/{key}")) == Some(&json!(1)))
        .await?;
    let ledger = world.ledger().await?;
    assert_eq!(ledger["fired"], 1, "{ledger}");
    Ok(())
}

#[tokio::test]
async fn the_say_request_is_exactly_the_golden_one_with_the_names_as_configured() -> Result {
    let room = Room::new("cytu.be", "Movie.Night");
    let world = world(json!({})).rooms([room.clone()]).start().await?;
    let requests = Recorder::start_on(world.server.client().await?, "kryten.robot.command").await?;
    world.provider().next([Behaviour::answer("Kick \"first\", ask later.")]);
    let mut envelope = room.envelope("chatmsg", kryten_testkit::chat::line("bob", "Cynthia, how?"));
    envelope["correlation_id"] = json!("the-message-of-bob");
    world.robot.publish(&room.subject("chatmsg"), envelope).await?;
    let request = requests.wait_for("kryten.robot.command", SOON, |_| true).await?;

    let mut golden: Value = serde_json::from_str(include_str!("../golden/say.json")).expect("JSON");
    let (id, time) =
        (request.text("/meta/request_id").to_owned(), request.text("/meta/timestamp").to_owned());
    golden["meta"]["domain"] = json!("cytu.be");
    golden["meta"]["channel"] = json!("Movie.Night");
    golden["meta"]["request_id"] = json!(id);
    golden["meta"]["timestamp"] = json!(time);
    // As text, so that the order of the keys is compared too.
    assert_eq!(String::from_utf8_lossy(&request.bytes), golden.to_string());
    assert!(id.len() == 36 && id.matches('-').count() == 4, "{id} is no uuid");
    assert!(time.ends_with("+00:00"), "{time}");
    let stamped = DateTime::parse_from_rfc3339(&time).expect("a time").to_utc();
    assert!((request.wall - stamped).abs() < chrono::TimeDelta::seconds(5), "{time} at {}", request.wall);
    assert_eq!(request.header("Kryten-Correlation-Id"), Some("the-message-of-bob"));
    assert_eq!(world.provider().requests().all()[0].header("x-request-id"), Some("the-message-of-bob"));
    ledger_says(&world, "sent").await
}

#[tokio::test]
async fn a_message_without_an_id_is_given_one_unless_none_is_wanted() -> Result {
    for is_wanted in [true, false] {
        let config = json!({ "error_handling": { "generate_correlation_ids": is_wanted } });
        let world = world(config).start().await?;
        let requests = Recorder::start_on(world.server.client().await?, "kryten.robot.command").await?;
        let room = &world.rooms[0];
        let mut envelope = room.envelope("chatmsg", kryten_testkit::chat::line("bob", "Cynthia, how?"));
        envelope["correlation_id"] = json!(null);
        world.robot.publish(&room.subject("chatmsg"), envelope).await?;
        let said = requests.wait_for("kryten.robot.command", SOON, |_| true).await?;
        let asked = &world.provider().requests().all()[0];
        let id = said.header("Kryten-Correlation-Id");
        assert_eq!(id.is_some_and(|id| id.len() == 36), is_wanted, "{id:?}");
        assert_eq!(asked.header("x-request-id"), id);
        ledger_says(&world, "sent").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_line_that_the_robot_takes_is_sent() -> Result {
    let world = world(json!({})).robot(Manner::Mute).start().await?;
    world.ask("bob", "hello").await?;
    ledger_says(&world, "sent").await?;
    robot_is(&world, "").await
}

#[tokio::test]
async fn a_line_that_the_robot_refuses_has_failed_and_is_not_tried_again() -> Result {
    let world = world(json!({ "rate_limits": { "global_max_per_minute": 1 } }))
        .robot(Manner::Refuses("Not connected or sender not available".to_owned()))
        .start()
        .await?;
    world.ask("bob", "hello").await?;
    robot_is(&world, "Not connected").await?;
    ledger_says(&world, "failed").await?;
    two_beats(&world).await?;
    assert_eq!(world.robot.says.count(), 1);
    assert_eq!(world.daemon.health().await?["errors_count"], 1);
    // Nothing went out, so nothing is used up; the next line that is taken mends it.
    world.robot.behave(Manner::Echoes).await?;
    world.ask("bob", "hello again").await?;
    world.wait_for_health(SOON, |health| health["components"]["robot"]["healthy"] == true).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn from_a_robot_that_never_answers_a_round_trip_is_proof() -> Result {
    let world = world(json!({})).robot(Manner::Silent).start().await?;
    world.ask("bob", "hello").await?;
    ledger_says(&world, "sent").await?;
    assert_eq!(world.robot.says.count(), 1);
    assert_eq!(world.daemon.health().await?["errors_count"], 0);
    Ok(())
}

#[tokio::test]
async fn a_robot_that_has_answered_before_and_is_silent_leaves_the_line_in_doubt() -> Result {
    let world = world(json!({})).start().await?;
    world.ask("bob", "hello").await?;
    ledger_says(&world, "sent").await?;
    world.robot.behave(Manner::Silent).await?;
    world.ask("bob", "hello again").await?;
    robot_is(&world, "no answer").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["in_doubt"] == 1).await?;
    two_beats(&world).await?;
    assert_eq!(world.robot.says.count(), 2, "what is in doubt is not said again");
    world.robot.behave(Manner::Echoes).await?;
    world.ask("bob", "and now?").await?;
    world.wait_for_health(SOON, |health| health["components"]["robot"]["healthy"] == true).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["in_doubt"]), (&json!(2), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn a_silent_robot_does_not_hold_up_the_next_line() -> Result {
    let world = world(json!({})).robot(Manner::Silent).start().await?;
    for user in ["bob", "eve", "mallory"] {
        world.mention(user, "hello").await?;
    }
    world.wait_for_health(SOON, |health| health["ledger"]["fired"] == 3).await?;
    assert_eq!(world.ledger().await?["sent"], 3);
    let says = world.robot.says.all();
    assert!(says[2].at - says[0].at < Duration::from_secs(2), "one waited for another's time-out");
    Ok(())
}

#[tokio::test]
async fn without_a_robot_a_reply_is_held_and_said_once_and_in_order_when_it_comes() -> Result {
    let config = json!({ "formatting": { "max_message_length": 100 } });
    let world = world(config).robot(Manner::Absent).start().await?;
    let words: Vec<String> = (0..60).map(|number| format!("word{number}")).collect();
    world.provider().next([Behaviour::answer(words.join(" "))]);
    world.mention("bob", "tell me a story").await?;
    robot_is(&world, "no robot takes our lines").await?;
    two_beats(&world).await?;
    assert_eq!(world.daemon.health().await?["ledger"]["in_flight"], 1);
    world.robot.behave(Manner::Echoes).await?;
    ledger_says(&world, "sent").await?;
    let said: Vec<String> = world.robot.says.all().into_iter().map(|said| said.text).collect();
    assert!(said.len() > 3);
    let joined: Vec<&str> = said.iter().map(|part| part.trim_end_matches(" ...")).collect();
    assert_eq!(joined.join(" "), words.join(" "), "each part once, in order");
    robot_is(&world, "").await
}

#[tokio::test]
async fn without_a_robot_a_reply_becomes_stale_and_uses_nothing_up() -> Result {
    let config = json!({ "outbox": { "stale_seconds": 2 }, "rate_limits": { "global_max_per_minute": 1 } });
    let world = world(config).robot(Manner::Absent).start().await?;
    world.mention("bob", "hello").await?;
    ledger_says(&world, "silenced/stale").await?;
    // Nothing says it later; and staleness is no error.
    world.robot.behave(Manner::Echoes).await?;
    world.robot.startup().await?;
    robot_is(&world, "").await?;
    two_beats(&world).await?;
    assert_eq!(world.robot.says.count(), 0);
    assert_eq!(world.daemon.health().await?["errors_count"], 0);
    world.ask("bob", "hello again").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn no_robot_at_the_start_is_seen_and_heals_when_one_comes() -> Result {
    let world = world(json!({})).robot(Manner::Absent).start().await?;
    robot_is(&world, "no robot is on the bus").await?;
    world.robot.behave(Manner::Echoes).await?;
    world.robot.startup().await?;
    robot_is(&world, "").await?;
    world.ask("bob", "hello").await?;
    ledger_says(&world, "sent").await
}

#[tokio::test]
async fn a_robot_that_takes_lines_is_there_whatever_it_calls_the_room() -> Result {
    let spelled = json!({ "channels": [{ "domain": "cytu.be", "channel": "LOUNGE" }] });
    let world = world(spelled).start().await?;
    robot_is(&world, "no robot is on the bus").await?;
    world.ask("bob", "hello").await?;
    robot_is(&world, "").await?;
    // Asked again, it still does not know this room by name: no reason to miss it.
    world.robot.startup().await?;
    two_beats(&world).await?;
    robot_is(&world, "").await?;
    ledger_says(&world, "sent").await
}

#[tokio::test]
async fn while_its_cytube_side_is_away_replies_wait() -> Result {
    let world = world(json!({})).start().await?;
    world.robot.disconnected().await?;
    robot_is(&world, "away from CyTube").await?;
    world.mention("bob", "are you there?").await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    two_beats(&world).await?;
    assert_eq!(world.robot.says.count(), 0);
    // The robot's link to NATS, or another room, is no return.
    world.robot.lifecycle("connected", json!({ "target": "NATS", "servers": [] })).await?;
    world.robot.connected(&Room::new("cytu.be", "Elsewhere")).await?;
    robot_is(&world, "away from CyTube").await?;
    two_beats(&world).await?;
    assert_eq!(world.robot.says.count(), 0);
    world.robot.connected(&world.rooms[0]).await?;
    ledger_says(&world, "sent").await?;
    assert_eq!(world.robot.says.count(), 1);
    robot_is(&world, "").await
}

#[tokio::test]
async fn replies_that_wait_for_cytube_too_long_are_stale() -> Result {
    let world = world(json!({ "outbox": { "stale_seconds": 1 } })).start().await?;
    world.robot.disconnected().await?;
    robot_is(&world, "away from CyTube").await?;
    world.mention("bob", "are you there?").await?;
    ledger_says(&world, "silenced/stale").await?;
    world.robot.connected(&world.rooms[0]).await?;
    robot_is(&world, "").await?;
    two_beats(&world).await?;
    assert_eq!(world.robot.says.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_return_to_cytube_that_nobody_could_hear_does_not_silence_for_ever() -> Result {
    let mut world = world(json!({})).proxied().start().await?;
    world.robot.disconnected().await?;
    robot_is(&world, "away from CyTube").await?;
    // The robot is back in the room while our link is away.
    let mark = world.recorder.mark();
    world.restart_server().await?;
    world.wait_until_up(mark).await?;
    world.ask("bob", "are you there?").await?;
    robot_is(&world, "").await?;
    ledger_says(&world, "sent").await
}

#[tokio::test]
async fn nonsense_for_an_answer_is_a_failure_with_a_name() -> Result {
    let world = world(json!({})).robot(Manner::Absent).start().await?;
    let robot = world.server.client().await?;
    let mut commands = robot.subscribe("kryten.robot.command").await.expect("a subscription");
    world.mention("bob", "hello").await?;
    let request = commands.next().await.expect("a request");
    let inbox = request.reply.expect("an inbox");
    robot.publish(inbox, vec![0xff, 0x00, b'{'].into()).await.expect("an answer");
    ledger_says(&world, "failed").await?;
    robot_is(&world, "refuses lines").await
}
