//! `kryten-llm ctl` and `kryten-llm why`: a command to the running service, and its answer for people.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::terminal::{escaped_json, visible};
use super::visit::{self, Tries, Visit};
use super::{exit, say, say_error};
use crate::bus::{Reply, subjects};
use crate::config::Config;
use crate::ops::commands::request::NAMES;

/// How long the service has to answer; it says itself when a reload takes longer than 10 s.
const PATIENCE: Duration = Duration::from_secs(12);
/// Arguments that are texts however they read: `user=null` is the user of that name, not everybody.
const TEXTS: [&str; 5] = ["user", "username", "name", "channel", "correlation_id"];

/// What `--help` says besides.
const HELP: &str = "\
Examples:
  kryten-llm ctl system.health
  kryten-llm ctl chat.pause channel=Lounge duration_seconds=600
  kryten-llm ctl triggers.update name=films fields='{\"probability\": 0.5}'
  kryten-llm ctl decisions.recent user=bob limit=5 --json

X are in
force until the next reload or restart; only pauses outlive both.

Exit codes:
  0    done
  1    the service refused
  2    bad command line
  69   NATS can't be reached, or no service answered
  77   NATS refused the credentials
  78   the configuration can't be used";

/// The command and its arguments.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct CtlArguments {
    /// Which command, such as system.ping; any other word lists all of them
    command: String,

    /// Arguments of the command
    #[arg(value_name = "NAME=VALUE", value_parser = argument)]
    arguments: Vec<(String, Value)>,

    /// Print the whole answer as JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// About whom, and how much.
#[derive(Debug, Args)]
pub struct WhyArguments {
    /// Whose messages
    user: String,

    /// In which room; all when left out
    #[arg(long, value_name = "CHANNEL")]
    room: Option<String>,

    /// At most so many decisions
    #[arg(long, value_name = "NUMBER", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,

    /// Print the whole answer as JSON, for scripts
    #[arg(long)]
    json: bool,
}

fn argument(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    let read = if TEXTS.contains(&name) { None } else { serde_json::from_str(value).ok() };
    Ok((name.to_owned(), read.unwrap_or_else(|| json!(value))))
}

/// Sends a command, and shows the answer.
pub fn run(config: &Config, wanted: &CtlArguments) -> ExitCode {
    if !NAMES.contains(&&*wanted.command) {
        say_error(&format!("no such command; there are:\n  {}", NAMES.join("\n  ")));
        return exit::code(exit::USAGE);
    }
    let arguments: Map<String, Value> = wanted.arguments.iter().cloned().collect();
    show(config, &wanted.command, arguments, wanted.json, escaped_json)
}

/// Shows the service's last decisions on a user's messages.
pub fn why(config: &Config, wanted: &WhyArguments) -> ExitCode {
    let mut arguments = Map::new();
    arguments.insert("user".to_owned(), json!(wanted.user));
    arguments.insert("limit".to_owned(), json!(wanted.limit));
    arguments.extend(wanted.room.iter().map(|room| ("channel".to_owned(), json!(room))));
    show(config, "decisions.recent", arguments, wanted.json, decisions)
}

fn show(
    config: &Config,
    command: &str,
    arguments: Map<String, Value>,
    as_json: bool,
    in_words: impl Fn(&Value) -> String,
) -> ExitCode {
    visit::run(async {
        let (mut visit, []) = Visit::begin(&config.nats, "ctl", [], Tries::Once);
        if let Err(failure) = visit.until_up().await {
            return visit::failed(&failure);
        }
        let service = &config.service.service_name;
        let request = json!({"service": service, "command": command, "args": arguments});
        let subject = subjects::command(service);
        let asked = visit.bus.request(&subject, request.to_string().into_bytes(), None, PATIENCE);
        let answer: Value = match asked.await {
            Ok(Reply::Answered(answer)) => serde_json::from_slice(&answer).unwrap_or_default(),
            Ok(Reply::NoResponders) => return unanswered(&format!("no service called {service} is there")),
            Ok(Reply::TimedOut { .. }) => return unanswered("the service did not answer in time"),
            Err(error) => return unanswered(&error.to_string()),
        };
        let is_done = answer["success"] == true;
        if as_json {
            say(&escaped_json(&answer));
        } else if is_done {
            say(&in_words(&answer["data"]));
        } else {
            let error = answer["error"].as_str().unwrap_or("an answer that can't be understood");
            error.lines().for_each(|line| say_error(&visible(line)));
            let errors = answer.pointer("/data/errors").and_then(Value::as_array);
            errors.into_iter().flatten().filter_map(Value::as_str).for_each(|line| say_error(&visible(line)));
        }
        exit::code(if is_done { exit::OK } else { exit::UNEXPECTED })
    })
}

fn unanswered(why: &str) -> ExitCode {
    say_error(&visible(why));
    exit::code(exit::UNAVAILABLE)
}

/// A line for each decision, newest first.
fn decisions(data: &Value) -> String {
    let entries = data["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return "nothing is remembered of this user".to_owned();
    }
    entries.iter().map(decision).collect::<Vec<_>>().join("\n")
}

fn decision(entry: &Value) -> String {
    let text = |key: &str| visible(entry[key].as_str().unwrap_or_default());
    // The date's and the time's whole seconds.
    let time: String = text("timestamp").chars().take(19).collect();
    let mut line = format!("{time}  {}  \"{}\"  {}", text("channel"), text("message"), text("decision"));
    for (key, open, close) in [("reason", ": ", ""), ("detail", " (", ")")] {
        if entry[key].as_str().is_some_and(|text| !text.is_empty()) {
            line.push_str(&format!("{open}{}{close}", text(key)));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_json_where_it_reads_so() {
        for (text, name, value) in [
            ("a=5", "a", json!(5)),
            ("a=true", "a", json!(true)),
            ("a=[\"b\"]", "a", json!(["b"])),
            ("a=like a pirate", "a", json!("like a pirate")),
            ("a=b=c", "a", json!("b=c")),
            ("a=", "a", json!("")),
            ("user=null", "user", json!("null")),
            ("username=12345", "username", json!("12345")),
            ("name=true", "name", json!("true")),
            ("channel=[1]", "channel", json!("[1]")),
            ("correlation_id=1e5", "correlation_id", json!("1e5")),
        ] {
            assert_eq!(argument(text), Ok((name.to_owned(), value)), "{text}");
        }
        assert!(argument("a").is_err());
    }

    #[test]
    fn a_decision_is_one_line_whatever_was_said() {
        let data = json!({"decisions": [
            {"timestamp": "2026-11-24T11:10:45.092076+00:00", "channel": "Lounge", "message": "two\n\u{1b}[2J",
             "decision": "silence", "reason": "user_cooldown", "detail": "again in 7 s"},
            {"timestamp": "2026-11-24T11:10:44.000000+00:00", "channel": "Lounge", "message": "one",
             "decision": "reply", "reason": null, "detail": ""},
        ]});
        assert_eq!(
            decisions(&data),
            "2026-11-24T11:10:45  Lounge  \"two\\n\\u{1b}[2J\"  silence: user_cooldown (again in 7 s)\n\
             2026-11-24T11:10:44  Lounge  \"one\"  reply"
        );
        assert_eq!(decisions(&json!({"decisions": []})), "nothing is remembered of this user");
    }
}
