//! What outlives the daemon of the rooms: what others wrote down, read at the start, and the last
//! film of each room, which is written down so that a restart doesn't comment on it again.

use std::time::{Duration, Instant};

use kryten_testkit::nats::Settings;
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Exit, Mark, Recorder, Result, Room, within};
use serde_json::{Value, json};

use super::media::{film, plays, prompt_of_a_question};
use crate::BINARY;

const OURS: &str = "kryten_llm_trigger_state";
const KEY: &str = "last_qualifying_media";
const FILE: &str = "state/last_qualifying_media.json";
const NOT_READ: &str = "could be read";

/// A world that comments on films from ten minutes on.
fn commenting() -> Builder {
    World::of(BINARY).config(json!({ "media_change": { "enabled": true } }))
}

fn with_jetstream() -> Settings {
    Settings { jetstream: true, ..Settings::default() }
}

/// Another film begins, and is commented on; gives the prompt.
async fn comments_on(world: &World, room: &Room, title: &str) -> Result<String> {
    let (mark, requests) = (world.robot.says.mark(), world.provider().requests().mark());
    plays(world, room, title, 6_000).await?;
    let request = world.provider().wait_for_request(requests, SOON, |_| true).await?;
    world.robot.wait_for_say(mark, SOON, |said| said.room == *room).await?;
    assert!(request.prompt().contains(&format!("\"{title}\"")), "{request}");
    Ok(request.prompt())
}

/// Nothing is said about a film that begins.
async fn says_nothing_about(world: &World, room: &Room, title: &str) -> Result {
    let mark = world.robot.says.mark();
    plays(world, room, title, 6_000).await?;
    prompt_of_a_question(world, room).await?;
    world.ledger().await?;
    assert_eq!(world.robot.says.since(mark).len(), 1, "the answer to the question");
    Ok(())
}

async fn restarts(world: &mut World) -> Result {
    assert_eq!(world.stop().await?, Exit::Code(0));
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    world.wait_until_up(mark).await
}

