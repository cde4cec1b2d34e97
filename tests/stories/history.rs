//! The history: what happened is shown, whatever kills the daemon, and its file costs nothing else.

use std::fs;

use kryten_testkit::provider::{COMPLETION_TOKENS, PROMPT_TOKENS};
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Context as _, Exit, Mark, Result};
use serde_json::{Value, json};

use crate::BINARY;

const PAGE: &str = "/api/history?range=1h";

/// The sum of a figure over all minutes: a story may run over a border.
fn sum(history: &Value, pointer: &str) -> u64 {
    let minutes = history["minutes"].as_array().into_iter().flatten();
    minutes.filter_map(|minute| minute.pointer(pointer)?.as_u64()).sum()
}

fn list<'a>(history: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    history[name].as_array().into_iter().flatten()
}

#[tokio::test]
async fn what_happened_is_shown_and_survives_a_kill() -> Result {
    let mut world = World::of(BINARY).start().await?;
    world.robot.chat("ann", "nobody in particular").await?;
    world.ask("bob", "what to watch?").await?;
    world.provider().next([Behaviour::Status(500, "{}".into())]);
    world.mention("bob", "and then?").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == 1).await?;
    world.ledger().await?;
    let all_is_there = |history: &Value| {
        let counted = sum(history, "/messages") >= 3 && sum(history, "/errors") == 1;
        let failed = |change: &Value| (&change["from"], &change["to"]) == (&json!("ok"), &json!("failed"));
        counted && list(history, "providers").any(failed)
    };
    let history = world.daemon.wait_for_json(PAGE, SOON, all_is_there).await?;
    assert_eq!((&history["range"], &history["step_seconds"]), (&json!("1h"), &json!(60)));
    for (pointer, expected) in [
        ("/replies", 1),
        ("/silences/no_trigger", 1),
        ("/tokens/prompt", PROMPT_TOKENS),
        ("/tokens/completion", COMPLETION_TOKENS),
    ] {
        assert_eq!(sum(&history, pointer), expected, "{pointer}: {history}");
    }
    let latency = list(&history, "minutes").find_map(|minute| minute.pointer("/latency_ms/p99"));
    assert!(latency.is_some_and(Value::is_u64), "{history}");
    let first = list(&history, "transitions").next().expect("the start");
    assert_eq!((&first["from"], &first["to"]), (&Value::Null, &json!("healthy")), "{history}");
    assert_eq!(first["reason"], "for the first time since the start", "{history}");
    let to_failing = list(&history, "transitions").find(|change| change["to"] == "failing");
    let reason = to_failing.map(|change| &change["reason"]);
    assert_eq!(reason, Some(&json!("all LLM providers exhausted")), "{history}");
    assert!(list(&history, "minutes").any(|minute| minute["state"] == "failing"), "{history}");

    world.daemon.kill();
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    world.wait_until_up(mark).await?;
    world.ask("bob", "still there?").await?;
    let goes_on = |history: &Value| sum(history, "/replies") == 2;
    let history = world.daemon.wait_for_json(PAGE, SOON, goes_on).await?;
    assert!(all_is_there(&history), "{history}");

    // The second start is none of failing either.
    let starts = list(&history, "transitions").filter(|change| change["from"].is_null());
    assert_eq!(starts.map(|change| &change["to"]).collect::<Vec<_>>(), ["healthy", "healthy"], "{history}");
    let before = sum(&history, "/messages");
    world.robot.chat("ann", "the last word").await?;
    world.wait_for_health(SOON, |health| health["messages_processed"].as_u64() > Some(2)).await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    world.daemon.restart()?;
    let after = world.daemon.wait_for_json(PAGE, SOON, |history| sum(history, "/messages") > 0).await?;
    assert!(sum(&after, "/messages") > before, "what the last seconds counted is written at a stop: {after}");
    Ok(())
}

#[tokio::test]
async fn an_idle_minute_is_shown_failing_while_it_runs_and_so_it_is_after_a_kill() -> Result {
    let mut world = World::of(BINARY).proxied().start().await?;
    world.daemon.wait_for_json(PAGE, SOON, |history| list(history, "minutes").count() > 0).await?;
    world.cut_off().await?;
    // No message comes without a link, so nothing but the state tells of it.
    let is_failing = |history: &Value| list(history, "minutes").any(|minute| minute["state"] == "failing");
    world.daemon.wait_for_json(PAGE, SOON, is_failing).await?;
    world.daemon.kill();
    world.proxy()?.admit().await?;
    world.daemon.restart()?;
    world.daemon.wait_for_json(PAGE, SOON, is_failing).await.map(drop)
}

#[tokio::test]
async fn a_new_install_has_an_empty_history_at_once() -> Result {
    let world = World::of(BINARY).start_at_once().await?;
    let (status, first) = world.daemon.get(PAGE).await?;
    assert_eq!(status, 200, "{first}");
    // Also while the file is being made there is always a document.
    let has_a_minute = |history: &Value| {
        for name in ["minutes", "transitions", "providers"] {
            assert!(history[name].is_array(), "{name}: {history}");
        }
        assert!(history["providers_at_start"].is_object(), "{history}");
        list(history, "minutes").count() > 0
    };
    world.daemon.wait_for_json(PAGE, SOON, has_a_minute).await.map(drop)
}

#[tokio::test]
async fn a_broken_file_is_set_aside_and_a_new_one_is_begun() -> Result {
    let broken = "no history at all\n".repeat(1_000);
    let world = World::of(BINARY).launch(|launch| launch.file("state/history.db", &broken)).start().await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("it was set aside")).await?;
    world.daemon.wait_for_status(PAGE, 200, SOON).await?;
    let aside = world.daemon.folder().join("state/history.db.broken");
    assert_eq!(fs::read_to_string(aside).expect("set aside"), broken);
    assert_eq!(world.daemon.health().await?["status"], "healthy");
    Ok(())
}

