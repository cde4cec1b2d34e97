//! Gray failures: everything still runs, and yet something is dead. For each: how long until health
//! told the truth. It may take one beat or three seconds.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Context as _, Direction, Error, Manner, Result, Stopwatch, clock};
use serde_json::{Value, json};

use crate::BINARY;
use crate::outage::{BEATS, stamp};

/// The promise, with beats that are a second apart.
const TOLD_WITHIN: Duration = Duration::from_secs(3);
/// Worlds at the same time: more would measure the machine instead of the daemon.
const AT_ONCE: usize = 4;

/// A failure, and how long it took until health told of it.
type Row = (&'static str, fn() -> LocalBoxFuture<'static, Result<Duration>>);

const ROWS: [Row; 13] = [
    ("link frozen both ways", || link_dies(|world| freeze(world, Direction::Both)).boxed_local()),
    ("deaf: nothing reaches us", || link_dies(|world| freeze(world, Direction::Down)).boxed_local()),
    ("mute: nothing reaches the server", || link_dies(|world| freeze(world, Direction::Up)).boxed_local()),
    ("server paused", || link_dies(|world| world.server.pause()).boxed_local()),
    ("daemon paused for 10 s", || daemon_paused().boxed_local()),
    ("provider hangs", || provider_fails(Behaviour::Hang).boxed_local()),
    ("provider trickles", || provider_fails(Behaviour::Trickle).boxed_local()),
    ("robot absent", || robot_is_gone(Manner::Absent, "no robot").boxed_local()),
    ("robot silent", || robot_is_gone(Manner::Silent, "no answer").boxed_local()),
    ("decider stalled", || stalled("decider").boxed_local()),
    ("intake stalled", || stalled("intake").boxed_local()),
    ("clock stepped an hour ahead", || clock_stepped(3_600, "old").boxed_local()),
    ("clock stepped an hour back", || clock_stepped(-3_600, "ahead").boxed_local()),
];

#[tokio::test]
async fn every_gray_failure_is_told_within_one_beat_or_three_seconds() -> Result {
    let rows = futures_util::stream::iter(ROWS).map(|(name, fail)| async move { (name, fail().await) });
    let told: Vec<(&str, Result<Duration>)> = rows.buffered(AT_ONCE).collect().await;
    let mut failed = Vec::new();
    for (name, took) in told {
        match took {
            Ok(took) => println!("{name:<34} told after {:>5} ms", took.as_millis()),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Error::new(failed.join("\n"))) }
}

fn world() -> Builder {
    World::of(BINARY).proxied()
}

/// How long it was since `failed`, if that is soon enough.
fn soon_enough(failed: &Stopwatch) -> Result<Duration> {
    let took = failed.fair_time(Instant::now());
    if took <= TOLD_WITHIN { Ok(took) } else { Err(Error::new(format!("told only after {took:?}"))) }
}

fn is_true(what: &str, truth: bool) -> Result {
    if truth { Ok(()) } else { Err(Error::new(what)) }
}

/// A heartbeat whose component says this; other clients know nothing else of us.
async fn beat_says(world: &World, component: &str, words: &str) -> Result {
    let pointer = format!("/status/components/{component}/message");
    world
        .wait_for_beat(world.recorder.mark(), SOON, |beat| beat.text(&pointer).contains(words))
        .await
        .map(drop)
}

async fn adds_up(world: &World) -> Result {
    world.ledger().await.map(drop)
}

fn freeze(world: &World, direction: Direction) -> Result {
    world.proxy().map(|proxy| proxy.freeze(direction))
}

async fn link_dies(kill: fn(&World) -> Result) -> Result<Duration> {
    let world = world().start().await?;
    let failed = world.stopwatch();
    kill(&world)?;
    world.wait_for_health(SOON, |health| health["status"] == "failing").await?;
    let told = soon_enough(&failed)?;
    is_true("/readyz knows", world.daemon.get("/readyz").await?.0 == 503)?;
    is_true("no reason to restart it", world.daemon.get("/livez").await?.0 == 200)?;
    adds_up(&world).await?;
    Ok(told)
}

/// While it is paused its silence tells; afterwards one fresh beat does, and no burst of late ones.
async fn daemon_paused() -> Result<Duration> {
    let world = world().start().await?;
    world.daemon.pause()?;
    // What it had said before it was paused.
    world.recorder.settle(SOON).await?;
    world.recorder.none_within(Duration::from_secs(10), BEATS).await?;
    let (resumed, wall, mark) = (world.stopwatch(), chrono::Utc::now(), world.recorder.mark());
    world.daemon.resume()?;
    let first = world.recorder.wait_since(mark, BEATS, SOON, |_| true).await?;
    let told = soon_enough(&resumed)?;
    is_true("the first beat is an old one", stamp(&first) >= wall)?;
    is_true("a pause is no lasting trouble", first.text("/health") == "healthy")?;
    world.recorder.wait_since(mark, BEATS, SOON, |beat| beat.at > first.at + Duration::from_secs(2)).await?;
    let beats = world.recorder.since(mark, BEATS);
    is_true(&format!("a burst: {} beats in 3 s", beats.len()), beats.len() <= 4)?;
    is_true("the link was given up", world.proxy()?.accepted() == 1)?;
    adds_up(&world).await?;
    Ok(told)
}

