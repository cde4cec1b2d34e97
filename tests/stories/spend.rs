//! Spend limits: no more calls, tokens or money than allowed, whatever happens, and over any restart.

use std::path::PathBuf;
use std::time::Duration;

use kryten_testkit::provider::{COMPLETION_TOKENS, PROMPT_TOKENS};
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::BINARY;

/// Every answer of the stand-in says that it used so many.
const USED: u64 = PROMPT_TOKENS + COMPLETION_TOKENS;

fn world(config: Value) -> Builder {
    World::of(BINARY).config(config)
}

fn limited(spend: Value) -> Builder {
    world(json!({ "spend": spend }))
}

fn state_file(world: &World) -> PathBuf {
    world.daemon.folder().join("state/spend.json")
}

/// What stands in the state file; nothing when there is none.
fn saved(world: &World) -> Value {
    let text = std::fs::read_to_string(state_file(world)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// `user` speaks to the bot; waits until that is settled as the `fired`th thing.
async fn settled(world: &World, user: &str, fired: u64) -> Result<Value> {
    world.mention(user, &format!("question {fired}, if I may?")).await?;
    world.wait_for_health(SOON, |health| health["ledger"]["fired"] == fired).await?;
    world.ledger().await
}

fn calls_in_all(world: &World) -> usize {
    world.providers.iter().map(|provider| provider.requests().count()).sum()
}

#[tokio::test]
async fn each_limit_silences_by_its_name_and_is_no_error() -> Result {
    for (limits, answered, reason, why) in [
        (
            json!({ "max_calls_per_minute": 2 }),
            2,
            "spend_calls",
            "all calls of this minute (2) are made, again",
        ),
        (json!({ "max_calls_per_day": 1 }), 1, "spend_calls", "all calls of today (1) are made, again after"),
        (
            json!({ "max_tokens_per_day": 10 }),
            0,
            "spend_tokens",
            "tokens, 10 of 10 are left today: it fits into",
        ),
        (json!({ "max_tokens_per_user_per_day": 0 }), 0, "spend_user", "0 of the user's 0 are left today"),
        (json!({ "max_cost_per_day": 0.000_001 }), 0, "spend_cost", "0.000001 of 0.000001 is left today"),
    ] {
        let price = json!({ "input_per_million": 1, "output_per_million": 2 });
        let config = json!({ "spend": limits, "llm_providers": { "first": { "price": price } } });
        let world = world(config).start().await?;
        for number in 0..answered {
            world.ask("bob", &format!("question {number}?")).await?;
        }
        let ledger = settled(&world, "bob", answered + 1).await?;
        assert_eq!((&ledger["sent"], &ledger["silenced"][reason]), (&json!(answered), &json!(1)), "{limits}");
        assert_eq!(world.provider().requests().count() as u64, answered, "{limits}");
        let health = world.daemon.health().await?;
        assert_eq!((&health["errors_count"], &health["status"]), (&json!(0), &json!("healthy")), "{health}");
        let last = world.daemon.get("/api/decisions?fired=true&limit=1").await?.1;
        assert!(last.contains(reason) && last.contains(why), "{limits}: {last}");
        let is_soon_over = !last.contains("\"retry_after_seconds\":null");
        assert_eq!(is_soon_over, limits["max_calls_per_minute"].is_number(), "{limits}: {last}");
        assert_eq!(world.stop().await?, Exit::Code(0));

        let log = world.daemon.folder().join("logs/llm-responses.jsonl");
        let text = std::fs::read_to_string(log).expect("a log");
        let mut records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        // A reply that was said before may have ended behind it.
        let record = records.find(|record| record["reason"] == reason).expect("a record");
        assert_eq!(record["outcome"], "silenced");
        let limit = &record["rate_limit"];
        assert_eq!((&limit["allowed"], &limit["reason"]), (&json!(false), &json!(reason)), "{record}");
        assert_eq!(limit["retry_after"].as_u64() > Some(0), is_soon_over, "{record}");
    }
    Ok(())
}

#[tokio::test]
async fn a_users_limit_leaves_everybody_else_their_answers() -> Result {
    let world = limited(json!({ "max_tokens_per_user_per_day": 2_500 })).start().await?;
    world.provider().next([Behaviour::Json(json!({
        "choices": [{ "message": { "content": "That was a long thought." }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 400, "completion_tokens": 2_000, "total_tokens": 2_400 },
    }))]);
    world.ask("bob", "what should we watch?").await?;
    assert_eq!(settled(&world, "BOB", 2).await?["silenced"]["spend_user"], 1);
    world.ask("ann", "what should we watch?").await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["fired"]), (&json!(2), &json!(3)));
    assert_eq!(world.provider().requests().count(), 2);
    Ok(())
}

#[tokio::test]
async fn when_the_money_is_spent_a_free_provider_goes_on_answering() -> Result {
    let price = json!({ "input_per_million": 1_000, "output_per_million": 1_000 });
    let config = json!({
        "spend": { "max_cost_per_day": 1.5 },
        "llm_providers": { "first": { "price": price } },
    });
    let world = world(config).providers(2).start().await?;
    for number in 0..12 {
        world.ask("bob", &format!("question {number}?")).await?;
    }
    let [dear, free] = [0, 1].map(|at| world.providers[at].requests().count() as u64);
    assert!(dear >= 1 && free >= 1 && dear + free == 12, "{dear} + {free}");
    assert!(saved(&world)["cost"].as_f64().is_some_and(|cost| cost <= 1.5), "{}", saved(&world));
    assert_eq!(saved(&world)["calls"], 12);
    assert_eq!(world.ledger().await?["sent"], 12);
    let health = world.daemon.health().await?;
    assert_eq!(health["status"], "healthy", "{health}");
    Ok(())
}

#[tokio::test]
async fn near_a_limit_what_nobody_asked_for_stops_and_mentions_are_answered() -> Result {
    let config = json!({
        "spend": { "max_calls_per_day": 4, "soft_percent": 50 },
        "triggers": [{ "name": "tea", "patterns": ["tea time"], "cooldown_seconds": 0 }],
        "auto_participation": { "enabled": true, "base_message_interval": 1, "probability_range": 0 },
    });
    let world = world(config).start().await?;
    let mark = world.robot.says.mark();
    world.robot.chat("ann", "it is tea time, friends").await?;
    world.robot.wait_for_say(mark, SOON, |_| true).await?;
    world.ask("bob", "what should we watch?").await?;

    world.robot.chat("ann", "it is tea time again").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["spend_soft"] == 1).await?;
    world.robot.chat("ann", "nobody says a word").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["spend_soft"] == 2).await?;
    world.ask("bob", "and after that?").await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["fired"]), (&json!(3), &json!(5)), "{ledger}");

    assert_eq!(world.stop().await?, Exit::Code(0));
    let log = std::fs::read_to_string(world.daemon.folder().join("logs/llm-responses.jsonl")).expect("a log");
    assert!(log.contains("50 % of spend_calls is used up"), "{log}");
    Ok(())
}

