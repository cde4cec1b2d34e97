//! The reference of `config.json` for people, made of what the fields tell of themselves.

use std::fmt::Write;

use serde_json::Value;

use super::fixed::is_fixed;
use super::schema::{description, within};
use super::survey::{Field, Kind, Range, survey};

const HEAD: &str = "\
# Configuration

Every field of `config.json`. Written by `make docs` from the code that reads it; don't edit it here.

`${NAME}` in a text, and without quotes in place of a number or boolean, is replaced by an environment
variable. Numbers and booleans may also be texts (`\"28287\"`, `\"yes\"`). Keys that begin with `_` are comments.
A default of `required` must be given. `[]` stands for the entries of a list, `NAME` for a name of your choice.

The service reads the file at its start and again on SIGHUP. What is marked *(restart)* it takes up at its start alone.

`kryten-llm check-config` says whether a file can be used. Editors say it while you write, by the JSON Schema
that `kryten-llm config-schema` prints: put it beside your file and name it there, as
[config.example.json](../config.example.json) does with `\"$schema\"`. The schema is as lenient as the service, but for
unknown keys: to the service they are a warning, to the schema an error, so that you see a typo. What no
schema can say, only `check-config` says: whether variables are set, files can be read, URLs, patterns and names
are well formed, numbers in texts are within their range, names refer to something, and fields fit each other.
";

/// The reference, in Markdown.
pub fn reference() -> String {
    let fields = survey();
    let mut text = HEAD.to_owned();
    let Some(root) = fields.iter().find(|field| field.path.is_empty()) else { return text };
    let is_section = |field: &&Field| within(field, &fields).next().is_some();
    let in_force = || within(root, &fields).filter(|field| !field.is_outdated);
    push_table(&mut text, &fields, "Single fields", None, in_force().filter(|field| !is_section(field)));
    for section in in_force().filter(is_section) {
        let about = description(&section.path);
        let rows = fields.iter().filter(|field| is_within(section, field) && !field.is_outdated);
        // The section's own row says something where it is a list or map.
        let own = (!section.kinds.contains(&Kind::Section)).then_some(section);
        push_table(&mut text, &fields, &format!("`{}`", section.path), about, own.into_iter().chain(rows));
    }
    let about = "They are accepted, so that old files load; the service warns when they ask for something.";
    push_table(
        &mut text,
        &fields,
        "Without effect",
        Some(about),
        fields.iter().filter(|field| field.is_outdated),
    );
    text
}

/// Whether a field stands anywhere in a section, list or map and has a row of its own there.
fn is_within(section: &Field, field: &Field) -> bool {
    let rest = field.path.strip_prefix(&section.path);
    rest.is_some_and(|rest| rest.starts_with('.') || rest.starts_with('['))
        && description(&field.path).is_some()
}

