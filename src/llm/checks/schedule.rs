//! When which provider is checked.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::config::{HealthCheck, HealthCheckKind};

/// The first check follows a start, or a change of its settings, within this time, and not before half of
/// it: a start is busy enough.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// An interval is drawn out by up to this share of it, so that several providers are not checked in step.
const JITTER: f64 = 0.1;

/// An open breaker is probed by a check that costs nothing no more often than a check may be configured. One
/// that costs is never made more often than it is.
const BETWEEN_PROBES: Duration = Duration::from_secs(10);

/// The most checks at the same time.
const MOST_AT_ONCE: usize = 4;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Check this provider, and tell when that has ended.
    Check(usize),
    /// Nothing before this moment, unless a breaker moves.
    WaitUntil(Duration),
    /// Nothing until a check ends, a breaker moves or the settings change.
    Rest,
}

/// The providers that are checked. All moments are since the service started.
#[derive(Debug, Default)]
pub struct Schedule {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    provider: usize,
    check: HealthCheck,
    /// When its own time comes.
    due: Duration,
    is_under_way: bool,
    /// The breaker's time that the latest probe was made for; a probe without a verdict is not made again.
    probed: Option<Duration>,
    /// No probe before this.
    rests_until: Duration,
}

impl Schedule {
    /// Checks these providers from now on, each in its way. No check may be under way. Those whose check is
    /// as before keep their time.
    pub fn adopt(
        &mut self,
        now: Duration,
        providers: impl IntoIterator<Item = (usize, HealthCheck)>,
        random: &mut impl Rng,
    ) {
        let mut before = std::mem::take(&mut self.entries);
        for (provider, check) in providers {
            let first = now + FIRST_WITHIN.mul_f64(random.random_range(0.5..1.0));
            let known = before.iter().position(|entry| entry.provider == provider);
            self.entries.push(match known.map(|at| before.swap_remove(at)) {
                Some(entry) if entry.check == check => Entry { is_under_way: false, ..entry },
                Some(entry) => Entry { check, due: first, is_under_way: false, ..entry },
                None => Entry {
                    provider,
                    check,
                    due: first,
                    is_under_way: false,
                    probed: None,
                    rests_until: Duration::ZERO,
                },
            });
        }
    }

    /// What to do now. `probe_due` says of a provider from when on its breaker lets a probe through, if
    /// it waits for one.
    pub fn next(&mut self, now: Duration, probe_due: impl Fn(usize) -> Option<Duration>) -> Next {
        let under_way = self.entries.iter().filter(|entry| entry.is_under_way).count();
        if under_way >= MOST_AT_ONCE {
            return Next::Rest;
        }
        let waiting = self.entries.iter_mut().filter(|entry| !entry.is_under_way);
        let first = waiting.map(|entry| (entry.due_with(probe_due(entry.provider)), entry));
        match first.min_by_key(|(due, _)| *due) {
            None => Next::Rest,
            Some((due, _)) if due > now => Next::WaitUntil(due),
            Some((_, entry)) => {
                entry.is_under_way = true;
                let probe = probe_due(entry.provider).filter(|due| *due <= now);
                if probe.is_some() || entry.check.kind == HealthCheckKind::Completion {
                    entry.rests_until = now + entry.between_probes();
                }
                entry.probed = probe.or(entry.probed);
                Next::Check(entry.provider)
            }
        }
    }

    /// A check has ended. Its interval counts from here.
    pub fn ended(&mut self, now: Duration, provider: usize, random: &mut impl Rng) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.provider == provider) {
            let drawn_out = random.random::<f64>().mul_add(JITTER, 1.0);
            entry.is_under_way = false;
            entry.due = now + entry.check.interval.mul_f64(drawn_out);
        }
    }
}

impl Entry {
    fn between_probes(&self) -> Duration {
        match self.check.kind {
            HealthCheckKind::Models => BETWEEN_PROBES,
            HealthCheckKind::Completion => self.check.interval,
        }
    }

