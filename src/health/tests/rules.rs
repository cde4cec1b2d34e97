//! The seven rules, each at its borders, and their order.

use super::*;

#[test]
fn req_003_it_begins_failing_because_the_link_is_not_up_yet() {
    let monitor = HealthMonitor::new(at(0), providers(["local"]), []);
    let snapshot = monitor.snapshot(at(0));
    assert_eq!(snapshot.state, State::Failing);
    assert_eq!(snapshot.reason.as_deref(), Some("NATS disconnected"));
    assert!(!snapshot.nats_connected);
    assert_eq!(wrong(&monitor, at(0), Component::Nats).as_deref(), Some("not connected yet"));
}

#[test]
fn req_003_it_is_healthy_while_every_provider_is_unknown() {
    let snapshot = connected().snapshot(at(0));
    assert_eq!((snapshot.state, snapshot.reason), (State::Healthy, None));
    assert!(snapshot.nats_connected);
}

#[test]
fn req_003_a_link_that_goes_down_is_failing_and_back_up_is_healthy() {
    let monitor = connected();
    monitor.link(at(5), down("four echoes unanswered"));
    assert_eq!(state(&monitor, at(5)), State::Failing);
    assert_eq!(reason(&monitor, at(5)), "NATS disconnected");
    assert_eq!(wrong(&monitor, at(5), Component::Nats).as_deref(), Some("four echoes unanswered"));
    monitor.link(at(6), LinkHealth::Up);
    assert_eq!(state(&monitor, at(6)), State::Healthy);
    assert_eq!(wrong(&monitor, at(6), Component::Nats), None);
}

#[test]
fn req_003_exhausted_providers_are_failing() {
    let monitor = connected();
    monitor.providers_exhausted(at(10));
    assert_eq!(state(&monitor, at(10)), State::Failing);
    assert_eq!(reason(&monitor, at(10)), "all LLM providers exhausted");
}

#[test]
fn req_003_exhaustion_counts_for_five_minutes_and_no_longer() {
    let monitor = connected();
    monitor.providers_exhausted(at(10));
    assert_eq!(state(&monitor, at(310)), State::Failing);
    assert_eq!(state(&monitor, after(Duration::from_secs(310) + Duration::from_nanos(1))), State::Healthy);
}

#[test]
fn req_003_a_success_after_exhaustion_ends_it_at_once() {
    let monitor = connected();
    monitor.providers_exhausted(at(10));
    monitor.request_succeeded(at(11));
    assert_eq!(state(&monitor, at(11)), State::Healthy);
}

#[test]
fn req_003_a_success_before_exhaustion_does_not_excuse_it() {
    let monitor = connected();
    monitor.request_succeeded(at(9));
    monitor.providers_exhausted(at(10));
    assert_eq!(state(&monitor, at(10)), State::Failing);
}

#[test]
fn req_003_a_second_exhaustion_counts_from_its_own_end() {
    let monitor = connected();
    monitor.providers_exhausted(at(10));
    monitor.providers_exhausted(at(200));
    assert_eq!(state(&monitor, at(500)), State::Failing);
    assert_eq!(state(&monitor, at(501)), State::Healthy);
}

#[test]
fn req_003_a_stalled_critical_component_is_failing_by_name() {
    for component in [Component::Intake, Component::Decider, Component::Heartbeat] {
        let monitor = connected();
        monitor.progress(component).begin(at(10));
        assert_eq!(state(&monitor, at(12)), State::Failing);
        assert_eq!(reason(&monitor, at(12)), format!("stalled: {}", component.as_str()));
        assert!(monitor.snapshot(at(12)).stalled.contains(component));
    }
}

#[test]
fn req_003_all_that_stall_are_named() {
    let monitor = connected();
    monitor.progress(Component::Decider).begin(at(10));
    monitor.progress(Component::Intake).begin(at(10));
    assert_eq!(reason(&monitor, at(12)), "stalled: intake, decider");
}

#[test]
fn req_003_one_second_in_hand_is_no_stall_and_a_moment_more_is() {
    let monitor = connected();
    let progress = monitor.progress(Component::Decider);
    progress.begin(at(10));
    assert_eq!(state(&monitor, at(11)), State::Healthy);
    assert_eq!(state(&monitor, after(Duration::from_secs(11) + Duration::from_nanos(1))), State::Failing);
    progress.end();
    assert_eq!(state(&monitor, at(11)), State::Healthy);
}

#[test]
fn req_003_a_provider_that_failed_beside_one_that_answered_is_healthy() {
    let monitor = connected();
    status(&monitor, at(1), "local", ProviderStatus::Failed);
    status(&monitor, at(1), "openrouter", ProviderStatus::Ok);
    assert_eq!(state(&monitor, at(1)), State::Healthy);
}

#[test]
fn req_003_all_providers_failed_last_is_degraded() {
    let monitor = connected();
    status(&monitor, at(1), "local", ProviderStatus::Failed);
    status(&monitor, at(1), "openrouter", ProviderStatus::Failed);
    assert_eq!(state(&monitor, at(1)), State::Degraded);
    assert_eq!(reason(&monitor, at(1)), "every LLM provider called so far failed last");
}

