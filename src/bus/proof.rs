//! Is the link alive? The rule, without any I/O.
//!
//! A NATS connection can be dead for minutes before a client says so. So an echo to an inbox of
//! our own goes out on it every half second, without waiting for the one before. A late echo is
//! a slow link; four unanswered ones in a row are a dead one.

use std::collections::VecDeque;
use std::time::Duration;

/// How often an echo is sent.
pub const ECHO_INTERVAL: Duration = Duration::from_millis(500);
/// So many regular echoes without an answer, and the link is dead.
const UNANSWERED_LIMIT: usize = 4;
/// An echo younger than this is fresh; on a slow link, one younger than its own round trip.
const FRESH: Duration = Duration::from_secs(1);
/// Echoes on demand beyond this many in flight ride on those that are.
const IN_FLIGHT_LIMIT: usize = 64;

/// What the half-second tick asks of the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Send an echo with this number.
    Send(u64),
    /// Four regular echoes are unanswered: the link is dead.
    Dead,
}

/// An answered echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// When the echo was sent, since start: all that was written before it has reached the server.
    pub began: Duration,
    /// When its answer came, since start.
    pub answered: Duration,
}

impl Proof {
    /// The link's round trip.
    pub fn round_trip(&self) -> Duration {
        self.answered.saturating_sub(self.began)
    }

    /// Whether the link may be trusted with something that must not arrive late.
    pub fn is_fresh(&self, now: Duration) -> bool {
        now.saturating_sub(self.answered) < FRESH.max(self.round_trip())
    }
}

#[derive(Debug)]
struct Echo {
    number: u64,
    sent: Duration,
    regular: bool,
}

/// The echoes of one connection.
#[derive(Debug, Default)]
pub struct LinkProof {
    next: u64,
    unanswered: VecDeque<Echo>,
    latest: Option<Proof>,
}

impl LinkProof {
    /// The regular tick, every [`ECHO_INTERVAL`].
    ///
    /// Ticks are counted, not seconds: a daemon that was paused for a minute finds the answers
    /// waiting for it, and must not take its own absence for the link's death. Before the first
    /// answer a connection is not called dead; whoever waits for it has a deadline.
    pub fn tick(&mut self, now: Duration) -> Tick {
        let missing = self.unanswered.iter().filter(|echo| echo.regular).count();
        if self.latest.is_some() && missing >= UNANSWERED_LIMIT {
            return Tick::Dead;
        }
        Tick::Send(self.send(now, true))
    }

    /// An echo on demand, for somebody who needs a proof that begins now. None when so many are
    /// in flight that one more would prove nothing sooner.
    pub fn extra(&mut self, now: Duration) -> Option<u64> {
        (self.unanswered.len() < IN_FLIGHT_LIMIT).then(|| self.send(now, false))
    }

    /// The latest answered echo.
    pub fn latest(&self) -> Option<Proof> {
        self.latest
    }

