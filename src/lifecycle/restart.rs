//! When a group restart ends us: the rule, without any I/O.

use std::time::Duration;

/// A restart that is under way: of several notices the earliest end wins.
#[derive(Debug, Default)]
pub struct PendingRestart {
    end: Option<(Duration, String)>,
}

impl PendingRestart {
    /// A notice came at `now`. True when it ends us earlier than what was known.
    pub fn notice(&mut self, now: Duration, delay: Duration, reason: &str) -> bool {
        let end = now + delay;
        let earlier = self.end.as_ref().is_none_or(|(known, _)| end < *known);
        if earlier {
            self.end = Some((end, reason.to_owned()));
        }
        earlier
    }

    /// When to stop, since start, and the reason that the notice gave.
    pub fn end(&self) -> Option<(Duration, &str)> {
        self.end.as_ref().map(|(end, reason)| (*end, reason.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn req_008_of_several_notices_the_earliest_end_wins() {
        let mut restart = PendingRestart::default();
        assert_eq!(restart.end(), None);
        assert!(restart.notice(at(10), at(30), "update"));
        assert!(!restart.notice(at(11), at(60), "later"));
        assert_eq!(restart.end(), Some((at(40), "update")));
        assert!(restart.notice(at(12), at(0), "now"));
        assert_eq!(restart.end(), Some((at(12), "now")));
    }

    #[test]
    fn a_notice_that_ends_at_the_same_time_changes_nothing() {
        let mut restart = PendingRestart::default();
        restart.notice(at(0), at(5), "first");
        assert!(!restart.notice(at(1), at(4), "second"));
        assert_eq!(restart.end(), Some((at(5), "first")));
    }
}