#[test]
fn req_003_a_provider_never_called_does_not_hide_that_all_called_ones_failed() {
    let monitor = connected();
    status(&monitor, at(1), "local", ProviderStatus::Failed);
    assert_eq!(state(&monitor, at(1)), State::Degraded);
}

#[test]
fn req_003_a_provider_that_recovers_heals_it() {
    let monitor = connected();
    status(&monitor, at(1), "local", ProviderStatus::Failed);
    status(&monitor, at(2), "local", ProviderStatus::Ok);
    assert_eq!(state(&monitor, at(2)), State::Healthy);
}

#[test]
fn req_003_failed_providers_do_not_age_out() {
    let monitor = connected();
    status(&monitor, at(1), "local", ProviderStatus::Failed);
    assert_eq!(state(&monitor, at(100_000)), State::Degraded);
}

#[test]
fn req_003_an_error_rate_of_a_tenth_is_degraded_and_anything_less_is_not() {
    for (messages_processed, failed, expected) in [
        (10, 1, State::Degraded),
        (30, 3, State::Degraded),
        (11, 1, State::Healthy),
        (1000, 99, State::Healthy),
        (1000, 100, State::Degraded),
        (1, 0, State::Healthy),
    ] {
        let monitor = connected();
        messages(&monitor, at(1), messages_processed);
        errors(&monitor, at(1), failed);
        assert_eq!(state(&monitor, at(1)), expected, "{failed} of {messages_processed}");
    }
}

#[test]
fn req_003_the_reason_shows_the_error_rate() {
    let monitor = connected();
    messages(&monitor, at(1), 8);
    errors(&monitor, at(1), 1);
    assert_eq!(reason(&monitor, at(1)), "error rate 12.5 % over 5 minutes");
}

#[test]
fn req_003_more_messages_without_errors_heal_the_error_rate() {
    let monitor = connected();
    messages(&monitor, at(1), 10);
    errors(&monitor, at(1), 1);
    messages(&monitor, at(1), 1);
    assert_eq!(state(&monitor, at(1)), State::Healthy);
}

#[test]
fn req_010_any_other_component_unhealthy_is_degraded_by_name() {
    for component in Component::ALL {
        let monitor = connected();
        unhealthy(&monitor, at(1), component);
        assert_eq!(state(&monitor, at(1)), State::Degraded, "{component:?}");
        assert_eq!(reason(&monitor, at(1)), format!("unhealthy: {}", component.as_str()));
    }
}

#[test]
fn req_010_a_stalled_outbox_is_degraded_not_failing() {
    let monitor = connected();
    monitor.progress(Component::Outbox).begin(at(1));
    assert_eq!(state(&monitor, at(2)), State::Healthy);
    assert_eq!(state(&monitor, at_millis(2001)), State::Degraded);
    assert_eq!(reason(&monitor, at_millis(2001)), "unhealthy: outbox");
    assert!(monitor.snapshot(at_millis(2001)).stalled.is_empty());
}

/// Makes every rule hold, then heals them from the first to the last.
#[test]
fn req_003_the_first_rule_that_holds_decides() {
    let monitor = connected();
    let decider = monitor.progress(Component::Decider);
    let now = at(20);
    monitor.link(now, down("cut"));
    monitor.providers_exhausted(now);
    decider.begin(at(10));
    status(&monitor, now, "local", ProviderStatus::Failed);
    messages(&monitor, now, 1);
    errors(&monitor, now, 1);
    unhealthy(&monitor, now, Component::Robot);

    let expect = |expected_state, expected_reason: &str| {
        assert_eq!(
            (state(&monitor, now), reason(&monitor, now)),
            (expected_state, expected_reason.to_owned())
        );
    };
    expect(State::Failing, "NATS disconnected");
    monitor.link(now, LinkHealth::Up);
    expect(State::Failing, "all LLM providers exhausted");
    monitor.request_succeeded(now);
    expect(State::Failing, "stalled: decider");
    decider.end();
    expect(State::Degraded, "every LLM provider called so far failed last");
    status(&monitor, now, "local", ProviderStatus::Ok);
    expect(State::Degraded, "error rate 100.0 % over 5 minutes");
    messages(&monitor, now, 10);
    expect(State::Degraded, "unhealthy: robot");
    monitor.condition(now, Component::Robot, "test", None, None);
    expect(State::Healthy, "");
}

#[test]
fn req_003_content_refused_by_a_provider_is_an_error_and_not_an_outage() {
    let monitor = connected();
    status(&monitor, at(1), "local", ProviderStatus::Ok);
    messages(&monitor, at(1), 20);
    monitor.reply_fired(at(1));
    monitor.reply_ended(at(1), ReplyOutcome::Failed(Reason::Refused));
    let snapshot = monitor.snapshot(at(1));
    assert_eq!((snapshot.state, snapshot.errors), (State::Healthy, 1));
    assert_eq!(snapshot.providers[0].status, ProviderStatus::Ok);
}
