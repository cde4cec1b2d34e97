mod hedging;

use chrono::DateTime;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::chat::spend::Short;
use crate::clock::Moment;
use crate::config::CircuitBreaker;
use crate::names::ProviderName;
use crate::outcome::Reason;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const SECOND: Duration = Duration::from_secs(1);

/// A spend limit that keeps a call from being made.
fn denied(limit: Reason) -> Denied {
    Denied { limit, short: Short::CallsADay(1) }
}

/// Providers that take at most 10 s a try and may be tried three times, without back-off.
struct World {
    now: Duration,
    states: Vec<ProviderState>,
    candidates: Vec<Candidate>,
    strategy: RetryStrategy,
    random: StdRng,
    /// How many calls the spend limits still allow, by provider; none is any number.
    allowed: [Option<u32>; 4],
}

impl World {
    fn new(providers: usize) -> Self {
        let limits = CircuitBreaker { failures: 100, open: 30 * SECOND };
        let state = |name: &&str| ProviderState::new(ProviderName::new(name), limits.clone());
        let candidate =
            |provider| Candidate { provider, timeout: 10 * SECOND, max_retries: 2, hedge_after: None };
        Self {
            now: 1000 * SECOND,
            states: NAMES[..providers].iter().map(state).collect(),
            candidates: (0..providers).map(candidate).collect(),
            strategy: RetryStrategy {
                initial_delay: Duration::ZERO,
                multiplier: 2.0,
                max_delay: 30 * SECOND,
                rate_limit_delay: 60 * SECOND,
            },
            random: StdRng::seed_from_u64(1),
            allowed: [None; 4],
        }
    }

    fn open_breaker(&mut self, provider: usize) {
        while !self.states[provider].breaker.failed(self.now, false) {}
    }

    fn plan(&self, seconds: u32) -> Plan {
        Plan::new(self.strategy.clone(), self.candidates.clone(), self.now + seconds * SECOND)
    }

    fn step(&mut self, plan: &mut Plan) -> Step {
        plan.next(self.now, &mut self.states)
    }

    /// Follows the plan to its end and writes the steps down; `fate` says how a call by a
    /// provider fails and how long that takes (at most until its time-out).
    fn story(&mut self, seconds: u32, mut fate: impl FnMut(&str) -> (Failure, Duration)) -> Vec<String> {
        let mut plan = self.plan(seconds);
        let began = self.now;
        let mut story = Vec::new();
        loop {
            match self.step(&mut plan) {
                Step::Call(PlannedCall { provider, timeout, attempt, probe, .. }) => {
                    let name = NAMES[provider];
                    match &mut self.allowed[provider] {
                        Some(0) => {
                            story.push(format!("{name} denied"));
                            if probe {
                                self.states[provider].breaker.end_probe();
                            }
                            plan.denied(denied([Reason::SpendCost, Reason::SpendUser][provider % 2]));
                            continue;
                        }
                        allowed => *allowed = allowed.map(|allowed| allowed - 1),
                    }
                    let probe_word = if probe { " probe" } else { "" };
                    story.push(format!("{name}{attempt} {}{probe_word}", timeout.as_secs_f64()));
                    let (failure, took) = fate(name);
                    self.now += took.min(timeout);
                    let now = Moment { elapsed: self.now, wall: chrono::DateTime::UNIX_EPOCH };
                    self.states[provider].failed(now, took, &failure, "m", probe);
                    if probe {
                        self.states[provider].breaker.end_probe();
                    }
                    plan.failed(self.now, failure, &mut self.random);
                }
                Step::Wait(delay) => {
                    if !delay.is_zero() {
                        story.push(format!("wait {}", delay.as_secs_f64()));
                    }
                    self.now += delay;
                }
                Step::AwaitProbe(_) | Step::AwaitLeft => panic!("nobody else probes, no call is left"),
                Step::GiveUp(GaveUp::Spent(denied)) => story.push(format!("spent {}", denied.limit.as_str())),
                Step::GiveUp(GaveUp::Refused) => story.push("refused".to_owned()),
                Step::GiveUp(GaveUp::Exhausted(failures)) => {
                    let failure = |(name, failure): &(ProviderName, Failure)| {
                        format!(" {name}={}", failure.kind.as_str())
                    };
                    story.push(format!("exhausted{}", failures.iter().map(failure).collect::<String>()));
                }
            }
            assert!(self.now - began <= seconds * SECOND, "past the deadline: {story:?}");
            let ends = ["refused", "exhausted", "spent"];
            if story.last().is_some_and(|last| ends.iter().any(|end| last.starts_with(end))) {
                return story;
            }
        }
    }
}

