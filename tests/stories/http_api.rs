//! What the dashboard asks for, through a daemon's life.

use std::time::{Duration, Instant};

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Context as _, Error, Exit, Result, Room};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::commands::data;
use crate::BINARY;

/// A page that is a JSON document.
async fn page(world: &World, path: &str) -> Result<Value> {
    let (status, body) = world.daemon.get(path).await?;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).context(format_args!("{path} says {body:?}"))
}

/// The one of a list with this name.
fn named<'list>(list: &'list Value, key: &str, name: &str) -> &'list Value {
    let found = list.as_array().and_then(|list| list.iter().find(|entry| entry[key] == name));
    found.unwrap_or_else(|| panic!("no {name} in {list}"))
}

#[tokio::test]
async fn the_status_and_the_decisions_tell_what_happened() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Other")];
    let limits = json!({"rate_limits": {
        "global_max_per_minute": 1, "global_cooldown_seconds": 0, "user_cooldown_seconds": 0,
        "mention_cooldown_seconds": 0,
    }, "spend": {"max_calls_per_day": 2}});
    let world = World::of(BINARY).rooms(rooms).providers(2).config(limits).start().await?;
    world.provider().next([Behaviour::Status(401, "{}".to_owned())]);
    world.ask("bob", "how are you?").await?;
    data(&world, json!({"command": "chat.pause", "channel": "Other", "duration_seconds": 60})).await?;
    world.mention("eve", "and me?").await?;
    let held =
        |health: &Value| health["ledger"]["sent"] == 1 && health["ledger"]["silenced"]["global_minute"] == 1;
    world.wait_for_health(SOON, held).await?;

    let status = page(&world, "/api/status").await?;
    assert_eq!(named(&status["providers"], "name", "first")["status"], "failed");
    assert_eq!(named(&status["providers"], "name", "second")["status"], "ok");
    let lounge = json!({"channel": "Lounge", "domain": "cytu.be", "paused": false});
    assert_eq!(named(&status["rooms"], "channel", "Lounge"), &lounge);
    let other = named(&status["rooms"], "channel", "Other");
    assert!(other["paused"] == true && other["paused_until"].is_string(), "{other}");
    let minute = named(&status["limits"], "name", "global_minute");
    assert_eq!((&minute["used"], &minute["max"]), (&json!(1), &json!(1)));
    let frees_in = minute["frees_in_seconds"].as_f64();
    assert!(frees_in.is_some_and(|seconds| seconds > 40.0 && seconds <= 60.0), "{minute}");
    let calls = named(&status["spend"], "name", "max_calls_per_day");
    assert_eq!([&calls["used"], &calls["max"], &calls["soft"]], [&json!(2), &json!(2), &json!(true)]);
    let midnight = calls["frees_in_seconds"].as_f64();
    assert!(midnight.is_some_and(|seconds| seconds > 0.0 && seconds <= 90_000.0), "{calls}");
    assert_eq!(status["figures"]["responses_sent"], 1);
    assert_eq!(status["nats_connected"], true);
    assert!(status["link_ms"].is_number(), "{status}");

    // Every service on the bus, us among them.
    let beat = json!({"instance_id": "theirs", "health": "degraded", "version": "2.0"}).to_string();
    let neighbour = world.server.client().await?;
    neighbour.publish("kryten.service.heartbeat.economy", beat.into()).await.context("a beat")?;
    neighbour.flush().await.context("a beat")?;
    let is_heard = |status: &Value| status["services"].as_array().is_some_and(|services| services.len() == 2);
    let heard = world.daemon.wait_for_json("/api/status", SOON, is_heard).await?;
    let economy = named(&heard["services"], "service", "economy");
    assert_eq!((&economy["standing"], &economy["is_us"]), (&json!("degraded"), &json!(false)));
    assert!(economy["beat_age_seconds"].is_number(), "{economy}");
    let ours = named(&heard["services"], "service", "llm");
    assert_eq!((&ours["standing"], &ours["is_us"]), (&json!("healthy"), &json!(true)), "{heard}");

    let why = page(&world, "/api/decisions?user=eve&fired=true").await?;
    assert_eq!(why["decisions"][0]["reason"], "global_minute", "{why}");
    let all = page(&world, "/api/decisions").await?;
    let ends: Vec<_> =
        all["decisions"].as_array().into_iter().flatten().map(|one| &one["decision"]).collect();
    assert_eq!(ends, ["silence", "reply"], "{all}");
    let (status, error) = world.daemon.get("/api/decisions?channel=Nowhere").await?;
    assert_eq!((status, error.contains("Channel not found: Nowhere")), (400, true), "{error}");
    world.ledger().await?;
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_asked_is_refused_alike_by_every_page_that_takes_parameters() -> Result {
    let world = World::of(BINARY).start_at_once().await?;
    for page in ["/api/decisions", "/api/history"] {
        for (query, told) in [
            ("since=1", "since: is unknown; there "),
            ("limit=0", "limit: "),
            ("range=2h", "range: "),
            ("limit=1&range=1h", ": is unknown; there "),
            ("limit=1&limit=1", "limit: is "),
            ("range=1h&range=1h", "range: is "),
        ] {
            let path = format!("{page}?{query}");
            let (status, answer) = world.daemon.get(&path).await?;
            let answer: Value = serde_json::from_str(&answer).context(format_args!("{path}: {answer}"))?;
            let error = answer["error"].as_str().unwrap_or_default();
            assert_eq!((status, error.contains(told)), (400, true), "{path}: {answer}");
        }
    }
    let (status, answer) = world.daemon.get("/api/history?range=2h").await?;
    let told = r#"{"error":"range: must be 1h, 24h, 7d or 30d; there is: range (1h, 24h, 7d or 30d)"}"#;
    assert_eq!((status, answer.as_str()), (400, told));
    Ok(())
}

