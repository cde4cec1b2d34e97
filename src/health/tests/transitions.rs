//! Changes of the state: since when, and one line in the log for each.

use serde_json::Value;

use super::*;
use crate::logged::logged;

/// Level, from, to, reason, how long it held.
fn told(line: &Value) -> (String, String, String, String, f64) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fields = &line["fields"];
    assert_eq!(fields["message"], "health changed");
    (
        text(&line["level"]),
        text(&fields["from"]),
        text(&fields["to"]),
        text(&fields["reason"]),
        fields["held_seconds"].as_f64().unwrap_or(f64::NAN),
    )
}

fn line(level: &str, from: &str, to: &str, reason: &str, held: f64) -> (String, String, String, String, f64) {
    (level.to_owned(), from.to_owned(), to.to_owned(), reason.to_owned(), held)
}

#[test]
fn req_003_each_transition_is_logged_once_with_its_cause_and_how_long_it_held() {
    let lines = logged(|| {
        let monitor = HealthMonitor::new(at(0), providers(["local"]), []);
        monitor.link(at_millis(1500), LinkHealth::Up);
        monitor.tick(at(2));
        status(&monitor, at(3), "local", ProviderStatus::Failed);
        status(&monitor, at(4), "local", ProviderStatus::Failed);
        monitor.providers_exhausted(at(5));
        monitor.tick(at(6));
        monitor.snapshot(at(7));
        monitor.tick(at(306));
    });
    assert_eq!(
        lines.iter().map(told).collect::<Vec<_>>(),
        [
            line("INFO", "failing", "healthy", "no longer: NATS disconnected", 1.5),
            line("WARN", "healthy", "degraded", "every LLM provider called so far failed last", 1.5),
            line("WARN", "degraded", "failing", "all LLM providers exhausted", 2.0),
            line("WARN", "failing", "degraded", "every LLM provider called so far failed last", 301.0),
        ]
    );
}

#[test]
fn req_003_another_cause_of_the_same_state_is_no_transition_but_the_reason_follows() {
    let monitor = connected();
    monitor.link(at(10), down("cut"));
    let lines = logged(|| {
        monitor.providers_exhausted(at(20));
        monitor.link(at(21), LinkHealth::Up);
    });
    assert_eq!(lines, Vec::<Value>::new());
    let snapshot = monitor.snapshot(at(22));
    assert_eq!(snapshot.reason.as_deref(), Some("all LLM providers exhausted"));
    assert_eq!(snapshot.since, at(10).wall);
}

#[test]
fn req_003_a_tick_sees_what_only_time_changes() {
    let monitor = connected();
    monitor.progress(Component::Decider).begin(at(10));
    assert_eq!(logged(|| monitor.tick(at(11))), Vec::<Value>::new());
    let lines = logged(|| monitor.tick(at_millis(11_500)));
    let expected = line("WARN", "healthy", "failing", "stalled: decider", 11.5);
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), [expected]);
}

#[test]
fn req_003_a_state_holds_since_its_transition_by_the_wall_clock() {
    let monitor = connected();
    monitor.link(at(10), down("cut"));
    assert_eq!(monitor.snapshot(at(20)).since, at(10).wall);
    monitor.link(at(30), LinkHealth::Up);
    assert_eq!(monitor.snapshot(at(40)).since, at(30).wall);
}

#[test]
fn req_003_a_wall_clock_that_jumps_changes_no_judgement() {
    let (steady, jumping) = (connected(), connected());
    let jump =
        |moment: Moment, days: i64| Moment { wall: moment.wall + chrono::TimeDelta::days(days), ..moment };
    for (monitor, days) in [(&steady, 0), (&jumping, 1)] {
        messages(monitor, jump(at(1), days), 1);
        errors(monitor, jump(at(1), -days), 1);
        monitor.providers_exhausted(jump(at(1), 10 * days));
    }
    for seconds in [1, 299, 301, 302, 3600, 3601] {
        let (a, b) = (steady.snapshot(at(seconds)), jumping.snapshot(jump(at(seconds), -400)));
        assert_eq!((a.state, a.reason), (b.state, b.reason), "{seconds}");
        assert_eq!(
            (a.errors_last_5min, a.errors_last_hour),
            (b.errors_last_5min, b.errors_last_hour),
            "{seconds}"
        );
    }
}

#[test]
fn a_report_that_ends_nothing_is_an_error_in_the_log() {
    let monitor = connected();
    let lines = logged(|| monitor.reply_ended(at(1), ReplyOutcome::Sent));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["level"], "ERROR");
}

#[test]
fn transitions_and_changes_of_providers_are_news_in_their_order() {
    let monitor = HealthMonitor::new(at(0), providers(["local"]), []);
    monitor.link(at(1), LinkHealth::Up);
    status(&monitor, at(2), "local", ProviderStatus::Failed);
    status(&monitor, at(3), "local", ProviderStatus::Failed);
    status(&monitor, at(4), "nobody", ProviderStatus::Failed);
    let news = monitor.news_since(0);
    let state = |from, to, reason: &str, ends_start| {
        let (reason, held) = (reason.to_owned(), Duration::from_secs(1));
        Change::State(Transition { from, to, reason, held, ends_start })
    };
    let failed_last = "every LLM provider called so far failed last";
    let local = ProviderName::new("local");
    let (from, to) = (ProviderStatus::Unknown, ProviderStatus::Failed);
    assert_eq!(
        news.iter().map(|news| (news.at.elapsed.as_secs(), news.change.clone())).collect::<Vec<_>>(),
        [
            (1, state(State::Failing, State::Healthy, "no longer: NATS disconnected", true)),
            (2, Change::Provider { provider: local, from, to }),
            (2, state(State::Healthy, State::Degraded, failed_last, false)),
        ]
    );
    assert_eq!(monitor.news_since(2).len(), 1);
    let counted = monitor.snapshot(at(5)).transitions;
    assert_eq!(
        counted.into_iter().collect::<Vec<_>>(),
        [((State::Healthy, State::Degraded), 1), ((State::Failing, State::Healthy), 1)]
    );
}