#[tokio::test]
async fn of_twenty_mentions_at_once_only_as_many_reach_a_slow_provider_as_are_allowed() -> Result {
    let world = limited(json!({ "max_calls_per_day": 5 })).start().await?;
    let slow = Behaviour::choose(|request| {
        let id = request.header("x-request-id").unwrap_or_default();
        Behaviour::AnswerAfter(Duration::from_millis(500), format!("A slow answer, {id}."))
    });
    world.provider().always(slow);
    for number in 0..20 {
        world.mention(&format!("user{number}"), "what should we watch?").await?;
    }
    let silenced = |health: &Value| health["ledger"]["silenced"]["spend_calls"] == 15;
    world.wait_for_health(SOON, silenced).await?;
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["sent"], &ledger["fired"]), (&json!(5), &json!(20)), "{ledger}");
    assert_eq!(world.provider().requests().count(), 5);
    Ok(())
}

#[tokio::test]
async fn a_restart_forgets_nothing() -> Result {
    let mut world =
        limited(json!({ "max_calls_per_day": 3, "max_tokens_per_user_per_day": 100_000 })).start().await?;
    world.ask("bob", "one?").await?;
    world.ask("ann", "two?").await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let before = saved(&world);
    assert_eq!((&before["calls"], &before["tokens"]), (&json!(2), &json!(2 * USED)));
    assert_eq!(before["users"], json!([["ann", USED], ["bob", USED]]));

    let mark = world.recorder.mark();
    world.daemon.restart()?;
    world.wait_until_up(mark).await?;
    world.ask("bob", "three?").await?;
    let ledger = settled(&world, "bob", 2).await?;
    assert_eq!((&ledger["sent"], &ledger["silenced"]["spend_calls"]), (&json!(1), &json!(1)), "{ledger}");
    assert_eq!(world.provider().requests().count(), 3);
    Ok(())
}

