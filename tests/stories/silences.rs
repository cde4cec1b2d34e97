//! Every message ends in a line or in a reason with a name, which is the same in the ledger, in the
//! counters and in the response log.

use std::ops::RangeInclusive;

use chrono::Utc;
use kryten_testkit::chat::{escape, line};
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Exit, Manner, Mark, Result};
use serde_json::{Value, json};

use crate::BINARY;
use crate::response_log::{records, records_at_the_end};

fn world(config: Value) -> Builder {
    World::of(BINARY).config(config)
}

/// The number at a path of `/health`; 0 where there is none, because it never came up.
fn count(health: &Value, path: &str) -> u64 {
    health.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// Waits until `/health` has this number at this path.
async fn counted(world: &World, path: &str, number: u64) -> Result<Value> {
    world.wait_for_health(SOON, |health| count(health, path) == number).await
}

/// The one record of a message: how its reply ended, and why.
fn end_of<'a>(records: &'a [Value], message: &str) -> (&'a str, &'a str) {
    let mut found = records.iter().filter(|record| record["input_message"] == message);
    let record = found.next().unwrap_or_else(|| panic!("no record of {message:?} in {records:?}"));
    assert!(found.next().is_none(), "two records of {message:?}");
    assert_eq!(record["response_sent"], json!(record["outcome"] == "sent"), "{record}");
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    (text("outcome"), text("reason"))
}

/// A mention that is answered, whatever was said before it.
async fn fence(world: &World) -> Result {
    let mark = world.robot.says.mark();
    world.mention("fence", "are you still there?").await?;
    world.robot.wait_for_say(mark, SOON, |_| true).await?;
    world.ledger().await.map(drop)
}

#[tokio::test]
async fn a_message_that_fires_nothing_is_counted_by_its_reason_and_leaves_no_record() -> Result {
    let world = world(json!({ "ignored_users": ["spambot"] })).start().await?;
    let room = &world.rooms[0];
    let mut old = line("bob", "Cynthia, an hour ago");
    old["time"] = json!(Utc::now().timestamp_millis() - 3_600_000);
    let twice = room.envelope("chatmsg", line("bob", "said once"));
    world.robot.chat("spambot", "Cynthia, buy this").await?;
    world.robot.chat("Cynthia", "Cynthia speaks to herself").await?;
    world.robot.event(room, "chatmsg", old).await?;
    for _ in 0..2 {
        world.robot.publish(&room.subject("chatmsg"), twice.clone()).await?;
    }
    fence(&world).await?;
    // Of our own lines there are two: the forged one, and the echo of the answer.
    let health = counted(&world, "/ignored/own", 2).await?;
    let ignored = json!({ "listener": 1, "duplicate": 1, "own": 2, "stale": 1, "no_trigger": 1 });
    assert_eq!(health["ignored"], ignored);
    assert_eq!(health["messages_processed"], 7);
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(1), &json!(1)));
    let records = records_at_the_end(&world).await?;
    assert_eq!(records.len(), 1);
    assert_eq!(end_of(&records, "Cynthia are you still there?"), ("sent", ""));
    Ok(())
}

/// One reply fails, one is said, and the limit holds the next one back.
async fn the_second_reply_is_held_back(config: Value, ask: &str, reason: &str) -> Result<u64> {
    let world = world(config).start().await?;
    // A reply that does not go out uses nothing up.
    world.provider().next([Behaviour::Status(500, String::new())]);
    for (text, path) in [
        ("this fails", "/ledger/failed"),
        ("this is answered", "/ledger/sent"),
        ("this is too much", &*format!("/ledger/silenced/{reason}")),
    ] {
        world.robot.chat("bob", &escape(&format!("{ask} {text}"))).await?;
        counted(&world, path, 1).await?;
    }
    let health = world.daemon.health().await?;
    assert_eq!(health["rate_limit_hits"], 1, "{reason}");
    assert_eq!(health["errors_count"], 1, "limits are no errors: {reason}");
    assert_eq!(world.ledger().await?["fired"], 3, "{reason}");
    assert_eq!(world.robot.says.count(), 1, "{reason}");
    assert_eq!(world.provider().requests().count(), 2, "{reason}: nobody is asked in vain");
    let records = records_at_the_end(&world).await?;
    assert_eq!(end_of(&records, &format!("{ask} this fails")), ("failed", "exhausted"));
    assert_eq!(end_of(&records, &format!("{ask} this is answered")), ("sent", ""));
    assert_eq!(end_of(&records, &format!("{ask} this is too much")), ("silenced", reason));
    let [.., allowed, held_back] = &records[..] else { panic!("{records:?}") };
    assert_eq!(
        (&allowed["rate_limit"]["allowed"], &allowed["rate_limit"]["reason"]),
        (&json!(true), &json!("allowed"))
    );
    assert_eq!(
        (&held_back["rate_limit"]["allowed"], &held_back["rate_limit"]["reason"]),
        (&json!(false), &json!(reason))
    );
    Ok(count(held_back, "/rate_limit/retry_after"))
}

