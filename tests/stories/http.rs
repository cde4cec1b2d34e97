//! The pages for machines: alive, ready, and the health snapshot.

use kryten_testkit::nats::Server;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Result, Room, config};
use serde_json::json;

use crate::BINARY;

/// The statuses of `/livez`, `/readyz` and `/health`.
async fn statuses(world: &World) -> Result<[u16; 3]> {
    let mut statuses = [0; 3];
    for (status, path) in statuses.iter_mut().zip(["/livez", "/readyz", "/health"]) {
        *status = world.daemon.get(path).await?.0;
    }
    Ok(statuses)
}

#[tokio::test]
async fn the_probes_tell_a_start_without_nats_from_one_with_it() -> Result {
    let mut world = World::of(BINARY).proxied().start().await?;
    world.proxy()?.refuse().await?;
    world.daemon.kill();
    world.daemon.restart()?;
    assert_eq!(statuses(&world).await?, [200, 503, 503], "alive, not ready, failing");
    let (_, why) = world.daemon.get("/readyz").await?;
    assert_eq!(why, "not announced yet, NATS disconnected\n");
    let health = world.daemon.health().await?;
    assert_eq!((&health["status"], &health["nats_connected"]), (&json!("failing"), &json!(false)));
    assert_eq!(health["reason"], "NATS disconnected");

    let mark = world.recorder.mark();
    world.proxy()?.admit().await?;
    world.wait_until_up(mark).await?;
    // The first beat is the last step of the start; whoever hears the next one finds us ready.
    world.wait_until("healthy", SOON).await?;
    assert_eq!(statuses(&world).await?, [200, 200, 200]);
    assert_eq!(world.daemon.get("/readyz").await?.1, "ok\n");
    assert_eq!(world.daemon.get("/else").await?.0, 404);

    // The link goes: nothing that a restart would mend.
    world.proxy()?.refuse().await?;
    world.proxy()?.cut().await?;
    world.wait_for_health(SOON, |health| health["nats_connected"] == false).await?;
    assert_eq!(statuses(&world).await?, [200, 503, 503]);
    let mark = world.recorder.mark();
    world.proxy()?.admit().await?;
    world.wait_until_up(mark).await?;
    world.wait_until("healthy", SOON).await?;
    assert_eq!(statuses(&world).await?, [200, 200, 200]);
    Ok(())
}

#[tokio::test]
async fn a_stalled_decider_is_not_alive_until_it_goes_on() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.chat("bob", "test-hook stall decider 5").await?;
    world.wait_for_health(SOON, |health| health["status"] == "failing").await?;
    let (status, why) = world.daemon.get("/livez").await?;
    assert_eq!((status, why.as_str()), (503, "stalled: decider\n"));
    let (_, all) = world.daemon.get("/livez?verbose").await?;
    assert!(all.contains("[-]decider failed: no progress") && all.contains("[+]nats ok"), "{all}");
    world.wait_for_health(SOON, |health| health["status"] == "healthy").await?;
    assert_eq!(world.daemon.get("/livez").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn while_stopping_we_are_alive_but_not_ready() -> Result {
    let world = World::of(BINARY).start().await?;
    world.provider().next([Behaviour::Hold("Goodbye, everybody out there.".to_owned())]);
    world.mention("bob", "one last word?").await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    world.daemon.terminate()?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("stopping")).await?;
    assert_eq!(statuses(&world).await?, [200, 503, 200]);
    assert_eq!(world.daemon.get("/readyz").await?.1, "stopping\n");
    assert_eq!(world.daemon.health().await?["ledger"]["in_flight"], 1);
    world.provider().release();
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    assert_eq!(world.robot.says.count(), 1);
    Ok(())
}