#[tokio::test]
async fn not_even_a_kill_in_the_middle_of_a_call_forgets_that_call() -> Result {
    let mut world = limited(json!({ "max_calls_per_day": 4 })).start().await?;
    world.provider().always(Behaviour::Hang);
    for round in 1..=4_usize {
        let mark = world.provider().requests().mark();
        world.mention("bob", &format!("question {round}?")).await?;
        world.provider().wait_for_request(mark, SOON, |_| true).await?;
        let up = world.recorder.mark();
        world.daemon.kill();
        world.daemon.restart()?;
        world.wait_until_up(up).await?;
        assert_eq!(saved(&world)["calls"], round);
    }
    let ledger = settled(&world, "bob", 1).await?;
    assert_eq!(ledger["silenced"]["spend_calls"], 1, "{ledger}");
    assert_eq!(world.provider().requests().count(), 4);
    Ok(())
}

#[tokio::test]
async fn retries_and_calls_of_answers_that_nobody_hears_count() -> Result {
    let fails = json!({
        "spend": { "max_calls_per_day": 5 }, "llm_providers": { "first": { "max_retries": 2 } },
    });
    let retried = world(fails).start().await?;
    retried.provider().always(Behaviour::Status(500, "{}".to_owned()));
    assert_eq!(settled(&retried, "bob", 1).await?["failed"], 1);
    let ledger = settled(&retried, "bob", 2).await?;
    assert_eq!(
        ledger["silenced"]["spend_calls"], 1,
        "the third try of the second was one too many: {ledger}"
    );
    assert_eq!(retried.provider().requests().count(), 5);

    let dry = json!({ "spend": { "max_calls_per_day": 2 }, "testing": { "dry_run": true } });
    let dry = world(dry).start().await?;
    for fired in 1..=2 {
        settled(&dry, "bob", fired).await?;
    }
    let ledger = settled(&dry, "bob", 3).await?;
    assert_eq!(ledger["silenced"], json!({ "dry_run": 2, "spend_calls": 1 }));

    let rejected = limited(json!({ "max_tokens_per_day": 1_500 })).start().await?;
    rejected.provider().always(Behaviour::answer("no"));
    let mut fired = 0;
    let ledger = loop {
        fired += 1;
        let ledger = settled(&rejected, "bob", fired).await?;
        if ledger["silenced"]["spend_tokens"] == 1 {
            break ledger;
        }
    };
    assert_eq!(ledger["silenced"]["rejected_short"], fired - 1);
    assert!((2..=12).contains(&fired), "{fired}");
    assert_eq!(rejected.stop().await?, Exit::Code(0));
    assert_eq!(saved(&rejected)["tokens"], (fired - 1) * USED);
    Ok(())
}

