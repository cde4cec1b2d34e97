//! The names of metrics, both ways: what is asked for exists, and what exists is shown or known not to be.

use std::collections::{BTreeMap, BTreeSet};

use kryten_testkit::{Result, World};

use crate::{BINARY, dashboard, program, promtool, read};

/// Metrics that no panel and no rule shows, and why.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("llm_service_status", "llm_health_state tells more; kept for older dashboards"),
    ("llm_nats_connected", "llm_link_up says the same; kept for older dashboards"),
    ("llm_rate_limit_hits_total", "shown by reason"),
    ("llm_cooldown_hits_total", "part of the rate limits, shown by reason"),
    ("llm_spam_detected_total", "shown by reason"),
    ("llm_validation_failures_total", "shown by reason"),
    ("llm_rate_limit_user_max_hour", "a setting"),
    ("llm_rate_limit_tracked_users", "says how much is remembered, which limits.users_bytes bounds"),
    ("llm_rate_limit_tracked_triggers", "as many as are configured"),
    ("llm_unique_users_interacted", "only grows, and starts anew at each start"),
    ("llm_context_log_size", "reaches its bound of 100 soon and stays there"),
    ("llm_chat_history_size", "reaches context.chat_history_size soon and stays there"),
    ("llm_triggers_configured", "a setting"),
    ("llm_providers_configured", "a setting"),
    ("llm_config_max_message_length", "a setting"),
    ("llm_config_validation_min_length", "a setting"),
    ("llm_config_validation_max_length", "a setting"),
];

/// The metrics of a page, with their kinds.
fn kinds(page: &str) -> BTreeMap<String, String> {
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// The names in an expression, or in any text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("llm_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// The metric that a name belongs to: a histogram has three, a summary two besides its own.
fn metric(name: &str, kinds: &BTreeMap<String, String>) -> String {
    let parts = [("_bucket", "histogram"), ("_sum", "histogram"), ("_count", "histogram")];
    let parts = parts.into_iter().chain([("_sum", "summary"), ("_count", "summary")]);
    let whole = |(ending, kind): (&str, &str)| {
        name.strip_suffix(ending).filter(|whole| kinds.get(*whole).is_some_and(|its| its == kind))
    };
    parts.into_iter().find_map(whole).unwrap_or(name).to_owned()
}

/// What rules and dashboard ask for.
fn asked() -> Result<BTreeSet<String>> {
    let mut asked = names(&read("monitoring/prometheus/kryten-llm.rules.yml")?);
    for question in dashboard::questions()? {
        asked.extend(names(&question.expression));
    }
    for expression in dashboard::annotations()? {
        asked.extend(names(&expression));
    }
    asked.extend(names(&dashboard::dashboard()?["templating"].to_string()));
    Ok(asked)
}

#[tokio::test]
async fn what_is_asked_for_exists_and_what_exists_is_shown_or_known_not_to_be() -> Result {
    let world = World::of(BINARY).start().await?;
    let (status, page) = world.daemon.get("/metrics").await?;
    assert_eq!(status, 200, "{page}");
    let kinds = kinds(&page);
    let asked: BTreeSet<String> = asked()?.iter().map(|name| metric(name, &kinds)).collect();
    let unknown: Vec<&String> = asked.iter().filter(|name| !kinds.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "rules or dashboard ask for what there is not: {unknown:?}");
    let hidden: BTreeSet<&str> = NOT_SHOWN.iter().map(|(name, _)| *name).collect();
    let forgotten: Vec<&String> =
        kinds.keys().filter(|name| !asked.contains(*name) && !hidden.contains(name.as_str())).collect();
    assert!(forgotten.is_empty(), "neither shown nor on the list of what is not: {forgotten:?}");
    for name in hidden {
        assert!(kinds.contains_key(name), "{name} is said not to be shown, and is not there");
        assert!(!asked.contains(name), "{name} is said not to be shown, and is");
    }
    Ok(())
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_about_the_metrics() -> Result {
    let Some(tool) = program("promtool", "whether the metrics are clean") else { return Ok(()) };
    let world = World::of(BINARY).start().await?;
    let (_, before) = world.daemon.get("/metrics").await?;
    promtool(&tool, &["check", "metrics"], &before)?;
    world.ask("bob", "are you well?").await?;
    world.ledger().await?;
    let (_, after) = world.daemon.get("/metrics").await?;
    promtool(&tool, &["check", "metrics"], &after)
}

#[test]
fn a_name_belongs_to_its_metric() {
    let page = "# TYPE llm_a_seconds histogram\n# TYPE llm_b_count gauge\n# TYPE llm_c summary\n";
    let kinds = kinds(page);
    for (name, expected) in [
        ("llm_a_seconds_bucket", "llm_a_seconds"),
        ("llm_a_seconds_sum", "llm_a_seconds"),
        ("llm_b_count", "llm_b_count"),
        ("llm_c_count", "llm_c"),
        ("llm_c_bucket", "llm_c_bucket"),
    ] {
        assert_eq!(metric(name, &kinds), expected);
    }
    let found = names("rate(llm_a{x=\"y\"}[1m]) / my_llm_b + process_c");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["llm_a", "process_c"]);
}
