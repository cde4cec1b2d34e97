//! A count of what happened lately, in a fixed amount of memory.

use std::mem;
use std::time::Duration;

/// Counts events of the last `SECONDS` seconds, in buckets of one second.
///
/// An event counts as long as its second is one of the last `SECONDS`, the present one
/// included. Time never goes backwards: an event that comes with an earlier time than one
/// before it counts in the later second.
#[derive(Debug, Clone)]
pub struct SlidingCount<const SECONDS: usize> {
    buckets: Box<[u32; SECONDS]>,
    newest: u64,
    total: u64,
}

impl<const SECONDS: usize> SlidingCount<SECONDS> {
    /// A window in which nothing has happened yet.
    pub fn new() -> Self {
        Self { buckets: Box::new([0; SECONDS]), newest: 0, total: 0 }
    }

    /// Counts one event at `at`.
    pub fn add(&mut self, at: Duration) {
        self.advance(at);
        let bucket = &mut self.buckets[index::<SECONDS>(self.newest)];
        if let Some(more) = bucket.checked_add(1) {
            *bucket = more;
            self.total += 1;
        }
    }

    /// How many events count at `at`.
    pub fn total(&mut self, at: Duration) -> u64 {
        self.advance(at);
        self.total
    }

    /// Empties the buckets of the seconds that have passed, at most all of them once.
    fn advance(&mut self, at: Duration) {
        let second = at.as_secs();
        let passed = second.saturating_sub(self.newest);
        for step in 1..=passed.min(SECONDS as u64) {
            let bucket = &mut self.buckets[index::<SECONDS>(self.newest + step)];
            self.total -= u64::from(mem::take(bucket));
        }
        self.newest = self.newest.max(second);
    }
}

fn index<const SECONDS: usize>(second: u64) -> usize {
    (second % SECONDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_event_counts_for_exactly_the_window() {
        let mut window = SlidingCount::<300>::new();
        window.add(seconds(10));
        assert_eq!(window.total(seconds(10)), 1);
        assert_eq!(window.total(Duration::from_millis(309_999)), 1);
        assert_eq!(window.total(seconds(310)), 0);
    }

    #[test]
    fn a_long_gap_empties_the_window_once_and_it_goes_on_counting() {
        let mut window = SlidingCount::<3>::new();
        for second in [0, 1, 1, 2] {
            window.add(seconds(second));
        }
        assert_eq!(window.total(seconds(2)), 4);
        assert_eq!(window.total(seconds(u64::MAX)), 0);
        window.add(seconds(u64::MAX));
        assert_eq!(window.total(seconds(u64::MAX)), 1);
    }

    #[test]
    fn an_earlier_time_counts_in_the_newest_second() {
        let mut window = SlidingCount::<3>::new();
        window.add(seconds(5));
        window.add(seconds(1));
        assert_eq!(window.total(seconds(7)), 2);
        assert_eq!(window.total(seconds(8)), 0);
    }

    #[test]
    fn a_full_bucket_stays_full_and_the_total_agrees() {
        let mut window = SlidingCount::<3>::new();
        window.buckets[1] = u32::MAX;
        window.newest = 1;
        window.total = u64::from(u32::MAX);
        window.add(seconds(1));
        assert_eq!(window.total(seconds(3)), u64::from(u32::MAX));
        assert_eq!(window.total(seconds(4)), 0);
    }

    proptest! {
        #[test]
        fn a_window_equals_a_list_of_all_events(
            steps in prop::collection::vec((any::<bool>(), 0..20_u64, 0..1000_u64), 0..200),
        ) {
            const SPAN: u64 = 7;
            let mut window = SlidingCount::<{ SPAN as usize }>::new();
            let (mut events, mut newest) = (Vec::new(), 0);
            for (is_event, second, millis) in steps {
                let at = seconds(second) + Duration::from_millis(millis);
                newest = second.max(newest);
                if is_event {
                    window.add(at);
                    events.push(newest);
                }
                let expected = events.iter().filter(|event| **event + SPAN > newest).count();
                prop_assert_eq!(window.total(at), expected as u64);
            }
        }
    }
}
