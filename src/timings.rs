//! How long a reply took, stage by stage: what was waiting for others, and what was our own work.

use std::time::Duration;

/// What a reply's lines waited for in the outbox. Where waits overlap they count once: while the robot
/// answers to one line, the gap before the next is kept already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// The gaps before lines, those of the room's other replies included.
    pub gap: Duration,
    /// The robot: until it was in the room and the link to it up, until somebody took its lines, and until it
    /// answered.
    pub robot: Duration,
    /// When the lines were handed over, since start.
    began: Duration,
    /// Up to which moment since start all is counted.
    until: Duration,
}

impl Waits {
    /// Nothing was waited for since a reply was handed over, at that moment since start.
    pub fn since(handed_over: Duration) -> Self {
        Self { began: handed_over, until: handed_over, ..Self::default() }
    }

    /// A gap was kept until then.
    pub fn gap(&mut self, until: Duration) {
        let waited = self.take(self.until, until);
        self.gap += waited;
    }

    /// The robot was waited for.
    pub fn robot(&mut self, from: Duration, until: Duration) {
        let waited = self.take(from, until);
        self.robot += waited;
    }

    /// How long it took from this moment since start until the last wait was over.
    pub fn total(&self, from: Duration) -> Duration {
        self.until.saturating_sub(from)
    }

    fn take(&mut self, from: Duration, until: Duration) -> Duration {
        let from = from.max(self.until);
        self.until = self.until.max(until);
        until.saturating_sub(from)
    }
}

/// The moments of one reply, since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// What is answered came in.
    pub read: Duration,
    /// It was decided to answer.
    pub decided: Duration,
    /// The prompt was made.
    pub prompted: Duration,
    /// A provider had answered: after every try and the pauses between.
    pub answered: Duration,
    /// How long the call that was answered waited until it was written down as spent. Of the tries before, and
    /// of those beside it, that counts as the provider's.
    pub reserving: Duration,
    /// What the lines waited for from then on when they were handed to the outbox.
    pub waits: Waits,
}

impl Timings {
    /// How long each stage took, by name, in their order.
    pub fn stages(&self) -> [(&'static str, Duration); 7] {
        let Self { read, decided, prompted, answered, reserving, waits } = *self;
        [
            ("queue", decided.saturating_sub(read)),
            ("prompt", prompted.saturating_sub(decided)),
            ("spend", reserving),
            ("provider", self.provider()),
            ("check", waits.began.saturating_sub(answered)),
            ("gap", waits.gap),
            ("robot", waits.robot),
        ]
    }

    /// From the message's arrival to the robot's answer to the last line.
    pub fn total(&self) -> Duration {
        self.waits.total(self.read)
    }

    /// What was our own: all but waiting for the provider, the gaps and the robot.
    pub fn overhead(&self) -> Duration {
        self.total().saturating_sub(self.provider() + self.waits.gap + self.waits.robot)
    }

    fn provider(&self) -> Duration {
        self.answered.saturating_sub(self.prompted + self.reserving)
    }
}

#[cfg(test)]
impl Timings {
    /// Of a reply of one line, each of its stages another time.
    pub fn example() -> Self {
        let ms = Duration::from_millis;
        let mut waits = Waits::since(ms(1_711));
        waits.gap(ms(2_000));
        waits.robot(ms(2_004), ms(2_020));
        Self {
            read: ms(1_000),
            decided: ms(1_001),
            prompted: ms(1_003),
            answered: ms(1_708),
            reserving: ms(5),
            waits,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn one_line_waits_for_its_gap_and_the_robot() {
        let mut waits = Waits::since(ms(100));
        waits.gap(ms(600));
        // 2 ms of it, until the line was out, were ours.
        waits.robot(ms(602), ms(650));
        assert_eq!((waits.gap, waits.robot, waits.until), (ms(500), ms(48), ms(650)));
    }

    #[test]
    fn the_gap_before_a_line_counts_from_the_answer_to_the_one_before() {
        let mut waits = Waits::since(ms(0));
        waits.gap(ms(0));
        waits.robot(ms(1), ms(11));
        waits.gap(ms(1_000));
        waits.robot(ms(1_001), ms(1_011));
        assert_eq!((waits.gap, waits.robot, waits.until), (ms(989), ms(20), ms(1_011)));
    }

    #[test]
    fn a_slow_robot_is_waited_for_only_once() {
        let mut waits = Waits::since(ms(0));
        // The second line was answered first; the first one timed out.
        waits.gap(ms(1_000));
        waits.robot(ms(1_000), ms(1_600));
        waits.gap(ms(0));
        waits.robot(ms(0), ms(3_000));
        assert_eq!((waits.gap, waits.robot, waits.until), (ms(1_000), ms(2_000), ms(3_000)));
    }

    #[test]
    fn overhead_is_the_total_less_provider_gaps_and_robot() {
        let timings = Timings::example();
        let expected = [
            ("queue", 1),
            ("prompt", 2),
            ("spend", 5),
            ("provider", 700),
            ("check", 3),
            ("gap", 289),
            ("robot", 16),
        ];
        assert_eq!(timings.stages(), expected.map(|(name, took)| (name, ms(took))));
        assert_eq!(timings.total(), ms(1_020));
        assert_eq!(timings.overhead(), ms(1 + 2 + 5 + 3 + 4));
    }

    proptest! {
        #[test]
        fn waits_never_add_up_to_more_than_the_time_that_passed(
            begin in 0u64..1_000,
            steps in proptest::collection::vec((any::<bool>(), 0u64..5_000, 0u64..5_000), 0..40),
        ) {
            let mut waits = Waits::since(ms(begin));
            for (is_gap, from, until) in steps {
                if is_gap { waits.gap(ms(until)) } else { waits.robot(ms(from), ms(until)) }
            }
            prop_assert!(waits.gap + waits.robot <= waits.until - ms(begin));
        }
    }
}