#[tokio::test]
async fn a_stalled_decider_is_told_and_hangs_nobody() -> Result {
    let world = World::of(BINARY).start().await?;
    world.robot.chat("bob", "test-hook stall decider 10").await?;
    world.daemon.wait_for_status("/livez", 503, SOON).await?;
    let asked = Instant::now();
    let status = page(&world, "/api/status").await?;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(status["decider"], "no answer");
    assert_eq!(status["health"]["state"], "failing");
    world.daemon.wait_for_status("/livez", 200, SOON).await?;
    assert_eq!(page(&world, "/api/status").await?.get("decider"), None);
    Ok(())
}

/// Reads events as they come.
struct Events(BufReader<TcpStream>);

impl Events {
    /// HTTP/1.0, so that they come as they are.
    async fn of(world: &World) -> Result<Self> {
        let address = world.daemon.http_address().await?;
        let mut stream = TcpStream::connect(address).await.context("connecting")?;
        let request = format!("GET /api/events HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.context("asking for events")?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The next line; none at the end.
    async fn line(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        let read = timeout(SOON, self.0.read_line(&mut line)).await;
        let bytes = read.map_err(|_| Error::new("waited too long for a line of events"))?;
        Ok((bytes.context("reading events")? > 0).then(|| line.trim_end().to_owned()))
    }

    /// The data of the next event of this kind that is as wanted.
    async fn wait_for(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let begin = format!("event: {kind}");
        while let Some(line) = self.line().await? {
            if line != begin {
                continue;
            }
            let data = self.line().await?.unwrap_or_default();
            let data: Value = serde_json::from_str(data.trim_start_matches("data: ")).context("event")?;
            if wanted(&data) {
                return Ok(data);
            }
        }
        Err(Error::new(format!("the events ended before there was such a {kind}")))
    }
}

#[tokio::test]
async fn events_tell_of_decisions_and_transitions_and_end_with_the_service() -> Result {
    let world = World::of(BINARY).proxied().start().await?;
    world.daemon.wait_for_status("/readyz", 200, SOON).await?;
    let mut events = Events::of(&world).await?;
    events.wait_for("status", |status| status["health"]["state"] == "healthy").await?;
    world.ask("bob", "how are you?").await?;
    let replied = |told: &Value| told["decisions"].to_string().contains(r#""decision":"reply""#);
    let told = events.wait_for("decisions", replied).await?;
    assert!(told.to_string().contains(r#""username":"bob""#), "{told}");
    world.ledger().await?;

    world.proxy()?.refuse().await?;
    world.proxy()?.cut().await?;
    let lost = events.wait_for("transition", |_| true).await?;
    assert_eq!((&lost["from"], &lost["to"]), (&json!("healthy"), &json!("failing")), "{lost}");
    events.wait_for("status", |status| status["nats_connected"] == false).await?;
    world.proxy()?.admit().await?;
    let back = events.wait_for("transition", |_| true).await?;
    assert_eq!(back["to"], "healthy", "{back}");

    world.daemon.terminate()?;
    while events.line().await?.is_some() {}
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn the_dashboard_comes_without_a_token_and_its_data_does_not() -> Result {
    let world = World::of(BINARY).config(json!({"metrics": {"token": "s3cret"}})).start_at_once().await?;
    for (path, expected) in [
        ("/", 200),
        ("/dashboard.css", 200),
        ("/dashboard.js", 200),
        ("/favicon.svg", 200),
        ("/api/status", 401),
        ("/api/decisions", 401),
        ("/api/events", 401),
        ("/health", 401),
    ] {
        assert_eq!(world.daemon.get(path).await?.0, expected, "{path}");
    }
    Ok(())
}