fn at_once(kind: Kind) -> (Failure, Duration) {
    (Failure::new(kind, ""), Duration::ZERO)
}

fn hangs() -> (Failure, Duration) {
    (Failure::new(Kind::Timeout, ""), Duration::MAX)
}

fn asks_to_wait(seconds: u32) -> (Failure, Duration) {
    (Failure { retry_after: Some(seconds * SECOND), ..Failure::new(Kind::RateLimited, "") }, Duration::ZERO)
}

#[test]
fn what_a_retry_may_cure_is_tried_max_retries_and_one_times() {
    for kind in [Kind::Server, Kind::Timeout, Kind::Connection] {
        let story = World::new(2).story(30, |_| at_once(kind));
        let end = format!("exhausted a={0} b={0}", kind.as_str());
        assert_eq!(story, ["a1 10", "a2 10", "a3 10", "b1 10", "b2 10", "b3 10", &end]);
    }
}

#[test]
fn what_no_retry_cures_goes_to_the_next_provider() {
    for kind in [Kind::BadKey, Kind::ModelNotFound, Kind::Rejected] {
        let story = World::new(2).story(30, |_| at_once(kind));
        assert_eq!(story, ["a1 10", "b1 10", &format!("exhausted a={0} b={0}", kind.as_str())]);
    }
}

#[test]
fn an_unusable_body_is_tried_once_more() {
    for kind in [Kind::UnusableBody, Kind::ReasoningAteTokens] {
        let story = World::new(1).story(30, |_| at_once(kind));
        assert_eq!(story, ["a1 10", "a2 10", &format!("exhausted a={}", kind.as_str())]);
    }
    let mut without_retries = World::new(1);
    without_retries.candidates[0].max_retries = 0;
    let story = without_retries.story(30, |_| at_once(Kind::UnusableBody));
    assert_eq!(story, ["a1 10", "exhausted a=unusable_body"]);
}

#[test]
fn content_refused_by_all_is_not_an_outage_but_one_failure_among_them_is() {
    assert_eq!(World::new(2).story(30, |_| at_once(Kind::ContentRefused)), ["a1 10", "b1 10", "refused"]);
    let mixed = World::new(2).story(30, |name| match name {
        "a" => at_once(Kind::TooLong),
        _ => at_once(Kind::BadKey),
    });
    assert_eq!(mixed, ["a1 10", "b1 10", "exhausted a=too_long b=bad_key"]);
}

#[test]
fn a_first_provider_that_hangs_never_eats_the_time_of_the_next() {
    let story = World::new(3).story(30, |_| hangs());
    assert_eq!(story, ["a1 10", "b1 10", "c1 10", "exhausted a=timeout b=timeout c=timeout"]);
    let story = World::new(2).story(30, |_| hangs());
    assert_eq!(story, ["a1 10", "a2 5", "b1 10", "b2 5", "exhausted a=timeout b=timeout"]);
    let story = World::new(2).story(4, |_| hangs());
    assert_eq!(story, ["a1 2", "b1 2", "exhausted a=timeout b=timeout"]);
}

#[test]
fn time_that_one_leaves_over_goes_to_the_next() {
    let story = World::new(2).story(8, |name| if name == "a" { at_once(Kind::BadKey) } else { hangs() });
    assert_eq!(story, ["a1 4", "b1 8", "exhausted a=bad_key b=timeout"]);
}

#[test]
fn a_wait_that_fits_is_kept_and_one_that_does_not_goes_to_the_next_provider() {
    let mut waits = vec![20, 3, 16, 2].into_iter();
    let story = World::new(2).story(30, |_| asks_to_wait(waits.next_back().unwrap_or(20)));
    let end = "exhausted a=rate_limited b=rate_limited";
    assert_eq!(story, ["a1 10", "wait 2", "a2 10", "b1 10", "wait 3", "b2 10", "wait 20", "b3 5", end]);
}

