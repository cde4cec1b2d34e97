//! The Grafana dashboard, read as what it is: JSON.

use std::collections::BTreeSet;

use kryten_testkit::{Context as _, Result};
use serde_json::Value;

use crate::read;

pub const FILE: &str = "monitoring/grafana/dashboards/kryten-llm.json";

/// What a panel asks Prometheus.
#[derive(Debug)]
pub struct Question {
    /// The panel's title.
    pub panel: String,
    /// The expression, with Grafana's variables replaced.
    pub expression: String,
}

pub fn dashboard() -> Result<Value> {
    serde_json::from_str(&read(FILE)?).context(FILE)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An expression as Grafana would send it, with all instances chosen.
fn filled_in(expression: &Value) -> String {
    text(expression).replace("$__rate_interval", "1m").replace("$instance", ".+")
}

/// All that the panels ask.
pub fn questions() -> Result<Vec<Question>> {
    let dashboard = dashboard()?;
    let of_panel = |panel: &Value| {
        let title = text(&panel["title"]);
        let question =
            |target: &Value| Question { panel: title.clone(), expression: filled_in(&target["expr"]) };
        list(&panel["targets"]).iter().map(question).collect::<Vec<_>>()
    };
    Ok(list(&dashboard["panels"]).iter().flat_map(of_panel).collect())
}

/// What the marks along the time axis ask.
pub fn annotations() -> Result<Vec<String>> {
    let dashboard = dashboard()?;
    let annotations = list(&dashboard["annotations"]["list"]).iter();
    Ok(annotations.filter(|one| one.get("expr").is_some()).map(|one| filled_in(&one["expr"])).collect())
}

#[test]
fn panels_have_titles_a_chosen_source_and_room_of_their_own() -> Result {
    let dashboard = dashboard()?;
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard["panels"]) {
        assert!(ids.insert(panel["id"].as_u64()), "an id that is there twice: {panel}");
        assert!(!text(&panel["title"]).is_empty(), "{panel}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap_or_default();
        assert!(place("x") + place("w") <= 24, "wider than the page: {panel}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "lies over another one: {panel}");
            }
        }
        if panel["type"] != "row" {
            assert!(!text(&panel["description"]).is_empty(), "{panel}");
            assert!(!list(&panel["targets"]).is_empty(), "asks nothing: {panel}");
        }
        for asks in
            list(&panel["targets"]).iter().chain([panel].into_iter().filter(|one| one["type"] != "row"))
        {
            assert_eq!(asks["datasource"]["uid"], "${datasource}", "{asks}");
        }
    }
    Ok(())
}

#[test]
fn no_variable_of_grafana_is_unknown() -> Result {
    for question in questions()? {
        assert!(!question.expression.contains('$'), "{question:?}");
    }
    Ok(())
}

#[test]
fn grafana_is_told_where_make_installs_the_dashboard() -> Result {
    let provisioning = read("monitoring/grafana/provisioning/dashboards/kryten-llm.yml")?;
    let installed = "/usr/share/doc/kryten-llm/monitoring/grafana/dashboards";
    assert!(provisioning.contains(&format!("path: {installed}\n")), "{provisioning}");
    assert!(read("monitoring/README.md")?.contains(installed));
    Ok(())
}
