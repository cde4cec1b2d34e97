//! A changed configuration taken up by SIGHUP or by command, while the service runs.

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Result, config};
use serde_json::{Value, json};

use super::commands::{ask, data};
use crate::BINARY;

/// The file with these changes, taken up on SIGHUP.
pub(crate) async fn reload(world: &World, changes: Value) -> Result {
    let mut changed = world.config.clone();
    config::merge(&mut changed, changes);
    take_up(world, &changed).await
}

/// A whole other file, taken up on SIGHUP.
async fn take_up(world: &World, changed: &Value) -> Result {
    world.daemon.write_config(changed)?;
    let mark = world.daemon.log().mark();
    world.daemon.hang_up()?;
    let done = |line: &str| line.contains("configuration reloaded") || line.contains("nothing was changed");
    world.daemon.log().wait_since(mark, "the end of a reload", SOON, |line| done(&line.to_string())).await?;
    Ok(())
}

fn logged(world: &World, words: &str) -> bool {
    world.daemon.log().all().iter().any(|line| line.to_string().contains(words))
}

#[tokio::test]
async fn what_is_safe_changes_at_once_and_is_named_in_the_log() -> Result {
    let world = World::of(BINARY).start().await?;
    let style = json!({"personality": {"response_style": "like a pirate"}, "chat_min_delay": 0.25});
    reload(&world, style).await?;
    assert!(logged(&world, "like a pirate") && logged(&world, "chat_min_delay: 0 → 0.25"));
    world.ask("bob", "who are you?").await?;
    let asked = world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    assert!(asked.prompt().contains("like a pirate"), "{}", asked.prompt());
    reload(&world, json!({"service_metadata": {"heartbeat_interval_seconds": 2}})).await?;
    let mark = world.recorder.mark();
    world.robot.publish("kryten.service.discovery.poll", json!({})).await?;
    let again = world.recorder.wait_since(mark, "kryten.service.discovery", SOON, |_| true).await?;
    assert_eq!(again.json["heartbeat_interval_seconds"], 2);
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_degraded_until_it_is_mended() -> Result {
    let world = World::of(BINARY).start().await?;
    reload(&world, json!({"chat_min_delay": -1, "personality": {"response_style": "like a pirate"}})).await?;
    let beat = world.wait_until("degraded", SOON).await?;
    assert_eq!(beat.json["status"]["components"]["config"]["healthy"], false);
    assert!(logged(&world, "chat_min_delay"), "the field is named");
    let answer = ask(&world, json!({"command": "system.reload"})).await?;
    assert_eq!((&answer["success"], &answer["data"]["success"]), (&json!(false), &json!(false)));
    let errors = answer["data"]["errors"].to_string();
    assert!(errors.contains("chat_min_delay"), "{errors}");
    let style = data(&world, json!({"command": "personality.get"})).await?;
    assert_ne!(style["response_style"], "like a pirate");

    std::fs::write(world.daemon.folder().join("config.json"), "{").expect("written");
    let answer = ask(&world, json!({"command": "system.reload"})).await?;
    assert_eq!(answer["success"], false, "{answer}");
    world.ask("bob", "still there?").await?;
    reload(&world, json!({})).await?;
    world.wait_until("healthy", SOON).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_stays_as_it_was() -> Result {
    let world = World::of(BINARY).start().await?;
    let changes = json!({
        "service_metadata": {"service_name": "other"}, "nats": {"connect_timeout": 7}, "chat_min_delay": 0.25
    });
    reload(&world, changes).await?;
    let answer = data(&world, json!({"command": "system.reload"})).await?;
    let warnings = answer["warnings"].to_string();
    for place in ["service_metadata.service_name", "nats.connect_timeout"] {
        assert!(warnings.contains(place), "{warnings}");
        assert!(logged(&world, &format!("{place} is another in the file; only a restart takes it up")));
    }
    let mark = world.recorder.mark();
    world.recorder.wait_since(mark, "kryten.service.heartbeat.llm", SOON, |_| true).await?;
    Ok(())
}

#[tokio::test]
async fn a_reply_in_flight_keeps_the_settings_that_it_began_with() -> Result {
    let world = World::of(BINARY).start().await?;
    world.provider().always(Behaviour::Hold("Here is the answer to that.".to_owned()));
    let mark = world.robot.says.mark();
    world.mention("bob", "one").await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    reload(&world, json!({"testing": {"dry_run": true}})).await?;
    world.provider().always(Behaviour::AnswerAnew);
    world.provider().release();
    world.robot.wait_for_say(mark, SOON, |said| said.text.contains("the answer to that")).await?;
    world.mention("eve", "two").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["dry_run"] == 1).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn another_order_of_providers_and_a_spend_limit_hold_from_the_next_question_on() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    world.ask("bob", "one").await?;
    assert_eq!(world.providers[0].requests().count(), 1);
    let order = json!({"default_provider_priority": ["second", "first"], "spend": {"max_calls_per_day": 2}});
    reload(&world, order).await?;
    world.ask("bob", "two").await?;
    assert_eq!((world.providers[0].requests().count(), world.providers[1].requests().count()), (1, 1));
    world.mention("bob", "three").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["spend_calls"] == 1).await?;
    let beat = world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    assert_eq!(beat.json["status"]["llm_providers"], json!({"first": "ok", "second": "ok"}));
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn limits_and_the_conversation_outlive_a_reload() -> Result {
    let limits = json!({"rate_limits": {"user_cooldown_seconds": 300}});
    let world = World::of(BINARY).config(limits.clone()).start().await?;
    world.ask("bob", "the word is swordfish").await?;
    world.ledger().await?;
    let mut changes = json!({"personality": {"response_style": "like a pirate"}});
    config::merge(&mut changes, limits);
    reload(&world, changes).await?;
    world.mention("bob", "two").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["user_cooldown"] == 1).await?;
    let mark = world.provider().requests().mark();
    world.ask("eve", "what was the word?").await?;
    let asked = &world.provider().requests().since(mark)[0];
    assert!(asked.prompt().contains("swordfish"), "{}", asked.prompt());
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn reloads_under_load_lose_and_double_nothing() -> Result {
    const MENTIONS: usize = 60;
    let world = World::of(BINARY).start().await?;
    world.provider().always(Behaviour::choose(|request| {
        let number = request
            .prompt()
            .rsplit("number ")
            .next()
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        Behaviour::answer(format!("{0} {0} {0} is what you asked about", number.unwrap_or_default()))
    }));
    for number in 0..MENTIONS {
        world.mention(&format!("user{number}"), &format!("number {number}")).await?;
        if number % 5 == 0 {
            reload(&world, json!({"personality": {"response_style": format!("style {number}")}})).await?;
        }
    }
    let all_said = |health: &Value| health["ledger"]["sent"] == MENTIONS;
    world.wait_for_health(SOON, all_said).await?;
    let says = world.robot.says.since(Mark::START);
    for number in 0..MENTIONS {
        let words = format!("{number} {number} {number} is");
        let times = says.iter().filter(|said| said.text.starts_with(&words)).count();
        assert_eq!(times, 1, "{words}");
    }
    assert_eq!(world.ledger().await?["sent"], MENTIONS);
    Ok(())
}

#[tokio::test]
async fn what_a_provider_that_is_gone_still_does_says_nothing_of_the_new_one() -> Result {
    let limits = json!({
        "circuit_breaker": {"failures": 1}, "llm_providers": {"first": {"timeout_seconds": 2}}
    });
    let world = World::of(BINARY).config(limits).start().await?;
    world.provider().always(Behaviour::Hang);
    world.mention("bob", "one").await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    let mut changed = world.config.clone();
    changed["llm_providers"] = json!({"new": config::provider_section("new", &world.provider().base_url())});
    changed["default_provider"] = json!("new");
    changed["default_provider_priority"] = json!(["new"]);
    take_up(&world, &changed).await?;
    let failed = world.wait_for_health(SOON, |health| health["ledger"]["failed"] == 1).await?;
    assert_eq!(failed["llm_providers"], json!({"new": "unknown"}));
    let beat = world.wait_until("degraded", SOON).await?;
    assert!(beat.text("/health_reason").starts_with("error rate"), "the reply failed, no more: {beat}");
    assert_eq!(beat.json["status"]["components"]["llm_providers"]["healthy"], true, "{beat}");
    world.provider().always(Behaviour::AnswerAnew);
    world.ask("eve", "two").await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["failed"]), (&json!(1), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn a_mended_key_is_tried_at_once_though_the_old_one_had_opened_the_breaker() -> Result {
    let breaker = json!({"circuit_breaker": {"failures": 1, "open_seconds": 3600}});
    let world = World::of(BINARY).providers(2).config(breaker.clone()).start().await?;
    world.provider().next([Behaviour::Status(401, "{}".to_owned())]);
    world.ask("bob", "one").await?;
    world.ask("eve", "two").await?;
    assert_eq!(world.provider().requests().count(), 1, "the first one is left alone");
    reload(&world, json!({"llm_providers": {"first": {"api_key": "key-that-is-mended"}}})).await?;
    let mended = json!({"first": "unknown", "second": "ok"});
    world.wait_for_health(SOON, |health| health["llm_providers"] == mended).await?;
    world.ask("joe", "three").await?;
    assert_eq!(world.provider().requests().count(), 2);
    let health = world.daemon.health().await?;
    assert_eq!(health["llm_providers"]["first"], "ok");
    assert_eq!(world.ledger().await?["sent"], 3);
    Ok(())
}

#[tokio::test]
async fn no_pause_waits_for_a_flood_of_reloads() -> Result {
    let trigger = |number: u32| json!({"name": format!("t{number}"), "regex": ["a(b|c)+d"]});
    let triggers = json!({"triggers": (0..1_000).map(trigger).collect::<Vec<_>>()});
    let world = World::of(BINARY).config(triggers).start().await?;
    let mark = world.daemon.log().mark();
    for _ in 0..3_000 {
        world.robot.publish("kryten.llm.command", json!({"command": "system.reload"})).await?;
    }
    data(&world, json!({"command": "chat.pause"})).await?;
    let lines = world.daemon.log().since(mark);
    let reloads = lines.iter().filter(|line| line.to_string().contains("configuration reloaded")).count();
    assert!(reloads <= 5, "{reloads} reloads came first");
    Ok(())
}
