//! The command subject: every command, with arguments that are good, bad and hostile.

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Result, nats};
use serde_json::{Value, json};

use crate::BINARY;

const COMMAND: &str = "kryten.llm.command";

/// What the daemon answers.
pub async fn ask(world: &World, request: Value) -> Result<Value> {
    world.robot.ask(COMMAND, request).await
}

/// The data of an answer that has to be a success.
pub async fn data(world: &World, request: Value) -> Result<Value> {
    let answer = ask(world, request.clone()).await?;
    assert_eq!(answer["success"], true, "{request}: {answer}");
    assert_eq!(answer["service"], "llm", "{answer}");
    assert_eq!(answer["command"], request["command"], "{answer}");
    Ok(answer["data"].clone())
}

/// The error of an answer that has to be a failure.
async fn error(world: &World, request: Value) -> Result<String> {
    let answer = ask(world, request.clone()).await?;
    assert_eq!(answer["success"], false, "{request}: {answer}");
    assert_eq!(answer.get("data"), None, "{answer}");
    Ok(answer["error"].as_str().unwrap_or_default().to_owned())
}

fn config() -> Value {
    json!({
        "triggers": [{"name": "films", "patterns": ["kung fu"], "probability": 1, "cooldown_seconds": 0}],
        "personality": {"response_style": "short"},
    })
}