#[test]
fn a_429_without_a_wait_of_its_own_takes_the_configured_one() {
    assert_eq!(
        World::new(1).story(30, |_| at_once(Kind::RateLimited)),
        ["a1 10", "exhausted a=rate_limited"],
        "60 s don't fit into 30"
    );
    let mut world = World::new(1);
    world.candidates[0].max_retries = 1;
    let story = world.story(90, |_| at_once(Kind::RateLimited));
    assert_eq!(story, ["a1 10", "wait 60", "a2 10", "exhausted a=rate_limited"]);
}

#[test]
fn a_wait_leaves_time_for_the_call_after_it() {
    let story = World::new(1).story(30, |_| asks_to_wait(30));
    assert_eq!(story, ["a1 10", "exhausted a=rate_limited"]);
}

#[test]
fn nobody_to_ask_and_no_time_are_exhaustion() {
    assert_eq!(World::new(0).story(30, |_| hangs()), ["exhausted"]);
    assert_eq!(World::new(1).story(0, |_| hangs()), ["exhausted"]);
}

#[test]
fn a_provider_behind_an_open_breaker_is_skipped_and_takes_no_share_of_the_time() {
    let mut world = World::new(3);
    world.open_breaker(0);
    world.open_breaker(2);
    let story = world.story(8, |_| at_once(Kind::BadKey));
    assert_eq!(story, ["b1 8", "exhausted a=breaker_open b=bad_key c=breaker_open"]);
}

#[test]
fn after_its_time_an_open_breaker_lets_one_probe_through_without_retries() {
    let mut world = World::new(2);
    world.open_breaker(0);
    world.now += 30 * SECOND;
    let story = world.story(20, |name| at_once(if name == "a" { Kind::Server } else { Kind::BadKey }));
    assert_eq!(story, ["a1 10 probe", "b1 10", "exhausted a=server b=bad_key"]);
    let story = world.story(20, |_| at_once(Kind::BadKey));
    assert_eq!(story, ["b1 10", "exhausted a=breaker_open b=bad_key"]);
}

#[test]
fn when_all_are_skipped_the_first_is_probed() {
    let mut world = World::new(2);
    world.open_breaker(0);
    world.open_breaker(1);
    let story = world.story(8, |_| at_once(Kind::Server));
    assert_eq!(story, ["a1 8 probe", "exhausted a=server b=breaker_open"]);
}

#[test]
fn tries_that_have_begun_go_on_when_the_breaker_opens() {
    let mut world = World::new(1);
    let limits = CircuitBreaker { failures: 1, open: 30 * SECOND };
    world.states = vec![ProviderState::new(ProviderName::new("a"), limits)];
    let story = world.story(30, |_| at_once(Kind::Server));
    assert_eq!(story, ["a1 10", "a2 10", "a3 10", "exhausted a=server"]);
}

#[test]
fn who_waits_for_anothers_probe_goes_on_by_its_verdict() {
    let mut world = World::new(1);
    world.open_breaker(0);
    let call = |probe| {
        let timeout = 10 * SECOND;
        Step::Call(PlannedCall { provider: 0, timeout, attempt: 1, probe, hedge_after: None })
    };
    let [mut prober, mut waiter, mut other] = [world.plan(30), world.plan(30), world.plan(30)];
    assert_eq!(world.step(&mut prober), call(true));
    assert_eq!(world.step(&mut waiter), Step::AwaitProbe(30 * SECOND));
    assert_eq!(world.step(&mut other), Step::AwaitProbe(30 * SECOND));

    // Cancelled: the first of the others probes in its place.
    world.states[0].breaker.end_probe();
    assert_eq!(world.step(&mut waiter), call(true));
    assert_eq!(world.step(&mut other), Step::AwaitProbe(30 * SECOND));

    // Failed: nobody else tries.
    let (mut refused, now) = (other, world.now);
    world.states[0].breaker.failed(now, true);
    world.states[0].breaker.end_probe();
    assert!(matches!(world.step(&mut refused), Step::GiveUp(GaveUp::Exhausted(_))));

    // Succeeded: everybody goes on as usual.
    let [mut prober, mut waiter] = [world.plan(30), world.plan(30)];
    assert_eq!(world.step(&mut prober), call(true));
    assert_eq!(world.step(&mut waiter), Step::AwaitProbe(30 * SECOND));
    let now = Moment { elapsed: world.now, wall: DateTime::UNIX_EPOCH };
    world.states[0].answered(now, SECOND, None);
    world.states[0].breaker.end_probe();
    assert_eq!(world.step(&mut waiter), call(false));
}

