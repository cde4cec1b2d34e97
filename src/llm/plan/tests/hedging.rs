//! The next provider is asked before the first has ended.

use super::*;

/// Providers that are slow after 2 s.
fn hedging(providers: usize) -> World {
    let mut world = World::new(providers);
    world.candidates.iter_mut().for_each(|candidate| candidate.hedge_after = Some(2 * SECOND));
    world
}

/// A call as a word: who, which try, its time-out, and after how long it may be left.
fn word(step: Step) -> String {
    let Step::Call(PlannedCall { provider, timeout, attempt, probe, hedge_after }) = step else {
        return format!("{step:?}");
    };
    let probe = if probe { " probe" } else { "" };
    let hedge = hedge_after.map_or(String::new(), |after| format!(" hedge {}", after.as_secs_f64()));
    format!("{}{attempt} {}{probe}{hedge}", NAMES[provider], timeout.as_secs_f64())
}

impl World {
    fn leave(&mut self, plan: &mut Plan) -> bool {
        self.now += 2 * SECOND;
        plan.leave(self.now, &self.states)
    }

    fn fail(&mut self, plan: &mut Plan, kind: Kind) {
        plan.failed(self.now, Failure::new(kind, ""), &mut self.random);
    }

    fn end(&mut self, plan: &mut Plan) -> Vec<String> {
        let Step::GiveUp(GaveUp::Exhausted(failures)) = self.step(plan) else { panic!("it must be the end") };
        failures.iter().map(|(name, failure)| format!("{name}={}", failure.kind.as_str())).collect()
    }
}

#[test]
fn who_is_slow_is_left_running_and_the_next_has_its_usual_turn() {
    let mut world = hedging(3);
    let mut plan = world.plan(30);
    assert_eq!(word(world.step(&mut plan)), "a1 10 hedge 2");
    assert!(world.leave(&mut plan));
    assert_eq!(word(world.step(&mut plan)), "b1 10", "one at a time: b is not left, too");
    world.fail(&mut plan, Kind::Server);
    assert_eq!(world.step(&mut plan), Step::Wait(Duration::ZERO));
    assert_eq!(word(world.step(&mut plan)), "b2 10");
    plan.left_failed(0, Ok(Failure::new(Kind::Timeout, "")));
    world.fail(&mut plan, Kind::BadKey);
    assert_eq!(word(world.step(&mut plan)), "c1 10", "nobody is left to ask beside it");
    world.fail(&mut plan, Kind::BadKey);
    assert_eq!(world.end(&mut plan), ["b=bad_key", "a=timeout", "c=bad_key"], "a is not tried again");
}

#[test]
fn when_the_one_left_running_has_ended_another_may_be_left() {
    let mut world = hedging(3);
    let mut plan = world.plan(30);
    world.step(&mut plan);
    assert!(world.leave(&mut plan));
    world.step(&mut plan);
    plan.left_failed(0, Ok(Failure::new(Kind::Server, "")));
    world.fail(&mut plan, Kind::Server);
    assert_eq!(world.step(&mut plan), Step::Wait(Duration::ZERO));
    assert_eq!(word(world.step(&mut plan)), "b2 10 hedge 2");
    assert!(world.leave(&mut plan));
    assert_eq!(word(world.step(&mut plan)), "c1 10");
}

#[test]
fn when_all_others_have_failed_the_one_left_running_is_waited_for() {
    for (kind, last) in [(Kind::Timeout, "a=timeout"), (Kind::ContentRefused, "a=content_refused")] {
        let mut world = hedging(2);
        let mut plan = world.plan(30);
        world.step(&mut plan);
        assert!(world.leave(&mut plan));
        world.step(&mut plan);
        world.fail(&mut plan, Kind::BadKey);
        for _ in 0..2 {
            assert_eq!(world.step(&mut plan), Step::AwaitLeft);
        }
        plan.left_failed(0, Ok(Failure::new(kind, "")));
        assert_eq!(world.end(&mut plan), ["b=bad_key", last]);
    }
}

#[test]
fn a_hedge_is_offered_only_when_somebody_else_can_be_asked_in_time() {
    let mut world = hedging(1);
    let mut plan = world.plan(30);
    assert_eq!(word(world.step(&mut plan)), "a1 10", "nobody else is there");

    let mut world = hedging(2);
    let mut plan = world.plan(4);
    assert_eq!(word(world.step(&mut plan)), "a1 2", "its share ends as early");

    world.open_breaker(1);
    let mut plan = world.plan(30);
    assert_eq!(word(world.step(&mut plan)), "a1 10 hedge 2");
    assert!(!world.leave(&mut plan), "the other one is skipped");
    world.fail(&mut plan, Kind::Server);
    assert_eq!(world.step(&mut plan), Step::Wait(Duration::ZERO));
    assert_eq!(word(world.step(&mut plan)), "a2 10 hedge 2", "as if there were no hedging");
}

#[test]
fn the_share_of_time_and_the_deadline_hold() {
    let mut world = hedging(3);
    let mut plan = world.plan(12);
    assert_eq!(word(world.step(&mut plan)), "a1 4 hedge 2");
    assert!(world.leave(&mut plan));
    assert_eq!(word(world.step(&mut plan)), "b1 5", "half of the 10 s that are left");
    world.now += 10 * SECOND;
    assert_eq!(world.step(&mut plan), Step::AwaitLeft, "which ends in time by its own time-out");
    plan.left_failed(0, Ok(Failure::new(Kind::Timeout, "")));
    assert_eq!(world.end(&mut plan), ["a=timeout"]);
}

#[test]
fn a_probe_may_be_the_hedge_and_somebody_elses_probe_is_not_waited_for() {
    let mut world = hedging(2);
    world.open_breaker(1);
    world.now += 30 * SECOND;
    let mut plan = world.plan(30);
    world.step(&mut plan);
    assert!(world.leave(&mut plan));
    // Another request takes the slot in between.
    assert_eq!(world.states[1].breaker.admit(world.now), Admit::Probe);
    assert_eq!(world.step(&mut plan), Step::AwaitLeft);
    world.states[1].breaker.end_probe();

    let mut plan = world.plan(30);
    world.step(&mut plan);
    assert!(world.leave(&mut plan));
    assert_eq!(word(world.step(&mut plan)), "b1 10 probe");
}

#[test]
fn a_spend_limit_passes_over_the_hedge_and_the_one_left_running_goes_on() {
    let mut world = hedging(2);
    let mut plan = world.plan(30);
    world.step(&mut plan);
    assert!(world.leave(&mut plan));
    world.step(&mut plan);
    plan.denied(denied(Reason::SpendCost));
    assert_eq!(world.step(&mut plan), Step::AwaitLeft);
    plan.left_failed(0, Ok(Failure::new(Kind::Server, "")));
    assert_eq!(world.step(&mut plan), Step::GiveUp(GaveUp::Spent(denied(Reason::SpendCost))));
}
