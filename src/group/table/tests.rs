use proptest::prelude::*;
use serde_json::json;

use super::*;

const SILENT_AFTER: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn table() -> Table {
    let mut table = Table::new(SILENT_AFTER, Vec::new());
    table.link(at(0), true);
    table
}

fn beat(id: &str, health: &str) -> ServiceReport {
    let reason = if health == "healthy" { None } else { Some("a reason") };
    let body = json!({"instance_id": id, "health": health, "health_reason": reason,
        "status": {"llm_providers": {"local": "ok"}}});
    ServiceReport::parse(body.to_string().as_bytes())
}

fn nothing() -> ServiceReport {
    ServiceReport::default()
}

/// Service, standing and reason of each row.
fn shown(table: &Table, now: u64) -> Vec<(String, Standing, Option<String>)> {
    table.rows(at(now)).into_iter().map(|row| (row.service, row.standing, row.report.reason)).collect()
}

fn row(service: &str, standing: Standing) -> (String, Standing, Option<String>) {
    (service.to_owned(), standing, None)
}

#[test]
fn a_beat_says_how_a_service_is_and_why() {
    let mut table = table();
    table.hear(at(1), "llm", Sign::Beat, beat("a", "degraded"));
    table.hear(at(1), "economy", Sign::ShortBeat, beat("b", "healthy"));
    table.hear(at(2), "robot", Sign::Startup, nothing());
    table.hear(at(2), "userstats", Sign::ShortBeat, nothing());
    assert_eq!(
        shown(&table, 5),
        [
            row("economy", Standing::Healthy),
            ("llm".to_owned(), Standing::Degraded, Some("a reason".to_owned())),
            row("robot", Standing::Announced),
            row("userstats", Standing::Beating),
        ]
    );
    let llm = &table.rows(at(5))[1];
    assert_eq!(llm.beat_age, Some(at(4)));
    assert_eq!(llm.report.providers, [("local".to_owned(), "ok".to_owned())]);
}

#[test]
fn a_short_beat_keeps_what_only_the_long_one_says_while_the_state_stays() {
    let mut table = table();
    table.hear(at(1), "llm", Sign::Beat, beat("a", "degraded"));
    let short = |health: &str| ServiceReport { reason: None, providers: Vec::new(), ..beat("a", health) };
    table.hear(at(1), "llm", Sign::ShortBeat, short("degraded"));
    assert_eq!(table.rows(at(1))[0].report.reason.as_deref(), Some("a reason"));
    table.hear(at(2), "llm", Sign::ShortBeat, short("healthy"));
    let row = &table.rows(at(2))[0];
    assert_eq!((row.standing, row.report.reason.as_deref()), (Standing::Healthy, None));
    assert_eq!(row.report.providers.len(), 1);
}

#[test]
fn who_no_longer_beats_is_silent_and_who_never_did_is_not() {
    let mut table = table();
    table.hear(at(1), "llm", Sign::Beat, beat("a", "healthy"));
    table.hear(at(1), "robot", Sign::Startup, nothing());
    assert_eq!(shown(&table, 31), [row("llm", Standing::Healthy), row("robot", Standing::Announced)]);
    assert_eq!(shown(&table, 32), [row("llm", Standing::Silent), row("robot", Standing::Announced)]);
    table.hear(at(40), "llm", Sign::Beat, beat("a", "healthy"));
    assert_eq!(shown(&table, 41)[0], row("llm", Standing::Healthy));
}

#[test]
fn nobody_is_silent_for_the_time_in_which_we_were_deaf() {
    let mut table = table();
    table.hear(at(1), "llm", Sign::Beat, beat("a", "healthy"));
    table.link(at(2), false);
    assert_eq!(shown(&table, 1_000), [row("llm", Standing::Healthy)]);
    table.link(at(1_000), true);
    table.link(at(1_020), true);
    assert_eq!(shown(&table, 1_030), [row("llm", Standing::Healthy)]);
    assert_eq!(shown(&table, 1_031), [row("llm", Standing::Silent)]);
}