/// What the bucket holds of a room, once it is what is expected.
async fn is_written(world: &World, key: &str, expected: &Value) -> Result {
    let written = async {
        loop {
            let value = world.server.value(OURS, key).await?;
            if value
                .is_some_and(|value| serde_json::from_slice::<Value>(&value).is_ok_and(|v| v == *expected))
            {
                return Result::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(SOON, format_args!("{OURS} {key} to be {expected}"), written).await?
}

/// The one warning of what could not be read.
async fn told_of_unread(world: &World) -> Result<String> {
    let told = world.daemon.wait_for_lines(NOT_READ, 1).await?;
    assert_eq!(told.len(), 1, "{told:?}");
    Ok(told.concat())
}

#[tokio::test]
async fn what_the_robot_wrote_down_is_known_before_any_event() -> Result {
    let current = json!({
        "id": "a", "title": "China O'Brien", "seconds": 6000, "duration": "01:40:00", "type": "yt", "meta": {},
        "currentTime": 125, "paused": true, "uid": 7,
    });
    let items = json!([
        { "media": { "id": "z", "title": "Before", "seconds": 60, "duration": "01:00", "type": "yt", "meta": {} },
          "uid": 6, "temp": false, "queueby": "eve" },
        { "media": { "id": "a", "title": "China O'Brien", "seconds": 6000, "type": "yt" }, "uid": 7, "queueby": "bob" },
        { "media": { "title": "Yes, Madam!" }, "uid": 8 },
    ]);
    let users = json!([{ "name": "Boss", "rank": 3, "meta": { "afk": false } }, { "name": "ann" }]);
    let world = World::of(BINARY)
        .stored("kryten_Lounge_playlist", "current", current.to_string())
        .stored("kryten_Lounge_playlist", "items", items.to_string())
        .stored("kryten_Lounge_userlist", "users", users.to_string())
        .config(json!({ "rate_limits": { "user_max_per_hour": 1, "admin_limit_multiplier": 2 } }))
        .start()
        .await?;
    let prompt = prompt_of_a_question(&world, &world.rooms[0]).await?;
    assert!(prompt.contains("Now playing: \"China O'Brien\" (2m, 5s of 1h, 40m, 0s)"), "{prompt}");
    assert!(prompt.contains("Next: \"Yes, Madam!\""), "{prompt}");
    // An admin by the user list: twice as many answers.
    world.ask("boss", "one").await?;
    world.ask("boss", "two").await?;
    world.ask("ann", "one").await?;
    world.mention("ann", "two").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["user_hour"] == 1).await?;
    assert_eq!(world.daemon.lines(NOT_READ), Vec::<String>::new());
    assert_eq!(world.server.buckets().await?, ["kryten_Lounge_playlist", "kryten_Lounge_userlist"]);
    assert_eq!(world.ledger().await?["sent"], 4);
    Ok(())
}

#[tokio::test]
async fn what_plays_at_the_start_is_taken_as_commented_on() -> Result {
    let world = commenting()
        .stored("kryten_Lounge_playlist", "current", film("A", 6_000).to_string())
        .start()
        .await?;
    let room = &world.rooms[0];
    is_written(&world, KEY, &json!({ "title": "A", "duration": 6000 })).await?;
    says_nothing_about(&world, room, "A").await?;
    let prompt = comments_on(&world, room, "B").await?;
    assert!(prompt.contains("\"A\""), "the film before it: {prompt}");
    is_written(&world, KEY, &json!({ "title": "B", "duration": 6000 })).await?;
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn a_restart_does_not_comment_again_with_jetstream() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Kinó")];
    let mut world = commenting().server(with_jetstream()).rooms(rooms.clone()).start().await?;
    assert_eq!(world.server.buckets().await?, Vec::<String>::new(), "nothing is made before it is needed");
    for room in &rooms {
        plays(&world, room, "A", 6_000).await?;
    }
    comments_on(&world, &rooms[0], "B").await?;
    // Stopped as soon as the film is known: it is written down all the same.
    let requests = world.provider().requests().mark();
    plays(&world, &rooms[1], "C", 6_000).await?;
    world.provider().wait_for_request(requests, SOON, |_| true).await?;
    restarts(&mut world).await?;
    assert_eq!(world.server.buckets().await?, [OURS]);
    is_written(&world, KEY, &json!({ "title": "B", "duration": 6000 })).await?;
    is_written(&world, "last_qualifying_media.kin=c3=b3", &json!({ "title": "C", "duration": 6000 })).await?;
    says_nothing_about(&world, &rooms[0], "B").await?;
    says_nothing_about(&world, &rooms[1], "C").await?;
    assert!(comments_on(&world, &rooms[1], "B").await?.contains("\"C\""));
    assert!(!world.daemon.folder().join(FILE).exists());
    assert_eq!(world.ledger().await?["sent"], 3);
    Ok(())
}

#[tokio::test]
async fn a_restart_does_not_comment_again_without_jetstream() -> Result {
    let mut world = commenting().start().await?;
    let room = world.rooms[0].clone();
    plays(&world, &room, "A", 6_000).await?;
    let requests = world.provider().requests().mark();
    plays(&world, &room, "B", 6_000).await?;
    world.provider().wait_for_request(requests, SOON, |_| true).await?;
    restarts(&mut world).await?;
    let file = std::fs::read_to_string(world.daemon.folder().join(FILE)).expect("the file");
    let file: Value = serde_json::from_str(&file).expect("JSON");
    assert_eq!(file, json!({ KEY: { "title": "B", "duration": 6000 } }));
    says_nothing_about(&world, &room, "B").await?;
    assert!(comments_on(&world, &room, "C").await?.contains("\"B\""), "the film before it");
    assert_eq!(world.daemon.lines("WARN"), Vec::<String>::new(), "to have no JetStream is normal");
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn without_comments_on_films_nothing_is_written_down() -> Result {
    let no_history = json!({"history": {"enabled": false}});
    let world = World::of(BINARY).server(with_jetstream()).config(no_history).start().await?;
    let room = &world.rooms[0];
    plays(&world, room, "A", 6_000).await?;
    plays(&world, room, "B", 6_000).await?;
    assert!(prompt_of_a_question(&world, room).await?.contains("\"B\""));
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert_eq!(world.server.buckets().await?, Vec::<String>::new());
    assert!(!world.daemon.folder().join("state").exists());
    Ok(())
}

#[tokio::test]
async fn values_that_make_no_sense_are_told_and_done_without() -> Result {
    for (current, items, users, ours, told_of) in [
        ("{".to_owned(), "{}".to_owned(), "7".to_owned(), "x".to_owned(), 4),
        ("7".to_owned(), "[]".to_owned(), "[]".to_owned(), "[]".to_owned(), 0),
        (
            "[1, 2]".to_owned(),
            "[[], 7, null]".to_owned(),
            "[{}, {\"name\": 7}]".to_owned(),
            "{}".to_owned(),
            0,
        ),
        (
            json!({ "title": 5, "seconds": "x" }).to_string(),
            format!("[{}]", vec!["[]"; 340_000].join(",")),
            format!("\"{}\"", "\u{7f}\\u0007x".repeat(100_000)),
            format!("{{\"title\":\"{}\"}}", "x".repeat(100_000)),
            2,
        ),
        (
            "[".repeat(60_000),
            "[".repeat(1_000_000),
            format!("[{}1{}]", "[".repeat(5_000), "]".repeat(5_000)),
            " ".to_owned(),
            4,
        ),
    ] {
        let world = commenting()
            .stored("kryten_Lounge_playlist", "current", current)
            .stored("kryten_Lounge_playlist", "items", items)
            .stored("kryten_Lounge_userlist", "users", users)
            .stored(OURS, KEY, ours)
            .start()
            .await?;
        let prompt = prompt_of_a_question(&world, &world.rooms[0]).await?;
        assert!(!prompt.contains("laying"), "{prompt}");
        let told =
            if told_of > 0 { told_of_unread(&world).await? } else { world.daemon.lines(NOT_READ).concat() };
        let places = [
            "kryten_Lounge_playlist current",
            "kryten_Lounge_playlist items",
            "kryten_Lounge_userlist users",
            KEY,
        ];
        let named = places.iter().filter(|place| told.contains(**place)).count();
        assert_eq!(named, told_of, "{told:?}");
        assert!(told.len() < 2_200, "{told:?}");
        assert_eq!(world.ledger().await?["sent"], 1);
    }
    Ok(())
}

/// Nobody answers what JetStream is asked, as long as this lives.
async fn hang_jetstream(world: &World) -> Result<Recorder> {
    Recorder::start_on(world.server.client().await?, "$JS.API.>").await
}

/// When the daemon was connected, and when it was announced.
async fn start_of(world: &World, mark: Mark) -> Result<(Instant, Instant)> {
    let connected = |line: &str| line.contains("connected to NATS");
    let connected = world.daemon.wait_for_log(Mark::START, SOON, connected).await?;
    let startup = world.recorder.wait_since(mark, "kryten.lifecycle.llm.startup", SOON, |_| true).await?;
    Ok((connected.at, startup.at))
}

#[tokio::test]
async fn a_jetstream_that_hangs_holds_up_the_start_by_two_seconds_and_nothing_that_is_newer_is_lost() -> Result
{
    let mut world = commenting().start().await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let hanging = hang_jetstream(&world).await?;
    let (mark, says) = (world.recorder.mark(), world.robot.says.mark());
    world.daemon.restart()?;
    // What is said meanwhile waits, and is answered then.
    hanging.wait_for("$JS.API.>", SOON, |_| true).await?;
    let room = world.rooms[0].clone();
    plays(&world, &room, "The newest film", 6_000).await?;
    let requests = world.provider().requests().mark();
    world.robot.chat("bob", "Cynthia, are you there yet?").await?;
    let (connected, announced) = start_of(&world, mark).await?;
    let took = announced - connected;
    assert!(took > Duration::from_millis(1_900) && took < Duration::from_secs(3), "{took:?}");
    let request = world.provider().wait_for_request(requests, SOON, |_| true).await?;
    assert!(request.prompt().contains("The newest film"), "{request}");
    world.robot.wait_for_say(says, SOON, |_| true).await?;
    let told = told_of_unread(&world).await?;
    for bucket in ["kryten_Lounge_playlist", "kryten_Lounge_userlist", OURS] {
        assert!(told.contains(&format!("{bucket}: no answer in time")), "{told:?}");
    }
    // Its own part goes to the file.
    comments_on(&world, &room, "B").await?;
    assert_eq!(world.ledger().await?["sent"], 2);
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert!(world.daemon.folder().join(FILE).exists());
    Ok(())
}

#[tokio::test]
async fn a_jetstream_that_lets_nobody_in_holds_up_the_start_by_two_seconds() -> Result {
    let denied = Settings { deny_publish: vec!["$JS.API.>".to_owned()], ..with_jetstream() };
    let world = commenting().server(denied).start().await?;
    let (connected, announced) = start_of(&world, Mark::START).await?;
    let took = announced - connected;
    assert!(took < Duration::from_secs(3), "{took:?}");
    let told = told_of_unread(&world).await?;
    assert!(told.contains(&format!("{OURS}: no answer in time")), "{told:?}");
    // It works all the same.
    plays(&world, &world.rooms[0], "A", 6_000).await?;
    comments_on(&world, &world.rooms[0], "B").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn a_link_that_is_lost_while_reading_is_waited_for_and_it_is_read_again() -> Result {
    let mut world = commenting().proxied().start().await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let hanging = hang_jetstream(&world).await?;
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    hanging.wait_for("$JS.API.>", SOON, |_| true).await?;
    drop(hanging);
    world.recorder.none_since(mark, "kryten.lifecycle.llm.startup").await?;
    world.proxy()?.cut().await?;
    world.wait_until_up(mark).await?;
    world.ask("bob", "are you there?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert_eq!(world.daemon.wait_for_lines("once more", 1).await?.len(), 1);
    assert_eq!(world.daemon.lines(NOT_READ), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_written_down_is_told_once_and_written_when_the_link_is_back() -> Result {
    let mut world =
        commenting().stored(OURS, KEY, r#"{"title":"A","duration":6000}"#).proxied().start().await?;
    world.server.reload(|settings| settings.deny_publish = vec!["$KV.>".to_owned()]).await?;
    let mark = world.daemon.log().mark();
    let room = world.rooms[0].clone();
    let prompt = comments_on(&world, &room, "B").await?;
    assert!(prompt.contains("\"A\""), "the film before it: {prompt}");
    world.daemon.wait_for_log(mark, SOON, |line| line.contains("can't be written down")).await?;
    // Neither replies nor the warning are in anybody's way.
    comments_on(&world, &room, "C").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["sent"] == 2).await?;
    world.server.reload(|settings| settings.deny_publish.clear()).await?;
    world.proxy()?.cut().await?;
    is_written(&world, KEY, &json!({ "title": "C", "duration": 6000 })).await?;
    assert_eq!(world.daemon.lines("can't be written down").len(), 1);
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn rooms_of_the_same_name_share_no_memory_and_no_bucket_of_the_robots() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("other.tv", "Lounge")];
    let mut world = commenting()
        .rooms(rooms.clone())
        .stored("kryten_Lounge_playlist", "current", film("X", 6_000).to_string())
        .start()
        .await?;
    assert!(told_of_unread(&world).await?.contains("another room has a channel of the same name"));
    for room in &rooms {
        plays(&world, room, "A", 6_000).await?;
    }
    comments_on(&world, &rooms[1], "B").await?;
    is_written(&world, KEY, &json!({ "title": "A", "duration": 6000 })).await?;
    is_written(&world, "last_qualifying_media.lounge.other=2etv", &json!({ "title": "B", "duration": 6000 }))
        .await?;
    restarts(&mut world).await?;
    assert!(comments_on(&world, &rooms[0], "B").await?.contains("\"A\""));
    says_nothing_about(&world, &rooms[1], "B").await?;
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn what_a_run_without_jetstream_wrote_down_is_newer_than_the_bucket() -> Result {
    let memory = |title: &str| json!({ "title": title, "duration": 6_000 });
    let mut world = commenting().stored(OURS, KEY, memory("Old").to_string()).start().await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let file = world.daemon.folder().join(FILE);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(&file, json!({ KEY: memory("New") }).to_string()).expect("written");
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    world.wait_until_up(mark).await?;
    let room = world.rooms[0].clone();
    says_nothing_about(&world, &room, "New").await?;
    is_written(&world, KEY, &memory("New")).await?;
    comments_on(&world, &room, "Newer").await?;
    is_written(&world, KEY, &memory("Newer")).await?;
    // Now the file is the older.
    restarts(&mut world).await?;
    says_nothing_about(&world, &room, "Newer").await?;
    world.ledger().await.map(drop)
}
