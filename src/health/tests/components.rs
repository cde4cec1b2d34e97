//! Components: their conditions, how long they last, and loops that stall.

use super::*;

const ROBOT: Component = Component::Robot;

fn set(monitor: &HealthMonitor, now: Moment, key: &str, message: &str) {
    monitor.condition(now, ROBOT, key.to_owned(), Some(message.to_owned()), None);
}

#[test]
fn req_010_critical_components_are_always_listed_and_others_when_watched() {
    let listed = |monitor: &HealthMonitor| {
        let names = monitor.snapshot(at(0)).components.into_iter().map(|health| health.component.as_str());
        names.collect::<Vec<_>>().join(" ")
    };
    let monitor = HealthMonitor::new(at(0), [], [Component::Config]);
    assert_eq!(listed(&monitor), "nats intake decider heartbeat config");
    monitor.progress(Component::Outbox);
    monitor.condition(at(0), Component::Clock, "skew", None, None);
    assert_eq!(listed(&monitor), "nats intake decider heartbeat outbox config clock");
}

#[test]
fn req_010_a_component_is_unhealthy_until_all_its_conditions_are_healed() {
    let monitor = connected();
    set(&monitor, at(1), "b", "muted in b");
    set(&monitor, at(1), "a", "gone from a");
    assert_eq!(wrong(&monitor, at(1), ROBOT).as_deref(), Some("gone from a; muted in b"));
    set(&monitor, at(1), "a", "back in a, but slow");
    assert_eq!(wrong(&monitor, at(1), ROBOT).as_deref(), Some("back in a, but slow; muted in b"));
    monitor.condition(at(1), ROBOT, "a", None, None);
    assert_eq!(wrong(&monitor, at(1), ROBOT).as_deref(), Some("muted in b"));
    monitor.condition(at(1), ROBOT, "b", None, None);
    assert_eq!(wrong(&monitor, at(1), ROBOT), None);
    assert_eq!(state(&monitor, at(1)), State::Healthy);
}

#[test]
fn req_010_a_condition_heals_by_itself_after_exactly_its_time() {
    let monitor = connected();
    let slow = || Some("slow consumer".to_owned());
    let minute = Some(Duration::from_secs(60));
    monitor.condition(at(10), Component::Nats, "slow consumer", slow(), minute);
    assert_eq!(wrong(&monitor, at_millis(69_999), Component::Nats), slow());
    assert_eq!(wrong(&monitor, at(70), Component::Nats), None);
    assert_eq!(state(&monitor, at(70)), State::Healthy);
}

#[test]
fn req_010_a_condition_that_comes_again_lasts_from_then() {
    let monitor = connected();
    for seconds in [10, 40] {
        let lasts = Some(Duration::from_secs(60));
        monitor.condition(at(seconds), ROBOT, "again", Some("again".to_owned()), lasts);
    }
    assert!(wrong(&monitor, at(99), ROBOT).is_some());
    assert!(wrong(&monitor, at(100), ROBOT).is_none());
}

#[test]
fn req_010_a_condition_without_a_time_stays() {
    let monitor = connected();
    set(&monitor, at(1), "a", "gone");
    assert!(wrong(&monitor, at(10_000_000), ROBOT).is_some());
}

#[test]
fn req_010_no_usable_provider_is_degraded_and_says_why() {
    let monitor = connected();
    monitor.providers_usable(at(1), Err("no api_key for local".to_owned()));
    assert_eq!(state(&monitor, at(1)), State::Degraded);
    assert_eq!(wrong(&monitor, at(1), Component::LlmProviders).as_deref(), Some("no api_key for local"));
    monitor.providers_usable(at(2), Ok(()));
    assert_eq!(state(&monitor, at(2)), State::Healthy);
}

