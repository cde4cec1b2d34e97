//! What makes the bot speak besides its name: trigger words, and now and then nothing at all.

use kryten_testkit::chat::escape;
use kryten_testkit::provider::Request;
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Result};
use serde_json::{Value, json};

use crate::BINARY;
use crate::response_log::records_at_the_end;

fn world(config: Value) -> Builder {
    World::of(BINARY).config(config)
}

/// A trigger that may fire as often as it likes, with what `more` says of it.
fn trigger(name: &str, more: Value) -> Value {
    let mut trigger = json!({ "name": name, "cooldown_seconds": 0, "max_responses_per_hour": 1_000_000 });
    kryten_testkit::config::merge(&mut trigger, more);
    trigger
}

async fn says(world: &World, user: &str, text: &str) -> Result {
    world.robot.chat(user, &escape(text)).await
}

/// Somebody says something, and a provider is asked about it.
async fn asked(world: &World, user: &str, text: &str) -> Result<Request> {
    let mark = world.provider().requests().mark();
    says(world, user, text).await?;
    let request = world.provider().wait_for_request(mark, SOON, |_| true).await?;
    world.ledger().await?;
    Ok(request)
}

/// Waits until so many messages are decided on for which nothing fired.
async fn fired_nothing(world: &World, messages: u64) -> Result<Value> {
    world.wait_for_health(SOON, |health| health["ignored"]["no_trigger"] == messages).await
}

#[tokio::test]
async fn the_most_urgent_trigger_whose_chance_falls_right_fires() -> Result {
    let triggers = json!([
        trigger("never", json!({ "patterns": ["popcorn", "nacho"], "probability": 0, "priority": 10 })),
        trigger("off", json!({ "patterns": ["popcorn", "nacho"], "enabled": false, "priority": 9 })),
        trigger("food", json!({ "patterns": ["popcorn"], "priority": 3 })),
        trigger("snack", json!({ "patterns": ["POPCORN", "peanut"], "priority": 8 })),
        trigger("later", json!({ "patterns": ["peanut"], "priority": 8 })),
        trigger("year", json!({ "regex": ["\\b(19|20)\\d\\d\\b"], "priority": 2 })),
        trigger("behind", json!({ "regex": ["(?<=the )end(?! is near)"], "priority": 1 })),
    ]);
    let world = world(json!({ "triggers": triggers })).start().await?;
    let table = [
        ("I want PopCorn, please", "snack", 8, "I want please"),
        ("peanuts or peanut?", "snack", 8, "peanuts or "),
        ("a film of 1986, I think", "year", 2, "a film of , I think"),
        ("popcorn in 1986", "snack", 8, "in 1986"),
        ("this is the end", "behind", 1, "this is the "),
        ("popcorn", "snack", 8, "popcorn"),
        ("Cynthia, popcorn?", "cynthia", 10, "popcorn"),
    ];
    let silent = ["nachos!", "no pop corn here", "in 19866", "the end is near", "in the bend"];
    for text in silent {
        says(&world, "bob", text).await?;
    }
    fired_nothing(&world, silent.len() as u64).await?;
    for (text, ..) in table {
        asked(&world, "bob", text).await?;
    }
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(table.len()), &json!(table.len())));
    let records = records_at_the_end(&world).await?;
    for (record, (text, name, priority, cleaned)) in records.iter().zip(table) {
        assert_eq!(record["input_message"], text);
        let kind = if name == "cynthia" { "mention" } else { "trigger_word" };
        assert_eq!(
            (&record["trigger_type"], &record["trigger_name"]),
            (&json!(kind), &json!(name)),
            "{text}"
        );
        assert_eq!(record["trigger_priority"], priority, "{text}");
        assert_eq!(record["cleaned_message"], cleaned, "{text}");
    }
    assert_eq!(records.len(), table.len());
    Ok(())
}

#[tokio::test]
async fn a_chance_of_one_half_fires_now_and_then() -> Result {
    let triggers = json!([trigger("coin", json!({ "patterns": ["coin"], "probability": 0.5 }))]);
    let world = world(json!({ "triggers": triggers })).start().await?;
    for number in 0..60 {
        says(&world, "bob", &format!("coin number {number}")).await?;
    }
    // Each is decided on: it fired, or nothing did.
    let fired = |health: &Value| health["ledger"]["fired"].as_u64().unwrap_or_default();
    let decided =
        |health: &Value| fired(health) + health["ignored"]["no_trigger"].as_u64().unwrap_or_default();
    let health = world.wait_for_health(SOON, |health| decided(health) == 60).await?;
    // Fewer than ten or more than fifty come once in ten million times.
    assert!((10..=50).contains(&fired(&health)), "{} of 60", fired(&health));
    world.ledger().await.map(drop)
}

