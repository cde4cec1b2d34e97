//! `kryten-llm preview`: what the bot would make of a message, by the service's own code.

use std::process::Command;

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Provider, Result};
use serde_json::{Value, json};

use crate::BINARY;

/// Runs a preview with this configuration and these files: exit code, output, errors.
fn preview(config: &Value, files: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::create_dir(folder.path().join("templates")).expect("a folder");
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("a file");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let output = Command::new(BINARY).args(arguments).current_dir(folder.path()).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// As for a service, but there is neither a bus nor, unless given, a provider.
fn config(provider: Option<&Provider>) -> Value {
    let base_url = provider.map_or("http://127.0.0.1:9/v1".to_owned(), Provider::base_url);
    json!({
        "nats": {"servers": ["nats://127.0.0.1:9"]},
        "channels": [{"domain": "cytu.be", "channel": "Lounge"}, {"domain": "cytu.be", "channel": "Movie.Night"}],
        "personality": {"character_name": "Cynthia", "name_variations": ["cyn"]},
        "triggers": [{"name": "tea", "patterns": ["tea"], "probability": 0}],
        "llm_providers": {"first": {"type": "openai_compatible", "base_url": base_url, "model": "m", "max_retries": 0}},
        "default_provider": "first", "spam_detection": {"admin_exempt_ranks": [4]},
    })
}

/// The text between two marks.
fn between<'text>(text: &'text str, from: &str, to: &str) -> &'text str {
    text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map_or("", |(part, _)| part)
}

#[tokio::test]
async fn the_prompt_is_exactly_what_the_service_asks() -> Result {
    let system = "I am {{ bot.name }}.";
    let launch = |launch: kryten_testkit::Launch| launch.file("templates/system.j2", system);
    let world = World::of(BINARY).launch(launch).start().await?;
    let message = "Cynthia, \"is\" <b>this</b> it?";
    world.robot.chat("bob", &kryten_testkit::chat::escape(message)).await?;
    let asked = world.provider().wait_for_request(kryten_testkit::Mark::START, SOON, |_| true).await?;
    let part = |at: usize| asked.json["messages"][at]["content"].as_str().unwrap_or_default().to_owned();
    assert_eq!(world.ledger().await?["sent"], 1);
    let before = world.provider().requests().count();
    let arguments = ["preview", "--config", "config.json", "--user", "bob", message];
    let output =
        Command::new(BINARY).args(arguments).current_dir(world.daemon.folder()).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(between(&text, "--- system prompt ---\n", "\n--- user"), part(0));
    assert_eq!(between(&text, "--- user prompt ---\n", "\n---"), part(1));
    assert_eq!(world.provider().requests().count(), before, "nobody is called");
    Ok(())
}

#[test]
fn every_check_is_shown_with_its_figures_and_the_one_that_failed() {
    let config = config(None);
    for (arguments, code, expected) in [
        (
            &["preview", "--user", "bob", "Cyn: hi there"][..],
            0,
            &[
                "In cytu.be/Lounge, bob says: Cyn: hi there",
                "  ok  listener",
                "  ok  duplicate",
                "  ok  own",
                "  ok  stale",
                "  ok  spam",
                "  ok  user_cooldown",
                "  ok  spend_soft",
                "Reply: mention \"cyn\", priority 10; the message without its trigger: hi there",
                "bob says to you: \"hi there\"",
            ][..],
        ),
        (
            &["preview", "--config", "config.json", "--user", "bob", "just chat"],
            0,
            &["  NO  no_trigger", "Silence: no_trigger"],
        ),
        (
            &["--config", "config.json", "preview", "--user", "bob", "tea?"],
            0,
            &["tea", "Silence: no_trigger"],
        ),
        (&["preview", "--user", "[server]", "Cynthia?"], 0, &["  NO  listener", "Silence: listener"]),
        (&["preview", "--user", "Cynthia", "I said it"], 0, &["  NO  own", "Silence: own"]),
        (
            &["preview", "--user", "bob", "--room", "movienight", "--rank", "4", "Cynthia?"],
            0,
            &["In cytu.be/Movie.Night", "rank 4"],
        ),
        (&["preview", "--user", "bob", "--", "-x Cynthia?"], 0, &["bob says: -x Cynthia?"]),
        (&["preview", "--user", "bob", "--room", "nowhere", "Cynthia?"], 2, &[]),
        (&["preview", "Cynthia?"], 2, &[]),
    ] {
        let (exit, text, errors) = preview(&config, &[], arguments);
        assert_eq!(exit, Some(code), "{arguments:?}\n{text}\n{errors}");
        for part in expected {
            assert!(text.contains(part), "{part} in {arguments:?}\n{text}");
        }
    }
}

