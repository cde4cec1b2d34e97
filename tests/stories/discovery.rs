//! Who we are, told unasked, to whoever asks, and after an outage (REQ-001, 004, 005, 006).

use std::time::{Duration, Instant};

use chrono::DateTime;
use kryten_testkit::nats::{self, Auth};
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Message, Result};
use serde_json::json;

use crate::BINARY;
use crate::shape::assert_like;

const STARTUP: &str = "kryten.lifecycle.llm.startup";
const DISCOVERY: &str = "kryten.service.discovery";
const POLL: &str = "kryten.service.discovery.poll";
/// What "at once" may take on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(500);
/// At most one announcement in so long.
const GAP_MILLISECONDS: f64 = 250.0;

/// Both announcements behind `mark`.
async fn announcement(world: &World, mark: Mark) -> Result<(Message, Message)> {
    let startup = world.recorder.wait_since(mark, STARTUP, SOON, |_| true).await?;
    let discovery = world.recorder.wait_since(mark, DISCOVERY, SOON, |_| true).await?;
    Ok((startup, discovery))
}

/// A poll with any body, and the announcements that answer it.
async fn poll(world: &World, body: &[u8]) -> Result<(Message, Message)> {
    let mark = world.recorder.mark();
    world.robot.publish_raw(POLL, body).await?;
    announcement(world, mark).await
}

