//! When what is too old is forgotten. No I/O: time is an argument.

use std::time::Duration;

use crate::clock::Moment;

/// What is too old is looked for so often.
const EVERY: Duration = Duration::from_secs(600);
/// A wall clock is believed when it has run steadily for so long: one that was set wrong must not cost the
/// history. So nothing is forgotten for its age in the first hour of a run, nor in an hour after a jump.
const STEADY_FOR: Duration = Duration::from_secs(3_600);
/// A wall clock that gets ahead by more than that, or falls behind, has jumped, in seconds.
const JUMP: u64 = 60;

/// Decides when what is too old is forgotten.
#[derive(Debug)]
pub struct Pruning {
    retention: Duration,
    clock: Option<WallClock>,
    /// When it was last done, since start.
    done: Option<Duration>,
}

/// What is known of the wall clock.
#[derive(Debug)]
struct WallClock {
    /// What it showed at our start, in seconds since 1970, as reckoned from the latest look.
    at_start: i64,
    /// Since when it has not jumped, since start.
    steady_since: Duration,
}

impl Pruning {
    /// Forgets what is older than this.
    pub fn of(retention: Duration) -> Self {
        Self { retention, clock: None, done: None }
    }

    /// All before this second since 1970 is to be forgotten now. To be asked every minute or so.
    pub fn due(&mut self, now: Moment) -> Option<i64> {
        let wall = now.wall.timestamp();
        let at_start = wall.saturating_sub(i64::try_from(now.elapsed.as_secs()).unwrap_or(i64::MAX));
        let steady_since = match &self.clock {
            Some(clock) if clock.at_start.abs_diff(at_start) <= JUMP => clock.steady_since,
            _ => now.elapsed,
        };
        self.clock = Some(WallClock { at_start, steady_since });
        let is_steady = now.elapsed.saturating_sub(steady_since) >= STEADY_FOR;
        let is_time = self.done.is_none_or(|done| now.elapsed.saturating_sub(done) >= EVERY);
        let retention = i64::try_from(self.retention.as_secs()).unwrap_or(i64::MAX);
        (is_steady && is_time).then(|| wall.saturating_sub(retention))
    }

    /// It was done.
    pub fn done(&mut self, now: Moment) {
        self.done = Some(now.elapsed);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const BEGIN: i64 = 1_800_000_000;
    const DAY: i64 = 86_400;

    /// The wall clock is this many seconds ahead of what it should show.
    fn at(second: u64, ahead: i64) -> Moment {
        let wall = BEGIN + i64::try_from(second).expect("a second") + ahead;
        Moment {
            elapsed: Duration::from_secs(second),
            wall: DateTime::from_timestamp(wall, 0).expect("a time"),
        }
    }

    fn pruning() -> Pruning {
        Pruning::of(Duration::from_secs(30 * 86_400))
    }

    #[test]
    fn it_is_due_after_a_steady_hour_and_then_every_ten_minutes() {
        let mut pruning = pruning();
        let mut due = Vec::new();
        for second in (0..6_000).step_by(60) {
            if let Some(begin) = pruning.due(at(second, 0)) {
                assert_eq!(begin, BEGIN + i64::try_from(second).expect("a second") - 30 * DAY);
                due.push(second);
                pruning.done(at(second, 0));
            }
        }
        assert_eq!(due, [3_600, 4_200, 4_800, 5_400]);
    }

    #[test]
    fn what_failed_is_due_again_at_once() {
        let mut pruning = pruning();
        pruning.due(at(0, 0));
        assert!(pruning.due(at(3_600, 0)).is_some());
        assert!(pruning.due(at(3_601, 0)).is_some());
    }

    #[test]
    fn a_clock_that_jumps_is_not_believed_for_an_hour() {
        for ahead in [31 * DAY, -31 * DAY, 61, -61] {
            let mut pruning = pruning();
            pruning.due(at(0, 0));
            assert!(pruning.due(at(3_600, 0)).is_some(), "steady for an hour");
            for second in (4_000..7_600).step_by(60) {
                assert_eq!(pruning.due(at(second, ahead)), None, "{ahead} at {second}");
            }
            // Set right again.
            assert_eq!(pruning.due(at(7_599, 0)), None);
            assert_eq!(pruning.due(at(11_198, 0)), None);
            assert!(pruning.due(at(11_199, 0)).is_some());
        }
    }

    #[test]
    fn a_clock_that_is_put_right_little_by_little_has_not_jumped() {
        let mut pruning = pruning();
        for minute in 0..60 {
            assert_eq!(pruning.due(at(minute * 60, i64::try_from(minute).expect("seconds") * 10)), None);
        }
        assert!(pruning.due(at(3_600, 600)).is_some());
    }
}