#[test]
fn req_010_a_link_that_is_down_stands_before_other_conditions_of_the_bus() {
    let monitor = connected();
    monitor.condition(at(1), Component::Nats, "denied", Some("may not publish x".to_owned()), None);
    monitor.link(at(1), down("cut"));
    assert_eq!(wrong(&monitor, at(1), Component::Nats).as_deref(), Some("cut; may not publish x"));
    assert_eq!(reason(&monitor, at(1)), "NATS disconnected");
}

#[test]
fn req_010_a_stall_is_shown_on_its_component() {
    let monitor = connected();
    monitor.progress(Component::Decider).begin(at(1));
    let expected = Some("no progress for more than 1 s");
    assert_eq!(wrong(&monitor, at(3), Component::Decider).as_deref(), expected);
    assert_eq!(wrong(&monitor, at(3), Component::Intake), None);
}

#[test]
fn conditions_are_bounded_in_number_and_those_beyond_are_counted() {
    let monitor = connected();
    for key in 0..64 {
        set(&monitor, at(1), &key.to_string(), "x");
    }
    assert_eq!(monitor.snapshot(at(1)).conditions_dropped, 0);
    set(&monitor, at(1), "64", "x");
    set(&monitor, at(1), "63", "known, so it is kept");
    assert_eq!(monitor.snapshot(at(1)).conditions_dropped, 1);
    for key in 0..64 {
        monitor.condition(at(1), ROBOT, key.to_string(), None, None);
    }
    assert_eq!(wrong(&monitor, at(1), ROBOT), None);
}

#[test]
fn a_condition_that_has_healed_by_itself_makes_room() {
    let monitor = connected();
    for key in 0..64 {
        let lasts = Some(Duration::from_secs(1));
        monitor.condition(at(1), ROBOT, key.to_string(), Some("x".to_owned()), lasts);
    }
    set(&monitor, at(2), "new", "new");
    assert_eq!(monitor.snapshot(at(2)).conditions_dropped, 0);
    assert_eq!(wrong(&monitor, at(2), ROBOT).as_deref(), Some("new"));
}

#[test]
fn texts_of_conditions_are_bounded_and_on_one_line() {
    let monitor = connected();
    set(&monitor, at(1), "a", &format!("one\nline{}", "é".repeat(1000)));
    let message = wrong(&monitor, at(1), ROBOT).expect("unhealthy");
    assert_eq!(message, format!("one line{}…", "é".repeat(122)), "at most 256 bytes");
    set(&monitor, at(1), "b", &"x".repeat(1000));
    let both = wrong(&monitor, at(1), ROBOT).expect("unhealthy");
    assert!(both.starts_with("one lineé") && both.ends_with("é…; and 1 more"), "{both}");
    assert!(both.len() <= 256, "{} bytes", both.len());
    monitor.link(at(1), down(&format!("cut\r\n{}", "x".repeat(1000))));
    let nats = wrong(&monitor, at(1), Component::Nats).expect("unhealthy");
    assert!(nats.starts_with("cut  x") && nats.ends_with("x…") && nats.len() == 256, "{nats}");
}

#[test]
fn of_many_conditions_as_many_are_told_as_have_room_and_the_number_of_the_rest() {
    let monitor = connected();
    for room in 10..74 {
        set(&monitor, at(1), &room.to_string(), &format!("muted in room {room}"));
    }
    let told: Vec<String> = (10..23).map(|room| format!("muted in room {room}")).collect();
    let expected = format!("{}; and 51 more", told.join("; "));
    assert_eq!(wrong(&monitor, at(1), ROBOT), Some(expected));
}

#[test]
fn keys_of_conditions_are_bounded_and_heal_all_the_same() {
    let monitor = connected();
    let long = "k".repeat(2000);
    set(&monitor, at(1), &long, "x");
    set(&monitor, at(1), &format!("{long}, the same as far as it is kept"), "y");
    set(&monitor, at(1), &"k".repeat(511), "another");
    assert_eq!(wrong(&monitor, at(1), ROBOT).as_deref(), Some("another; y"));
    monitor.condition(at(1), ROBOT, "k".repeat(512), None, None);
    assert_eq!(wrong(&monitor, at(1), ROBOT).as_deref(), Some("another"));
}

