//! `kryten-llm watch`: every service on the bus, for people, as lines, and for cron.

use kryten_testkit::nats::{Auth, Settings};
use kryten_testkit::process::Process;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Context as _, Exit, Launch, Mark, Result, config, ports};
use serde_json::{Value, json};

use crate::BINARY;

/// Starts a watch, and waits until it listens.
async fn watch(world: &World, arguments: &[&str]) -> Result<Process> {
    let mark = world.recorder.mark();
    let arguments = [&["watch"], arguments].concat();
    let watch = world.daemon.beside(&arguments)?;
    // It asks everybody only once it listens.
    world.recorder.wait_since(mark, "kryten.service.discovery.poll", SOON, |_| true).await?;
    Ok(watch)
}

/// The first line behind `mark` that begins so; its time aside.
async fn line(watch: &Process, mark: Mark, beginning: &str) -> Result<String> {
    let said = |text: &str| text.split_once(' ').map(|(_, said)| said.to_owned()).unwrap_or_default();
    let found = watch.lines.wait_since(mark, format!("a line {beginning:?}"), SOON, |line| {
        said(&line.text).starts_with(beginning)
    });
    Ok(said(&found.await?.text))
}

fn document(watch: &Process) -> Result<Value> {
    let text = watch.stdout();
    serde_json::from_str(&text).context(format_args!("it printed {text:?}"))
}

/// The entry of a service in a document.
fn service<'document>(document: &'document Value, name: &str) -> &'document Value {
    let services = document["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    services.iter().find(|service| service["service"] == name).unwrap_or(&Value::Null)
}

const ONCE: [&str; 4] = ["--once", "--json", "--seconds", "2"];

#[tokio::test]
async fn once_says_how_every_service_is_and_ends_with_a_code_for_it() -> Result {
    let world = World::of(BINARY).start().await?;
    let once = watch(&world, &ONCE).await?;
    assert_eq!(once.wait_exit(SOON).await?, Exit::Code(0), "{}", once.stdout());
    let found = document(&once)?;
    assert_eq!(found["verdict"], "healthy", "{found}");
    let llm = service(&found, "llm");
    assert_eq!(
        (&llm["state"], &llm["providers"]),
        (&json!("healthy"), &json!({"first": "unknown"})),
        "{found}"
    );
    assert_eq!(
        llm["instance_id"],
        world.wait_for_beat(Mark::START, SOON, |_| true).await?.json["instance_id"]
    );
    assert!(llm["beat_age_seconds"].as_f64().is_some_and(|age| age < 2.0), "{found}");

    let once = watch(&world, &ONCE).await?;
    let beat = json!({"service": "economy", "health": "degraded", "health_reason": "no till"});
    world.robot.publish("kryten.service.heartbeat.economy", beat).await?;
    assert_eq!(once.wait_exit(SOON).await?, Exit::Code(1), "{}", once.stdout());
    let found = document(&once)?;
    let economy = service(&found, "economy");
    assert_eq!((&economy["state"], &economy["reason"]), (&json!("degraded"), &json!("no till")), "{found}");
    assert_eq!(service(&found, "llm")["state"], "healthy");

    world.provider().always(Behaviour::Status(500, "{}".to_owned()));
    world.mention("bob", "are you there?").await?;
    world.wait_until("failing", SOON).await?;
    let once = watch(&world, &["--once", "--seconds", "2"]).await?;
    assert_eq!(once.wait_exit(SOON).await?, Exit::Code(2), "{}", once.stdout());
    let table = once.stdout();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].starts_with("SERVICE"), "{table}");
    let llm = lines.iter().find(|line| line.starts_with("llm ")).unwrap_or(&"");
    assert!(llm.contains("failing") && llm.contains("first: failed"), "{table}");
    assert!(llm.ends_with("all LLM providers exhausted"), "{table}");
    Ok(())
}

#[tokio::test]
async fn a_service_that_should_be_there_and_is_not_is_missing() -> Result {
    let world = World::of(BINARY).start().await?;
    let once = watch(&world, &[&ONCE[..], &["--expect", "llm", "--expect", "Moderator"]].concat()).await?;
    assert_eq!(once.wait_exit(SOON).await?, Exit::Code(2), "{}", once.stdout());
    let found = document(&once)?;
    assert_eq!(service(&found, "moderator"), &json!({"service": "moderator", "state": "missing"}), "{found}");
    assert_eq!(service(&found, "llm")["state"], "healthy", "{found}");
    Ok(())
}

