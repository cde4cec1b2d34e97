//! The alert rules, as promtool sees them.

use kryten_testkit::Result;

use crate::{program, promtool, read};

#[test]
fn rules_and_example_are_valid() -> Result {
    let Some(tool) = program("promtool", "whether rules and example are valid") else { return Ok(()) };
    promtool(&tool, &["check", "config", "prometheus.yml"], "")?;
    promtool(&tool, &["check", "rules", "--lint=all", "--lint-fatal", "kryten-llm.rules.yml"], "")
}

#[test]
fn alerts_fire_when_they_should_and_only_then() -> Result {
    let Some(tool) = program("promtool", "the cases of the rules") else { return Ok(()) };
    promtool(&tool, &["test", "rules", "kryten-llm.rules.test.yml"], "")
}

/// The names of all alerts.
pub fn alerts() -> Result<Vec<String>> {
    let rules = read("monitoring/prometheus/kryten-llm.rules.yml")?;
    Ok(rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned)).collect())
}

#[test]
fn every_alert_has_a_severity_says_what_to_do_and_has_cases() -> Result {
    let rules = read("monitoring/prometheus/kryten-llm.rules.yml")?;
    let cases = read("monitoring/prometheus/kryten-llm.rules.test.yml")?;
    assert!(alerts()?.len() >= 9, "{:?}", alerts()?);
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap_or_default();
        let severe = ["severity: critical", "severity: warning"].iter().any(|label| rule.contains(label));
        assert!(severe && rule.contains("summary: ") && rule.contains("description: "), "{rule}");
        let of_it =
            || cases.split("- eval_time: ").filter(|case| case.contains(&format!("alertname: {name}\n")));
        let firing = of_it().filter(|case| case.contains("exp_alerts:")).count();
        // One before it, one after it, one after a restart.
        assert!(firing >= 1 && of_it().count() >= firing + 3, "{name}: {firing} of {}", of_it().count());
    }
    Ok(())
}