#[test]
fn what_a_terminal_would_obey_is_escaped_and_broken_templates_are_named() {
    let files =
        [("templates/trigger.j2", "{{ x | nosuch }}"), ("templates/system.j2", "\u{1b}[2J{{ bot.name }}")];
    let message = "Cynthia \u{1b}[31m\u{202e}hi";
    let (exit, text, errors) = preview(&config(None), &files, &["preview", "--user", "b\u{7}ob", message]);
    assert_eq!(exit, Some(0), "{errors}");
    assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
    assert!(!text.contains('\u{202e}') && text.contains("\\u{1b}[2JCynthia"), "{text:?}");
    assert!(errors.contains("template trigger.j2 line 1: unknown filter"), "{errors}");
}

#[tokio::test]
async fn asking_shows_the_checked_and_formatted_answers() -> Result {
    let provider = Provider::start().await?;
    provider.next([
        Behaviour::answer("<think>hm</think>Cynthia: Anything\nwith **swords** in it. \u{1b}[2J"),
        Behaviour::answer("no"),
        Behaviour::CutByTokens("One whole sentence. And half of".to_owned()),
    ]);
    let config = config(Some(&provider));
    let shown = tokio::task::spawn_blocking(move || {
        let asked = ["preview", "--user", "bob", "--ask", "--repeat", "3", "Cynthia, what to watch?"];
        (
            preview(&config, &[], &asked),
            preview(&config, &[], &["preview", "--user", "bob", "--ask", "just chat"]),
        )
    });
    let ((exit, text, errors), (_, silence, _)) = shown.await.expect("no panic");
    assert_eq!(exit, Some(0), "{errors}");
    for part in [
        "Answer 1 of 3 by first (m) in ",
        "<think>hm</think>Cynthia: Anything\nwith",
        "Would be said:\n  < Anything with **swords** in it.",
        "Answer 2 of 3",
        "Would not be said: rejected_short",
        "cut by the token limit",
        "Would be said:\n  < One whole sentence.",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(silence.contains("Silence: no_trigger"), "{silence}");
    assert_eq!(provider.requests().count(), 3, "a silence asks nobody");
    let request = &provider.requests().all()[0];
    assert!(request.prompt().contains("bob says to you: \"what to watch\""), "{request}");
    Ok(())
}

#[test]
fn when_nobody_answers_it_says_why() {
    let (exit, text, errors) =
        preview(&config(None), &[], &["preview", "--user", "bob", "--ask", "Cynthia?"]);
    assert_eq!(exit, Some(1), "{text}");
    assert!(errors.contains("all providers failed; first: "), "{errors}");
    let mut keyless = config(None);
    keyless["llm_providers"]["first"]["type"] = json!("openai");
    let (exit, _, errors) = preview(&keyless, &[], &["preview", "--user", "bob", "--ask", "Cynthia?"]);
    assert_eq!(exit, Some(1), "{errors}");
    assert!(
        errors.contains("first can't be asked: ") && errors.contains("no provider could be asked"),
        "{errors}"
    );
}

#[test]
fn what_would_keep_a_reply_from_being_made_or_said_is_named() {
    for (changes, expected) in [
        (json!({}), ""),
        (
            json!({"spend": {"max_calls_per_day": 0}}),
            "Silence: spend_calls (no provider may be asked: no calls are allowed (0))",
        ),
        (
            json!({"llm_providers": {"first": {"type": "openai"}}}),
            "Silence: exhausted (no provider can be used)",
        ),
        (json!({"testing": {"dry_run": true}}), "The answer would not be said: dry_run"),
        (json!({"testing": {"send_to_chat": false}}), "The answer would not be said: dry_run"),
    ] {
        let mut config = config(None);
        kryten_testkit::config::merge(&mut config, changes.clone());
        let (exit, text, _) = preview(&config, &[], &["preview", "--user", "bob", "Cynthia?"]);
        assert_eq!(exit, Some(0), "{text}");
        let last = text.trim_end().lines().last().unwrap_or_default();
        assert_eq!(last, if expected.is_empty() { "---" } else { expected }, "{changes}: {text}");
    }
}
