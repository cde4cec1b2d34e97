//! When a group restart ends us: the rule, without any I/O.

use std::time::Duration;

use crate::shutdown::StopReason;

/// A restart that is under way: of several notices the earliest end wins.
#[derive(Debug, Default)]
pub struct PendingRestart {
    end: Option<(Duration, StopReason)>,
}

impl PendingRestart {
    /// A notice came at `now`: to stop after `delay`, for `reason`. True when it ends us earlier
    /// than what was known.
    pub fn notice(&mut self, now: Duration, delay: Duration, reason: StopReason) -> bool {
        let end = now + delay;
        let is_earlier = self.end().is_none_or(|known| end < known);
        if is_earlier {
            self.end = Some((end, reason));
        }
        is_earlier
    }

    /// When to stop, since start; none when nobody asked for it.
    pub fn end(&self) -> Option<Duration> {
        self.end.as_ref().map(|(end, _)| *end)
    }

    /// Why to stop, once; nothing is pending behind it.
    pub fn take(&mut self) -> Option<StopReason> {
        self.end.take().map(|(_, reason)| reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn because(reason: &str) -> StopReason {
        StopReason::GroupRestart { reason: reason.to_owned(), initiator: None }
    }

    #[test]
    fn req_008_of_several_notices_the_earliest_end_wins() {
        let mut restart = PendingRestart::default();
        assert_eq!(restart.end(), None);
        assert!(restart.notice(at(10), at(30), because("update")));
        assert!(!restart.notice(at(11), at(60), because("later")));
        assert_eq!(restart.end(), Some(at(40)));
        assert!(restart.notice(at(12), at(0), because("now")));
        assert_eq!(restart.end(), Some(at(12)));
        assert_eq!(restart.take(), Some(because("now")));
        assert_eq!((restart.end(), restart.take()), (None, None));
    }

    #[test]
    fn a_notice_that_ends_at_the_same_time_changes_nothing() {
        let mut restart = PendingRestart::default();
        restart.notice(at(0), at(5), because("first"));
        assert!(!restart.notice(at(1), at(4), because("second")));
        assert_eq!(restart.end(), Some(at(5)));
        assert_eq!(restart.take(), Some(because("first")));
    }
}