fn push_table<'f>(
    text: &mut String,
    fields: &[Field],
    title: &str,
    about: Option<&str>,
    rows: impl Iterator<Item = &'f Field>,
) {
    // Writing to a text can't fail.
    let _ = writeln!(text, "\n## {title}\n");
    if let Some(about) = about {
        let _ = writeln!(text, "{about}\n");
    }
    text.push_str("| field | default | what it may be | meaning |\n|---|---|---|---|\n");
    for field in rows {
        let path = field.path.trim_start_matches("[\"").trim_end_matches("\"]");
        let may_be = cell(&may_be(field, fields));
        let meaning = cell(description(&field.path).unwrap_or_default());
        let mark = if is_fixed(&field.path) && !field.is_outdated { " *(restart)*" } else { "" };
        let _ = writeln!(text, "| `{path}` | {} | {may_be} | {meaning}{mark} |", cell(&default(field)));
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn default(field: &Field) -> String {
    match &field.default {
        _ if field.is_required => "required".to_owned(),
        Some(default) => format!("`{default}`"),
        None => String::new(),
    }
}

fn may_be(field: &Field, fields: &[Field]) -> String {
    let mut kinds: Vec<String> = field.kinds.iter().map(|kind| of_kind(kind, field, fields)).collect();
    if kinds.is_empty() {
        kinds.push("anything".to_owned());
    }
    if field.is_nullable {
        kinds.push("null".to_owned());
    }
    let mut text = kinds.join(" or ");
    if !field.words.is_empty() {
        let words: Vec<String> = field.words.iter().map(|word| format!("`{word}`")).collect();
        let _ = write!(text, ": {}", words.join(", "));
    }
    if let Some(longest) = field.longest {
        let _ = write!(text, ", at most {longest} characters");
    }
    text
}

fn of_kind(kind: &Kind, field: &Field, fields: &[Field]) -> String {
    let entries = if field.is_never_empty { ", at least one entry" } else { "" };
    match kind {
        Kind::Integer(range) => format!("whole number{}", in_words(range)),
        Kind::Number(range) => format!("number{}", in_words(range)),
        Kind::Boolean => "boolean".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::FilledText if field.may_be_empty => "text".to_owned(),
        Kind::FilledText => "text, not empty".to_owned(),
        Kind::Word(words) => words
            .iter()
            .map(|word| format!("`{}`", Value::from(word.as_str())))
            .collect::<Vec<_>>()
            .join(" or "),
        Kind::List => {
            let entry = within(field, fields).next().map(|entry| may_be(entry, fields)).unwrap_or_default();
            format!("list (each: {entry}){entries}")
        }
        Kind::Section => "section".to_owned(),
        Kind::Map => format!("section for each name{entries}"),
        Kind::Texts => "object of texts".to_owned(),
        Kind::Object => "object".to_owned(),
    }
}

fn in_words(range: &Range) -> String {
    match (&range.least, &range.most) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", {least} or more"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_docs_is_that_of_this_code() {
        let written = include_str!("../../docs/CONFIGURATION.md");
        assert!(written == reference(), "docs/CONFIGURATION.md is stale: run 'make docs'");
    }

    #[test]
    fn every_field_has_exactly_one_row() {
        let reference = reference();
        for (path, _) in super::super::schema::descriptions() {
            let path = path.trim_start_matches("[\"").trim_end_matches("\"]");
            let rows = reference.lines().filter(|line| line.starts_with(&format!("| `{path}` |"))).count();
            let is_heading = reference.contains(&format!("\n## `{path}`\n"));
            assert!(rows == 1 || (rows == 0 && is_heading), "{path}: {rows}");
        }
    }

    #[test]
    fn what_only_a_restart_takes_up_is_marked() {
        let reference = reference();
        let is_marked = |path: &str| {
            let row = reference.lines().find(|line| line.starts_with(&format!("| `{path}` |")));
            row.unwrap_or_else(|| panic!("no {path}")).ends_with(" *(restart)* |")
        };
        for path in ["nats.servers", "channels[].domain", "metrics.port", "outbox.max_lines", "log_level"] {
            assert!(is_marked(path), "{path}");
        }
        for path in
            ["triggers[].name", "spend.max_calls_per_day", "service_metadata.heartbeat_interval_seconds"]
        {
            assert!(!is_marked(path), "{path}");
        }
    }

    #[test]
    fn a_row_has_default_range_and_meaning() {
        let reference = reference();
        for row in [
            "| `metrics.port` | `28286` | whole number, 0 to 65535 | ",
            "| `nats.servers` | required | list (each: text, not empty), at least one entry | ",
            "| `logging.format` | `\"text\"` | `\"text\"` or `\"json\"` | ",
            "| `spend.max_cost_per_day` | `null` | number, 0 or more or null | ",
            "| `log_level` | `\"INFO\"` | text: `DEBUG`, `INFO`, `WARNING`, `ERROR` | ",
        ] {
            assert!(reference.contains(row), "{row}\n{reference}");
        }
    }
}