    fn send(&mut self, now: Duration, regular: bool) -> u64 {
        self.next += 1;
        if self.unanswered.len() >= 2 * IN_FLIGHT_LIMIT {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(Echo { number: self.next, sent: now, regular });
        self.next
    }

    /// The answer to echo `number` came. Those before it were answered or lost: a connection
    /// keeps its order. An answer to nothing that is in flight changes nothing.
    pub fn answered(&mut self, now: Duration, number: u64) -> Option<Proof> {
        let position = self.unanswered.iter().position(|echo| echo.number == number)?;
        let echo = self.unanswered.drain(..=position).next_back()?;
        let proof = Proof { began: echo.sent, answered: now };
        self.latest = Some(proof);
        Some(proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Runs ticks over a link with a constant round trip; returns when it was called dead.
    fn dead_after(round_trip: u64, dies_at: u64, until: u64) -> Option<u64> {
        let mut link = LinkProof::default();
        let mut flying: VecDeque<(u64, u64)> = VecDeque::new();
        for now in 0..until {
            while let Some(&(arrives, number)) = flying.front()
                && arrives <= now
            {
                flying.pop_front();
                link.answered(at(now), number);
            }
            if now % 500 == 0 {
                match link.tick(at(now)) {
                    Tick::Dead => return Some(now),
                    Tick::Send(number) if now < dies_at => flying.push_back((now + round_trip, number)),
                    Tick::Send(_) => {}
                }
            }
        }
        None
    }

    #[test]
    fn a_dead_link_is_called_dead_within_two_and_a_half_seconds() {
        for dies_at in [10_001, 10_250, 10_499, 10_500] {
            let called = dead_after(2, dies_at, 60_000).expect("called dead");
            assert!((2_000..=2_500).contains(&(called - dies_at)), "{dies_at}: {called}");
        }
    }

    #[test]
    fn a_slow_link_is_not_a_dead_one() {
        for round_trip in [0, 1, 900, 1_500, 1_800] {
            assert_eq!(dead_after(round_trip, u64::MAX, 120_000), None, "{round_trip} ms");
        }
    }

    #[test]
    fn a_connection_that_never_answered_is_not_called_dead_here() {
        assert_eq!(dead_after(1, 0, 60_000), None);
    }

    #[test]
    fn a_pause_of_the_daemon_is_not_the_death_of_the_link() {
        let mut link = LinkProof::default();
        let Tick::Send(first) = link.tick(at(0)) else { panic!("sends") };
        link.answered(at(1), first);
        let Tick::Send(second) = link.tick(at(500)) else { panic!("sends") };
        // Ten seconds asleep; the tick comes before the answer that waits in the socket.
        assert!(matches!(link.tick(at(10_500)), Tick::Send(_)));
        assert!(link.answered(at(10_501), second).is_some());
    }

    #[test]
    fn echoes_on_demand_neither_hasten_death_nor_pile_up() {
        let mut link = LinkProof::default();
        let Tick::Send(first) = link.tick(at(0)) else { panic!("sends") };
        link.answered(at(1), first);
        let sent = (0..1_000).filter(|_| link.extra(at(2)).is_some()).count();
        assert_eq!(sent, IN_FLIGHT_LIMIT);
        assert!(matches!(link.tick(at(500)), Tick::Send(_)));
    }

    #[test]
    fn an_answer_settles_all_before_it_and_tells_when_it_began() {
        let mut link = LinkProof::default();
        link.tick(at(0));
        link.tick(at(500));
        let number = link.extra(at(600)).expect("room for one");
        let proof = link.answered(at(650), number).expect("in flight");
        assert_eq!((proof.began, proof.answered), (at(600), at(650)));
        assert_eq!(proof.round_trip(), at(50));
        assert!(link.unanswered.is_empty());
        assert_eq!(link.answered(at(700), number), None, "answered once");
        assert_eq!(link.answered(at(700), 999), None, "never sent");
    }

    #[test]
    fn a_proof_is_fresh_for_a_second_or_the_slow_links_own_round_trip() {
        let quick = Proof { began: at(0), answered: at(10) };
        assert!(quick.is_fresh(at(1_009)));
        assert!(!quick.is_fresh(at(1_010)));
        let slow = Proof { began: at(0), answered: at(1_800) };
        assert!(slow.is_fresh(at(3_599)));
        assert!(!slow.is_fresh(at(3_600)));
    }

    proptest! {
        #[test]
        fn whatever_comes_back_memory_stays_bounded(
            steps in proptest::collection::vec((0u8..3, 0u64..80), 0..400)
        ) {
            let mut link = LinkProof::default();
            let mut now = 0;
            for (step, number) in steps {
                now += 7;
                match step {
                    0 => { link.tick(at(now)); }
                    1 => { link.extra(at(now)); }
                    _ => { link.answered(at(now), number); }
                }
            }
            prop_assert!(link.unanswered.len() <= 2 * IN_FLIGHT_LIMIT);
        }
    }
}
