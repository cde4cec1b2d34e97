//! What a service manager is told: readiness, status, the stop, and that the loops get on.

use std::time::{Duration, Instant};

use kryten_testkit::service_manager::{Notice, ServiceManager};
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Result};
use serde_json::json;

use crate::BINARY;

/// So short that a story sees many feedings: one each 200 ms.
const WATCHDOG: Duration = Duration::from_millis(800);
const FED: &str = "WATCHDOG=1";

fn supervised(manager: &ServiceManager, watchdog: Option<Duration>) -> Builder {
    World::of(BINARY).launch(|launch| manager.supervise(launch, watchdog))
}

/// Waits for so many feedings from now on; the longest time between two.
async fn feedings(manager: &ServiceManager, count: usize) -> Result<Duration> {
    let mut mark = manager.notices.mark();
    let mut fed: Vec<Instant> = Vec::new();
    while fed.len() < count {
        fed.push(manager.wait_for_line(mark, FED, SOON).await?.at);
        mark = manager.notices.mark();
    }
    Ok(fed.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default())
}

fn count(notices: &[Notice], line: &str) -> usize {
    notices.iter().filter(|notice| notice.has(line)).count()
}

#[tokio::test]
async fn ready_is_told_once_behind_the_first_beat_and_the_stop_with_its_reason() -> Result {
    let manager = ServiceManager::start()?;
    let world = supervised(&manager, None).start_at_once().await?;
    manager.wait_for_line(Mark::START, "READY=1", SOON).await?;
    assert_eq!(world.daemon.get("/readyz").await?.0, 200);
    world.recorder.wait_for("kryten.lifecycle.llm.startup", SOON, |_| true).await?;
    manager.wait_for_status(Mark::START, SOON, |status| status == "healthy").await?;
    world.ask("bob", "are you supervised?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    let stopping = manager.wait_for_line(Mark::START, "STOPPING=1", SOON).await?;
    assert_eq!(stopping.status(), Some("stopping (SIGTERM); healthy"));
    let told = manager.notices.all();
    assert_eq!((count(&told, "READY=1"), count(&told, "STOPPING=1")), (1, 1));
    assert_eq!(count(&told, FED), 0, "nobody asked for it");
    Ok(())
}

#[tokio::test]
async fn while_nats_is_awaited_the_start_gets_more_time_and_the_watchdog_is_fed() -> Result {
    let manager = ServiceManager::start_abstract()?;
    let mut world = supervised(&manager, Some(WATCHDOG)).proxied().start().await?;
    world.proxy()?.refuse().await?;
    world.daemon.kill();
    let mark = manager.notices.mark();
    world.daemon.restart()?;
    let mut extended = mark;
    for _ in 0..2 {
        manager.wait_for_line(extended, "EXTEND_TIMEOUT_USEC=20000000", SOON).await?;
        extended = manager.notices.mark();
    }
    let awaiting = manager.notices.since(mark);
    assert_eq!(awaiting[0].status(), Some("starting; failing: NATS disconnected"), "{}", awaiting[0]);
    assert_eq!(count(&awaiting, "READY=1"), 0);
    assert!(count(&awaiting, FED) >= 10, "a server that is away is no stall");
    world.proxy()?.admit().await?;
    manager.wait_for_line(mark, "READY=1", SOON).await?;
    let ready = manager.notices.mark();
    // Up and idle for longer than the time between two extensions.
    feedings(&manager, 30).await?;
    assert_eq!(count(&manager.notices.since(ready), "EXTEND_TIMEOUT_USEC=20000000"), 0);
    Ok(())
}

#[tokio::test]
async fn each_change_of_health_is_told_with_its_reason() -> Result {
    let manager = ServiceManager::start()?;
    let world = supervised(&manager, None).proxied().start().await?;
    manager.wait_for_status(Mark::START, SOON, |status| status == "healthy").await?;
    world.provider().always(Behaviour::Status(500, "{}".to_owned()));
    world.mention("bob", "are you there?").await?;
    let exhausted = |status: &str| status == "failing: all LLM providers exhausted";
    manager.wait_for_status(Mark::START, SOON, exhausted).await?;
    world.provider().always(Behaviour::Answer("Here I am.".to_owned()));
    let mark = manager.notices.mark();
    world.ask("bob", "better now?").await?;
    manager.wait_for_status(mark, SOON, |status| status.starts_with("degraded: error rate")).await?;
    world.proxy()?.cut().await?;
    world.proxy()?.refuse().await?;
    manager.wait_for_status(mark, SOON, |status| status == "failing: NATS disconnected").await?;
    world.ledger().await?;
    Ok(())
}

#[tokio::test]
async fn an_idle_service_is_fed_also_without_heartbeats() -> Result {
    let manager = ServiceManager::start()?;
    let still = json!({ "service_metadata": { "enable_heartbeats": false } });
    let _world = supervised(&manager, Some(WATCHDOG)).config(still).start_at_once().await?;
    manager.wait_for_line(Mark::START, "READY=1", SOON).await?;
    let longest = feedings(&manager, 20).await?;
    assert!(longest < WATCHDOG, "a service manager would have killed it: {longest:?}");
    Ok(())
}

/// Stalls one loop: from the moment when health says so until it is well again, nothing is fed.
async fn stops_feeding_while_stalled(place: &str) -> Result {
    let manager = ServiceManager::start()?;
    let world = supervised(&manager, Some(WATCHDOG)).start().await?;
    manager.wait_for_status(Mark::START, SOON, |status| status == "healthy").await?;
    feedings(&manager, 3).await?;
    let mark = manager.notices.mark();
    world.robot.chat("bob", &format!("test-hook stall {place} 4")).await?;
    let stalled = format!("failing: stalled: {place}");
    manager.wait_for_status(mark, SOON, |status| status == stalled).await?;
    let stalled = manager.notices.mark();
    manager.wait_for_status(stalled, SOON, |status| status == "healthy").await?;
    let meanwhile = manager.notices.since(stalled);
    let healed = meanwhile.iter().position(|notice| notice.status() == Some("healthy")).unwrap_or_default();
    assert_eq!(count(&meanwhile[..healed], FED), 0, "fed while {place} stood still");
    let fed: Vec<Instant> =
        manager.notices.since(mark).iter().filter(|notice| notice.has(FED)).map(|notice| notice.at).collect();
    let longest = fed.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default();
    assert!(longest > 2 * WATCHDOG, "a service manager would not have noticed: {longest:?}");
    feedings(&manager, 3).await?;
    world.ask("bob", "awake again?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn a_stalled_decider_is_not_covered_up() -> Result {
    stops_feeding_while_stalled("decider").await
}

#[tokio::test]
async fn a_stalled_intake_is_not_covered_up() -> Result {
    stops_feeding_while_stalled("intake").await
}

#[tokio::test]
async fn a_stalled_heartbeat_is_not_covered_up() -> Result {
    stops_feeding_while_stalled("heartbeat").await
}

#[tokio::test]
async fn a_busy_service_is_fed() -> Result {
    let manager = ServiceManager::start()?;
    let world = supervised(&manager, Some(WATCHDOG)).start().await?;
    let flood = world.flood(5_000, Some(1_000), |number| {
        let body = json!({ "username": "carol", "message": format!("line {number}") });
        ("kryten.events.cytube.lounge.chatmsg".to_owned(), body.to_string())
    });
    let fed = feedings(&manager, 20);
    let (flooded, longest) = tokio::join!(flood, fed);
    flooded?;
    let longest = longest?;
    assert!(longest < WATCHDOG, "a service manager would have killed it: {longest:?}");
    world.ledger().await?;
    Ok(())
}

#[tokio::test]
async fn a_watchdog_for_another_process_is_none_of_ours() -> Result {
    let manager = ServiceManager::start()?;
    let world = World::of(BINARY)
        .launch(|launch| manager.supervise(launch, Some(WATCHDOG)).env("WATCHDOG_PID", "1"))
        .start()
        .await?;
    manager.wait_for_line(Mark::START, "READY=1", SOON).await?;
    for _ in 0..2 {
        world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
    }
    assert_eq!(world.stop().await?, Exit::Code(0));
    manager.wait_for_line(Mark::START, "STOPPING=1", SOON).await?;
    assert_eq!(count(&manager.notices.all(), FED), 0);
    Ok(())
}

#[tokio::test]
async fn what_the_bus_says_never_becomes_a_word_of_ours_to_the_service_manager() -> Result {
    let manager = ServiceManager::start()?;
    let world = supervised(&manager, None).start().await?;
    let hostile = json!({ "reason": "update\nMAINPID=1\nWATCHDOG=trigger", "delay_seconds": 0 });
    world.robot.publish("kryten.lifecycle.group.restart", hostile).await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    let stopping = manager.wait_for_line(Mark::START, "STOPPING=1", SOON).await?;
    let status = stopping.status().unwrap_or_default();
    assert!(status.starts_with("stopping (Group restart: update"), "{status}");
    let words = ["READY=1", "STOPPING=1", "STATUS=", "EXTEND_TIMEOUT_USEC="];
    for notice in manager.notices.all() {
        for line in &notice.lines {
            assert!(words.iter().any(|word| line.starts_with(word)), "{notice}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_service_manager_that_does_not_listen_is_complained_about_once_and_nothing_else() -> Result {
    for (socket, complaint) in [
        ("/nobody/listens/here", "systemd does not hear how we are"),
        ("vsock:2:1", "NOTIFY_SOCKET can't be used"),
    ] {
        let world = World::of(BINARY)
            .launch(|launch| launch.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "400000"))
            .start()
            .await?;
        world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains(complaint)).await?;
        for _ in 0..2 {
            world.wait_for_beat(world.recorder.mark(), SOON, |_| true).await?;
        }
        assert_eq!(world.stop().await?, Exit::Code(0));
        let complaints = world.daemon.log().all().iter().filter(|line| line.text.contains(complaint)).count();
        assert_eq!(complaints, 1, "{socket}");
    }
    Ok(())
}
