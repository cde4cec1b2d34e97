//! Quantiles of times that were measured.

use std::time::Duration;

/// The least of these times that so many percent do not exceed, by nearest rank; none of none. They are to
/// be sorted.
pub fn nearest_rank(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_always_one_of_the_times() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        for (count, expected) in [(1, [1, 1, 1]), (2, [1, 2, 2]), (3, [2, 3, 3]), (200, [100, 180, 198])] {
            let found = [50, 90, 99].map(|percent| nearest_rank(&times[..count], percent));
            assert_eq!(found, expected.map(|time| Some(Duration::from_millis(time))), "{count}");
        }
        assert_eq!(nearest_rank(&[], 50), None);
    }
}
