//! When an announcement goes out: the rule, without any I/O.

use std::time::Duration;

use crate::bus::wire::Occasion;

/// The least time between two announcements.
const GAP: Duration = Duration::from_millis(250);
/// More polls than this in a minute are worth a warning.
const POLLS_A_MINUTE: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// Lets one announcement through in 250 ms; one more always follows what came in between.
#[derive(Debug, Default)]
pub struct AnnounceGate {
    last: Option<Duration>,
    wanted: Option<Occasion>,
}

impl AnnounceGate {
    /// Asks for an announcement. Several that wait are one: the first ever stays the first, and
    /// the end of an outage is not lost among polls.
    pub fn want(&mut self, occasion: Occasion) {
        self.wanted = Some(match (self.wanted, occasion) {
            (None, occasion) => occasion,
            (Some(Occasion::Start), _) | (_, Occasion::Start) => Occasion::Start,
            (Some(Occasion::LinkBack(one)), Occasion::LinkBack(other)) => Occasion::LinkBack(one.max(other)),
            (Some(Occasion::LinkBack(outage)), _) | (_, Occasion::LinkBack(outage)) => {
                Occasion::LinkBack(outage)
            }
            (Some(Occasion::Asked), Occasion::Asked) => Occasion::Asked,
        });
    }

    /// When the waiting announcement is due, since start; none when none waits.
    pub fn due(&self) -> Option<Duration> {
        self.wanted.map(|_| self.last.map_or(Duration::ZERO, |last| last + GAP))
    }

    /// The announcement that is due at `now`, if one is.
    pub fn take(&mut self, now: Duration) -> Option<Occasion> {
        if self.due()? > now {
            return None;
        }
        self.last = Some(now);
        self.wanted.take()
    }

    /// What waits makes no sense any longer: the link is down, and will announce when it is back.
    /// But whoever has not been announced yet will not be announced again.
    pub fn forget(&mut self) {
        self.wanted = self.wanted.filter(|occasion| *occasion == Occasion::Start);
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
        gate.want(Occasion::Start);
        assert_eq!(gate.take(at(0)), Some(Occasion::Start));
        assert_eq!(gate.take(at(1_000)), None, "once");
    }

    #[test]
    fn req_004_a_poll_is_answered_at_once() {
        let mut gate = AnnounceGate::default();
        gate.want(Occasion::Asked);
        assert_eq!(gate.take(at(7)), Some(Occasion::Asked));
    }

    #[test]
    fn polls_in_between_are_one_announcement_a_quarter_of_a_second_later() {
        let mut gate = AnnounceGate::default();
        gate.want(Occasion::Asked);
        assert!(gate.take(at(1_000)).is_some());
        for now in 1_000..1_250 {
            gate.want(Occasion::Asked);
            assert_eq!(gate.take(at(now)), None, "{now}");
        }
        assert_eq!(gate.due(), Some(at(1_250)));
        assert!(gate.take(at(1_250)).is_some());
        assert_eq!(gate.due(), None);
    }

    #[test]
    fn an_outage_is_kept_when_a_poll_comes_with_it() {
        for occasions in [
            [Occasion::LinkBack(at(3_000)), Occasion::Asked],
            [Occasion::Asked, Occasion::LinkBack(at(3_000))],
        ] {
            let mut gate = AnnounceGate::default();
            occasions.into_iter().for_each(|occasion| gate.want(occasion));
            assert_eq!(gate.take(at(0)), Some(Occasion::LinkBack(at(3_000))), "{occasions:?}");
        }
    }

    #[test]
    fn what_waits_when_the_link_dies_is_forgotten() {
        let mut gate = AnnounceGate::default();
        gate.want(Occasion::Asked);
        gate.forget();
        assert_eq!(gate.take(at(10_000)), None);
    }

    #[test]
    fn req_001_a_first_announcement_that_the_link_cut_off_is_still_the_first_when_it_is_back() {
        let mut gate = AnnounceGate::default();
        gate.want(Occasion::Start);
        assert_eq!(gate.take(at(0)), Some(Occasion::Start));
        // It could not be published.
        gate.want(Occasion::Start);
        gate.forget();
        gate.want(Occasion::LinkBack(at(3_000)));
        assert_eq!(gate.take(at(3_000)), Some(Occasion::Start));
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
                    gate.want(Occasion::Asked);
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
