//! What HTTP says through a daemon's life: alive, ready, and how it is.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use kryten_testkit::config;
use kryten_testkit::nats::Server;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Daemon, Exit, Launch, Mark, Provider, Proxy, Recorder, Result, Room};
use serde_json::{Value, json};

use crate::BINARY;
use crate::outage::stamp;

async fn assert_pages(daemon: &Daemon, live: u16, ready: u16, health: u16) -> Result {
    for (path, expected) in [("/livez", live), ("/readyz", ready), ("/health", health)] {
        let (status, body) = daemon.get(path).await?;
        assert_eq!(status, expected, "{path}: {body}");
    }
    Ok(())
}

#[tokio::test]
async fn before_nats_is_up_it_is_alive_but_not_ready_and_ready_means_that_it_has_beaten() -> Result {
    let server = Server::start().await?;
    let proxy = Proxy::start(server.address()).await?;
    proxy.refuse().await?;
    let recorder = Recorder::start(&server).await?;
    let provider = Provider::start().await?;
    let mut config = config::base(&server, &[Room::new("cytu.be", "Lounge")], &[provider]);
    config["nats"] = server.config_section(proxy.address());
    let daemon = Launch::new(BINARY).start(&config)?;
    daemon.wait_for_log(Mark::START, SOON, |line| line.contains("no connection to NATS")).await?;
    assert_pages(&daemon, 200, 503, 503).await?;
    let (_, why) = daemon.get("/readyz").await?;
    assert_eq!(why, "not announced yet, NATS disconnected\n");
    let health = daemon.health().await?;
    assert_eq!(health["status"], "failing");
    assert_eq!(health["reason"], "NATS disconnected");
    assert_eq!(health["nats_connected"], false);

    proxy.admit().await?;
    daemon.wait_for_status("/readyz", 200, SOON).await?;
    let ready = chrono::Utc::now();
    // Both were handed over before; on a busy machine they may still be on their way.
    let startup = recorder.wait_since(Mark::START, "kryten.lifecycle.llm.startup", SOON, |_| true).await?;
    let beat = recorder.wait_since(Mark::START, "kryten.service.heartbeat.llm", SOON, |_| true).await?;
    assert!(stamp(&startup) <= stamp(&beat) && stamp(&beat) <= ready, "the first beat came before");
    assert_eq!(recorder.all("kryten.lifecycle.llm.startup").len(), 1);
    assert_pages(&daemon, 200, 200, 200).await
}

#[tokio::test]
async fn while_the_link_is_lost_it_is_alive_but_not_ready() -> Result {
    let world = World::of(BINARY).proxied().start().await?;
    world.daemon.wait_for_status("/readyz", 200, SOON).await?;
    assert_pages(&world.daemon, 200, 200, 200).await?;
    #[cfg(target_os = "linux")]
    assert_eq!(listening_ports(world.daemon.pid())?, 1);
    let lost = world.stopwatch();
    world.proxy()?.refuse().await?;
    world.proxy()?.cut().await?;
    let why = world.daemon.wait_for_status("/readyz", 503, SOON).await?;
    let took = lost.fair_time(Instant::now());
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(why, "NATS disconnected\n");
    assert_pages(&world.daemon, 200, 503, 503).await?;
    let admitted = world.stopwatch();
    world.proxy()?.admit().await?;
    world.daemon.wait_for_status("/readyz", 200, SOON).await?;
    let took = admitted.fair_time(Instant::now());
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_pages(&world.daemon, 200, 200, 200).await?;
    Ok(())
}