#[test]
fn waiting_for_anothers_probe_ends_at_the_deadline() {
    let mut world = World::new(1);
    world.open_breaker(0);
    let [mut prober, mut waiter] = [world.plan(30), world.plan(5)];
    world.step(&mut prober);
    assert_eq!(world.step(&mut waiter), Step::AwaitProbe(5 * SECOND));
    world.now += 5 * SECOND;
    assert!(matches!(world.step(&mut waiter), Step::GiveUp(GaveUp::Exhausted(_))));
}

#[test]
fn a_provider_that_may_cost_too_much_is_passed_over_and_a_cheaper_one_is_asked() {
    let mut world = World::new(3);
    world.allowed = [Some(0), None, Some(0), None];
    let story = world.story(30, |_| at_once(Kind::BadKey));
    assert_eq!(story, ["a denied", "b1 10", "c denied", "spent spend_cost"]);
    assert!(world.states[0].breaker.is_closed() && world.states[0].calls() == 0, "it counts as no call");
}

#[test]
fn the_first_limit_gives_the_end_its_name_whatever_else_went_wrong() {
    for kind in [Kind::Server, Kind::ContentRefused, Kind::BadKey] {
        let mut world = World::new(3);
        world.allowed = [None, Some(0), Some(0), None];
        let story = world.story(30, |_| at_once(kind));
        assert_eq!(&story[story.len() - 3..], ["b denied", "c denied", "spent spend_user"], "{kind:?}");
    }
}

#[test]
fn a_retry_that_may_not_be_made_goes_to_the_next_provider() {
    let mut world = World::new(2);
    world.allowed = [Some(2), Some(1), None, None];
    let story = world.story(30, |_| at_once(Kind::Server));
    assert_eq!(story, ["a1 10", "a2 10", "a denied", "b1 10", "b denied", "spent spend_cost"]);
}

#[test]
fn a_probe_that_may_not_be_made_leaves_its_slot_to_the_next_request() {
    let mut world = World::new(1);
    world.open_breaker(0);
    world.allowed[0] = Some(0);
    for _ in 0..2 {
        assert_eq!(world.story(8, |_| at_once(Kind::Server)), ["a denied", "spent spend_cost"]);
    }
    world.allowed[0] = None;
    assert_eq!(world.story(8, |_| at_once(Kind::Server)), ["a1 8 probe", "exhausted a=server"]);
}

#[test]
fn who_waits_for_a_probe_that_may_not_be_made_ends_by_its_own_limit() {
    let mut world = World::new(1);
    world.open_breaker(0);
    let [mut prober, mut waiter] = [world.plan(30), world.plan(30)];
    let is_probe = |step| matches!(step, Step::Call(PlannedCall { probe: true, .. }));
    assert!(is_probe(world.step(&mut prober)));
    assert_eq!(world.step(&mut waiter), Step::AwaitProbe(30 * SECOND));
    world.states[0].breaker.end_probe();
    assert!(is_probe(world.step(&mut waiter)));
    for plan in [&mut prober, &mut waiter] {
        world.states[0].breaker.end_probe();
        plan.denied(denied(Reason::SpendCalls));
        assert_eq!(world.step(plan), Step::GiveUp(GaveUp::Spent(denied(Reason::SpendCalls))));
    }
}

proptest::proptest! {
    #[test]
    fn every_plan_ends_by_its_deadline(
        seconds in 1_u32..60,
        providers in 0_usize..4,
        allowed in proptest::array::uniform4(proptest::option::of(0_u32..4)),
        fates in proptest::collection::vec((0_usize..8, 0_u64..20_000, 0_u32..10), 1..40),
    ) {
        let kinds = [
            Kind::Server, Kind::Timeout, Kind::RateLimited, Kind::UnusableBody, Kind::BadKey,
            Kind::ContentRefused, Kind::Connection, Kind::ReasoningAteTokens,
        ];
        let mut fates = fates.into_iter().cycle();
        let mut world = World::new(providers);
        world.strategy.initial_delay = SECOND;
        world.allowed = allowed;
        let story = world.story(seconds, |_| {
            let (kind, took, asked) = fates.next().unwrap();
            let retry_after = (asked > 5).then_some(asked * SECOND);
            (Failure { retry_after, ..Failure::new(kinds[kind], "") }, Duration::from_millis(took))
        });
        proptest::prop_assert!(story.len() <= 1 + providers * 6, "{story:?}");
    }
}
