//! The handle, and what it costs.

use std::process::Command;
use std::time::Duration;

use super::moment::Moment;
use super::{Metrics, UPKEEP};
use crate::bus::link::LinkKeeper;
use crate::clock::Clock;
use crate::config::testing;
use crate::health::HealthMonitor;

/// The child is this test binary, so that no other test's memory is measured.
const CHILD: &str = "metrics::tests::samples_that_nobody_scrapes_in_a_process_of_their_own";

#[test]
fn memory_stays_bounded_when_nobody_scrapes() {
    let binary = std::env::current_exe().expect("our own path");
    let child = Command::new(binary).args(["--exact", CHILD, "--ignored"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(target_os = "linux")]
fn resident_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    line.split_whitespace().next().and_then(|kibibytes| kibibytes.parse::<u64>().ok()).expect("a number")
        / 1024
}

#[cfg(not(target_os = "linux"))]
fn resident_mebibytes() -> u64 {
    0
}

/// Run by the test above. Samples take 16 bytes each until they are in their buckets.
#[tokio::test(start_paused = true)]
#[ignore = "run by memory_stays_bounded_when_nobody_scrapes, alone in its process"]
async fn samples_that_nobody_scrapes_in_a_process_of_their_own() {
    const SAMPLES_A_PERIOD: usize = 50_000;
    const PERIODS: usize = 60;
    let clock = Clock::start();
    let health = HealthMonitor::new(clock.now(), [], []);
    let (_keeper, bus) =
        LinkKeeper::new(testing::config(serde_json::json!({})).nats.clone(), "llm", clock, health);
    let metrics = Metrics::new();
    let keeping = tokio::spawn(metrics.clone().keep(bus));
    let before = resident_mebibytes();
    for _ in 0..PERIODS {
        for _ in 0..SAMPLES_A_PERIOD {
            metrics.beat(clock.now().wall, Some(Duration::from_millis(1)));
        }
        tokio::time::sleep(UPKEEP).await;
    }
    let grown = resident_mebibytes().saturating_sub(before);
    keeping.abort();
    assert!(grown < 16, "{grown} MiB, of {} without upkeep", (PERIODS * SAMPLES_A_PERIOD * 16) >> 20);
    let text = metrics.render(&Moment::default());
    let count = format!("llm_heartbeat_lateness_seconds_count {}\n", PERIODS * SAMPLES_A_PERIOD);
    assert!(text.contains(&count), "no sample is lost");
}