#[tokio::test]
async fn req_010_a_stalled_loop_is_not_alive_and_is_named() -> Result {
    for place in ["decider", "intake"] {
        let world = World::of(BINARY).start().await?;
        let stalled = Instant::now();
        world.robot.chat("bob", &format!("test-hook stall {place} 8")).await?;
        let why = world.daemon.wait_for_status("/livez", 503, SOON).await?;
        assert!(stalled.elapsed() < Duration::from_secs(5), "{:?}", stalled.elapsed());
        assert_eq!(why, format!("stalled: {place}\n"));
        let (_, verbose) = world.daemon.get("/livez?verbose").await?;
        assert!(verbose.contains(&format!("[-]{place} failed")), "{verbose}");
        assert!(verbose.contains("[+]nats ok"), "{verbose}");
        assert_eq!(world.daemon.get("/health").await?.0, 503);
        world.daemon.wait_for_status("/livez", 200, SOON).await?;
        world.daemon.wait_for_status("/health", 200, SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn while_stopping_it_is_alive_but_not_ready() -> Result {
    let world = World::of(BINARY).start().await?;
    world.provider().next([Behaviour::Hold("This is my last word on it.".to_owned())]);
    world.mention("bob", "one more?").await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    world.daemon.terminate()?;
    let why = world.daemon.wait_for_status("/readyz", 503, SOON).await?;
    assert_eq!(why, "stopping\n");
    assert_pages(&world.daemon, 200, 503, 200).await?;
    assert_eq!(world.daemon.health().await?["ledger"]["in_flight"], 1);
    world.provider().release();
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn req_010_health_has_the_keys_that_there_have_always_been_and_the_ledger() -> Result {
    let world = World::of(BINARY).providers(2).start().await?;
    world.ask("bob", "how are you?").await?;
    world.provider().next([Behaviour::Status(400, "{}".to_owned())]);
    world.providers[1].next([Behaviour::Status(400, "{}".to_owned())]);
    world.mention("bob", "and now?").await?;
    world.robot.chat("ann", "/me waves").await?;
    // Messages are counted when they come in, what becomes of them a little later.
    let settled = |health: &Value| {
        health["messages_processed"] == 4
            && health["ledger"]["failed"] == 1
            && health["ignored"]["own"] == 1
            && health["ignored"]["listener"] == 1
    };
    let health = world.wait_for_health(SOON, settled).await?;
    world.ledger().await?;
    let expected = json!({
        "service": "llm",
        "nats_connected": true,
        "personality": "Cynthia",
        "default_provider": "first",
        "dry_run": false,
        "messages_processed": 4,
        "responses_sent": 1,
        "errors_count": 1,
        "providers_ok": 1,
        "providers_failed": 0,
        "trigger_fires": 2,
        "rate_limit_hits": 0,
        "spam_detected": 0,
        "validation_failures": 0,
        "media_changes": 0,
        "unique_users": 1,
        "triggers_configured": 0,
        "context_log_size": 1,
        "providers_configured": 2,
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(health.get(key), Some(value), "{key}: {health}");
    }
    assert_eq!(health["status"], "degraded", "one error of four messages");
    assert!(health["uptime_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    let ledger = json!({
        "fired": 2, "sent": 1, "silenced": {}, "failed": 1, "in_doubt": 0, "abandoned": 0, "in_flight": 0,
    });
    assert_eq!(health["ledger"], ledger);
    // Her "/me", and the echo of our line.
    assert_eq!(health["ignored"], json!({ "listener": 1, "own": 1 }));
    let has_null =
        |value: &Value| value.as_object().is_some_and(|fields| fields.values().any(Value::is_null));
    assert!(!has_null(&health), "{health}");
    Ok(())
}

#[tokio::test]
async fn switched_off_there_is_no_http_and_none_is_announced() -> Result {
    let changes =
        json!({ "metrics": { "enabled": false, "host": "0.0.0.0", "advertise": "bot.example.org:80" } });
    let world = World::of(BINARY).config(changes).start().await?;
    let discovery = world.recorder.wait_for("kryten.service.discovery", SOON, |_| true).await?;
    assert_eq!(discovery.json["features"], json!(["chat"]));
    assert_eq!(discovery.json.get("metadata"), None);
    world.ask("bob", "do you answer?").await?;
    #[cfg(target_os = "linux")]
    assert_eq!(listening_ports(world.daemon.pid())?, 0);
    assert_eq!(world.stop().await?, Exit::Code(0));
    let event = world.recorder.wait_for("kryten.lifecycle.llm.shutdown", SOON, |_| true).await?;
    assert_eq!(event.json["responses_sent"], 1);
    assert!(!world.daemon.log().all().iter().any(|line| line.text.contains("HTTP is up")));
    Ok(())
}

/// How many TCP ports a process listens on.
#[cfg(target_os = "linux")]
fn listening_ports(pid: u32) -> Result<usize> {
    use kryten_testkit::Context as _;
    let mut sockets = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).context("reading the daemon's files")? {
        let target =
            entry.and_then(|entry| std::fs::read_link(entry.path())).context("reading a file's name")?;
        let target = target.to_string_lossy().into_owned();
        sockets.extend(target.strip_prefix("socket:[").map(|inode| inode.trim_end_matches(']').to_owned()));
    }
    let mut count = 0;
    for table in ["tcp", "tcp6"] {
        let path = format!("/proc/{pid}/net/{table}");
        let Ok(table) = std::fs::read_to_string(&path) else { continue };
        // The fourth field is the state, 0A for listening; the tenth is the socket's inode.
        let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let listens = |row: &Vec<&str>| {
            row.get(3) == Some(&"0A")
                && row.get(9).is_some_and(|inode| sockets.iter().any(|socket| socket == inode))
        };
        count += rows.filter(listens).count();
    }
    Ok(count)
}

#[tokio::test]
async fn a_port_in_use_ends_it_at_once_with_69_and_a_clear_error() -> Result {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let world = World::of(BINARY).config(json!({ "metrics": { "port": port } })).start_at_once().await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(69));
    let told = |line: &str| {
        line.contains("ERROR") && line.contains(&format!("127.0.0.1:{port}")) && line.contains("metrics.port")
    };
    world.daemon.wait_for_log(Mark::START, SOON, told).await?;
    world.recorder.settle(SOON).await?;
    let said = world.recorder.all("kryten.>").into_iter().filter(|message| message.text("/service") == "llm");
    assert_eq!(said.count(), 0, "nothing was announced");
    Ok(())
}

#[tokio::test]
async fn an_address_of_another_machine_ends_it_with_69_and_the_setting_to_change() -> Result {
    // Set aside for documentation: no machine has it.
    let metrics = json!({ "metrics": { "host": "192.0.2.1", "token": "a-token" } });
    let world = World::of(BINARY).config(metrics).start_at_once().await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(69));
    let told = |line: &str| line.contains("ERROR") && line.contains("; change metrics.host to an address of");
    world.daemon.wait_for_log(Mark::START, SOON, told).await?;
    Ok(())
}

#[tokio::test]
async fn the_path_of_the_snapshot_is_the_operators_and_nothing_else_is_found() -> Result {
    let world =
        World::of(BINARY).config(json!({ "metrics": { "health_path": "/how/are/you" } })).start().await?;
    for (path, expected) in
        [("/how/are/you", 200), ("/how/are/you?verbose", 200), ("/health", 404), ("/", 200)]
    {
        assert_eq!(world.daemon.get(path).await?.0, expected, "{path}");
    }
    Ok(())
}