    /// Its own time, or that of the breaker's probe when that comes first.
    fn due_with(&self, probe_due: Option<Duration>) -> Duration {
        let probe = probe_due.filter(|due| self.probed != Some(*due));
        probe.map_or(self.due, |due| self.due.min(due.max(self.rests_until)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn models(interval: Duration) -> HealthCheck {
        HealthCheck { interval, kind: HealthCheckKind::Models }
    }

    fn completion(interval: Duration) -> HealthCheck {
        HealthCheck { interval, kind: HealthCheckKind::Completion }
    }

    fn no_probe(_: usize) -> Option<Duration> {
        None
    }

    struct Stage {
        schedule: Schedule,
        random: StdRng,
    }

    impl Stage {
        fn new(providers: &[(usize, HealthCheck)]) -> Self {
            let mut stage = Self { schedule: Schedule::default(), random: StdRng::seed_from_u64(1) };
            stage.adopt(Duration::ZERO, providers);
            stage
        }

        fn adopt(&mut self, now: Duration, providers: &[(usize, HealthCheck)]) {
            self.schedule.adopt(now, providers.iter().cloned(), &mut self.random);
        }

        fn ended(&mut self, now: Duration, provider: usize) {
            self.schedule.ended(now, provider, &mut self.random);
        }

        /// The first check of the only provider has ended after a second.
        fn after_the_first_check() -> Self {
            let mut stage = Self::new(&[(7, models(MINUTE))]);
            assert_eq!(stage.schedule.next(second(1), no_probe), Next::Check(7));
            stage.ended(second(1), 7);
            stage
        }

        fn waits_until(&mut self, now: Duration, probe_due: Option<Duration>) -> Option<Duration> {
            match self.schedule.next(now, |_| probe_due) {
                Next::WaitUntil(due) => Some(due),
                Next::Check(_) | Next::Rest => None,
            }
        }
    }

    #[test]
    fn nothing_is_done_when_it_is_off() {
        let mut stage = Stage::new(&[]);
        assert_eq!(stage.schedule.next(MINUTE, no_probe), Next::Rest);
    }

    #[test]
    fn the_first_check_comes_soon_and_the_interval_counts_from_its_end() {
        let mut stage = Stage::new(&[(7, models(MINUTE))]);
        let due = stage.waits_until(Duration::ZERO, None).unwrap();
        assert!((second(1) / 2..=second(1)).contains(&due), "{due:?}");
        assert_eq!(stage.schedule.next(second(1), no_probe), Next::Check(7));
        assert_eq!(stage.schedule.next(second(300), no_probe), Next::Rest, "one at a time");
        stage.ended(second(300), 7);
        let due = stage.waits_until(second(300), None).unwrap();
        assert!((second(360)..=second(366)).contains(&due), "{due:?}");
        assert_eq!(stage.schedule.next(due, no_probe), Next::Check(7));
    }

    #[test]
    fn several_are_not_checked_in_step_and_no_more_than_four_at_once() {
        let providers: Vec<(usize, HealthCheck)> =
            (0..6).map(|provider| (provider, models(MINUTE))).collect();
        let mut stage = Stage::new(&providers);
        let mut dues: Vec<Duration> = stage.schedule.entries.iter().map(|entry| entry.due).collect();
        dues.dedup();
        assert_eq!(dues.len(), 6, "{dues:?}");
        let started: Vec<Next> = (0..5).map(|_| stage.schedule.next(second(1), no_probe)).collect();
        assert!(started[..4].iter().all(|next| matches!(next, Next::Check(_))), "{started:?}");
        assert_eq!(started[4], Next::Rest);
        let Next::Check(first) = started[0] else { unreachable!() };
        stage.ended(second(2), first);
        assert!(matches!(stage.schedule.next(second(2), no_probe), Next::Check(next) if next != first));
    }

    #[test]
    fn a_breaker_that_waits_for_a_probe_is_not_made_to_wait_for_the_interval() {
        let mut stage = Stage::after_the_first_check();
        assert_eq!(stage.waits_until(second(5), Some(second(12))), Some(second(12)));
        assert_eq!(stage.schedule.next(second(12), |_| Some(second(12))), Next::Check(7));
    }

    #[test]
    fn a_probe_without_a_verdict_leaves_the_next_one_to_a_message_or_the_interval() {
        let mut stage = Stage::after_the_first_check();
        assert_eq!(stage.schedule.next(second(12), |_| Some(second(12))), Next::Check(7));
        stage.ended(second(13), 7);
        let due = stage.waits_until(second(13), Some(second(12))).unwrap();
        assert!(due >= second(73), "{due:?}");
        assert_eq!(stage.schedule.next(due, |_| Some(second(12))), Next::Check(7));
    }

    #[test]
    fn a_breaker_that_opens_for_a_moment_only_is_probed_every_ten_seconds() {
        let mut stage = Stage::after_the_first_check();
        assert_eq!(stage.schedule.next(second(12), |_| Some(second(12))), Next::Check(7));
        stage.ended(second(12), 7);
        assert_eq!(stage.waits_until(second(12), Some(second(13))), Some(second(22)));
    }

    #[test]
    fn a_check_that_costs_is_never_made_more_often_than_configured_though_the_breaker_waits() {
        let mut stage = Stage::new(&[(7, completion(MINUTE * 5))]);
        let mut checks = Vec::new();
        // Each probe fails, and opens the breaker for 30 s again.
        let (mut now, mut probe_due) = (Duration::ZERO, second(30));
        while now < MINUTE * 60 * 8 {
            match stage.schedule.next(now, |_| Some(probe_due)) {
                Next::Check(provider) => {
                    checks.push(now);
                    if now >= probe_due {
                        probe_due = now + second(30);
                    }
                    stage.ended(now, provider);
                }
                Next::WaitUntil(due) => now = due,
                Next::Rest => unreachable!("none is under way"),
            }
        }
        assert!(checks.windows(2).all(|two| two[1] - two[0] >= MINUTE * 5), "{checks:?}");
        assert!((80..=97).contains(&checks.len()), "{}", checks.len());
    }

    #[test]
    fn a_change_of_settings_keeps_the_time_of_what_stays_as_it_is() {
        let mut stage = Stage::after_the_first_check();
        let due = stage.waits_until(second(1), None);
        stage.adopt(second(9), &[(8, models(MINUTE)), (7, models(MINUTE))]);
        assert!(matches!(stage.schedule.next(second(10), no_probe), Next::Check(8)));
        assert_eq!(stage.waits_until(second(10), None), due);
        stage.adopt(second(20), &[(7, models(MINUTE * 2))]);
        assert!(stage.waits_until(second(20), None).is_some_and(|due| due <= second(21)));
        assert_eq!(stage.schedule.next(second(21), no_probe), Next::Check(7));
        stage.adopt(second(22), &[(7, models(MINUTE * 2))]);
        assert_eq!(stage.schedule.next(second(22), no_probe), Next::Check(7), "a cut one is made again");
        stage.adopt(second(23), &[]);
        stage.ended(second(24), 7);
        assert_eq!(stage.schedule.next(MINUTE * 9, no_probe), Next::Rest);
    }

    proptest! {
        #[test]
        fn checks_of_one_provider_are_never_closer_than_its_interval(
            seed in any::<u64>(), lasts in prop::collection::vec(0_u64..30, 1..20),
        ) {
            let (mut schedule, mut random) = (Schedule::default(), StdRng::seed_from_u64(seed));
            schedule.adopt(Duration::ZERO, [(0, models(MINUTE))], &mut random);
            let (mut now, mut last_end) = (Duration::ZERO, None);
            for lasts in lasts {
                if let Next::WaitUntil(due) = schedule.next(now, no_probe) {
                    now = due;
                    prop_assert_eq!(schedule.next(now, no_probe), Next::Check(0));
                }
                if let Some(end) = last_end {
                    prop_assert!(now >= end + MINUTE && now <= end + MINUTE.mul_f64(1.1));
                }
                now += second(lasts);
                schedule.ended(now, 0, &mut random);
                last_end = Some(now);
            }
        }
    }
}