#[tokio::test]
async fn a_triggers_context_style_and_provider_go_with_it() -> Result {
    let config = json!({
        "personality": { "response_style": "dry as dust" },
        "triggers": [
            trigger("pirate", json!({ "patterns": ["ahoy"], "context": "Somebody speaks like a \"pirate\".",
                "response_style": "with many a yarr", "preferred_provider": "second" })),
            trigger("plain", json!({ "patterns": ["good evening"] })),
            trigger("old", json!({ "patterns": ["olden days"], "llm_provider": "second" })),
        ],
    });
    let world = world(config).providers(2).start().await?;
    let [first, second] = &world.providers[..] else { panic!("two providers") };
    let prompts = |request: &Request| {
        ["0", "1"].map(|at| {
            let content = request.json.pointer(&format!("/messages/{at}/content"));
            content.and_then(Value::as_str).unwrap_or_default().to_owned()
        })
    };
    // The second is asked first, and the first takes over when it fails.
    for (text, is_broken) in [("ahoy there, mates", false), ("ahoy again, mates", true)] {
        let marks = [first.requests().mark(), second.requests().mark()];
        if is_broken {
            second.next([Behaviour::Status(500, String::new())]);
        }
        says(&world, "bob", text).await?;
        let request = second.wait_for_request(marks[1], SOON, |_| true).await?;
        world.ledger().await?;
        assert_eq!(first.requests().since(marks[0]).len(), usize::from(is_broken), "{text}");
        let [system, user] = prompts(&request);
        assert!(
            system.contains("Your style: with many a yarr.") && !system.contains("dry as dust"),
            "{system}"
        );
        let cleaned = text.trim_start_matches("ahoy ");
        assert!(user.contains(&format!(r#"bob says: "{cleaned}""#)), "{user}");
        assert!(user.trim_end().ends_with(r#"Keep in mind: Somebody speaks like a "pirate"."#), "{user}");
    }
    let request = asked(&world, "bob", "good evening").await?;
    let [system, user] = prompts(&request);
    assert!(system.contains("Your style: dry as dust."), "{system}");
    assert!(!user.contains("Keep in mind"), "{user}");
    // The old spelling of the provider's name counts too.
    let mark = second.requests().mark();
    says(&world, "bob", "in the olden days").await?;
    second.wait_for_request(mark, SOON, |_| true).await?;
    assert_eq!(world.ledger().await?["sent"], 4);
    Ok(())
}

#[tokio::test]
async fn after_so_many_messages_for_nobody_it_joins_in() -> Result {
    let config = json!({
        "auto_participation": { "enabled": true, "base_message_interval": 3, "probability_range": 0 },
        "triggers": [trigger("tea", json!({ "patterns": ["tea"] })),
            trigger("never", json!({ "patterns": ["coffee"], "probability": 0 }))],
        "ignored_users": ["spambot"],
    });
    let world = world(config).start().await?;
    let interval = async |first: u64| -> Result<Request> {
        says(&world, "ann", "the first, with coffee").await?;
        // What nobody looks at does not count.
        says(&world, "spambot", "buy this").await?;
        says(&world, "bob", "the second").await?;
        fired_nothing(&world, first + 2).await?;
        asked(&world, "eve", "the third is the charm").await
    };
    let request = interval(0).await?;
    let user = request.json["messages"][1]["content"].as_str().unwrap_or_default().to_owned();
    assert!(
        user.contains("Nobody has asked you.")
            && user.contains(r#"eve has just said: "the third is the charm""#),
        "{user}"
    );
    // The answer's echo does not count either; a trigger begins the count anew, and so does a mention.
    for text in ["tea, anybody?", "Cynthia, are you there?"] {
        says(&world, "ann", "one").await?;
        says(&world, "ann", "two").await?;
        asked(&world, "bob", text).await?;
    }
    let request = interval(6).await?;
    assert!(request.prompt().contains("Nobody has asked you."), "{request}");
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(4), &json!(4)));
    let records = records_at_the_end(&world).await?;
    let kinds: Vec<&str> = records.iter().filter_map(|record| record["trigger_type"].as_str()).collect();
    assert_eq!(kinds, ["auto_participant", "trigger_word", "mention", "auto_participant"]);
    assert_eq!(
        (&records[0]["trigger_name"], &records[0]["trigger_priority"]),
        (&json!("auto_participation"), &json!(1))
    );
    assert_eq!(records[0]["cleaned_message"], "the third is the charm");
    Ok(())
}

#[tokio::test]
async fn a_trigger_word_is_limited_for_all_users_together_and_each_room_counts_for_itself_when_joining_in()
-> Result {
    let rooms =
        [kryten_testkit::Room::new("cytu.be", "Lounge"), kryten_testkit::Room::new("cytu.be", "Attic")];
    let config = json!({
        "auto_participation": { "enabled": true, "base_message_interval": 2, "probability_range": 0 },
        "triggers": [{ "name": "tea", "patterns": ["tea"], "max_responses_per_hour": 1, "cooldown_seconds": 0 }],
    });
    let world = world(config).rooms(rooms.clone()).start().await?;
    asked(&world, "ann", "tea!").await?;
    // Another user in another room.
    world.robot.chat_in(&rooms[1], "bob", "tea!").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["trigger_hour"] == 1).await?;
    // One line in each room is not two in one.
    for room in &rooms {
        world.robot.chat_in(room, "eve", "nothing of note").await?;
    }
    fired_nothing(&world, 2).await?;
    let mark = world.robot.says.mark();
    world.robot.chat_in(&rooms[1], "eve", "and nothing more").await?;
    world.robot.wait_for_say(mark, SOON, |said| said.room == rooms[1]).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(3), &json!(2)));
    Ok(())
}
