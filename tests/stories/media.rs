//! What a room says besides chat: what plays, who is there, and comments on a new film.

use kryten_testkit::provider::Request;
use kryten_testkit::robot::Said;
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Mark, Result, Room};
use serde_json::{Value, json};

use crate::BINARY;

/// A world that comments on films from ten minutes on.
fn world(config: Value) -> Builder {
    World::of(BINARY).config(json!({ "media_change": { "enabled": true } })).config(config)
}

/// A film, as the robot tells of it.
pub(crate) fn film(title: &str, seconds: u64) -> Value {
    json!({
        "id": format!("id-of-{title}"), "title": title, "seconds": seconds, "duration": "01:40:00",
        "type": "yt", "meta": {}, "currentTime": 0, "paused": false,
    })
}

/// Another film begins in a room.
pub(crate) async fn plays(world: &World, room: &Room, title: &str, seconds: u64) -> Result {
    world.robot.event(room, "changemedia", film(title, seconds)).await
}

/// The prompt of a question that is asked now, and answered when it is known; whatever came before
/// it is decided then.
pub(crate) async fn prompt_of_a_question(world: &World, room: &Room) -> Result<String> {
    let (mark, requests) = (world.robot.says.mark(), world.provider().requests().mark());
    world.robot.chat_in(room, "fence", "Cynthia, are you still there?").await?;
    let is_fence = |request: &Request| request.prompt().contains("fence says to you");
    let prompt = world.provider().wait_for_request(requests, SOON, is_fence).await?.prompt();
    next_line(world, mark, room).await?;
    Ok(prompt)
}

/// The next line in a room is awaited.
async fn next_line(world: &World, mark: Mark, room: &Room) -> Result<Said> {
    world.robot.wait_for_say(mark, SOON, |said| said.room == *room).await
}

#[tokio::test]
async fn what_plays_and_how_far_it_is_stands_in_the_prompt_of_a_question_behind_it() -> Result {
    let world = World::of(BINARY).start().await?;
    let room = &world.rooms[0];
    assert!(!prompt_of_a_question(&world, room).await?.contains("playing"));
    plays(&world, room, "China O'Brien", 6_000).await?;
    let prompt = prompt_of_a_question(&world, room).await?;
    assert!(prompt.contains("\"China O'Brien\""), "{prompt}");
    world.robot.event(room, "mediaupdate", json!({ "currentTime": 3_725.5, "paused": true })).await?;
    let prompt = prompt_of_a_question(&world, room).await?;
    assert!(prompt.contains("1h, 2m, 5s"), "{prompt}");
    // Nobody asked for comments.
    assert_eq!(world.daemon.health().await?["media_changes"], 1);
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(3), &json!(3)));
    Ok(())
}

#[tokio::test]
async fn a_new_film_gets_one_comment_in_its_room() -> Result {
    let world = world(json!({})).start().await?;
    let room = &world.rooms[0];
    // What plays at our start is taken as commented on.
    plays(&world, room, "Yes, Madam!", 5_400).await?;
    assert!(prompt_of_a_question(&world, room).await?.contains("Yes, Madam!"));
    let (mark, requests) = (world.robot.says.mark(), world.provider().requests().mark());
    world.provider().next([Behaviour::answer("China O'Brien: at last some real kicks.")]);
    plays(&world, room, "China O'Brien", 5_400).await?;
    let request = world.provider().wait_for_request(requests, SOON, |_| true).await?;
    assert!(request.prompt().contains("China O'Brien"), "{request}");
    assert!(request.prompt().contains("Yes, Madam!"), "the film before it: {request}");
    let said = next_line(&world, mark, room).await?;
    assert_eq!(said.text, "China O'Brien: at last some real kicks.");
    // The same again, in other letters, is no new film.
    plays(&world, room, "CHINA O'BRIEN ", 5_400).await?;
    prompt_of_a_question(&world, room).await?;
    world.wait_for_health(SOON, |health| health["media_changes"] == 3).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(3), &json!(3)));
    Ok(())
}

