//! What was not kept: counted always, told seldom.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::warn;

use crate::seldom::Seldom;

/// What went wrong since the start.
#[derive(Debug, Default)]
pub struct Losses {
    /// Writes that failed.
    pub failures: AtomicU64,
    /// What was not kept because too much waited, or happened, at once, or could not be written for too long.
    pub lost: AtomicU64,
}

/// Counts what is lost, and warns of it once a minute at most.
#[derive(Debug)]
pub struct LossTeller {
    counts: Arc<Losses>,
    warnings: Seldom,
}

impl LossTeller {
    /// Counts there.
    pub fn new(counts: Arc<Losses>) -> Self {
        Self { counts, warnings: Seldom::default() }
    }

    /// A write failed. Its entries are not lost by that.
    pub fn write_failed(&self) {
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// So many minutes or changes are lost, at `now`, since start.
    pub fn lose(&mut self, now: Duration, count: u64, why: &str) {
        if count == 0 {
            return;
        }
        let lost_since_start = self.counts.lost.fetch_add(count, Ordering::Relaxed) + count;
        if self.warnings.is_due(now) {
            warn!(lost_since_start, "the history is incomplete: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logged::logged;

    #[test]
    fn whatever_is_lost_is_counted_and_told_once_a_minute_at_most() {
        let counts = Arc::new(Losses::default());
        let mut teller = LossTeller::new(counts.clone());
        let lines = logged(|| {
            for (second, count) in [(0, 0), (1, 76), (2, 1), (60, 1), (61, 2)] {
                teller.lose(Duration::from_secs(second), count, "as a test");
            }
        });
        assert_eq!(counts.lost.load(Ordering::Relaxed), 80);
        let told: Vec<_> = lines.iter().map(|line| line["fields"]["lost_since_start"].as_u64()).collect();
        assert_eq!(told, [Some(76), Some(80)]);
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["fields"]["message"], "the history is incomplete: as a test");
    }
}
