//! When an announcement goes out: the rule, without any I/O.

use std::time::Duration;

/// The least time between two announcements.
const GAP: Duration = Duration::from_millis(250);
/// More polls than this in a minute are worth a warning.
const POLLS_A_MINUTE: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// Why the service announces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// For the first time.
    Started,
    /// The link is back after this long.
    LinkBack(Duration),
    /// Somebody asked who is there, or the robot started.
    Asked,
}

/// One announcement that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// False only for the first.
    pub again: bool,
    /// How long the outage lasted that it ends, if it ends one.
    pub outage: Option<Duration>,
}

/// Lets one announcement through in 250 ms; one more always follows what came in between.
#[derive(Debug, Default)]
pub struct AnnounceGate {
    last: Option<Duration>,
    wanted: Option<Announcement>,
}

impl AnnounceGate {
    /// Asks for an announcement. Several that wait are one.
    pub fn want(&mut self, cause: Cause) {
        let wanted =
            self.wanted.get_or_insert(Announcement { again: cause != Cause::Started, outage: None });
        if let Cause::LinkBack(outage) = cause {
            wanted.outage = Some(wanted.outage.map_or(outage, |known| known.max(outage)));
        }
        if cause == Cause::Started {
            wanted.again = false;
        }
    }

    /// When the waiting announcement is due, since start; none when none waits.
    pub fn due(&self) -> Option<Duration> {
        self.wanted.map(|_| self.last.map_or(Duration::ZERO, |last| last + GAP))
    }

    /// The announcement that is due at `now`, if one is.
    pub fn take(&mut self, now: Duration) -> Option<Announcement> {
        if self.due()? > now {
            return None;
        }
        self.last = Some(now);
        self.wanted.take()
    }

    /// What waits makes no sense any longer: the link is down, and will announce when it is back.
    pub fn forget(&mut self) {
        self.wanted = None;
    }
}

/// Counts polls; says once a minute when there are too many.
#[derive(Debug, Default)]
pub struct PollCounter {
    minute_began: Duration,
    polls: u32,
}

impl PollCounter {
    /// A poll came. True for the one that makes too many of them in its minute.
    pub fn is_flood(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.minute_began) >= MINUTE {
            *self = Self { minute_began: now, polls: 0 };
        }
        self.polls = self.polls.saturating_add(1);
        self.polls == POLLS_A_MINUTE + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_first_announcement_goes_out_at_once_and_is_not_marked() {
        let mut gate = AnnounceGate::default();
        assert_eq!(gate.take(at(0)), None, "nothing wanted");
        gate.want(Cause::Started);
        assert_eq!(gate.take(at(0)), Some(Announcement { again: false, outage: None }));
        assert_eq!(gate.take(at(1_000)), None, "once");
    }

    #[test]
    fn req_004_a_poll_is_answered_at_once() {
        let mut gate = AnnounceGate::default();
        gate.want(Cause::Asked);
        assert_eq!(gate.take(at(7)), Some(Announcement { again: true, outage: None }));
    }

    #[test]
    fn polls_in_between_are_one_announcement_a_quarter_of_a_second_later() {
        let mut gate = AnnounceGate::default();
        gate.want(Cause::Asked);
        assert!(gate.take(at(1_000)).is_some());
        for now in 1_000..1_250 {
            gate.want(Cause::Asked);
            assert_eq!(gate.take(at(now)), None, "{now}");
        }
        assert_eq!(gate.due(), Some(at(1_250)));
        assert!(gate.take(at(1_250)).is_some());
        assert_eq!(gate.due(), None);
    }

    #[test]
    fn an_outage_is_kept_when_a_poll_comes_with_it() {
        for causes in [
            [Cause::LinkBack(at(3_000)), Cause::Asked],
            [Cause::Asked, Cause::LinkBack(at(3_000))],
        ] {
            let mut gate = AnnounceGate::default();
            causes.map(|cause| gate.want(cause));
            assert_eq!(
                gate.take(at(0)),
                Some(Announcement { again: true, outage: Some(at(3_000)) }),
                "{causes:?}"
            );
        }
    }

    #[test]
    fn what_waits_when_the_link_dies_is_forgotten() {
        let mut gate = AnnounceGate::default();
        gate.want(Cause::Asked);
        gate.forget();
        assert_eq!(gate.take(at(10_000)), None);
    }

    #[test]
    fn more_than_ten_polls_a_minute_are_one_warning_a_minute() {
        let mut counter = PollCounter::default();
        let warned: Vec<u64> =
            (0..120).filter(|second| counter.is_flood(Duration::from_secs(*second))).collect();
        assert_eq!(warned, [10, 70]);
        let mut counter = PollCounter::default();
        assert!((0..10).all(|second| !counter.is_flood(Duration::from_secs(second))));
    }

    proptest! {
        #[test]
        fn never_two_within_the_gap_and_the_last_always_goes_out(
            wants in proptest::collection::vec(0u64..5_000, 1..60)
        ) {
            let mut wants = wants;
            wants.sort_unstable();
            let last_want = *wants.last().expect("one at least");
            let mut gate = AnnounceGate::default();
            let mut sent: Vec<u64> = Vec::new();
            let mut next = 0;
            for now in 0..6_000 {
                while next < wants.len() && wants[next] == now {
                    gate.want(Cause::Asked);
                    next += 1;
                }
                if gate.take(at(now)).is_some() {
                    sent.push(now);
                }
            }
            prop_assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 250));
            prop_assert!(sent.last().is_some_and(|sent| *sent >= last_want && *sent <= last_want + 250));
        }
    }
}
