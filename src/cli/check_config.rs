//! What `check-config` prints of a configuration that can be used. One that can't prints its
//! problems, a line each, and nothing else.

use std::fmt::Write;
use std::path::Path;

use crate::config::{Effective, Loaded, Warning};

/// Where the mark of a default stands, when the value before it leaves room.
const MARK_COLUMN: usize = 60;

/// The verdict, the warnings, then every value in force.
pub fn report(path: &Path, loaded: &Loaded) -> String {
    let mut text = verdict(path, &loaded.warnings);
    if !loaded.warnings.is_empty() {
        text.push_str("\nWarnings:\n");
        for warning in &loaded.warnings {
            push_line(&mut text, format_args!("  {warning}"));
        }
    }
    text.push_str("\nValues in force:\n");
    for field in &loaded.effective {
        push_value(&mut text, field);
    }
    text
}

fn verdict(path: &Path, warnings: &[Warning]) -> String {
    let path = path.display();
    match warnings.len() {
        0 => format!("{path} is valid.\n"),
        1 => format!("{path} is valid, with 1 warning.\n"),
        several => format!("{path} is valid, with {several} warnings.\n"),
    }
}

fn push_value(text: &mut String, field: &Effective) {
    let line = format!("  {} = {}", field.place, field.value);
    if field.is_default {
        push_line(text, format_args!("{line:MARK_COLUMN$}  (default)"));
    } else {
        push_line(text, format_args!("{line}"));
    }
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a text can't fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::testing::loaded;

    #[test]
    fn req_009_it_says_the_verdict_the_warnings_and_every_value() {
        let loaded = loaded(json!({
            "log_level": "LOUD",
            "nats": {"password": "hunter2"},
            "metrics": {"port": "28300"},
        }));
        let text = report(Path::new("config.json"), &loaded);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "config.json is valid, with 1 warning.",
                "",
                "Warnings:",
                "  log_level: is unknown and counts as INFO; the log levels are DEBUG, INFO, WARNING and ERROR",
                "",
            ]
        );
        assert_eq!(lines[5], "Values in force:");
        assert_eq!(lines.len(), 6 + loaded.effective.len());
        for line in [
            "  nats.password = ****",
            "  metrics.port = 28300",
            "  log_level = \"INFO\"",
            "  nats.connect_timeout = 10                                   (default)",
        ] {
            assert!(lines.contains(&line), "{line}\n{text}");
        }
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn the_verdict_counts_the_warnings() {
        let text = |over| report(Path::new("a.json"), &loaded(over));
        assert!(text(json!({})).starts_with("a.json is valid.\n\nValues in force:\n"));
        let two = text(json!({"unknown": 1, "other": 2}));
        assert!(two.starts_with("a.json is valid, with 2 warnings.\n\nWarnings:\n  unknown: "));
    }
}
