//! Hooks that only the tests' build has: a chat line can stall a loop, or break it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many seconds the heartbeat is to stall: it reads no chat, so the decider leaves it the order.
static HEARTBEAT: AtomicU64 = AtomicU64::new(0);

/// Waits when `text` holds `test-hook stall PLACE SECONDS`.
pub async fn stall(place: &str, text: &str) {
    if let Some(seconds) = ordered(place, text) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

/// Leaves the heartbeat its order, when `text` holds one.
pub fn order_heartbeat(text: &str) {
    if let Some(seconds) = ordered("heartbeat", text) {
        HEARTBEAT.store(seconds, Ordering::Relaxed);
    }
}

/// Waits when the heartbeat was ordered to stall.
pub async fn stall_heartbeat() {
    tokio::time::sleep(Duration::from_secs(HEARTBEAT.swap(0, Ordering::Relaxed))).await;
}

/// Panics when `text` holds `test-hook panic PLACE`.
pub fn panic(place: &str, text: &str) {
    assert!(!text.contains(&format!("test-hook panic {place}")), "ordered by a test");
}

fn ordered(place: &str, text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(&format!("test-hook stall {place} "))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