#[tokio::test]
async fn req_001_the_announcements_have_exactly_their_shape_and_say_what_is_so() -> Result {
    // A host that others reach, so that there is something to advertise.
    let changes = json!({
        "metrics": { "host": "0.0.0.0" },
        "triggers": [{ "name": "kung fu", "patterns": ["kung fu"] }],
    });
    let world = World::of(BINARY).providers(2).config(changes).start().await?;
    let (startup, discovery) = announcement(&world, Mark::START).await?;
    assert_like("startup.json", &startup, &[]);
    assert_like("discovery.json", &discovery, &[]);
    let port = world.daemon.http_address().await?.port();
    for message in [&startup, &discovery] {
        assert_eq!(message.text("/service"), "llm");
        assert_eq!(message.text("/version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(message.text("/personality"), "Cynthia");
        assert_eq!(message.json["providers_configured"], 2);
        assert_eq!(message.json["triggers_loaded"], 1);
        assert_eq!(
            message.json["metadata"]["endpoints"],
            json!({
                "health": { "port": port, "path": "/health" },
                "metrics": { "port": port, "path": "/metrics" },
            })
        );
        assert!(message.text("/timestamp").ends_with("+00:00"), "{message}");
        let said = DateTime::parse_from_rfc3339(message.text("/timestamp")).expect("a time stamp");
        assert!((message.wall - said.to_utc()).num_milliseconds().abs() < 1_000, "{message}");
    }
    assert_eq!(startup.text("/event"), "startup");
    assert_eq!(discovery.text("/event"), "discovery");
    assert_eq!(discovery.json["features"], json!(["chat", "http"]));
    assert_eq!(discovery.json["channels"], json!([{ "domain": "cytu.be", "channel": "Lounge" }]));
    assert_eq!(discovery.json["heartbeat_interval_seconds"], 1);
    assert_eq!(
        discovery.json["providers"],
        json!([{ "name": "first", "model": "model-of-first" }, { "name": "second", "model": "model-of-second" }])
    );
    assert_eq!(startup.text("/instance_id"), discovery.text("/instance_id"));
    Ok(())
}

#[tokio::test]
async fn req_001_each_start_has_an_instance_id_of_its_own() -> Result {
    let mut world = World::of(BINARY).start().await?;
    let (first, _) = announcement(&world, Mark::START).await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    let (second, _) = announcement(&world, mark).await?;
    assert_eq!(first.text("/instance_id").len(), 36);
    assert_eq!(second.text("/instance_id").len(), 36);
    assert_ne!(first.text("/instance_id"), second.text("/instance_id"));
    Ok(())
}

#[tokio::test]
async fn req_001_what_nobody_else_reaches_is_not_advertised() -> Result {
    let world = World::of(BINARY).start().await?;
    assert!(world.daemon.http_address().await?.ip().is_loopback());
    let (startup, discovery) = announcement(&world, Mark::START).await?;
    let beat = world.recorder.wait_for("kryten.lifecycle.llm.heartbeat", SOON, |_| true).await?;
    for message in [&startup, &discovery, &beat] {
        assert_eq!(message.json.get("metadata"), None, "{message}");
    }
    assert_eq!(discovery.json["features"], json!(["chat"]));
    Ok(())
}

#[tokio::test]
async fn req_001_an_address_under_which_others_reach_us_is_advertised_instead_of_ours() -> Result {
    let changes = json!({ "metrics": { "advertise": "bot.example.org:8080", "health_path": "/how" } });
    let world = World::of(BINARY).config(changes).start().await?;
    let (startup, discovery) = announcement(&world, Mark::START).await?;
    let beat = world.recorder.wait_for("kryten.lifecycle.llm.heartbeat", SOON, |_| true).await?;
    let endpoint = |path: &str| json!({ "host": "bot.example.org", "port": 8080, "path": path });
    let expected = json!({ "health": endpoint("/how"), "metrics": endpoint("/metrics") });
    for message in [&startup, &discovery, &beat] {
        assert_eq!(message.json["metadata"]["endpoints"], expected, "{message}");
    }
    Ok(())
}

#[tokio::test]
async fn req_001_whoever_speaks_at_the_moment_of_the_announcement_is_heard() -> Result {
    let world = World::of(BINARY).start_at_once().await?;
    let startup = world.recorder.wait_for(STARTUP, SOON, |_| true).await?;
    assert_eq!(startup.json.get("re_announcement"), None);
    let mark = world.recorder.mark();
    world.robot.publish_raw(POLL, "").await?;
    world.mention("bob", "are you ready?").await?;
    world.recorder.wait_since(mark, STARTUP, SOON, |answer| answer.json["re_announcement"] == true).await?;
    world.robot.wait_for_say(Mark::START, SOON, |_| true).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn req_001_no_secret_is_in_anything_that_we_say() -> Result {
    let world = World::of(BINARY)
        .server(nats::Settings { auth: Auth::UserPassword, ..nats::Settings::default() })
        .providers(2)
        .config(json!({ "metrics": { "advertise": "bot.example.org:80" } }))
        .launch(|launch| launch.arg("--log-level").arg("DEBUG"))
        .start()
        .await?;
    // Providers that throw our key back at us.
    let echo = |status, key: &str| {
        Behaviour::Status(status, json!({ "error": format!("bad key: {key}") }).to_string())
    };
    world.providers[0].always(echo(401, "key-of-first"));
    world.providers[1].next([echo(400, "key-of-second")]);
    world.mention("bob", "what is your key?").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == 1).await?;
    world.ask("bob", "and now?").await?;
    poll(&world, b"").await?;
    let health = world.daemon.health().await?.to_string();
    assert_eq!(world.stop().await?, Exit::Code(0));

    let said = world.recorder.all(">").into_iter().map(|message| message.to_string());
    let lines = world.daemon.log().all().into_iter().map(|line| line.text);
    let spoken = world.robot.says.all().into_iter().map(|said| said.request.to_string());
    let texts: Vec<String> = said.chain(lines).chain(spoken).chain([health]).collect();
    assert!(texts.len() > 10, "there is something to look at");
    for secret in ["key-of-first", "key-of-second", nats::USER.1] {
        let leaks: Vec<&String> = texts.iter().filter(|text| text.contains(secret)).collect();
        assert!(leaks.is_empty(), "{secret}: {leaks:#?}");
    }
    let urls: Vec<String> = world.providers.iter().map(|provider| provider.address().to_string()).collect();
    let announced = world.recorder.all(DISCOVERY);
    assert!(announced.len() >= 2);
    for message in &announced {
        assert!(!urls.iter().any(|url| message.to_string().contains(url)), "no URL either: {message}");
    }
    Ok(())
}

#[tokio::test]
async fn req_004_a_poll_with_any_body_is_answered_at_once_with_the_same_announcement() -> Result {
    let world = World::of(BINARY).config(json!({ "metrics": { "host": "0.0.0.0" } })).start().await?;
    let (first, first_discovery) = announcement(&world, Mark::START).await?;
    for body in
        [&b""[..], b"{}", b"nonsense", b"\xff\xfe\x00", br#"{"service": "somebody"}"#, &[b'x'; 100_000]]
    {
        // Two beats later the gap behind any announcement is long over.
        let mark = world.recorder.mark();
        world.wait_for_beat(mark, SOON, |_| true).await?;
        let asked = world.stopwatch();
        let (startup, discovery) = poll(&world, body).await?;
        let took = asked.fair_time(discovery.at.max(startup.at));
        assert!(took < AT_ONCE, "{took:?}");
        for (mut answer, original) in [(startup, &first), (discovery, &first_discovery)] {
            assert_eq!(answer.json["re_announcement"], true, "{answer}");
            assert_eq!(answer.json.get("outage_seconds"), None, "{answer}");
            let fields = answer.json.as_object_mut().expect("an object");
            fields.shift_remove("re_announcement");
            for key in ["timestamp", "uptime_seconds"] {
                fields[key] = original.json[key].clone();
            }
            assert_eq!(answer.json, original.json);
        }
    }
    Ok(())
}

#[tokio::test]
async fn req_005_a_starting_robot_is_answered_at_once() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    world.wait_for_beat(mark, SOON, |_| true).await?;
    let mark = world.recorder.mark();
    let asked = world.stopwatch();
    world.robot.startup().await?;
    let (startup, discovery) = announcement(&world, mark).await?;
    assert!(asked.fair_time(discovery.at.max(startup.at)) < AT_ONCE);
    assert_like("startup_asked.json", &startup, &[]);
    assert_eq!(discovery.json["re_announcement"], true);
    // Whatever the body: the robot's second `startup` has keys of its own, another's may be broken.
    let mark = world.recorder.mark();
    world.wait_for_beat(mark, SOON, |_| true).await?;
    let mark = world.recorder.mark();
    world.robot.publish_raw("kryten.lifecycle.robot.startup", "nonsense").await?;
    announcement(&world, mark).await?;
    Ok(())
}

#[tokio::test]
async fn req_004_edge_case_a_flood_of_polls_is_answered_four_times_a_second_and_warned_of_once() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.recorder.mark();
    for _ in 0..1_000 {
        world.robot.publish_raw(POLL, "").await?;
    }
    world.robot.settle(SOON).await?;
    let last_poll = world.recorder.wait_since(mark, POLL, SOON, {
        let mut polls = 0;
        move |_| {
            polls += 1;
            polls == 1_000
        }
    });
    let last_poll = last_poll.await?;
    // The last poll of all has its answer, too, at most one gap behind it.
    let answer = world.recorder.wait_since(mark, DISCOVERY, SOON, |answer| answer.at > last_poll.at).await?;
    let waited = answer.at - last_poll.at;
    assert!(waited < Duration::from_millis(250) + AT_ONCE, "{waited:?}");
    // Polls that the daemon had not read by then have one more answer; then it is over.
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    let behind = world.recorder.mark();
    world.wait_for_beat(behind, SOON, |_| true).await?;
    world.recorder.none_since(behind, DISCOVERY).await?;

    for subject in [DISCOVERY, STARTUP] {
        let times: Vec<f64> = world
            .recorder
            .since(mark, subject)
            .iter()
            .map(|message| message.json["uptime_seconds"].as_f64().expect("a number") * 1_000.0)
            .collect();
        assert!(!times.is_empty());
        // Each is rounded to a millisecond.
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).round()).collect();
        assert!(gaps.iter().all(|gap| *gap >= GAP_MILLISECONDS - 1.0), "{subject}: {gaps:?}");
    }
    let warnings: Vec<String> = world
        .daemon
        .log()
        .all()
        .into_iter()
        .map(|line| line.text)
        .filter(|line| line.contains("WARN") && line.contains("poll"))
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    // Nothing else has suffered.
    world.ask("bob", "still there?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.daemon.health().await?["status"], "healthy");
    Ok(())
}