#[tokio::test]
async fn short_films_and_what_a_robot_repeats_are_no_new_films() -> Result {
    let world = world(json!({ "media_change": { "min_duration_minutes": 10 } })).start().await?;
    let room = &world.rooms[0];
    plays(&world, room, "A", 6_000).await?;
    // Nine minutes and 59 seconds; and the film before it goes on.
    plays(&world, room, "A trailer", 599).await?;
    plays(&world, room, "A", 6_000).await?;
    // The same within 30 seconds, and after the robot's return.
    plays(&world, room, "A", 6_000).await?;
    world.robot.connected(room).await?;
    plays(&world, room, "A", 6_000).await?;
    prompt_of_a_question(&world, room).await?;
    assert_eq!(world.daemon.health().await?["media_changes"], 3);
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(1), &json!(1)));
    // Ten minutes are enough.
    let mark = world.robot.says.mark();
    plays(&world, room, "B", 600).await?;
    next_line(&world, mark, room).await?;
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn rooms_comment_on_their_own_films() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Attic")];
    let world = world(json!({})).rooms(rooms.clone()).start().await?;
    for room in &rooms {
        plays(&world, room, "A", 6_000).await?;
    }
    for (room, title) in [(&rooms[1], "B"), (&rooms[0], "C"), (&rooms[1], "C")] {
        let (mark, requests) = (world.robot.says.mark(), world.provider().requests().mark());
        plays(&world, room, title, 6_000).await?;
        let request = world.provider().wait_for_request(requests, SOON, |_| true).await?;
        assert!(request.prompt().contains(&format!("\"{title}\"")), "{request}");
        assert_eq!(world.robot.wait_for_say(mark, SOON, |_| true).await?.room, *room);
    }
    assert_eq!(world.robot.says.count(), 3);
    assert_eq!(world.ledger().await?["sent"], 3);
    Ok(())
}

#[tokio::test]
async fn comments_are_counted_and_logged_like_replies() -> Result {
    let world = world(json!({ "testing": { "log_file": "log.jsonl" } })).start().await?;
    let room = &world.rooms[0];
    plays(&world, room, "A", 6_000).await?;
    plays(&world, room, "B", 6_000).await?;
    world.wait_for_health(SOON, |health| health["ledger"]["sent"] == 1).await?;
    world.provider().next([Behaviour::Status(500, String::new())]);
    plays(&world, room, "C", 6_000).await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == 1).await?;
    let health = world.daemon.health().await?;
    assert_eq!((&health["trigger_fires"], &health["media_changes"]), (&json!(2), &json!(3)));
    assert_eq!((&health["errors_count"], &health["unique_users"]), (&json!(1), &json!(0)));
    // Comments are no chat; their echo is.
    world.wait_for_health(SOON, |health| health["messages_processed"] == 1).await?;
    world.ledger().await?;
    world.stop().await?;
    let log = std::fs::read_to_string(world.daemon.folder().join("log.jsonl")).expect("a log");
    let records: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("a record a line")).collect();
    let outcomes: Vec<_> = records.iter().map(|record| (&record["outcome"], &record["reason"])).collect();
    assert_eq!(outcomes, [(&json!("sent"), &json!(null)), (&json!("failed"), &json!("exhausted"))]);
    for record in &records {
        assert_eq!((&record["trigger_type"], &record["username"]), (&json!("media_change"), &json!(null)));
    }
    Ok(())
}

#[tokio::test]
async fn a_comment_that_finds_no_free_hand_is_silenced_by_name() -> Result {
    let world = world(json!({ "max_concurrent_handlers": 1, "testing": { "log_file": "log.jsonl" } }))
        .start()
        .await?;
    let room = &world.rooms[0];
    plays(&world, room, "A", 6_000).await?;
    world.provider().next([Behaviour::Hold("Patience is a virtue.".to_owned())]);
    world.mention("bob", "what do you think?").await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    plays(&world, room, "B", 6_000).await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["overload"] == 1).await?;
    world.provider().release();
    world.wait_for_health(SOON, |health| health["ledger"]["sent"] == 1).await?;
    assert_eq!(world.ledger().await?["fired"], 2);
    world.stop().await?;
    let log = std::fs::read_to_string(world.daemon.folder().join("log.jsonl")).expect("a log");
    let first: Value = serde_json::from_str(log.lines().next().unwrap_or_default()).expect("a record");
    assert_eq!((&first["trigger_type"], &first["reason"]), (&json!("media_change"), &json!("overload")));
    Ok(())
}

#[tokio::test]
async fn what_it_says_unasked_is_announced_as_a_feature() -> Result {
    let world = world(json!({ "auto_participation": { "enabled": true } })).start().await?;
    let discovery = world.recorder.wait_for("kryten.service.discovery", SOON, |_| true).await?;
    assert_eq!(discovery.json["features"], json!(["chat", "media_change", "auto_participation"]));
    world.ledger().await?;
    Ok(())
}

#[tokio::test]
async fn a_rank_of_the_user_list_counts_where_the_message_has_none() -> Result {
    let world = World::of(BINARY)
        .config(json!({
            "rate_limits": { "user_max_per_hour": 1, "admin_limit_multiplier": 2 },
            "spam_detection": { "enabled": true, "message_windows": [{ "seconds": 60, "max_messages": 1 }] },
        }))
        .start()
        .await?;
    let room = &world.rooms[0];
    let list = json!([
        { "name": "Boss", "rank": 3, "profile": { "image": "", "text": "" }, "meta": { "afk": false } },
        { "name": "bob", "rank": 1, "profile": { "image": "", "text": "" }, "meta": { "afk": false } },
    ]);
    world.robot.event(room, "userlist", list).await?;
    for user in ["boss", "bob"] {
        for number in 1..=3 {
            world.mention(user, &format!("question {number} of {user}")).await?;
        }
    }
    // Admins are never spam, and their limits are doubled.
    let silenced = json!({ "user_hour": 1, "spam": 2 });
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"] == silenced).await?;
    world.wait_for_health(SOON, |health| health["ledger"]["sent"] == 3).await?;
    // Whoever is given a rank has it from then on, penalty or not.
    world.robot.event(room, "setuserrank", json!({ "name": "BOB", "rank": 4 })).await?;
    world.ask("bob", "and now?").await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(7), &json!(4)), "{ledger}");
    Ok(())
}

