//! Secrets stay secret: planted in the config, then looked for wherever the daemon writes.

use std::fs;
use std::path::Path;

use kryten_testkit::nats::{Auth, Settings};
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Context as _, Exit, Mark, Result, config};
use serde_json::{Value, json};

use crate::BINARY;

/// Stands in every planted secret, and nowhere else.
const PLANTED: &str = "planted";
const NATS_PASSWORD: &str = "planted-nats-password";
const KEY: &str = "planted-key-of-the-provider";
const OTHER_KEY: &str = "planted-key-of-the-other";
const READING: [&str; 9] = [
    "system.ping",
    "system.health",
    "system.reload",
    "context.recent",
    "personality.get",
    "triggers.list",
    "rate_limits.get",
    "providers.list",
    "decisions.recent",
];

fn planted() -> Value {
    let secrets = |key: &str| {
        json!({
            "api_key": key, "custom_headers": {"X-Team": "planted-in-a-header"},
            "extra_body": {"session": "planted-in-the-body"}, "max_retries": 0,
        })
    };
    json!({
        "nats": {"password": NATS_PASSWORD},
        "log_level": "DEBUG",
        "llm_providers": {"first": secrets(KEY), "second": secrets(OTHER_KEY)},
        "alerts": {"webhook_url": "https://hooks.example/planted-in-the-url"},
        "spend": {"max_calls_per_day": 1_000},
        "media_change": {"enabled": true},
    })
}

/// What each file below a folder holds, but for the config.
fn files(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).context("reading the daemon's folder")?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.file_name().is_none_or(|name| name != "config.json") {
            found.push((
                path.display().to_string(),
                String::from_utf8_lossy(&fs::read(&path).context("a file")?).into_owned(),
            ));
        }
    }
    Ok(found)
}

#[tokio::test]
async fn secrets_planted_in_the_config_are_nowhere_in_logs_bus_answers_processes_and_files() -> Result {
    let access =
        Settings { auth: Auth::UserPassword, password: NATS_PASSWORD.to_owned(), ..Settings::default() };
    let world = World::of(BINARY).providers(2).server(access).config(planted()).start().await?;

    // Both providers echo whatever they were sent, as errors and as an answer.
    let echo = format!("{{\"error\": {{\"message\": \"bad key {KEY} {OTHER_KEY} planted-in-a-header\"}}}}");
    world.providers[0].next([Behaviour::Status(401, echo.clone())]);
    world.providers[1].next([Behaviour::Status(500, echo)]);
    world.mention("bob", "one").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == 1).await?;
    world.ask("eve", "two").await?;
    let sent = world.providers[0].requests().all();
    let authorization = sent.first().and_then(|request| request.header("authorization"));
    assert_eq!(authorization, Some(&*format!("Bearer {KEY}")), "the secrets are really in use");

    // A changed key, a file that can't be used, and every command that reads.
    let mut changed = world.config.clone();
    config::merge(&mut changed, json!({"llm_providers": {"first": {"api_key": "planted-anew"}}}));
    world.daemon.write_config(&changed)?;
    let mut answers = Vec::new();
    for command in READING {
        answers.push(world.robot.ask("kryten.llm.command", json!({"command": command})).await?.to_string());
    }
    config::merge(&mut changed, json!({"llm_providers": {"first": {"max_tokens": -1}}}));
    world.daemon.write_config(&changed)?;
    answers
        .push(world.robot.ask("kryten.llm.command", json!({"command": "system.reload"})).await?.to_string());
    for page in ["/health", "/livez", "/readyz"] {
        answers.push(world.daemon.get(page).await?.1);
    }
    let command_line =
        fs::read_to_string(format!("/proc/{}/cmdline", world.daemon.pid())).unwrap_or_default();
    world.ledger().await?;
    assert_eq!(world.stop().await?, Exit::Code(0));

    let mut places: Vec<(String, String)> = files(world.daemon.folder())?;
    assert!(places.iter().any(|(path, _)| path.ends_with("spend.json")), "{places:?}");
    assert!(places.iter().any(|(path, _)| path.ends_with(".jsonl")), "{places:?}");
    places.push(("the command line".to_owned(), command_line));
    places.extend(answers.into_iter().map(|answer| ("an answer".to_owned(), answer)));
    let log: Vec<String> = world.daemon.log().all().iter().map(ToString::to_string).collect();
    assert!(log.iter().any(|line| line.contains("DEBUG")), "it says all that it can");
    places.push(("the log".to_owned(), log.join("\n")));
    let heard = world.recorder.since(Mark::START, ">");
    assert!(heard.len() > 5);
    places.extend(heard.iter().map(|message| (message.subject.clone(), message.json.to_string())));
    places.extend(world.robot.says.all().iter().map(|said| ("a line".to_owned(), said.request.to_string())));
    for (place, text) in places {
        assert!(!text.contains(PLANTED), "{place}: {text}");
    }
    Ok(())
}