async fn provider_fails(behaviour: Behaviour) -> Result<Duration> {
    let second = json!({ "first": { "timeout_seconds": 1 } });
    let world = world().config(json!({ "llm_providers": second })).start().await?;
    world.provider().always(behaviour);
    let failed = world.stopwatch();
    world.mention("bob", "is the provider well?").await?;
    let mark = world.recorder.mark();
    let told = |beat: &kryten_testkit::Message| {
        beat.text("/health") == "failing" && beat.text("/status/llm_providers/first") == "failed"
    };
    let beat = world.wait_for_beat(mark, SOON, told).await?;
    let took = soon_enough(&failed)?;
    is_true("the reason", beat.text("/health_reason") == "all LLM providers exhausted")?;
    is_true("one failed reply", world.ledger().await?["failed"] == 1)?;
    Ok(took)
}

async fn robot_is_gone(manner: Manner, words: &str) -> Result<Duration> {
    // Nobody waits for the robot for a minute here.
    let world = world().config(json!({ "outbox": { "stale_seconds": 3 } })).start().await?;
    world.ask("bob", "is the robot well?").await?;
    world.robot.behave(manner).await?;
    let answered = world.provider().requests().mark();
    world.mention("bob", "and now?").await?;
    world.provider().wait_for_request(answered, SOON, |_| true).await?;
    let failed = world.stopwatch();
    let is_told = |health: &Value| {
        let robot = health.pointer("/components/robot/message").and_then(Value::as_str);
        health["status"] == "degraded" && robot.is_some_and(|robot| robot.contains(words))
    };
    world.wait_for_health(SOON, is_told).await?;
    let took = soon_enough(&failed)?;
    beat_says(&world, "robot", words).await?;
    adds_up(&world).await?;
    Ok(took)
}

async fn stalled(place: &str) -> Result<Duration> {
    let world = world().start().await?;
    let failed = world.stopwatch();
    world.robot.chat("bob", &format!("test-hook stall {place} 5")).await?;
    let mark = world.recorder.mark();
    let reason = format!("stalled: {place}");
    let beat = world.wait_for_beat(mark, SOON, |beat| beat.text("/health_reason") == reason).await?;
    let took = soon_enough(&failed)?;
    is_true("a stall is failing", beat.text("/health") == "failing")?;
    is_true("a reason to restart it", world.daemon.get("/livez").await?.0 == 503)?;
    world.wait_until("healthy", SOON).await?;
    world.ask("bob", "awake again?").await?;
    adds_up(&world).await?;
    Ok(took)
}

/// The beats go on as ever, by the new time; what can't be right is told as soon as messages show
/// it.
async fn clock_stepped(seconds: i64, words: &str) -> Result<Duration> {
    let world = world().launch(|launch| clock::steppable(launch, 0)).start().await?;
    clock::step(&world.daemon, seconds)?;
    let (stepped, mark) = (world.stopwatch(), world.recorder.mark());
    let is_new =
        |beat: &kryten_testkit::Message| (stamp(beat) - beat.wall).num_seconds().abs_diff(seconds) <= 1;
    let first = world.recorder.wait_since(mark, BEATS, SOON, is_new).await?;
    soon_enough(&stepped)?;
    is_true("a step alone is no trouble", first.text("/health") == "healthy")?;
    let later = |beat: &kryten_testkit::Message| beat.at > first.at + Duration::from_secs(3);
    world.recorder.wait_since(mark, BEATS, SOON, later).await?;
    let beats = world.recorder.since(mark, BEATS);
    for pair in beats.windows(2) {
        let pause = (pair[1].at - pair[0].at).as_secs_f64();
        is_true(&format!("a beat {pause} s after the one before"), (0.5..1.5).contains(&pause))?;
    }

    for number in 0..5 {
        world.robot.chat("bob", &format!("what time is it, {number}?")).await?;
    }
    let failed = world.stopwatch();
    beat_says(&world, "clock", words).await?;
    let took = soon_enough(&failed)?;
    clock::step(&world.daemon, 0)?;
    world.ask("bob", "and now?").await?;
    world.wait_until("healthy", SOON).await?;
    adds_up(&world).await?;
    Ok(took)
}

/// A service whose clock was wrong at its start, and was set right later.
#[tokio::test]
async fn a_clock_that_is_set_back_after_the_start_silences_nobody() -> Result {
    let world = world().launch(|launch| clock::steppable(launch, 3_600)).start().await?;
    clock::step(&world.daemon, 0)?;
    world.ask("bob", "can you hear me?").await.context("after the clock was set back")?;
    adds_up(&world).await
}

/// CyTube's clock is off, the robot's and ours are right.
#[tokio::test]
async fn messages_that_are_too_old_for_an_answer_by_cytubes_clock_are_not_met_with_silence_alone() -> Result {
    let world = world().start().await?;
    let room = &world.rooms[0];
    let mention = |behind: i64, number: i64| {
        let mut payload = kryten_testkit::chat::line("bob", &format!("Cynthia, what time is it, {number}?"));
        payload["time"] = json!(Utc::now().timestamp_millis() - 1_000 * behind + number);
        payload
    };
    let mark = world.recorder.mark();
    for number in 0..6 {
        world.robot.event(room, "chatmsg", mention(100, number)).await?;
    }
    let told = |beat: &kryten_testkit::Message| {
        let clock = beat.text("/status/components/clock/message");
        beat.text("/health") == "degraded"
            && ["messages look 99 s old", "messages look 100 s old", "messages look 101 s old"]
                .contains(&clock)
    };
    world.recorder.wait_since(mark, BEATS, SOON, told).await?;
    world.wait_for_health(SOON, |health| health["ignored"]["stale"] == 6).await?;

    let says = world.robot.says.mark();
    world.robot.event(room, "chatmsg", mention(0, 7)).await?;
    world.robot.wait_for_say(says, SOON, |_| true).await?;
    world.wait_until("healthy", SOON).await?;
    adds_up(&world).await
}
