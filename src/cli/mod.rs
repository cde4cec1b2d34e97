//! The command line: arguments, and what each command does.

pub mod check_config;
mod config_schema;
mod ctl;
pub mod exit;
mod log;
mod logging;
mod manuals;
mod preview;
mod rooms;
mod run;
mod send;
mod terminal;
mod visit;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Config, Loaded, LogLevel, Warning};
use crate::settings::{Overrules, Source};
use crate::templates::keeper::Keeper;

/// The chat bot of the Kryten group: reads CyTube chat from NATS, answers through an LLM, and
/// tells the truth about its own health.
#[derive(Debug, Parser)]
#[command(name = "kryten-llm", version, after_help = exit::HELP)]
struct Arguments {
    /// The configuration file
    #[arg(long, global = true, value_name = "PATH", default_value = "config.json")]
    config: PathBuf,

    /// Log from this severity on: DEBUG, INFO, WARNING or ERROR; wins over log_level in the file
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<LogLevel>,

    /// Decide, ask and format, but say nothing in chat
    #[arg(long, global = true, env = "KRYTEN_LLM_DRY_RUN", value_parser = clap::builder::FalseyValueParser::new())]
    dry_run: bool,

    /// The same as the command check-config
    #[arg(long)]
    validate_config: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say whether the configuration can be used, and every value in force; secrets are masked
    CheckConfig,
    /// Print the JSON Schema of the configuration file, by which editors check and complete it
    ConfigSchema(config_schema::ConfigSchemaArguments),
    /// Show what was answered, and why not: the response log, for people to read
    Log(log::LogArguments),
    /// Show what the bot would make of a message: every check, and the exact prompt
    Preview(preview::PreviewArguments),
    /// Show every Kryten service on the bus, and how it is
    Watch(watch::WatchArguments),
    /// Send a command to the running service, and show its answer
    Ctl(ctl::CtlArguments),
    /// Show why somebody was answered or not: the service's last decisions
    Why(ctl::WhyArguments),
    /// Play a chat line into a room, for trying things out: it fakes a chat user on the bus
    Send(send::SendArguments),
    /// Print a script that completes commands and options in a shell
    Completions(manuals::CompletionsArguments),
    /// Print a page for man
    Man(manuals::ManArguments),
    /// Long-term memory of the Python original; not available here
    #[command(hide = true)]
    Memory {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        rest: Vec<String>,
    },
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::Memory { .. }) => {
            say_error("`kryten-llm memory` is not available here: this version keeps no long-term memory");
            exit::code(exit::USAGE)
        }
        Some(Command::CheckConfig) => check_config(&arguments),
        Some(Command::ConfigSchema(wanted)) => config_schema::run(wanted),
        Some(Command::Log(wanted)) => with_config(&arguments, |loaded| log::run(&loaded.config, wanted)),
        Some(Command::Preview(wanted)) => {
            with_config(&arguments, |loaded| preview::run(loaded.config, wanted))
        }
        Some(Command::Watch(wanted)) => with_config(&arguments, |loaded| watch::run(&loaded.config, wanted)),
        Some(Command::Ctl(wanted)) => with_config(&arguments, |loaded| ctl::run(&loaded.config, wanted)),
        Some(Command::Why(wanted)) => with_config(&arguments, |loaded| ctl::why(&loaded.config, wanted)),
        Some(Command::Send(wanted)) => with_config(&arguments, |loaded| send::run(&loaded.config, wanted)),
        Some(Command::Completions(wanted)) => manuals::completions(wanted),
        Some(Command::Man(wanted)) => manuals::man(wanted),
        None if arguments.validate_config => check_config(&arguments),
        None => with_config(&arguments, |loaded| {
            let (path, overrules) = (arguments.config.clone(), arguments.overrules());
            run::run(Source { path, overrules, loaded })
        }),
    }
}

fn with_config(arguments: &Arguments, run: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    load(arguments).map_or_else(|code| code, run)
}

/// The configuration as the command line changes it; or, after saying what is wrong, the code.
fn load(arguments: &Arguments) -> Result<Loaded, ExitCode> {
    let mut loaded = config::load_file(&arguments.config).map_err(|error| {
        say_error(&error.to_string());
        exit::code(exit::CONFIG)
    })?;
    arguments.overrules().put_over(&mut loaded);
    Ok(loaded)
}

impl Arguments {
    fn overrules(&self) -> Overrules {
        Overrules { log_level: self.log_level, dry_run: self.dry_run }
    }
}

fn check_config(arguments: &Arguments) -> ExitCode {
    match load(arguments) {
        Ok(mut loaded) => {
            loaded.warnings.extend(template_warnings(&loaded.config));
            say(check_config::report(&arguments.config, &loaded).trim_end());
            exit::code(exit::OK)
        }
        Err(code) => code,
    }
}

/// What is wrong with the operator's templates. It is no reason not to run: there are built-in ones.
fn template_warnings(config: &Config) -> impl Iterator<Item = Warning> {
    let news = Keeper::new(config.templates.clone()).look();
    news.into_iter()
        .flat_map(|news| news.failures)
        .map(|failure| Warning { place: "templates".to_owned(), message: failure.to_string() })
}

/// A closed pipe is no reason to panic.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn say_error(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}