#[test]
fn a_goodbye_stays_until_the_service_is_there_again() {
    let mut table = table();
    table.hear(at(1), "llm", Sign::Beat, beat("a", "healthy"));
    let bye =
        ServiceReport { instance_id: Some("a".to_owned()), reason: Some("SIGTERM".to_owned()), ..nothing() };
    table.hear(at(2), "llm", Sign::Shutdown, bye);
    let stopped = ("llm".to_owned(), Standing::Stopped, Some("SIGTERM".to_owned()));
    table.hear(at(3), "llm", Sign::Beat, beat("a", "healthy"));
    assert_eq!(shown(&table, 1_000), [stopped], "its last beat has overtaken the goodbye");
    table.hear(at(1_000), "llm", Sign::Beat, beat("b", "healthy"));
    assert_eq!(shown(&table, 1_001), [row("llm", Standing::Healthy)]);
    assert_eq!(table.rows(at(1_001))[0].report.instance_id.as_deref(), Some("b"));
}

#[test]
fn two_live_instances_are_two_rows_and_a_dead_one_goes_when_another_lives() {
    let mut table = table();
    table.hear(at(1), "llm", Sign::Beat, beat("b", "healthy"));
    table.hear(at(1), "llm", Sign::Beat, beat("a", "failing"));
    let ids = |table: &Table, now| -> Vec<Option<String>> {
        table.rows(at(now)).into_iter().map(|row| row.report.instance_id).collect()
    };
    assert_eq!(ids(&table, 2), [Some("a".to_owned()), Some("b".to_owned())]);
    table.hear(at(30), "llm", Sign::Beat, beat("b", "healthy"));
    assert_eq!(ids(&table, 40), [Some("b".to_owned())]);
}

#[test]
fn of_a_service_that_is_gone_only_the_instance_that_ended_last_is_shown() {
    let mut table = table();
    let bye = |id: &str| ServiceReport { instance_id: Some(id.to_owned()), ..nothing() };
    // Started three times; the second said goodbye after the third had fallen silent.
    for (second, id) in [(1, "a"), (100, "b"), (150, "c")] {
        table.hear(at(second), "llm", Sign::Beat, beat(id, "healthy"));
    }
    let of = |table: &Table, now| -> Vec<_> {
        table
            .rows(at(now))
            .into_iter()
            .map(|row| (row.standing, row.report.instance_id.unwrap_or_default()))
            .collect()
    };
    assert_eq!(of(&table, 190), [(Standing::Silent, "c".to_owned())]);
    table.hear(at(200), "llm", Sign::Shutdown, bye("b"));
    assert_eq!(of(&table, 200), [(Standing::Stopped, "b".to_owned())]);
    // Each service for itself.
    table.hear(at(201), "robot", Sign::Shutdown, bye("r"));
    let gone = [(Standing::Stopped, "b".to_owned()), (Standing::Stopped, "r".to_owned())];
    assert_eq!(of(&table, 202), gone);
    // As soon as anybody lives, all who do are shown, and nobody else.
    for id in ["d", "e"] {
        table.hear(at(203), "llm", Sign::Beat, beat(id, "healthy"));
    }
    let [d, e] = ["d", "e"].map(|id| (Standing::Healthy, id.to_owned()));
    assert_eq!(of(&table, 204), [d, e, (Standing::Stopped, "r".to_owned())]);
}

#[test]
fn what_comes_without_an_id_belongs_to_whom_we_know() {
    let mut table = table();
    table.hear(at(1), "robot", Sign::Startup, nothing());
    table.hear(at(2), "robot", Sign::Beat, beat("a", "healthy"));
    table.hear(at(3), "robot", Sign::Shutdown, nothing());
    assert_eq!(shown(&table, 4), [row("robot", Standing::Stopped)]);
    table.hear(at(5), "robot", Sign::Startup, nothing());
    assert_eq!(shown(&table, 6), [row("robot", Standing::Healthy)], "the last that it said of itself");
}

#[test]
fn the_verdict_is_the_worst_of_all() {
    let mut table = Table::new(SILENT_AFTER, vec!["llm".to_owned()]);
    table.link(at(0), true);
    assert_eq!(shown(&table, 1), [row("llm", Standing::Missing)]);
    assert_eq!(verdict(&table.rows(at(1))), Verdict::Failing);
    table.hear(at(1), "llm", Sign::Beat, beat("a", "healthy"));
    table.hear(at(1), "robot", Sign::Startup, nothing());
    assert_eq!(verdict(&table.rows(at(1))), Verdict::Healthy);
    table.hear(at(1), "robot", Sign::Shutdown, nothing());
    assert_eq!(verdict(&table.rows(at(1))), Verdict::Healthy, "it was not expected");
    table.hear(at(1), "other", Sign::Beat, beat("b", "degraded"));
    assert_eq!(verdict(&table.rows(at(1))), Verdict::Degraded);
    table.hear(at(2), "llm", Sign::Shutdown, nothing());
    assert_eq!(verdict(&table.rows(at(2))), Verdict::Failing, "it was expected");
    assert_eq!(verdict(&[]), Verdict::Failing, "nobody is there");
}

