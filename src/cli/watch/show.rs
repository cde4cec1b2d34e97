//! How the table looks: for people, as lines, and for scripts. All names and texts are others'.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::bus::wire::rounded;
use crate::cli::terminal::visible;
use crate::clock::{Moment, iso};
use crate::group::{Row, Verdict};

/// So many characters of an instance's id tell it from others.
const ID_CHARACTERS: usize = 8;
/// A column is at most so wide, in characters.
const WIDEST_COLUMN: usize = 40;
const HEADINGS: [&str; 6] = ["SERVICE", "STATE", "BEAT", "INSTANCE", "PROVIDERS", "REASON"];

/// The table for people. `trouble`: what is wrong with the link.
pub fn table(rows: &[Row], is_full: bool, trouble: Option<&str>) -> Vec<String> {
    let heading = match (rows.len(), trouble) {
        (_, Some(why)) => format!("no link to NATS ({}): what stands here is old", visible(why)),
        (0, None) => "nobody was heard of yet".to_owned(),
        (1, None) => "1 service".to_owned(),
        (number, None) => format!("{number} services"),
    };
    let mut lines = vec![heading];
    if !rows.is_empty() {
        let cells = rows.iter().map(cells);
        lines.extend(in_columns(std::iter::once(HEADINGS.map(str::to_owned)).chain(cells).collect()));
    }
    if is_full {
        lines.push("there are more; they are left out".to_owned());
    }
    lines
}

fn cells(row: &Row) -> [String; 6] {
    let reason = row.report.reason.as_deref().unwrap_or_default();
    [
        visible(&row.service),
        row.standing.as_str().to_owned(),
        row.beat_age.map_or("-".to_owned(), age),
        instance(row),
        providers(row),
        visible(reason),
    ]
}

fn in_columns(lines: Vec<[String; 6]>) -> Vec<String> {
    let width = |column: usize| {
        let widths = lines.iter().map(|cells| cells[column].chars().count());
        widths.max().unwrap_or_default().min(WIDEST_COLUMN)
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let in_one = |cells: &[String; 6]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(in_one).collect()
}

/// One line of what is news of a service. Without the age, which is no news.
pub fn line(row: &Row) -> String {
    let mut line = format!("{} {}", visible(&row.service), row.standing.as_str());
    for (name, text) in [
        ("reason", row.report.reason.as_deref().map(visible)),
        ("instance", Some(instance(row))),
        ("providers", Some(providers(row))),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            // Writing to a text can't fail.
            let _ = write!(line, "  {name}: {text}");
        }
    }
    line
}

/// All of it as one document.
pub fn document(rows: &[Row], is_full: bool, verdict: Verdict, now: Moment) -> Value {
    let verdict = match verdict {
        Verdict::Healthy => "healthy",
        Verdict::Degraded => "degraded",
        Verdict::Failing => "failing",
    };
    let services: Vec<Value> = rows.iter().map(service).collect();
    json!({"timestamp": iso(now.wall), "verdict": verdict, "services": services, "left_out": is_full})
}

fn service(row: &Row) -> Value {
    let report = &row.report;
    let providers: Map<String, Value> =
        report.providers.iter().map(|(name, status)| (name.clone(), json!(status))).collect();
    let fields = [
        ("service", Some(json!(row.service))),
        ("state", Some(json!(row.standing.as_str()))),
        ("reason", report.reason.as_ref().map(|reason| json!(reason))),
        ("beat_age_seconds", row.beat_age.map(|age| json!(rounded(age.as_secs_f64(), 3)))),
        ("instance_id", report.instance_id.as_ref().map(|id| json!(id))),
        ("hostname", report.hostname.as_ref().map(|name| json!(name))),
        ("version", report.version.as_ref().map(|version| json!(version))),
        ("providers", (!providers.is_empty()).then(|| Value::Object(providers))),
    ];
    let there = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(there.collect())
}

fn instance(row: &Row) -> String {
    let id = row.report.instance_id.as_deref().unwrap_or_default();
    let id: String = id.chars().take(ID_CHARACTERS).collect();
    match &row.report.hostname {
        Some(host) => visible(&format!("{id}@{host}")),
        None => visible(&id),
    }
}

fn providers(row: &Row) -> String {
    let providers = row.report.providers.iter();
    let shown: Vec<String> =
        providers.map(|(name, status)| format!("{}: {}", visible(name), visible(status))).collect();
    shown.join(", ")
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::wire::ServiceReport;
    use crate::group::Standing;

    fn row(body: Value) -> Row {
        Row {
            service: "llm".to_owned(),
            standing: Standing::Degraded,
            beat_age: Some(Duration::from_millis(1_500)),
            report: ServiceReport::parse(body.to_string().as_bytes()),
            is_expected: false,
        }
    }

    fn usual() -> Row {
        row(json!({"instance_id": "7f9c24e8-3b12", "hostname": "vera", "health": "degraded",
            "health_reason": "unhealthy: robot", "status": {"llm_providers": {"local": "ok", "other": "failed"}}}))
    }

    #[test]
    fn the_table_has_a_line_for_each_service() {
        assert_eq!(
            table(&[usual(), Row { service: "economy".to_owned(), ..row(json!({})) }], false, None),
            [
                "2 services",
                "SERVICE  STATE     BEAT  INSTANCE       PROVIDERS                 REASON",
                "llm      degraded  1 s   7f9c24e8@vera  local: ok, other: failed  unhealthy: robot",
                "economy  degraded  1 s",
            ]
        );
        assert_eq!(table(&[], false, None), ["nobody was heard of yet"]);
        let lines = table(&[usual()], true, Some("127.0.0.1:1: refused"));
        assert_eq!(lines[0], "no link to NATS (127.0.0.1:1: refused): what stands here is old");
        assert_eq!(lines[3], "there are more; they are left out");
    }

    #[test]
    fn a_line_says_what_there_is() {
        assert_eq!(
            line(&usual()),
            "llm degraded  reason: unhealthy: robot  instance: 7f9c24e8@vera  providers: local: ok, other: failed"
        );
        assert_eq!(line(&row(json!({}))), "llm degraded");
    }

    #[test]
    fn a_script_gets_every_field_that_there_is() {
        let now = Moment { elapsed: Duration::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
        assert_eq!(
            document(&[usual()], false, Verdict::Degraded, now),
            json!({
                "timestamp": "1970-01-01T00:00:00.000000+00:00", "verdict": "degraded", "left_out": false,
                "services": [{
                    "service": "llm", "state": "degraded", "reason": "unhealthy: robot", "beat_age_seconds": 1.5,
                    "instance_id": "7f9c24e8-3b12", "hostname": "vera",
                    "providers": {"local": "ok", "other": "failed"},
                }],
            })
        );
    }

    #[test]
    fn nothing_that_others_say_reaches_the_terminal_raw() {
        let evil = "\u{1b}[2J\u{9b}31m\u{202e}\n";
        let hostile = Row {
            service: evil.to_owned(),
            ..row(json!({"instance_id": evil, "hostname": evil, "health": evil, "health_reason": evil,
                "status": {"llm_providers": {evil: evil}}}))
        };
        let shown =
            table(std::slice::from_ref(&hostile), false, Some(evil)).into_iter().chain([line(&hostile)]);
        for line in shown {
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
    }

    #[test]
    fn ages_are_short() {
        for (seconds, expected) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (864_000, "240 h"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }
}
