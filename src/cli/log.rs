//! `kryten-llm log`: the response log, for people to read.

mod entry;
mod tail;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::exit;
use crate::config::Config;
use crate::names::{self, Username};
use entry::Entry;
use tail::Tail;

/// How often a followed file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Which records to show.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,

    /// Show at most so many of the latest records
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    lines: usize,

    /// Only of this room
    #[arg(long, value_name = "CHANNEL")]
    room: Option<String>,

    /// Only answers to this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Only of this trigger: its type (mention, trigger_word, …) or its name
    #[arg(long, value_name = "TRIGGER")]
    trigger: Option<String>,

    /// Only what ended so: sent, silenced, failed, in_doubt, abandoned, or a reason (spam, user_cooldown, …)
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
}

impl LogArguments {
    fn wants(&self, entry: &Entry) -> bool {
        let same = |wanted: &str, is: &str| wanted.to_lowercase() == is.to_lowercase();
        let room = |wanted: &str| names::token(wanted).ok() == names::token(&entry.channel).ok();
        let user = |wanted: &str| entry.username.as_deref().map(Username::new) == Some(Username::new(wanted));
        self.room.as_deref().is_none_or(room)
            && self.user.as_deref().is_none_or(user)
            && self
                .trigger
                .as_deref()
                .is_none_or(|wanted| same(wanted, &entry.trigger_type) || same(wanted, &entry.trigger_name))
            && self
                .outcome
                .as_deref()
                .is_none_or(|wanted| same(wanted, entry.outcome()) || same(wanted, entry.reason()))
    }
}

/// Shows the log of a configuration.
pub fn run(config: &Config, arguments: &LogArguments) -> ExitCode {
    let path = &config.testing.log_file;
    if !config.testing.log_responses {
        super::say_error("testing.log_responses is false: what is shown here may be old");
    }
    let shown = if arguments.follow { follow(path, arguments) } else { show(path, arguments).map(drop) };
    match shown {
        Ok(()) => exit::code(exit::OK),
        // Whoever read it has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::code(exit::OK),
        Err(error) => {
            super::say_error(&format!("{}: {error}", path.display()));
            exit::code(exit::UNEXPECTED)
        }
    }
}

/// Shows the latest records, and returns where the file ended.
fn show(path: &Path, arguments: &LogArguments) -> io::Result<Tail> {
    let mut tail = Tail::open(path)?;
    let mut latest = VecDeque::new();
    let mut broken = 0;
    tail.read(|line| {
        match Entry::parse(line) {
            Some(entry) if arguments.wants(&entry) => latest.push_back(entry),
            Some(_) => {}
            None => broken += 1,
        }
        while latest.len() > arguments.lines {
            latest.pop_front();
        }
        Ok(())
    })?;
    print(latest.iter())?;
    tell_broken(broken);
    Ok(tail)
}

/// Shows the latest records, then each one as it is written, over rotations, until the reader goes.
fn follow(path: &Path, arguments: &LogArguments) -> io::Result<()> {
    let mut tail = match show(path, arguments) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            super::say_error(&format!("{}: not there yet; waiting for it", path.display()));
            Tail::waiting(path)
        }
        shown => shown?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    loop {
        let mut broken = 0;
        tail.read(|line| match Entry::parse(line) {
            Some(entry) if arguments.wants(&entry) => print([&entry]),
            Some(_) => Ok(()),
            None => {
                broken += 1;
                Ok(())
            }
        })?;
        tell_broken(broken);
        runtime.block_on(async { tokio::time::sleep(LOOK_EVERY).await });
    }
}

fn print<'entry>(entries: impl IntoIterator<Item = &'entry Entry>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for entry in entries {
        output.write_all(entry.shown(&chrono::Local).as_bytes())?;
    }
    output.flush()
}

fn tell_broken(lines: usize) {
    match lines {
        0 => {}
        1 => super::say_error("1 line is no record and was left out"),
        _ => super::say_error(&format!("{lines} lines are no records and were left out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(channel: &str, user: &str, outcome: &str, reason: &str) -> Entry {
        let line = serde_json::json!({
            "channel": channel, "username": user, "trigger_type": "trigger_word", "trigger_name": "Popcorn",
            "outcome": outcome, "reason": reason,
        });
        Entry::parse(line.to_string().as_bytes()).expect("a record")
    }

    #[test]
    fn records_are_chosen_by_room_user_trigger_and_outcome_in_any_case() {
        let none = || LogArguments {
            follow: false,
            lines: 20,
            room: None,
            user: None,
            trigger: None,
            outcome: None,
        };
        let some = |text: &str| Some(text.to_owned());
        let entry = entry("Movie Night", "Bob", "silenced", "user_cooldown");
        for (arguments, wanted) in [
            (none(), true),
            (LogArguments { room: some("movie-night"), ..none() }, true),
            (LogArguments { room: some("Movie Night"), user: some("BOB"), ..none() }, true),
            (LogArguments { room: some("other"), ..none() }, false),
            (LogArguments { user: some("bo"), ..none() }, false),
            (LogArguments { trigger: some("popcorn"), ..none() }, true),
            (LogArguments { trigger: some("trigger_word"), ..none() }, true),
            (LogArguments { trigger: some("mention"), ..none() }, false),
            (LogArguments { outcome: some("Silenced"), ..none() }, true),
            (LogArguments { outcome: some("user_cooldown"), ..none() }, true),
            (LogArguments { outcome: some("sent"), ..none() }, false),
            (LogArguments { room: some("movie-night"), outcome: some("sent"), ..none() }, false),
        ] {
            assert_eq!(arguments.wants(&entry), wanted, "{arguments:?}");
        }
    }
}