#[tokio::test]
async fn reading_commands_tell_what_is_in_force() -> Result {
    let world = World::of(BINARY).config(config()).start().await?;
    let ping = data(&world, json!({"command": "system.ping"})).await?;
    assert_eq!((&ping["pong"], &ping["service"]), (&json!(true), &json!("llm")));
    let address = world.daemon.http_address().await?;
    assert_eq!(ping["metrics_endpoint"], format!("http://{address}/metrics"));
    assert!(ping["uptime_seconds"].is_number() && ping["version"].is_string(), "{ping}");
    let health = data(&world, json!({"command": "system.health"})).await?;
    assert_eq!((&health["status"], &health["context_log_size"]), (&json!("healthy"), &json!(0)));
    let style = data(&world, json!({"command": "personality.get"})).await?;
    assert_eq!(style["response_style"], "short");
    let triggers = data(&world, json!({"command": "triggers.list"})).await?;
    assert_eq!(triggers["triggers"][0]["name"], "films");
    assert_eq!(triggers["triggers"][0]["patterns"], json!(["kung fu"]));

    world.ask("bob", "what is on?").await?;
    world.ledger().await?;
    let limits = data(&world, json!({"command": "rate_limits.get"})).await?;
    assert_eq!(limits["live"]["global_responses_minute"], 1, "{limits}");
    assert!(limits["live"]["last_mention_response"].is_string(), "{limits}");
    assert!(limits["config"]["global_max_per_minute"].is_number(), "{limits}");
    let recent = data(&world, json!({"command": "context.recent"})).await?;
    assert_eq!((&recent["total"], &recent["entries"][0]["username"]), (&json!(1), &json!("bob")));
    let whole = data(&world, json!({"command": "context.get", "index": 0})).await?;
    let prompt = whole["user_prompt"].as_str().unwrap_or_default();
    assert!(prompt.contains("bob says to you: \"what is on\""), "{whole}");
    let id = whole["correlation_id"].clone();
    let by_id = data(&world, json!({"command": "context.get", "args": {"correlation_id": id}})).await?;
    assert_eq!(by_id, whole);
    let user = data(&world, json!({"command": "inspect.user", "username": "BOB"})).await?;
    assert_eq!(user["lines"], 1, "{user}");
    assert_eq!(world.stop().await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn every_answer_of_a_provider_is_published_with_its_correlation_id() -> Result {
    let world = World::of(BINARY).start().await?;
    world.ask("bob", "what is on?").await?;
    let log = world.recorder.wait_for("kryten.llm.context.log", SOON, |_| true).await?;
    for key in ["timestamp", "correlation_id", "trigger_message", "system_prompt_preview", "response_preview"]
    {
        assert!(log.json[key].is_string(), "{key}: {}", log.json);
    }
    assert_eq!((&log.json["username"], &log.json["trigger_type"]), (&json!("bob"), &json!("mention")));
    assert_eq!(
        (&log.json["success"], &log.json["context_summary"]["message_count"]),
        (&json!(true), &json!(1))
    );
    assert!(log.json["response_time"].is_number(), "{}", log.json);
    assert_eq!(log.header("Kryten-Correlation-Id"), log.json["correlation_id"].as_str());
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn no_secret_is_in_any_answer() -> Result {
    let world = World::of(BINARY)
        .config(json!({"llm_providers": {"secretive": {
            "type": "openai_compatible", "base_url": "http://user:hunter2@127.0.0.1:9/v1?key=hunter2",
            "api_key": "hunter2", "model": "m", "priority": 1000,
            "custom_headers": {"X-Key": "hunter2"}, "extra_body": {"secret": "hunter2"}
        }}}))
        .start()
        .await?;
    for command in ["providers.list", "system.health", "system.reload", "triggers.list", "personality.get"] {
        let answer = ask(&world, json!({"command": command})).await?;
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
        assert_eq!(answer["success"], true, "{answer}");
    }
    let list = data(&world, json!({"command": "providers.list"})).await?;
    let listed =
        list["providers"].as_array().into_iter().flatten().find(|entry| entry["name"] == "secretive");
    assert_eq!(listed.map(|entry| &entry["api_key_masked"]), Some(&json!("****")), "{list}");
    Ok(())
}

#[tokio::test]
async fn changes_by_command_are_in_force_until_a_reload() -> Result {
    let world = World::of(BINARY).config(config()).start().await?;
    let style =
        data(&world, json!({"command": "personality.update", "response_style": "like a pirate"})).await?;
    assert_eq!(style["response_style"], "like a pirate");
    assert!(style["note"].as_str().is_some_and(|note| note.contains("reload")), "{style}");
    world.ask("bob", "who are you?").await?;
    let asked = world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    assert!(asked.prompt().contains("like a pirate"), "{}", asked.prompt());

    let toggled = data(&world, json!({"command": "triggers.toggle", "name": "films"})).await?;
    assert_eq!(toggled["enabled"], false);
    let said = |line: &str| line.contains("triggers[0].enabled: true → false");
    world.daemon.wait_for_log(Mark::START, SOON, said).await?;
    let limits = data(&world, json!({"command": "rate_limits.update", "global_max_per_minute": 77})).await?;
    assert_eq!(limits["global_max_per_minute"], 77);
    let film = json!({"command": "triggers.update", "name": "films", "fields": {"priority": 9}});
    let film = data(&world, film).await?;
    assert_eq!((&film["priority"], &film["enabled"]), (&json!(9), &json!(false)), "they add up");

    let reloaded = data(&world, json!({"command": "system.reload"})).await?;
    assert_eq!(reloaded["success"], true);
    assert_eq!(reloaded["changes"]["personality.response_style"]["to"], json!("\"short\""), "{reloaded}");
    let triggers = data(&world, json!({"command": "triggers.list"})).await?;
    assert_eq!(
        (&triggers["triggers"][0]["enabled"], &triggers["triggers"][0]["priority"]),
        (&json!(true), &json!(5))
    );
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_followed_is_refused_in_words_and_changes_nothing() -> Result {
    let world = World::of(BINARY).config(config()).start().await?;
    for (request, expected) in [
        (json!({}), "Missing 'command' field"),
        (json!({"command": "system.halt"}), "Unknown command: system.halt"),
        (json!({"command": "system.ping", "service": "robot"}), "Command intended for 'robot', not 'llm'"),
        (json!({"command": "triggers.toggle"}), "Missing required field: name"),
        (json!({"command": "triggers.toggle", "name": "none"}), "Trigger not found: none"),
        (json!({"command": "triggers.update", "name": "films"}), "No trigger fields provided to update"),
        (json!({"command": "personality.update"}), "No personality fields provided to update"),
        (json!({"command": "rate_limits.update"}), "No rate limit fields provided to update"),
        (
            json!({"command": "rate_limits.update", "global_max_per_hour": -1}),
            "rate_limits.global_max_per_hour: ",
        ),
        (json!({"command": "personality.update", "character_name": "${HOME}"}), "character_name: variables"),
        (json!({"command": "context.get", "index": 5}), "Entry not found"),
        (json!({"command": "chat.pause", "channel": "Nowhere"}), "Channel not found: Nowhere"),
        (json!({"command": "chat.pause", "duration_seconds": "x"}), "duration_seconds: "),
        (json!({"command": "decisions.recent", "channel": "Nowhere"}), "Channel not found: Nowhere"),
        (json!({"command": "x".repeat(10_000)}), "Unknown command: xxx"),
    ] {
        let error = error(&world, request.clone()).await?;
        assert!(error.starts_with(expected), "{request}: {error}");
    }
    let deep = "[".repeat(10_000);
    let long = "x".repeat(200_000);
    for garbage in ["", "{", "[]", "\u{0}", &deep, &long] {
        world.robot.publish_raw(COMMAND, garbage).await?;
    }
    assert_eq!(data(&world, json!({"command": "personality.get"})).await?["response_style"], "short");
    world.ask("bob", "still there?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn where_changes_are_switched_off_only_reading_is_left() -> Result {
    let world = World::of(BINARY).config(json!({"commands": {"allow_changes": false}})).start().await?;
    for command in ["system.reload", "personality.update", "chat.pause", "rate_limits.reset"] {
        let error = error(&world, json!({"command": command, "response_style": "x"})).await?;
        assert!(error.contains("commands.allow_changes"), "{error}");
    }
    data(&world, json!({"command": "system.ping"})).await?;
    world.ask("bob", "not paused?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn a_service_of_another_name_answers_on_both_subjects() -> Result {
    let world =
        World::of(BINARY).config(json!({"service_metadata": {"service_name": "Vera.Two"}})).start().await?;
    for (subject, service) in
        [(COMMAND, json!(null)), ("kryten.vera-two.command", json!("vera-two")), (COMMAND, json!("vera-two"))]
    {
        let request = json!({"command": "system.ping", "service": service});
        let answer = world.robot.ask(subject, request).await?;
        assert_eq!((&answer["service"], &answer["data"]["service"]), (&json!("llm"), &json!("vera-two")));
    }
    Ok(())
}

#[tokio::test]
async fn why_it_did_not_answer_is_told_for_every_message() -> Result {
    let limits = json!({"rate_limits": {"user_cooldown_seconds": 60, "mention_cooldown_seconds": 0,
        "global_cooldown_seconds": 0, "global_max_per_minute": 100}});
    let world = World::of(BINARY).config(limits).start().await?;
    world.ask("bob", "one").await?;
    world.ledger().await?;
    world.mention("bob", "two").await?;
    world.robot.chat("bob", "just talking").await?;
    world.provider().next([Behaviour::Status(400, "{}".to_owned())]);
    world.mention("eve", "three").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == 1).await?;
    let recent = data(&world, json!({"command": "decisions.recent", "user": "Bob"})).await?;
    let told: Vec<(&str, &str)> = recent["decisions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| (entry["decision"].as_str().unwrap_or("?"), entry["reason"].as_str().unwrap_or("-")))
        .collect();
    assert_eq!(told, [("silence", "no_trigger"), ("silence", "user_cooldown"), ("reply", "-")], "{recent}");
    let detail = recent["decisions"][1]["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("again in "), "{recent}");
    let recent = data(&world, json!({"command": "decisions.recent", "limit": 1})).await?;
    assert_eq!(recent["decisions"][0]["reason"], "refused", "{recent}");

    let reset = data(&world, json!({"command": "rate_limits.reset", "user": "bob"})).await?;
    assert_eq!(reset["reset"], true);
    world.ask("bob", "and now?").await?;
    world.ledger().await?;
    let forgotten = data(&world, json!({"command": "forget.user", "username": "bob"})).await?;
    assert!(forgotten["lines_erased"].as_u64() >= Some(4), "{forgotten}");
    let recent = data(&world, json!({"command": "decisions.recent", "user": "bob"})).await?;
    assert_eq!(recent["decisions"], json!([]));
    world.ledger().await?;
    Ok(())
}

#[tokio::test]
async fn a_pardoned_user_is_answered_again() -> Result {
    let world = World::of(BINARY)
        .config(json!({"spam_detection": {"enabled": true, "mention_spam_threshold": 1, "mention_spam_window": 1, "initial_penalty": 300}}))
        .start()
        .await?;
    world.ask("bob", "one").await?;
    world.ledger().await?;
    world.mention("bob", "two").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["spam"] == 1).await?;
    for (user, expected) in [("eve", false), ("bob", true), ("bob", false)] {
        let pardon = data(&world, json!({"command": "spam.pardon", "user": user})).await?;
        assert_eq!(pardon["pardoned"], expected);
    }
    tokio::time::timeout(SOON, async {
        // Two mentions within a second would be an offence again.
        loop {
            data(&world, json!({"command": "spam.pardon", "user": "bob"})).await?;
            let mark = world.robot.says.mark();
            world.mention("bob", "three").await?;
            let answered = world.robot.wait_for_say(mark, std::time::Duration::from_secs(2), |_| true).await;
            if answered.is_ok() {
                return Result::Ok(());
            }
        }
    })
    .await
    .expect("an answer")?;
    world.ledger().await?;
    Ok(())
}

#[tokio::test]
async fn an_answer_that_nats_does_not_take_is_said_to_be_too_large() -> Result {
    let server = nats::Settings { max_payload: 8_000, ..nats::Settings::default() };
    let long = json!({"personality": {"character_description": "x".repeat(9_000)}});
    let world = World::of(BINARY).server(server).config(long).start().await?;
    let refused = error(&world, json!({"command": "personality.get"})).await?;
    assert_eq!(refused, "the answer is too large; narrow it");
    let said = |line: &str| line.contains("a command's answer is too large for NATS");
    world.daemon.wait_for_log(Mark::START, SOON, said).await?;
    data(&world, json!({"command": "system.ping"})).await?;
    Ok(())
}
