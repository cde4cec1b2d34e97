//! `kryten-llm config-schema`: what `config.json` may say, for editors and for people.

use std::process::ExitCode;

use clap::Args;

use super::{exit, say};
use crate::config;

/// For whom.
#[derive(Debug, Args)]
pub struct ConfigSchemaArguments {
    /// For people: a table for each section, in Markdown
    #[arg(long)]
    markdown: bool,
}

/// Prints it.
pub fn run(arguments: &ConfigSchemaArguments) -> ExitCode {
    if arguments.markdown {
        say(config::reference().trim_end());
    } else {
        say(&format!("{:#}", config::schema()));
    }
    exit::code(exit::OK)
}