#[tokio::test]
async fn req_010_the_snapshot_has_every_key_that_it_ever_had_and_the_ledger() -> Result {
    let world = World::of(BINARY).start().await?;
    world.ask("bob", "how are you?").await?;
    world.ledger().await?;
    let health = world.daemon.health().await?;
    let expected = json!({
        "service": "llm",
        "status": "healthy",
        "nats_connected": true,
        "personality": "Cynthia",
        "default_provider": "first",
        "dry_run": false,
        "messages_processed": 2,
        "responses_sent": 1,
        "errors_count": 0,
        "providers_ok": 1,
        "providers_failed": 0,
        "trigger_fires": 1,
        "rate_limit_hits": 0,
        "spam_detected": 0,
        "validation_failures": 0,
        "media_changes": 0,
        "unique_users": 1,
        "triggers_configured": 0,
        "context_log_size": 0,
        "providers_configured": 1,
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(health.get(key), Some(value), "{key}");
    }
    assert!(health["uptime_seconds"].as_f64().is_some_and(|uptime| uptime > 0.0));
    assert_eq!((&health["ledger"]["fired"], &health["ledger"]["sent"]), (&json!(1), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn without_metrics_nothing_listens_and_nothing_is_advertised() -> Result {
    let changes = json!({ "metrics": { "enabled": false, "advertise": "bot.example.org:80" } });
    let world = World::of(BINARY).config(changes).start().await?;
    let startup = world.recorder.wait_for("kryten.lifecycle.llm.startup", SOON, |_| true).await?;
    let discovery = world.recorder.wait_for("kryten.service.discovery", SOON, |_| true).await?;
    assert_eq!(startup.json.get("metadata"), None, "{startup}");
    assert_eq!(discovery.json.get("metadata"), None, "{discovery}");
    assert_eq!(discovery.json["features"], json!(["chat"]));
    world.ask("bob", "can you work like that?").await?;
    assert!(!world.daemon.log().all().iter().any(|line| line.text.contains("HTTP is up")));
    #[cfg(target_os = "linux")]
    assert_eq!(listening_sockets(world.daemon.pid())?, 0);
    assert_eq!(world.stop().await?, Exit::Code(0));
    let stopped = world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("INFO stopped")).await?;
    assert!(stopped.text.contains("responses_sent=1"), "{}", stopped.text);
    Ok(())
}

/// How many TCP ports a process listens on.
#[cfg(target_os = "linux")]
fn listening_sockets(pid: u32) -> Result<usize> {
    use kryten_testkit::Context;
    let mut inodes = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).context("reading the daemon's files")? {
        let target =
            entry.and_then(|entry| std::fs::read_link(entry.path())).context("reading a file's name")?;
        let target = target.to_string_lossy().into_owned();
        inodes.extend(target.strip_prefix("socket:[").map(|rest| rest.trim_end_matches(']').to_owned()));
    }
    let mut count = 0;
    for table in ["tcp", "tcp6"] {
        let path = format!("/proc/{pid}/net/{table}");
        let table = std::fs::read_to_string(&path).context(&path)?;
        // The fourth field is the state, 0A for listening; the tenth is the inode.
        count += table
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields.get(3) == Some(&"0A"))
            .filter(|fields| fields.get(9).is_some_and(|inode| inodes.iter().any(|known| known == inode)))
            .count();
    }
    Ok(count)
}

#[tokio::test]
async fn a_port_in_use_is_told_at_once_with_what_to_do() -> Result {
    let server = Server::start().await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let mut settings = config::base(&server, &[Room::new("cytu.be", "Lounge")], &[]);
    config::merge(
        &mut settings,
        json!({
            "metrics": { "port": port },
            "llm_providers": { "one": config::provider_section("one", "http://127.0.0.1:9/v1") },
            "default_provider": "one",
            "default_provider_priority": ["one"],
        }),
    );
    let daemon = kryten_testkit::Launch::new(BINARY).start(&settings)?;
    assert_eq!(daemon.wait_exit(SOON).await?, Exit::Code(69));
    let line = daemon.wait_for_log(Mark::START, SOON, |line| line.contains("ERROR")).await?.text;
    for words in [&format!("127.0.0.1:{port}"), "metrics.port", "metrics.enabled"] {
        assert!(line.contains(words), "{words}: {line}");
    }
    Ok(())
}