#[tokio::test]
async fn what_no_provider_can_have_used_is_not_believed() -> Result {
    let world = limited(json!({ "max_tokens_per_day": 100_000, "max_cost_per_day": 10 })).start().await?;
    for (number, usage) in [
        r#"{"prompt_tokens": -5, "completion_tokens": -5, "total_tokens": -10}"#,
        r#"{"prompt_tokens": 1e308, "completion_tokens": 1e308}"#,
        r#"{"prompt_tokens": "many", "completion_tokens": "more"}"#,
        r#"{"prompt_tokens": 18446744073709551615, "completion_tokens": 18446744073709551615}"#,
        r#"{"prompt_tokens": 0, "completion_tokens": 0}"#,
        r#"[1, {"deep": [[]]}]"#,
        r#""lots""#,
    ]
    .into_iter()
    .enumerate()
    {
        let usage: Value = serde_json::from_str(usage).expect("JSON");
        let text = format!("A fine answer to question {number}: {}.", "abcdefg".repeat(number + 1));
        let choices = json!([{ "message": { "content": text }, "finish_reason": "stop" }]);
        world.provider().next([Behaviour::Json(json!({ "choices": choices, "usage": usage }))]);
        let before = saved(&world)["tokens"].as_u64().unwrap_or_default();
        world.ask("bob", &format!("question {number}?")).await?;
        world.ledger().await?;
        let counted = saved(&world)["tokens"].as_u64().expect("a number") - before;
        assert!((256..5_000).contains(&counted), "what was reserved counts for {usage}: {counted}");
    }
    assert_eq!(world.ledger().await?["sent"], 7);
    assert_eq!(world.daemon.health().await?["status"], "healthy");
    Ok(())
}

#[tokio::test]
async fn a_state_file_that_can_not_be_read_or_written_is_told_and_stops_no_reply() -> Result {
    let launch = |launch: kryten_testkit::Launch| launch.file("state/spend.json", "{\"calls\": \"many\"");
    let broken = limited(json!({ "max_calls_per_day": 1 })).launch(launch).start().await?;
    let told = |line: &str| line.contains("counting from zero") && line.contains("spend.broken");
    broken.daemon.wait_for_log(Mark::START, SOON, told).await?;
    broken.ask("bob", "still there?").await?;
    assert_eq!(settled(&broken, "bob", 2).await?["silenced"]["spend_calls"], 1);
    assert_eq!(saved(&broken)["calls"], 1);
    let aside = std::fs::read_to_string(broken.daemon.folder().join("state/spend.broken")).expect("a file");
    assert_eq!(aside, "{\"calls\": \"many\"");

    let launch = |launch: kryten_testkit::Launch| launch.file("state", "a file where a folder should be");
    let stuck = limited(json!({ "max_calls_per_day": 2 })).launch(launch).start().await?;
    stuck.ask("bob", "one?").await?;
    stuck.ask("bob", "two?").await?;
    assert_eq!(settled(&stuck, "bob", 3).await?["silenced"]["spend_calls"], 1, "the limit holds in memory");
    let is_told = |line: &str| line.contains("can't be written down");
    stuck.daemon.wait_for_log(Mark::START, SOON, is_told).await?;
    let told = stuck.daemon.log().all().iter().filter(|line| is_told(&line.text)).count();
    assert_eq!(told, 1, "once a minute");
    assert_eq!(stuck.stop().await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn without_limits_no_state_is_written() -> Result {
    let world = limited(json!({})).start().await?;
    world.ask("bob", "what should we watch?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert!(!state_file(&world).exists());
    Ok(())
}

#[tokio::test]
async fn preview_keeps_to_what_the_service_has_left_and_writes_nothing() -> Result {
    let world = limited(json!({ "max_calls_per_day": 3, "soft_percent": 60 }))
        .config(json!({ "triggers": [{ "name": "tea", "patterns": ["tea time"] }] }))
        .start()
        .await?;
    world.ask("bob", "one?").await?;
    world.ask("bob", "two?").await?;
    world.ledger().await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let before = saved(&world);
    let preview = async |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["preview", "--user", "bob"]).args(arguments).current_dir(world.daemon.folder());
        let output = command.output().await.expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (_, unasked, _) = preview(&["tea time"]).await;
    assert!(unasked.contains("nobody asked, and 66 % of spend_calls is used up"), "{unasked}");
    let (code, text, errors) = preview(&["--ask", "--repeat", "2", "Cynthia, what to watch?"]).await;
    assert_eq!(code, Some(1), "{text}\n{errors}");
    assert!(text.contains("Answer 1 of 2"), "{text}");
    assert!(errors.contains("the spend limit spend_calls holds"), "{errors}");
    assert_eq!(calls_in_all(&world), 3);
    assert_eq!(saved(&world), before);
    Ok(())
}