#[tokio::test]
async fn req_006_edge_case_nats_reconnection_is_announced_with_the_outage_and_followed_by_a_beat_at_once()
-> Result {
    // An interval so long that no regular beat comes in between.
    let changes = json!({ "service_metadata": { "heartbeat_interval_seconds": 60 }, "metrics": { "advertise": "bot.example.org:80" } });
    let world = World::of(BINARY).config(changes).proxied().start().await?;
    let mark = world.recorder.mark();
    let cut = Instant::now();
    world.proxy()?.refuse().await?;
    world.proxy()?.cut().await?;
    world.wait_for_health(SOON, |health| health["nats_connected"] == false).await?;
    let admitted = Instant::now();
    world.proxy()?.admit().await?;
    let beat = world.wait_for_beat(mark, SOON, |_| true).await?;
    let (startup, discovery) = announcement(&world, mark).await?;
    assert_like("startup_link_back.json", &startup, &[]);
    assert!(startup.at <= discovery.at && discovery.at <= beat.at, "announced, then beaten");
    let took = beat.at - admitted;
    assert!(took < Duration::from_secs(5), "back at once: {took:?}");
    for message in [&startup, &discovery] {
        assert_eq!(message.json["re_announcement"], true);
        let outage = message.json["outage_seconds"].as_f64().expect("a number");
        assert!(outage > 0.0 && outage <= (message.at - cut).as_secs_f64(), "{message}");
    }
    assert_eq!(beat.text("/health"), "healthy");
    // The next answer is an ordinary one.
    let (asked, _) = poll(&world, b"").await?;
    assert_eq!(asked.json.get("outage_seconds"), None);
    world.ask("bob", "are you back?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}
