//! Ranks come with the event itself; admins may have more.

use kryten_testkit::Result;
use kryten_testkit::chat::line;
use kryten_testkit::config::merge;
use kryten_testkit::world::{SOON, World};
use serde_json::{Value, json};

use crate::BINARY;
use crate::response_log::records_at_the_end;

/// Somebody mentions the bot; `rank` is what the event says of the rank. It is awaited what comes of it.
async fn mention(world: &World, user: &str, rank: &Value, text: &str) -> Result {
    let ended = |health: &Value| match health["ledger"]["in_flight"].as_u64() {
        Some(0) => health["ledger"]["fired"].as_u64(),
        _ => None,
    };
    let before = ended(&world.wait_for_health(SOON, |health| ended(health).is_some()).await?);
    let mut payload = line(user, &format!("Cynthia, {text}"));
    merge(&mut payload, rank.clone());
    world.robot.event(&world.rooms[0], "chatmsg", payload).await?;
    world.wait_for_health(SOON, |health| ended(health) > before).await.map(drop)
}

/// How each of a user's messages ended.
fn ends(records: &[Value], user: &str) -> Vec<String> {
    let of_user = records.iter().filter(|record| record["username"] == user);
    let end = |record: &Value| record["reason"].as_str().or(record["outcome"].as_str()).map(str::to_owned);
    of_user.filter_map(end).collect()
}

#[tokio::test]
async fn exempt_ranks_can_not_spam_wherever_the_event_has_the_rank() -> Result {
    let spam = json!({ "enabled": true, "message_windows": [{ "seconds": 60, "max_messages": 1 }] });
    let world = World::of(BINARY).config(json!({ "spam_detection": spam })).start().await?;
    let (exempt, not_exempt) = (["sent", "sent"], ["sent", "spam"]);
    let users = [
        ("ann", json!({ "user": { "name": "ann", "rank": 3 } }), exempt),
        ("ben", json!({ "rank": 4.0 }), exempt),
        ("cat", json!({ "meta": { "rank": 5 } }), exempt),
        ("dan", json!({ "user": { "name": "dan", "rank": 3 }, "rank": 1, "meta": { "rank": 1 } }), exempt),
        ("eve", json!({ "rank": 2 }), not_exempt),
        ("fay", json!({ "rank": 3.5 }), not_exempt),
        ("gus", json!({ "rank": 6 }), not_exempt),
        ("hal", json!({ "rank": "4" }), not_exempt),
        ("ida", json!({}), not_exempt),
    ];
    for (user, rank, _) in &users {
        for text in ["the first", "the second"] {
            mention(&world, user, rank, text).await?;
        }
    }
    assert_eq!(world.ledger().await?["silenced"], json!({ "spam": 5 }));
    let records = records_at_the_end(&world).await?;
    for (user, rank, expected) in users {
        assert_eq!(ends(&records, user), expected, "{user}: {rank}");
    }
    Ok(())
}

#[tokio::test]
async fn admins_limits_are_multiplied_and_truncated_to_whole_numbers() -> Result {
    let limits = json!({ "user_max_per_hour": 1, "admin_limit_multiplier": 2.9 });
    let world = World::of(BINARY).config(json!({ "rate_limits": limits })).start().await?;
    let users = [
        ("ann", 3.0, ["sent", "sent", "user_hour"]),
        ("ben", 255.0, ["sent", "sent", "user_hour"]),
        ("eve", 2.9, ["sent", "user_hour", "user_hour"]),
    ];
    for (user, rank, _) in users {
        for text in ["one", "two", "three"] {
            mention(&world, user, &json!({ "rank": rank }), text).await?;
        }
    }
    assert_eq!(world.ledger().await?["silenced"], json!({ "user_hour": 4 }));
    let records = records_at_the_end(&world).await?;
    for (user, _, expected) in users {
        assert_eq!(ends(&records, user), expected, "{user}");
    }
    Ok(())
}

#[tokio::test]
async fn admins_cooldowns_are_shorter() -> Result {
    // A part of a second is none, and a tenth of 601 seconds is 60.
    for (cooldown, multiplier, admin_waits) in [(3, 0.3, None), (601, 0.1, Some(60)), (601, 0.0, None)] {
        let limits = json!({ "user_cooldown_seconds": cooldown, "admin_cooldown_multiplier": multiplier });
        let world = World::of(BINARY).config(json!({ "rate_limits": limits })).start().await?;
        for (user, rank) in [("ann", 3), ("eve", 2)] {
            mention(&world, user, &json!({ "rank": rank }), "the first").await?;
            mention(&world, user, &json!({ "rank": rank }), "the second").await?;
        }
        world.ledger().await?;
        let records = records_at_the_end(&world).await?;
        let end = if admin_waits.is_some() { "user_cooldown" } else { "sent" };
        assert_eq!(ends(&records, "ann"), ["sent", end], "{cooldown} s × {multiplier}");
        assert_eq!(ends(&records, "eve"), ["sent", "user_cooldown"], "{cooldown} s for others");
        let wait = records.iter().find(|record| record["username"] == "ann" && record["reason"] == end);
        let wait = wait.map(|record| record["rate_limit"]["retry_after"].as_u64().unwrap_or_default());
        let is_right = |wait: u64, whole: u64| (whole - 10..=whole).contains(&wait);
        assert_eq!(wait.is_some(), admin_waits.is_some());
        assert!(wait.zip(admin_waits).is_none_or(|(wait, whole)| is_right(wait, whole)), "{wait:?}");
    }
    Ok(())
}