#[test]
fn req_002_a_promised_beat_is_late_after_a_second() {
    let monitor = connected();
    let beats = monitor.progress(Component::Heartbeat);
    beats.due(Duration::from_secs(10));
    assert_eq!(state(&monitor, at(5)), State::Healthy);
    assert_eq!(state(&monitor, at(11)), State::Healthy);
    assert_eq!(reason(&monitor, at_millis(11_001)), "stalled: heartbeat");
    beats.due(Duration::from_secs(20));
    assert_eq!(state(&monitor, at_millis(11_001)), State::Healthy);
    beats.end();
    assert_eq!(state(&monitor, at(1000)), State::Healthy);
}

#[test]
fn work_promised_for_the_end_of_time_is_never_late() {
    let monitor = connected();
    let progress = monitor.progress(Component::Intake);
    progress.due(Duration::MAX);
    assert_eq!(state(&monitor, after(Duration::from_nanos(u64::MAX))), State::Healthy);
}

#[test]
fn each_loop_of_a_component_counts_for_itself_and_clones_speak_for_one() {
    let monitor = connected();
    let (first, second) = (monitor.progress(Component::Intake), monitor.progress(Component::Intake));
    first.begin(at(10));
    second.begin(at(12));
    second.clone().end();
    assert_eq!(reason(&monitor, at(12)), "stalled: intake");
    first.end();
    assert_eq!(state(&monitor, at(20)), State::Healthy);
}

#[test]
fn a_new_piece_of_work_takes_the_place_of_the_one_before() {
    let monitor = connected();
    let progress = monitor.progress(Component::Intake);
    progress.begin(at(10));
    progress.begin(at(11));
    assert_eq!(state(&monitor, at(12)), State::Healthy);
}

#[test]
fn a_loop_that_went_with_work_in_hand_is_not_forgotten_and_one_that_was_done_is() {
    let monitor = connected();
    for seconds in 0..1000 {
        let done = monitor.progress(Component::Intake);
        done.begin(at(seconds));
        done.end();
    }
    assert!(monitor.hold_for_test().progress.len() <= 2);
    let held = monitor.progress(Component::Outbox);
    monitor.progress(Component::Decider).begin(at(1000));
    monitor.progress(Component::Intake);
    assert_eq!(reason(&monitor, at(1002)), "stalled: decider");
    held.begin(at(1000));
    assert!(wrong(&monitor, at(1002), Component::Outbox).is_some());
}

#[test]
fn a_loop_stands_still_when_something_is_due_and_it_has_not_moved_since_all_moved() {
    let monitor = connected();
    let still = |now| monitor.standing_still(now).to_string();
    let (intake, beats) = (monitor.progress(Component::Intake), monitor.progress(Component::Heartbeat));
    assert_eq!(still(at(1)), "", "idle loops have nothing to do");
    intake.begin(at(2));
    beats.due(Duration::from_secs(10));
    assert_eq!(still(at(3)), "", "both have moved");
    assert_eq!(still(at(4)), "intake", "the same piece of work is still in hand");
    intake.begin(at(5));
    assert_eq!(still(at(5)), "", "a new one is in hand");
    assert_eq!(still(at(6)), "intake");
    intake.end();
    assert_eq!(still(at(6)), "");
    assert_eq!(still(at(9)), "", "a promise that is not due yet is no work");
    assert_eq!(still(at(11)), "heartbeat");
    intake.begin(at(11));
    assert_eq!(still(at(12)), "heartbeat");
    beats.due(Duration::from_secs(20));
    assert_eq!(still(at(13)), "", "what moved while another stood still has moved all the same");
    monitor.progress(Component::Outbox).begin(at(14));
    intake.end();
    assert_eq!(still(at(15)), "", "only the critical ones count");
}