#[tokio::test]
async fn changes_that_find_no_room_are_told_and_no_flood_of_chat_costs_any() -> Result {
    let world = World::of(BINARY).start().await?;
    let room = world.rooms[0].clone();
    let send = |event: &'static str, count: u64, body: Value| {
        let (world, room) = (&world, &room);
        async move {
            world
                .flood(count, None, |_| (room.subject(event), room.envelope(event, body.clone()).to_string()))
                .await
        }
    };
    world.robot.chat("bob", "test-hook stall decider 4").await?;
    world.wait_for_health(SOON, |health| health["reason"] == "stalled: decider").await?;
    send("chatmsg", 1_000, kryten_testkit::chat::line("eve", "a flood")).await?;
    plays(&world, &room, "The film behind the flood", 6_000).await?;
    world.wait_for_health(SOON, |health| health["ignored"]["overload"].as_u64() > Some(400)).await?;
    world.wait_for_health(SOON, |health| health["status"] != "failing").await?;
    assert_eq!(world.daemon.health().await?["changes_dropped"], 0);
    let prompt = prompt_of_a_question(&world, &room).await?;
    assert!(prompt.contains("The film behind the flood"), "{prompt}");
    // More changes than anybody could read.
    world.robot.chat("bob", "test-hook stall decider 6").await?;
    world.wait_for_health(SOON, |health| health["reason"] == "stalled: decider").await?;
    send("mediaupdate", 2_000, json!({ "currentTime": 7, "paused": false })).await?;
    world.wait_for_health(SOON, |health| health["changes_dropped"].as_u64() > Some(1_000)).await?;
    let beat = |beat: &kryten_testkit::Message| {
        beat.text("/status/components/intake/message").contains("more news than can be read")
    };
    world.wait_for_beat(world.recorder.mark(), SOON, beat).await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("changes of what plays")).await?;
    prompt_of_a_question(&world, &room).await?;
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

/// What CyTube tells of somebody, as long as it usually is for a moderator's eyes.
fn visitor(number: usize) -> Value {
    json!({
        "name": format!("MovieWatcher{number}"), "rank": 1,
        "profile": {
            "image": format!("https://i.example.org/avatars/{number:032x}.png"),
            "text": "Here for the films with swords in them, mostly on Saturday nights.",
        },
        "meta": { "afk": false, "muted": false, "smuted": false, "aliases": [format!("Watcher{number}")] },
    })
}

#[tokio::test]
async fn a_user_list_over_the_limit_is_named_with_what_to_raise() -> Result {
    let list: Vec<Value> = (0..300).map(visitor).collect();
    let list = json!(list);
    let bytes = list.to_string().len();
    assert!(bytes > 65_536, "300 people are {bytes} bytes");
    let world = World::of(BINARY).start().await?;
    world.robot.event(&world.rooms[0], "userlist", list.clone()).await?;
    let says = |line: &str| line.contains("limits.max_event_bytes") && line.contains("userlist");
    world.daemon.wait_for_log(Mark::START, SOON, says).await?;
    assert_eq!(world.daemon.health().await?["malformed"], json!({ "too_large": 1 }));
    // Another kind of event is told of as well, the same one not again.
    world.robot.event(&world.rooms[0], "userlist", list.clone()).await?;
    world.robot.event(&world.rooms[0], "chatmsg", json!({ "msg": "x".repeat(70_000) })).await?;
    let says = |line: &str| line.contains("limits.max_event_bytes") && line.contains("chatmsg");
    world.daemon.wait_for_log(Mark::START, SOON, says).await?;
    let told = world.daemon.log().all();
    assert_eq!(told.iter().filter(|line| line.text.contains("limits.max_event_bytes")).count(), 2);
    world.ledger().await?;

    // With the limit raised they are all known.
    let templates = |launch: kryten_testkit::Launch| {
        launch.file("templates/trigger.j2", "fence says to you, among {{ channel_users }} people")
    };
    let world = World::of(BINARY)
        .launch(templates)
        .config(json!({ "limits": { "max_event_bytes": 262_144 } }))
        .start()
        .await?;
    world.robot.event(&world.rooms[0], "userlist", list).await?;
    let prompt = prompt_of_a_question(&world, &world.rooms[0]).await?;
    assert!(prompt.contains("among 300 people"), "{prompt}");
    world.ledger().await?;
    Ok(())
}
