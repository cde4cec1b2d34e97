//! The response log: a line for everything that fired, never in the way.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Result};
use serde_json::{Value, json};

use crate::BINARY;

fn world(config: Value) -> Builder {
    World::of(BINARY).config(config)
}

fn file(world: &World) -> PathBuf {
    world.daemon.folder().join("logs/llm-responses.jsonl")
}

pub fn records(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(file(world)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Stops the daemon, after which every record is in the file.
pub async fn records_at_the_end(world: &World) -> Result<Vec<Value>> {
    assert_eq!(world.stop().await?, Exit::Code(0));
    Ok(records(world))
}

/// Mentions the bot, and waits until so many replies have been settled.
async fn settled(world: &World, user: &str, text: &str, replies: u64) -> Result {
    world.mention(user, text).await?;
    let fired = |health: &Value| health.pointer("/ledger/fired") == Some(&Value::from(replies));
    world.wait_for_health(SOON, fired).await?;
    world.ledger().await.map(drop)
}

#[tokio::test]
async fn every_end_of_a_reply_leaves_its_record() -> Result {
    let world = world(json!({
        "triggers": [{"name": "tea", "patterns": ["tea time"], "max_responses_per_hour": 1, "cooldown_seconds": 0}]
    }))
    .start()
    .await?;
    let provider = world.provider();
    provider.next([
        Behaviour::answer("Anything with swords."),
        Behaviour::answer("no"),
        Behaviour::Status(500, "{}".into()),
    ]);
    settled(&world, "bob", "what to watch?", 1).await?;
    settled(&world, "bob", "really?", 2).await?;
    settled(&world, "bob", "still there?", 3).await?;
    provider.next([Behaviour::answer("Milk first, always.")]);
    world.robot.chat("ann", "tea time!").await?;
    world.robot.chat("ann", "another tea time!").await?;
    let fired = |health: &Value| health.pointer("/ledger/fired") == Some(&json!(5));
    world.wait_for_health(SOON, fired).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["failed"]), (&json!(2), &json!(1)), "{ledger}");
    let mode = std::fs::metadata(file(&world)).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o640);

    let records = records_at_the_end(&world).await?;
    let find =
        |message: &str| records.iter().find(|record| record["input_message"] == message).expect("a record");
    let sent = find("Cynthia what to watch?");
    let id = &world.provider().requests().all()[0];
    assert_eq!(sent["correlation_id"].as_str(), id.header("x-request-id"));
    for (key, expected) in [
        ("channel", json!("Lounge")),
        ("trigger_type", json!("mention")),
        ("trigger_name", json!("cynthia")),
        ("trigger_priority", json!(10)),
        ("username", json!("bob")),
        ("cleaned_message", json!("what to watch")),
        ("llm_response", json!("Anything with swords.")),
        ("formatted_parts", json!(["Anything with swords."])),
        ("response_sent", json!(true)),
        ("provider", json!("first")),
        ("model", json!("model-of-first")),
        ("outcome", json!("sent")),
        ("reason", json!(null)),
    ] {
        assert_eq!(sent[key], expected, "{key}");
    }
    assert!(
        sent["full_prompt"]
            .as_str()
            .is_some_and(|prompt| prompt.contains("bob says to you: \"what to watch\""))
    );
    assert!(sent["tokens"]["total"].as_u64() > Some(0) && sent["latency_ms"].is_u64(), "{sent}");
    for (message, outcome, reason) in [
        ("Cynthia really?", "silenced", "rejected_short"),
        ("Cynthia still there?", "failed", "exhausted"),
        ("another tea time!", "silenced", "trigger_hour"),
    ] {
        let record = find(message);
        assert_eq!((&record["outcome"], &record["reason"]), (&json!(outcome), &json!(reason)), "{message}");
        assert_eq!(record["response_sent"], false);
    }
    let held_back = find("another tea time!");
    assert_eq!(
        (&held_back["trigger_name"], &held_back["rate_limit"]["allowed"]),
        (&json!("tea"), &json!(false))
    );
    assert_eq!(held_back["rate_limit"]["reason"], "trigger_hour");
    assert_eq!(records.len(), 5);
    Ok(())
}

#[tokio::test]
async fn after_a_rotation_records_go_to_a_new_file() -> Result {
    let world = world(json!({})).start().await?;
    settled(&world, "bob", "one", 1).await?;
    let rotated = world.daemon.folder().join("logs/old.jsonl");
    std::fs::rename(file(&world), &rotated).expect("renamed");
    settled(&world, "bob", "two", 2).await?;
    assert_eq!(world.ledger().await?["sent"], 2);
    let new = records_at_the_end(&world).await?;
    assert_eq!(new.len(), 1);
    assert_eq!(new[0]["cleaned_message"], "two");
    let old = std::fs::read_to_string(rotated).expect("a file");
    assert_eq!(old.lines().count(), 1, "{old}");
    Ok(())
}