#[test]
fn a_crowd_is_bounded_and_makes_room_for_nobody_but_the_ended() {
    let mut table = table();
    for number in 0..2 * MOST_INSTANCES {
        table.hear(at(1), &format!("s{number}"), Sign::Beat, beat("a", "healthy"));
    }
    assert_eq!((table.rows(at(1)).len(), table.is_full(at(1))), (MOST_INSTANCES, true));
    table.hear(at(2), "s5", Sign::Shutdown, nothing());
    table.hear(at(3), "newcomer", Sign::Beat, beat("a", "healthy"));
    let names: Vec<String> = table.rows(at(3)).into_iter().map(|row| row.service).collect();
    assert!(names.contains(&"newcomer".to_owned()) && !names.contains(&"s5".to_owned()));
    assert!(!table.is_full(at(40)), "who was left out has given no sign since");
}

#[test]
fn who_never_beat_makes_room_for_the_newest() {
    let mut table = table();
    table.hear(at(0), "steady", Sign::Beat, beat("a", "healthy"));
    for number in 0..3 * MOST_INSTANCES {
        let report = ServiceReport { health: None, ..beat(&number.to_string(), "healthy") };
        table.hear(at(1), &format!("s{number}"), Sign::Startup, report);
    }
    table.hear(at(2), "newcomer", Sign::Beat, beat("a", "healthy"));
    let names: Vec<String> = table.rows(at(2)).into_iter().map(|row| row.service).collect();
    assert_eq!((names.len(), table.is_full(at(2))), (MOST_INSTANCES, true), "and that is told");
    assert!(names.contains(&"steady".to_owned()) && names.contains(&"newcomer".to_owned()));
    assert!(names.contains(&"s599".to_owned()) && !names.contains(&"s0".to_owned()));
}

#[test]
fn a_service_that_crashes_at_each_start_is_one_row() {
    let mut table = table();
    for start in 0..9 {
        table.hear(at(start * 60), "crashing", Sign::Startup, beat(&start.to_string(), "healthy"));
    }
    let of = |table: &Table, now| -> Vec<_> {
        table.rows(at(now)).into_iter().map(|row| (row.standing, row.report.instance_id)).collect()
    };
    assert_eq!(of(&table, 999), [(Standing::Announced, Some("8".to_owned()))]);
    table.hear(at(1_000), "crashing", Sign::Startup, beat("9", "healthy"));
    table.hear(at(1_020), "crashing", Sign::Startup, beat("10", "healthy"));
    assert_eq!(of(&table, 1_020).len(), 2, "these may well be two");
    table.hear(at(1_040), "crashing", Sign::Beat, beat("10", "healthy"));
    table.hear(at(1_090), "crashing", Sign::Beat, beat("10", "healthy"));
    assert_eq!(of(&table, 1_090).len(), 2, "a beat of the one says nothing of the other");
}

proptest! {
    #[test]
    fn no_sequence_of_signs_breaks_the_table(
        signs in proptest::collection::vec((0..6_u8, 0..4_u8, 0..4_u8, 0..4_u8, 0..20_u64), 0..400)
    ) {
        let mut table = table();
        let mut now = 0;
        for (service, id, sign, health, later) in signs {
            now += later;
            let sign = [Sign::Startup, Sign::Beat, Sign::ShortBeat, Sign::Shutdown][usize::from(sign)];
            let word = ["healthy", "degraded", "failing", "odd"][usize::from(health)];
            let report = if id == 0 { nothing() } else { beat(&id.to_string(), word) };
            table.hear(at(now), &format!("s{service}"), sign, report);
            table.link(at(now), later != 7);
            let rows = table.rows(at(now));
            prop_assert!(rows.is_sorted_by(|a, b| (&a.service, &a.report.instance_id) <= (&b.service, &b.report.instance_id)));
            let heard = rows.iter().any(|row| row.service == format!("s{service}"));
            prop_assert!(heard, "who was just heard is shown");
        }
    }
}
