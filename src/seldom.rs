//! Warnings that would come again and again.

use std::time::Duration;

/// One in so long.
const AGAIN: Duration = Duration::from_secs(60);

/// Lets one warning of a kind through in a minute.
#[derive(Debug, Default)]
pub struct Seldom {
    /// When the latest was let through, since start.
    latest: Option<Duration>,
}

impl Seldom {
    /// Whether a warning is due at `now`, since start. It counts as given then.
    pub fn is_due(&mut self, now: Duration) -> bool {
        let is_due = self.latest.is_none_or(|latest| now.saturating_sub(latest) >= AGAIN);
        if is_due {
            self.latest = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_due_and_the_next_a_minute_after_the_latest_that_was_given() {
        let mut seldom = Seldom::default();
        let due: Vec<u64> = (0..200).filter(|second| seldom.is_due(Duration::from_secs(*second))).collect();
        assert_eq!(due, [0, 60, 120, 180]);
        assert!(!seldom.is_due(Duration::ZERO), "a time that comes out of order");
    }
}