#[tokio::test]
async fn a_pipe_gets_a_line_when_a_service_falls_silent_comes_back_or_stops() -> Result {
    let world = World::of(BINARY).start().await?;
    let watch = watch(&world, &["--silent-after", "3"]).await?;
    let healthy = line(&watch, Mark::START, "llm healthy").await?;
    assert!(healthy.contains("instance: ") && healthy.ends_with("providers: first: unknown"), "{healthy}");
    let mark = watch.lines.mark();
    world.robot.publish("kryten.lifecycle.economy.heartbeat", json!({"health": "healthy"})).await?;
    line(&watch, mark, "economy healthy").await?;
    line(&watch, mark, "economy silent").await?;
    world.daemon.pause()?;
    line(&watch, mark, "llm silent").await?;
    let mark = watch.lines.mark();
    world.daemon.resume()?;
    line(&watch, mark, "llm healthy").await?;
    world.stop().await?;
    let stopped = line(&watch, mark, "llm stopped").await?;
    assert!(stopped.contains("reason: SIGTERM"), "{stopped}");
    watch.terminate()?;
    assert_eq!(watch.wait_exit(SOON).await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn a_lost_link_is_told_and_nobody_is_called_silent_for_it() -> Result {
    let mut world = World::of(BINARY).proxied().start().await?;
    let watch = watch(&world, &["--silent-after", "2"]).await?;
    line(&watch, Mark::START, "llm healthy").await?;
    let mark = watch.lines.mark();
    world.server.kill().await?;
    line(&watch, mark, "no link to NATS: ").await?;
    world.restart_server().await?;
    line(&watch, mark, "connected to NATS").await?;
    world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    let silent = watch.lines.since(mark).into_iter().find(|line| line.text.contains(" silent"));
    assert!(silent.is_none(), "{silent:?}");
    Ok(())
}

#[tokio::test]
async fn a_crowd_of_liars_is_bounded_and_reaches_no_terminal_raw() -> Result {
    let world = World::of(BINARY).start().await?;
    let once = watch(&world, &["--once", "--seconds", "3"]).await?;
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}";
    let beat = json!({"health": evil, "health_reason": evil.repeat(200), "hostname": evil, "instance_id": evil,
        "status": {"llm_providers": {evil: evil}}});
    let beat = beat.to_string();
    let flood = |number| (format!("kryten.service.heartbeat.fake{number}"), beat.clone());
    world.flood(1_000, None, flood).await?;
    for odd in ["", "null", "[]", "{\"health\": {}}", "\u{0}"] {
        world.robot.publish_raw("kryten.lifecycle.odd.heartbeat", odd).await?;
    }
    assert_eq!(once.wait_exit(SOON).await?, Exit::Code(1), "a word that nobody knows is no good health");
    let table = once.stdout();
    assert!(!table.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{table:?}");
    assert_eq!(table.lines().count(), 203, "{table}");
    assert_eq!(table.lines().last(), Some("there are more; they are left out"));
    assert!(table.len() < 200 * 4_000);
    Ok(())
}

#[tokio::test]
async fn without_nats_it_says_why_and_ends_with_the_services_codes() -> Result {
    let world = World::of(BINARY)
        .server(Settings { auth: Auth::UserPassword, ..Settings::default() })
        .start()
        .await?;
    let nobody = ports::free()?;
    for (change, code, words) in [
        (json!({"nats": {"servers": [format!("127.0.0.1:{nobody}")]}}), 69, "NATS can't be reached"),
        (json!({"nats": {"password": "wrong"}}), 77, "NATS refused the credentials"),
        (json!({"handler_timeout": 0}), 78, "handler_timeout"),
    ] {
        let mut config = world.config.clone();
        config::merge(&mut config, change);
        for command in [&["watch", "--once"][..], &["send", "hello"]] {
            let launch = command.iter().fold(Launch::new(BINARY), |launch, argument| launch.arg(*argument));
            let ended = launch.start(&config)?;
            assert_eq!(
                ended.wait_exit(SOON).await?,
                Exit::Code(code),
                "{command:?}: {:?}",
                ended.log().all()
            );
            assert_eq!(ended.stdout(), "", "{command:?}");
            ended.wait_for_log(Mark::START, SOON, |line| line.contains(words)).await?;
        }
    }
    Ok(())
}