#[tokio::test]
async fn each_rate_limit_silences_the_second_reply_by_its_name() -> Result {
    const MINUTE: RangeInclusive<u64> = 40..=60;
    const TEN_MINUTES: RangeInclusive<u64> = 580..=600;
    const HOUR: RangeInclusive<u64> = 3_580..=3_600;
    let of_all = |limit: &str, value: u64| json!({ "rate_limits": { limit: value } });
    let of_trigger = |most: u64, cooldown: u64| {
        json!({ "triggers": [{ "name": "tea", "patterns": ["tea time:"],
            "max_responses_per_hour": most, "cooldown_seconds": cooldown }] })
    };
    for (config, ask, reason, wait) in [
        (of_all("global_max_per_minute", 1), "Cynthia", "global_minute", MINUTE),
        (of_all("global_max_per_hour", 1), "Cynthia", "global_hour", HOUR),
        (of_all("global_cooldown_seconds", 600), "Cynthia", "global_cooldown", TEN_MINUTES),
        (of_all("user_max_per_hour", 1), "Cynthia", "user_hour", HOUR),
        (of_all("user_cooldown_seconds", 600), "Cynthia", "user_cooldown", TEN_MINUTES),
        (of_all("mention_cooldown_seconds", 600), "Cynthia", "mention_cooldown", TEN_MINUTES),
        (of_trigger(1, 0), "tea time:", "trigger_hour", HOUR),
        (of_trigger(10, 600), "tea time:", "trigger_cooldown", TEN_MINUTES),
    ] {
        let retry_after = the_second_reply_is_held_back(config, ask, reason).await?;
        assert!(wait.contains(&retry_after), "{reason}: again after {retry_after} s");
    }
    Ok(())
}

#[tokio::test]
async fn a_maximum_of_0_is_never() -> Result {
    for limit in ["global_max_per_minute", "global_max_per_hour", "user_max_per_hour"] {
        let world = world(json!({ "rate_limits": { limit: 0 } })).start().await?;
        world.mention("bob", "are you there?").await?;
        counted(&world, "/rate_limit_hits", 1).await?;
        assert_eq!(world.provider().requests().count(), 0, "{limit}");
        assert_eq!(world.ledger().await?["fired"], 1, "{limit}");
    }
    Ok(())
}

#[tokio::test]
async fn what_becomes_of_an_answer_has_a_name() -> Result {
    let validation = json!({ "max_length": 100, "check_relevance": true, "relevance_threshold": 0.5,
        "check_inappropriate": true, "inappropriate_patterns": ["\\bforbidden\\b"] });
    let world = world(json!({ "validation": validation })).start().await?;
    let ends = [
        (Behaviour::Status(500, String::new()), "failed", "exhausted"),
        (Behaviour::Reset, "failed", "exhausted"),
        (Behaviour::ContentFilter, "failed", "refused"),
        (Behaviour::answer("no"), "silenced", "rejected_short"),
        (Behaviour::answer("a weird scene ".repeat(20)), "silenced", "rejected_long"),
        (Behaviour::answer("This weird scene is forbidden."), "silenced", "rejected_inappropriate"),
        (Behaviour::answer("Popcorn first, philosophy later."), "silenced", "rejected_relevance"),
        (Behaviour::answer("```\nthat weird scene\n```"), "silenced", "empty"),
        (Behaviour::answer("That weird scene is the best."), "sent", ""),
    ];
    for (number, (behaviour, outcome, reason)) in ends.iter().enumerate() {
        // Also for a second try.
        world.provider().always(behaviour.clone());
        world.mention("bob", &format!("what is that weird scene {number}?")).await?;
        counted(&world, "/ledger/fired", number as u64 + 1).await?;
        let ledger = world.ledger().await?;
        let same = ends[..=number].iter().filter(|(_, other, why)| (other, why) == (outcome, reason)).count();
        let booked = match *outcome {
            "silenced" => count(&ledger, &format!("/silenced/{reason}")),
            "sent" => count(&ledger, "/sent"),
            _ => same as u64,
        };
        assert_eq!(booked, same as u64, "{reason}: {ledger}");
    }
    let health = world.daemon.health().await?;
    assert_eq!((count(&health, "/ledger/failed"), count(&health, "/errors_count")), (3, 3), "{health}");
    assert_eq!(count(&health, "/validation_failures"), 4);
    assert_eq!(world.robot.says.count(), 1);
    let records = records_at_the_end(&world).await?;
    for (number, (behaviour, outcome, reason)) in ends.iter().enumerate() {
        let message = format!("Cynthia what is that weird scene {number}?");
        assert_eq!(end_of(&records, &message), (*outcome, *reason), "{behaviour:?}");
    }
    // What was rejected is in the log, so that an operator sees why.
    assert!(records.iter().any(|record| record["llm_response"] == "Popcorn first, philosophy later."));
    Ok(())
}