#[tokio::test]
async fn a_file_that_can_not_be_written_costs_the_history_and_nothing_else() -> Result {
    // A folder where the file should be stops root, too.
    let world =
        World::of(BINARY).launch(|launch| launch.file("state/history.db/in-the-way", "")).start().await?;
    let unhealthy = |health: &Value| health.pointer("/components/history/healthy") == Some(&json!(false));
    let health = world.wait_for_health(SOON, unhealthy).await?;
    assert_eq!((&health["status"], &health["reason"]), (&json!("degraded"), &json!("unhealthy: history")));
    let message = health.pointer("/components/history/message").and_then(Value::as_str);
    assert!(message.is_some_and(|message| message.starts_with("the last write failed")), "{health}");
    let (status, answer) = world.daemon.get(PAGE).await?;
    let told: Value = serde_json::from_str(&answer).context("an answer")?;
    assert_eq!((status, &told), (503, &json!({ "error": message })), "the same words");
    world.ask("bob", "what to watch?").await?;

    fs::remove_dir_all(world.daemon.folder().join("state/history.db")).expect("gone");
    world.ask("bob", "and then?").await?;
    world.wait_for_health(SOON, |health| health["status"] == "healthy").await?;
    let history = world.daemon.wait_for_json(PAGE, SOON, |history| sum(history, "/replies") == 2).await?;
    assert!(
        list(&history, "transitions").any(|change| change["to"] == "degraded"),
        "kept meanwhile: {history}"
    );
    world.ledger().await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert_eq!(world.daemon.wait_for_lines("the history is not kept", 1).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_disk_that_hangs_costs_the_history_and_nothing_else() -> Result {
    let mut world =
        World::of(BINARY).launch(|launch| launch.file("state/history.db", "not empty")).start().await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    // SQLite looks into the journal beside a file before it does anything else, and this one never answers.
    let journal = world.daemon.folder().join("state/history.db-journal");
    let made = std::process::Command::new("mkfifo").arg(&journal).status();
    assert!(made.is_ok_and(|status| status.success()));
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    world.wait_until_up(mark).await?;
    world.ask("bob", "what to watch?").await?;
    let (status, body) = world.daemon.get(PAGE).await?;
    assert_eq!(
        (status, body.as_str()),
        (503, r#"{"error":"the history can't be read: its file does not answer: the disk hangs"}"#)
    );
    let told = |health: &Value| {
        let message = health.pointer("/components/history/message").and_then(Value::as_str);
        message == Some("a write takes more than 10 s")
    };
    world.wait_for_health(SOON, told).await?;
    world.ask("bob", "still there?").await?;

    let mark = world.recorder.mark();
    assert_eq!(world.stop().await?, Exit::Code(0));
    let goodbye = world.recorder.since(mark, "kryten.lifecycle.llm.shutdown");
    assert_eq!(goodbye.len(), 1);
    let log = world.daemon.log().all();
    let line = |words: &str| log.iter().find(|line| line.text.contains(words)).map(|line| line.at);
    let cut_off = line("history writer").expect("the writer is cut off");
    assert!(goodbye[0].at < cut_off, "nobody waited for it");
    Ok(())
}

/// Whether this user may give the daemon a file system of its own here.
#[cfg(target_os = "linux")]
fn may_mount() -> bool {
    let mount = ["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"];
    std::process::Command::new("unshare").args(mount).output().is_ok_and(|output| output.status.success())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_costs_the_history_and_nothing_else() -> Result {
    if !may_mount() {
        use std::io::Write;
        // To the terminal itself: the test harness keeps what a test prints, and nobody would see it.
        let _ =
            writeln!(std::io::stderr(), "\nSKIPPED: a full disk: no mounts in namespaces of one's own here");
        return Ok(());
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories/on_a_small_disk.sh");
    let world = World::of(script)
        .launch(|launch| launch.env("DAEMON", BINARY).file("state/hidden", ""))
        .start()
        .await?;
    world.ask("bob", "what to watch?").await?;
    world.daemon.wait_for_json(PAGE, SOON, |history| sum(history, "/replies") == 1).await?;
    let state = format!("/proc/{}/root{}", world.daemon.pid(), world.daemon.folder().join("state").display());
    let filler = std::path::Path::new(&state).join("filler");
    let filled = fs::write(&filler, vec![1; 2 << 20]).expect_err("a full disk");
    assert_eq!(filled.kind(), std::io::ErrorKind::StorageFull, "{filled}");
    world.ask("bob", "and then?").await?;
    let unhealthy = |health: &Value| health.pointer("/components/history/healthy") == Some(&json!(false));
    world.wait_for_health(SOON, unhealthy).await?;
    world.ask("bob", "and now?").await?;

    fs::remove_file(&filler).expect("room again");
    world.ask("bob", "at last?").await?;
    world.wait_for_health(SOON, |health| health["status"] == "healthy").await?;
    // Of a file on a disk that was full nothing is gone, and what waited is in it.
    world.daemon.wait_for_json(PAGE, SOON, |history| sum(history, "/replies") == 4).await?;
    world.ledger().await.map(drop)
}

#[tokio::test]
async fn without_a_history_the_page_says_so_and_no_file_is_made() -> Result {
    let world = World::of(BINARY).config(json!({ "history": { "enabled": false } })).start().await?;
    let (status, body) = world.daemon.get(PAGE).await?;
    assert_eq!((status, body.as_str()), (404, r#"{"error":"no history is kept: history.enabled is false"}"#));
    world.ask("bob", "what to watch?").await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert!(!world.daemon.folder().join("state/history.db").exists());
    Ok(())
}
