//! What the daemon costs, measured from outside on the real binary: `make bench`.
//!
//! Each figure is printed beside its goal. Nothing here fails because a machine is slow; it fails
//! when something doesn't work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kryten_testkit::provider::{Behaviour, distinct_text};
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Mark, Result};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_kryten-llm");
const STARTS: usize = 20;
const IDLE: Duration = Duration::from_secs(60);
/// How often Prometheus asks meanwhile.
const SCRAPES: u32 = 4;
const QUESTIONS: usize = 1_000;
/// Questions before those that count.
const WARM_UP: usize = 50;
const MENTIONS: usize = 100;
const PROVIDER_TAKES: Duration = Duration::from_millis(500);

fn main() -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        first_heartbeat().await?;
        burst().await?;
        reply_path().await?;
        idle().await
    })
}

/// From exec to the first heartbeat, as a second client on the bus sees it.
async fn first_heartbeat() -> Result {
    let mut world = World::of(BINARY).start().await?;
    let mut taken = Vec::new();
    for _ in 0..STARTS {
        world.stop().await?;
        world.recorder.settle(SOON).await?;
        let mark = world.recorder.mark();
        world.daemon.restart()?;
        let started = world.daemon.started();
        let beat = world.wait_for_beat(mark, SOON, |_| true).await?;
        taken.push(beat.at.saturating_duration_since(started));
    }
    taken.sort_unstable();
    let figure = |index: usize| milliseconds(taken[index]);
    println!(
        "first heartbeat after exec: median {}, worst of {STARTS} {} (goal: 25 ms)",
        figure(STARTS / 2),
        figure(STARTS - 1)
    );
    Ok(())
}

/// A hundred mentions at once, with limits set wide and a provider that takes half a second.
async fn burst() -> Result {
    let world = World::of(BINARY).config(wide()).start().await?;
    let answers = AtomicU64::new(0);
    world.provider().always(Behaviour::choose(move |_| {
        let number = answers.fetch_add(1, Ordering::Relaxed);
        Behaviour::AnswerAfter(PROVIDER_TAKES, distinct_text(number))
    }));
    let mark = world.robot.says.mark();
    let mut said = 0;
    let began = Instant::now();
    for number in 0..MENTIONS {
        world.mention(&format!("user{number}"), &format!("tell me about film number {number}")).await?;
    }
    world
        .robot
        .says
        .wait_since(mark, "a hundred answers", SOON, |_| {
            said += 1;
            said == MENTIONS
        })
        .await?;
    let taken = began.elapsed();
    let ledger = world.ledger().await?;
    assert_eq!(ledger["sent"], MENTIONS, "every mention is answered: {ledger}");
    println!(
        "{MENTIONS} mentions at once, provider takes {}: all answered after {} (goal: 1000 ms)",
        milliseconds(PROVIDER_TAKES),
        milliseconds(taken)
    );
    Ok(())
}

/// One question after the other, by a provider that answers at once: what a reply takes of ours, of the bus
/// and of the stand-ins. A second daemon, which keeps no history and has no HTTP and no alerts, is asked in
/// turn, so that what the machine does else falls on both.
async fn reply_path() -> Result {
    let watched = World::of(BINARY).config(wide()).start().await?;
    let mut bare = wide();
    for section in ["metrics", "history", "alerts"] {
        bare[section] = json!({"enabled": false});
    }
    let bare = World::of(BINARY).config(bare).start().await?;
    let mut taken = [Vec::new(), Vec::new()];
    let answers = Arc::new(AtomicU64::new(0));
    for world in [&bare, &watched] {
        let answers = answers.clone();
        world.provider().always(Behaviour::choose(move |_| {
            Behaviour::Answer(distinct_text(answers.fetch_add(1, Ordering::Relaxed)))
        }));
    }
    for number in 0..WARM_UP + QUESTIONS {
        for (world, taken) in [&bare, &watched].into_iter().zip(&mut taken) {
            let mark = world.robot.says.mark();
            let asked = Instant::now();
            world.mention(&format!("user{number}"), &format!("tell me about film number {number}")).await?;
            world.robot.says.wait_since(mark, "an answer", SOON, |_| true).await?;
            taken.push(asked.elapsed());
        }
    }
    let [bare, watched] = taken.map(|mut taken| {
        taken.drain(..WARM_UP);
        taken.sort_unstable();
        (taken[QUESTIONS / 2], taken[QUESTIONS * 9 / 10])
    });
    let slower = (watched.0.as_secs_f64() / bare.0.as_secs_f64() - 1.0) * 100.0;
    println!(
        "{QUESTIONS} questions one by one, from the question to the line: median {}, 9 of 10 within {}; without \
         HTTP, history and alerts {} and {}: {slower:+.1} % (goal: 5)",
        microseconds(watched.0),
        microseconds(watched.1),
        microseconds(bare.0),
        microseconds(bare.1),
    );
    Ok(())
}

/// Limits so wide that nobody waits.
fn wide() -> Value {
    json!({
        "chat_min_delay": 0, "chat_jitter": 0,
        "outbox": {"max_lines": 1000},
        "spam_detection": {"enabled": false},
        "loop_guard": {"max_replies_in_a_row": 0}
    })
}

/// Memory and processor time of a daemon that only beats and proves its link, with all on that watches it.
async fn idle() -> Result {
    println!("idle: measuring for {} s", IDLE.as_secs());
    let world = World::of(BINARY)
        .config(json!({
            "service_metadata": {"heartbeat_interval_seconds": 10},
            "llm_providers": {"first": {"health_check": {"interval_seconds": 30}}},
        }))
        .start()
        .await?;
    let began = Instant::now();
    let before = world.daemon.cpu_time()?;
    let beats = world.recorder.all("kryten.service.heartbeat.*").len();
    for scrape in 1..=SCRAPES {
        tokio::time::sleep_until((began + IDLE / SCRAPES * scrape).into()).await;
        let (status, figures) = world.daemon.get("/metrics").await?;
        assert!(status == 200 && figures.contains("llm_health_state 0"), "{figures}");
    }
    let used = world.daemon.cpu_time()?.saturating_sub(before);
    let share = used.as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let heard = world.recorder.since(Mark::START, "kryten.service.heartbeat.*").len() - beats;
    println!(
        "idle with HTTP, history, alerts, link proof, a beat each 10 s, a provider's check each 30 s and a scrape each 15 s: {:.1} MiB resident (goal: 20), {share:.3} % of a core (goal: 0.2), {heard} beats",
        world.daemon.resident_bytes()? as f64 / 1_048_576.0
    );
    Ok(())
}

fn microseconds(duration: Duration) -> String {
    format!("{} µs", duration.as_micros())
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}