#[tokio::test]
async fn a_log_that_can_not_be_written_is_told_and_holds_up_no_reply() -> Result {
    let launch = |launch: kryten_testkit::Launch| launch.file("logs", "a file where a folder should be");
    let world = world(json!({})).launch(launch).start().await?;
    let beat = world.wait_until("degraded", SOON).await?;
    let message = beat.text("/status/components/response_log/message");
    assert!(message.starts_with("can't write logs/llm-responses.jsonl"), "{beat}");
    for text in ["one", "two", "three"] {
        world.ask("bob", text).await?;
    }
    world
        .daemon
        .wait_for_log(Mark::START, SOON, |line| line.contains("the response log is incomplete"))
        .await?;
    std::fs::remove_file(world.daemon.folder().join("logs")).expect("no file");
    world.ask("bob", "four").await?;
    world.wait_until("healthy", SOON).await?;
    assert_eq!(world.ledger().await?["sent"], 4);
    let told = world
        .daemon
        .log()
        .all()
        .iter()
        .filter(|line| line.text.contains("the response log is incomplete"))
        .count();
    assert_eq!(told, 1, "once a minute");
    let records = records_at_the_end(&world).await?;
    assert_eq!(records.last().map(|record| &record["cleaned_message"]), Some(&json!("four")));
    assert!(records.len() < 4, "the first could not be written: {records:?}");
    Ok(())
}

#[tokio::test]
async fn a_reply_that_is_finished_while_stopping_is_in_the_log() -> Result {
    let world = world(json!({})).start().await?;
    world.provider().next([Behaviour::Hold("Last words of a fine evening.".to_owned())]);
    let mark = world.provider().requests().mark();
    world.mention("bob", "any last words?").await?;
    world.provider().wait_for_request(mark, SOON, |_| true).await?;
    world.daemon.terminate()?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("stopping")).await?;
    world.provider().release();
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    let records = records(&world);
    assert_eq!(records.len(), 1);
    assert_eq!(
        (&records[0]["outcome"], &records[0]["llm_response"]),
        (&json!("sent"), &json!("Last words of a fine evening."))
    );
    Ok(())
}

#[tokio::test]
async fn what_is_not_to_be_logged_is_not() -> Result {
    let over = json!({"error_handling": {"log_full_context": false}, "testing": {"dry_run": true}});
    let without_prompts = world(over).start().await?;
    settled(&without_prompts, "bob", "hi", 1).await?;
    let records = records_at_the_end(&without_prompts).await?;
    assert!(records.len() == 1 && records[0].get("full_prompt").is_none(), "{records:?}");
    assert_eq!((&records[0]["reason"], &records[0]["response_sent"]), (&json!("dry_run"), &json!(false)));
    assert!(records[0]["formatted_parts"].as_array().is_some_and(|parts| parts.len() == 1));

    let without_log = world(json!({"testing": {"log_responses": false}})).start().await?;
    without_log.ask("bob", "hi").await?;
    assert_eq!(without_log.ledger().await?["sent"], 1);
    assert_eq!(without_log.stop().await?, Exit::Code(0));
    assert!(!file(&without_log).exists());
    Ok(())
}