#[tokio::test]
async fn what_becomes_of_a_line_has_a_name() -> Result {
    let config = json!({ "outbox": { "stale_seconds": 1 }, "max_concurrent_handlers": 2 });
    let world = world(config).start().await?;
    world.ask("bob", "can you speak?").await?;
    world.ledger().await?;

    world.robot.behave(Manner::Refuses("Missing message".to_owned())).await?;
    world.mention("bob", "does the robot want it?").await?;
    counted(&world, "/ledger/failed", 1).await?;

    world.robot.behave(Manner::Silent).await?;
    world.mention("bob", "did the robot get it?").await?;
    counted(&world, "/ledger/in_doubt", 1).await?;

    world.robot.behave(Manner::Absent).await?;
    world.mention("bob", "will it wait for ever?").await?;
    counted(&world, "/ledger/silenced/stale", 1).await?;

    world.robot.behave(Manner::Echoes).await?;
    world.provider().always(Behaviour::Hold("Nobody will ever hear this.".to_owned()));
    for (number, text) in ["is there time for this?", "and for this?"].into_iter().enumerate() {
        world.mention("bob", text).await?;
        counted(&world, "/ledger/in_flight", number as u64 + 1).await?;
    }
    world.mention("bob", "and for one more?").await?;
    let health = counted(&world, "/ledger/silenced/overload", 1).await?;
    // Refused by the robot and in doubt: these should have gone out.
    assert_eq!(count(&health, "/errors_count"), 2, "{health}");
    assert_eq!(count(&health, "/ledger/fired"), 7);

    // A second signal gives up what is still in the making.
    world.daemon.terminate()?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("stopping")).await?;
    world.daemon.terminate()?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(124));
    let bye = world.recorder.wait_for("kryten.lifecycle.llm.shutdown", SOON, |_| true).await?;
    let figure = |name: &str| count(&bye.json, &format!("/metrics/{name}"));
    assert_eq!(
        (figure("responses_sent"), figure("replies_in_doubt"), figure("replies_abandoned")),
        (1, 1, 2)
    );
    let records = records(&world);
    for (message, end) in [
        ("can you speak?", ("sent", "")),
        ("does the robot want it?", ("failed", "send_failed")),
        ("did the robot get it?", ("in_doubt", "in_doubt")),
        ("will it wait for ever?", ("silenced", "stale")),
        ("is there time for this?", ("abandoned", "abandoned")),
        ("and for this?", ("abandoned", "abandoned")),
        ("and for one more?", ("silenced", "overload")),
    ] {
        assert_eq!(end_of(&records, &format!("Cynthia {message}")), end);
    }
    assert_eq!(records.len(), 7);
    Ok(())
}

#[tokio::test]
async fn a_dry_run_is_in_the_log_with_what_it_would_have_said() -> Result {
    let world = world(json!({ "testing": { "dry_run": true } })).start().await?;
    world.provider().next([Behaviour::answer("I would say this.")]);
    world.mention("bob", "what would you say?").await?;
    counted(&world, "/ledger/silenced/dry_run", 1).await?;
    assert_eq!(world.ledger().await?["fired"], 1);
    let records = records_at_the_end(&world).await?;
    assert_eq!(end_of(&records, "Cynthia what would you say?"), ("silenced", "dry_run"));
    assert_eq!(records[0]["formatted_parts"], json!(["I would say this."]));
    assert_eq!(world.robot.says.count(), 0);
    Ok(())
}

#[tokio::test]
async fn what_a_full_queue_drops_is_overload_and_told() -> Result {
    let world = world(json!({})).start().await?;
    world.robot.chat("bob", "test-hook stall decider 4").await?;
    world.wait_for_health(SOON, |health| health["reason"] == "stalled: decider").await?;
    let room = &world.rooms[0];
    let message = |number: u64| {
        let line = line(&format!("user{number}"), "does anybody read this?");
        (room.subject("chatmsg"), room.envelope("chatmsg", line).to_string())
    };
    world.flood(1_000, None, message).await?;
    let health = world.wait_for_health(SOON, |health| count(health, "/messages_processed") == 1_001).await?;
    // 512 wait for the decider, and one is in its hands.
    assert_eq!(count(&health, "/ignored/overload"), 1_000 - 512, "{health}");
    let told = &health["components"]["intake"];
    assert_eq!(told["message"], "Lounge: more chat than can be read", "{told}");
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("the room's queue is full")).await?;
    // What found a place is read, and then everything is as ever.
    counted(&world, "/ignored/no_trigger", 513).await?;
    fence(&world).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}
