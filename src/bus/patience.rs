//! How long to go on trying to connect: the rule, without any I/O.

use std::time::Duration;

/// How long nothing but refusals is borne once the service has been connected.
const REFUSALS_BORNE: Duration = Duration::from_secs(60);

/// Why trying has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfPatience {
    /// `nats.max_reconnect_attempts` are used up.
    Attempts(u64),
    /// The server refuses our credentials.
    Refused,
}

/// The attempts since the link was last up.
///
/// A lost link is tried again many times a second, but an attempt is counted only once in each
/// `reconnect_time_wait`: whoever allows ten attempts with two seconds between them means twenty
/// seconds.
#[derive(Debug)]
pub struct Patience {
    limit: Option<u64>,
    time_wait: Duration,
    was_connected: bool,
    counted: u64,
    counted_at: Option<Duration>,
    refused_since: Option<Duration>,
}

impl Patience {
    /// `limit`: attempts allowed in a row, none for ever. `time_wait`: what one attempt is worth.
    pub fn new(limit: Option<u64>, time_wait: Duration) -> Self {
        Self { limit, time_wait, was_connected: false, counted: 0, counted_at: None, refused_since: None }
    }

    /// Whether this is still about the first connection.
    pub fn is_first(&self) -> bool {
        !self.was_connected
    }

    /// The link is up and proven.
    pub fn connected(&mut self) {
        *self = Self { was_connected: true, ..Self::new(self.limit, self.time_wait) };
    }

    /// An attempt failed at `now`. Some when there should be no other.
    pub fn failed(&mut self, now: Duration, refused: bool) -> Option<OutOfPatience> {
        if refused {
            let since = *self.refused_since.get_or_insert(now);
            if !self.was_connected || now.saturating_sub(since) >= REFUSALS_BORNE {
                return Some(OutOfPatience::Refused);
            }
        } else {
            self.refused_since = None;
        }
        let limit = self.limit?;
        if self.counted_at.is_none_or(|at| now.saturating_sub(at) >= self.time_wait) {
            self.counted += 1;
            self.counted_at = Some(now);
        }
        (self.counted >= limit).then_some(OutOfPatience::Attempts(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Fails every 100 ms; returns when patience ended.
    fn ends_at(mut patience: Patience, refused: bool, until: u64) -> Option<(u64, OutOfPatience)> {
        (0..until).step_by(100).find_map(|now| Some((now, patience.failed(at(now), refused)?)))
    }

    #[test]
    fn attempts_without_a_limit_never_end() {
        assert_eq!(ends_at(Patience::new(None, at(2_000)), false, 3_600_000), None);
    }

    #[test]
    fn an_attempt_counts_once_in_each_time_wait() {
        let patience = Patience::new(Some(5), at(2_000));
        assert_eq!(ends_at(patience, false, 60_000), Some((8_000, OutOfPatience::Attempts(5))));
    }

    #[test]
    fn a_single_attempt_ends_with_the_first_failure() {
        let patience = Patience::new(Some(1), at(2_000));
        assert_eq!(ends_at(patience, false, 60_000), Some((0, OutOfPatience::Attempts(1))));
    }

    #[test]
    fn refused_credentials_end_it_at_once_at_start() {
        assert_eq!(Patience::new(None, at(1)).failed(at(0), true), Some(OutOfPatience::Refused));
    }

    #[test]
    fn refused_credentials_later_end_it_after_a_minute_of_nothing_else() {
        let mut patience = Patience::new(None, at(1));
        patience.connected();
        assert_eq!(patience.failed(at(0), true), None);
        assert_eq!(patience.failed(at(59_999), true), None);
        assert_eq!(patience.failed(at(60_000), true), Some(OutOfPatience::Refused));
    }

    #[test]
    fn another_failure_between_refusals_starts_the_minute_anew() {
        let mut patience = Patience::new(None, at(1));
        patience.connected();
        assert_eq!(patience.failed(at(0), true), None);
        assert_eq!(patience.failed(at(30_000), false), None);
        assert_eq!(patience.failed(at(60_000), true), None);
        assert_eq!(patience.failed(at(120_000), true), Some(OutOfPatience::Refused));
    }

    #[test]
    fn a_connection_gives_all_attempts_back() {
        let mut patience = Patience::new(Some(2), at(1_000));
        assert_eq!(patience.failed(at(0), false), None);
        patience.connected();
        assert!(!patience.is_first());
        assert_eq!(patience.failed(at(5_000), false), None);
        assert_eq!(patience.failed(at(6_000), false), Some(OutOfPatience::Attempts(2)));
    }
}