/// Runs `kryten-llm log` with these arguments in the daemon's folder, to its end.
fn shown(world: &World, arguments: &[&str]) -> (String, String) {
    let mut command = std::process::Command::new(BINARY);
    command.arg("log").args(arguments).current_dir(world.daemon.folder()).env("TZ", "UTC");
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_log_is_shown_readably_and_chosen_from() -> Result {
    let world = world(json!({})).start().await?;
    let hostile = Behaviour::answer("Swords\u{1b}[2J and more swords.");
    world.provider().next([hostile, Behaviour::answer("no")]);
    settled(&world, "bob", "hi\u{7}?", 1).await?;
    settled(&world, "ann", "really?", 2).await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let (all, _) = shown(&world, &[]);
    assert!(all.contains("Lounge  bob  mention  cynthia  sent  [first/model-of-first, "), "{all}");
    assert!(all.contains("    > Cynthia hi") && all.contains("    < Swords[2J and more swords."), "{all}");
    assert!(all.contains("Lounge  ann  mention  cynthia  silenced: rejected_short"), "{all}");
    assert!(all.chars().all(|character| character == '\n' || !character.is_control()), "{all:?}");
    for (arguments, has_bob, has_ann) in [
        (&["--user", "BOB"][..], true, false),
        (&["--outcome", "rejected_short", "--room", "lounge"], false, true),
        (&["--trigger", "Cynthia", "-n", "1", "--config", "config.json"], false, true),
        (&["--room", "elsewhere"], false, false),
    ] {
        let (text, _) = shown(&world, arguments);
        assert_eq!(
            (text.contains("  bob  "), text.contains("  ann  ")),
            (has_bob, has_ann),
            "{arguments:?}\n{text}"
        );
    }
    std::fs::write(file(&world), "{\"cut\nnot json\n").expect("a file");
    assert_eq!(shown(&world, &[]), (String::new(), "2 lines are no records and were left out\n".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_followed_log_goes_on_over_a_rotation_and_ends_with_its_reader() -> Result {
    use tokio::io::{AsyncBufReadExt, BufReader};

    let world = world(json!({})).start().await?;
    let mut command = tokio::process::Command::new(BINARY);
    command.args(["--config", "config.json", "log", "--follow"]).current_dir(world.daemon.folder());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).kill_on_drop(true);
    let mut follower = command.spawn().expect("it runs");
    let mut lines = BufReader::new(follower.stdout.take().expect("its output")).lines();
    for (number, user) in ["bob", "ann", "eve"].into_iter().enumerate() {
        settled(&world, user, "hi", number as u64 + 1).await?;
        loop {
            let line = tokio::time::timeout(SOON, lines.next_line()).await.expect("a line in time");
            if line.expect("a line").expect("not the end").contains(&format!("  {user}  ")) {
                break;
            }
        }
        std::fs::rename(file(&world), world.daemon.folder().join(format!("logs/{number}"))).expect("renamed");
    }
    drop(lines);
    settled(&world, "joe", "hi", 4).await?;
    let ended = tokio::time::timeout(SOON, follower.wait()).await.expect("an end in time").expect("an end");
    assert_eq!(ended.code(), Some(0));
    assert_eq!(world.ledger().await?["sent"], 4);
    Ok(())
}

#[tokio::test]
async fn of_a_reply_that_went_out_in_part_it_is_told_how_much() -> Result {
    let world = world(json!({
        "outbox": { "stale_seconds": 1 },
        "message_processing": { "split_delay_seconds": 5 },
        "formatting": { "max_message_length": 100 },
    }))
    .start()
    .await?;
    let words: Vec<String> = (0..25).map(|number| format!("word{number}")).collect();
    world.provider().next([Behaviour::answer(words.join(" "))]);
    settled(&world, "bob", "tell me a story", 1).await?;
    // Half of it is in the room, and will stay half: no silence.
    let health = world.daemon.health().await?;
    assert_eq!((&health["ledger"]["failed"], &health["errors_count"]), (&json!(1), &json!(1)), "{health}");
    assert_eq!(world.robot.says.count(), 1);
    let records = records_at_the_end(&world).await?;
    assert_eq!(records[0]["formatted_parts"].as_array().map(Vec::len), Some(2));
    for (key, expected) in [
        ("outcome", json!("failed")),
        ("reason", json!("stale")),
        ("response_sent", json!(false)),
        ("parts_sent", json!(1)),
    ] {
        assert_eq!(records[0][key], expected, "{key}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_bug_of_ours_ends_has_its_record_and_uses_nothing_up() -> Result {
    let world = world(json!({ "rate_limits": { "global_max_per_minute": 1 } })).start().await?;
    settled(&world, "bob", "test-hook panic decider", 1).await?;
    settled(&world, "eve", "test-hook panic reply", 2).await?;
    let health = world.daemon.health().await?;
    assert_eq!((&health["ledger"]["failed"], &health["errors_count"]), (&json!(2), &json!(2)), "{health}");
    settled(&world, "joe", "and now?", 3).await?;
    assert_eq!(world.ledger().await?["sent"], 1, "nothing is reserved for replies that nobody makes");
    let recent = super::commands::data(&world, json!({ "command": "decisions.recent" })).await?;
    let reasons: Vec<&Value> =
        recent["decisions"].as_array().into_iter().flatten().map(|entry| &entry["reason"]).collect();
    assert_eq!(reasons, [&json!(null), &json!("internal"), &json!("internal")], "{recent}");
    let records = records_at_the_end(&world).await?;
    let told = |record: &Value| {
        ["username", "trigger_type", "outcome", "reason"]
            .map(|key| record[key].as_str().unwrap_or("-").to_owned())
    };
    assert_eq!(
        records.iter().map(told).collect::<Vec<_>>(),
        [
            ["bob", "unknown", "failed", "internal"],
            ["eve", "mention", "failed", "internal"],
            ["joe", "mention", "sent", "-"],
        ]
    );
    assert_eq!(records[0]["input_message"], "Cynthia test-hook panic decider");
    Ok(())
}
