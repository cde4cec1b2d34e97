//! The daemon's launcher, tried with a shell script in the daemon's place.

mod script;

use std::path::PathBuf;
use std::time::Duration;

use kryten_testkit::{Behaviour, Daemon, Exit, Launch, Mark, Provider, Result};
use script::script;
use serde_json::json;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);

fn start(body: &str) -> Result<(TempDir, Daemon)> {
    let (folder, path) = script(body)?;
    Ok((folder, Launch::new(path).start(&json!({}))?))
}

#[tokio::test]
async fn it_gets_config_arguments_environment_and_files_but_no_stray_settings() -> Result {
    let (_folder, path) = script("echo \"$@\"; cat config.json extra/file; env >&2")?;
    let launch = Launch::new(path).arg("--dry-run").env("KRYTEN_KEY", "open").file("extra/file", "more");
    let daemon = launch.start(&json!({ "a": 1 }))?;
    assert_eq!(daemon.wait_exit(SOON).await?, Exit::Code(0));
    assert_eq!(daemon.stdout(), "--config config.json --dry-run\n{\n  \"a\": 1\n}\nmore\n");
    let environment: Vec<String> =
        daemon.log().all().into_iter().filter(|line| line.stderr).map(|line| line.text).collect();
    assert!(environment.contains(&"KRYTEN_KEY=open".to_owned()), "{environment:?}");
    assert!(!environment.iter().any(|line| line.starts_with("CARGO_MANIFEST_DIR=")), "{environment:?}");
    Ok(())
}

#[tokio::test]
async fn its_log_is_live_and_signals_reach_it() -> Result {
    let (_folder, daemon) = start(
        "trap 'echo got HUP' HUP; trap 'echo got INT' INT; trap 'echo got TERM >&2; exit 7' TERM
         echo up; while true; do sleep 0.01; done",
    )?;
    daemon.wait_for_log(Mark::START, SOON, |line| line == "up").await?;
    daemon.hang_up()?;
    daemon.wait_for_log(Mark::START, SOON, |line| line == "got HUP").await?;
    daemon.interrupt()?;
    daemon.wait_for_log(Mark::START, SOON, |line| line == "got INT").await?;
    assert_eq!(daemon.exited(), None);
    daemon.terminate()?;
    assert_eq!(daemon.wait_exit(SOON).await?, Exit::Code(7));
    assert!(daemon.log().all().iter().any(|line| line.stderr && line.text == "got TERM"));
    let error = daemon.terminate().expect_err("a process that has ended took a signal").to_string();
    assert!(error.contains("Code(7)"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_paused_one_stands_still_and_goes_on() -> Result {
    let (_folder, daemon) = start("while true; do echo tick; sleep 0.01; done")?;
    daemon.wait_for_log(Mark::START, SOON, |_| true).await?;
    daemon.pause()?;
    // What was written before the signal may still be on its way.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mark = daemon.log().mark();
    let ticked = daemon.wait_for_log(mark, Duration::from_millis(200), |_| true).await;
    assert!(ticked.is_err(), "it ticked while it was stopped");
    daemon.resume()?;
    daemon.wait_for_log(mark, SOON, |line| line == "tick").await.map(drop)
}

#[tokio::test]
async fn a_dropped_one_is_gone_with_its_folder_even_when_paused() -> Result {
    let (_folder, daemon) = start("trap '' TERM INT HUP; echo up; while true; do sleep 0.01; done")?;
    daemon.wait_for_log(Mark::START, SOON, |line| line == "up").await?;
    let (folder, process) = (daemon.folder().to_owned(), PathBuf::from(format!("/proc/{}", daemon.pid())));
    assert!(folder.exists() && (process.exists() || !cfg!(target_os = "linux")));
    daemon.pause()?;
    drop(daemon);
    assert!(!folder.exists() && !process.exists());
    Ok(())
}

#[tokio::test]
async fn a_restarted_one_finds_its_folder_as_it_was() -> Result {
    let (_folder, mut daemon) = start("cat state 2>/dev/null; echo kept > state; cat config.json")?;
    assert_eq!(daemon.wait_exit(SOON).await?, Exit::Code(0));
    daemon.write_config(&json!({ "new": true }))?;
    daemon.restart()?;
    assert_eq!(daemon.wait_exit(SOON).await?, Exit::Code(0));
    assert_eq!(daemon.stdout(), "kept\n{\n  \"new\": true\n}\n");
    Ok(())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn its_memory_and_processor_time_are_known() -> Result {
    let (_folder, daemon) =
        start("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; kill -STOP $$")?;
    daemon.wait_for_log(Mark::START, SOON, |line| line == "done").await?;
    let (memory, time) = (daemon.resident_bytes()?, daemon.cpu_time()?);
    assert!((100_000..100_000_000).contains(&memory), "{memory}");
    assert!(time >= Duration::from_millis(20) && time < SOON, "{time:?}");
    Ok(())
}

#[tokio::test]
async fn its_http_server_is_found_by_its_log_and_asked() -> Result {
    let provider = Provider::start().await?;
    provider.always(Behaviour::Status(503, r#"{"status":"failing"}"#.to_owned()));
    let (_folder, daemon) = start(&format!("echo HTTP listens on {}; exec sleep 60", provider.address()))?;
    assert_eq!(daemon.http_address().await?, provider.address());
    assert_eq!(daemon.get("/readyz").await?, (503, r#"{"status":"failing"}"#.to_owned()));
    assert_eq!(daemon.health().await?["status"], "failing");
    assert_eq!(provider.requests().all()[0].path, "/readyz");
    Ok(())
}
