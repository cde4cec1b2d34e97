//! Hooks that only the tests' build has: a chat line can stall the loop that handles it.

use std::time::Duration;

/// Waits when `text` holds `test-hook stall PLACE SECONDS`.
pub async fn stall(place: &str, text: &str) {
    let order = format!("test-hook stall {place} ");
    let Some((_, rest)) = text.split_once(&order) else { return };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    if let Ok(seconds) = digits.parse() {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}
