//! When the beats are due.

use std::time::Duration;

/// The regular beats: the first at once, then one each interval, counted from the first so that
/// they never drift. Beats that a pause of the process swallowed are not made up for.
///
/// A beat that somebody asks for at once is one more; it changes nothing here.
#[derive(Debug, Clone)]
pub struct BeatSchedule {
    /// When the first beat was due.
    start: Duration,
    interval: Duration,
    next: Duration,
}

impl BeatSchedule {
    /// The shortest interval; a shorter one is taken as this.
    const SHORTEST: Duration = Duration::from_millis(1);

    /// The first beat is due at `start`; all times are since the service's start.
    pub fn new(start: Duration, interval: Duration) -> Self {
        Self { start, interval: interval.max(Self::SHORTEST), next: start }
    }

    /// When the next beat is due.
    pub fn next(&self) -> Duration {
        self.next
    }

    /// The beat that is due is taken at `now`: the next one is due at the first multiple of the
    /// interval behind both.
    pub fn take(&mut self, now: Duration) {
        let taken = now.max(self.next);
        let into_interval = nanoseconds(taken - self.start) % nanoseconds(self.interval);
        let until_next = self.interval - Duration::from_nanos(into_interval);
        self.next = taken.saturating_add(until_next);
    }
}

/// Enough for half a thousand years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);
    const START: Duration = Duration::from_millis(1_250);

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// The schedule after beats taken at these times.
    fn after_beats(taken: &[u64]) -> BeatSchedule {
        let mut schedule = BeatSchedule::new(START, INTERVAL);
        taken.iter().for_each(|at| schedule.take(millis(*at)));
        schedule
    }

    #[test]
    fn req_002_the_first_beat_is_due_at_once() {
        assert_eq!(BeatSchedule::new(START, INTERVAL).next(), START);
        assert_eq!(BeatSchedule::new(Duration::ZERO, INTERVAL).next(), Duration::ZERO);
    }

    #[test]
    fn req_002_the_second_beat_is_due_one_interval_after_the_first() {
        assert_eq!(after_beats(&[1_250]).next(), millis(11_250));
    }

    #[test]
    fn req_002_beats_that_are_a_little_late_do_not_move_those_behind() {
        assert_eq!(after_beats(&[1_400, 11_900, 21_251, 31_250]).next(), millis(41_250));
    }

    #[test]
    fn req_002_a_thousand_late_beats_do_not_drift() {
        let mut schedule = BeatSchedule::new(START, INTERVAL);
        for _ in 0..1000 {
            schedule.take(schedule.next() + millis(499));
        }
        assert_eq!(schedule.next(), START + 1000 * INTERVAL);
    }

    #[test]
    fn req_002_after_a_pause_there_is_one_beat_and_no_burst() {
        let mut schedule = after_beats(&[1_250]);
        let resumed = millis(46_000);
        assert!(schedule.next() <= resumed, "a beat is due");
        schedule.take(resumed);
        assert_eq!(schedule.next(), millis(51_250));
    }

    #[test]
    fn req_002_a_beat_taken_right_when_another_is_due_is_that_one() {
        assert_eq!(after_beats(&[1_250, 31_250]).next(), millis(41_250));
    }

    #[test]
    fn req_002_a_beat_taken_just_before_another_is_due_leaves_it_due() {
        let mut schedule = after_beats(&[1_250]);
        schedule.take(millis(31_250) - Duration::from_nanos(1));
        assert_eq!(schedule.next(), millis(31_250));
    }

    #[test]
    fn req_002_a_beat_taken_a_little_early_is_not_taken_twice() {
        assert_eq!(after_beats(&[1_250, 11_249]).next(), millis(21_250));
        assert_eq!(after_beats(&[0]).next(), millis(11_250));
    }

    #[test]
    fn req_002_the_shortest_and_the_longest_interval_keep_their_grid() {
        for seconds in [1, 60] {
            let interval = Duration::from_secs(seconds);
            let mut schedule = BeatSchedule::new(START, interval);
            schedule.take(START);
            schedule.take(START + interval + millis(500));
            assert_eq!(schedule.next(), START + 2 * interval);
        }
    }

    #[test]
    fn an_interval_of_nothing_does_not_beat_without_end() {
        let mut schedule = BeatSchedule::new(START, Duration::ZERO);
        schedule.take(START);
        assert_eq!(schedule.next(), START + millis(1));
    }

    #[test]
    fn the_end_of_time_is_survived() {
        let mut schedule = BeatSchedule::new(START, INTERVAL);
        schedule.take(Duration::MAX);
        assert_eq!(schedule.next(), Duration::MAX);
        schedule.take(Duration::ZERO);
        assert_eq!(schedule.next(), Duration::MAX);
    }

    proptest! {
        #[test]
        fn req_002_the_next_beat_is_always_to_come_at_most_an_interval_away_and_on_the_grid(
            start in 0..100_000_u64,
            interval in 1..60_000_u64,
            taken in prop::collection::vec(0..10_000_000_u64, 1..20),
        ) {
            let (start, interval) = (millis(start), millis(interval));
            let mut schedule = BeatSchedule::new(start, interval);
            for at in taken {
                let (at, before) = (millis(at), schedule.next());
                schedule.take(at);
                let latest = at.max(before);
                prop_assert!(schedule.next() > latest);
                prop_assert!(schedule.next() <= latest + interval);
                prop_assert_eq!((schedule.next() - start).as_nanos() % interval.as_nanos(), 0);
            }
        }
    }
}
