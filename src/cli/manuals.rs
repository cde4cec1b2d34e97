//! `kryten-llm completions` and `kryten-llm man`: what shells and `man` are told of the command line.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::{exit, say_error};

/// For which shell.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

/// Of what.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// The page of this command; of the whole program when left out
    command: Option<String>,
}

/// Prints a script that completes our commands and options.
pub fn completions(arguments: &CompletionsArguments) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command_line(), "kryten-llm", &mut script);
    print(&script)
}

/// Prints a page for `man`.
pub fn man(arguments: &ManArguments) -> ExitCode {
    let Some(page) = page(arguments.command.as_deref()) else {
        say_error("there is no such command");
        return exit::code(exit::USAGE);
    };
    print(&page)
}

fn command_line() -> Command {
    super::Arguments::command()
}

fn page(command: Option<&str>) -> Option<Vec<u8>> {
    let mut all = command_line();
    // Gives the commands their options and the name behind ours.
    all.build();
    let page = match command {
        None => all,
        Some(name) => all.find_subcommand(name).filter(|command| !command.is_hide_set())?.clone(),
    };
    let mut text = Vec::new();
    // Writing to memory can't fail.
    clap_mangen::Man::new(page).render(&mut text).ok()?;
    Some(text)
}

/// A closed pipe is no reason to panic.
fn print(text: &[u8]) -> ExitCode {
    let _ = std::io::stdout().lock().write_all(text);
    exit::code(exit::OK)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("UTF-8")
    }

    fn commands() -> Vec<String> {
        let all = command_line();
        let shown = all.get_subcommands().filter(|command| !command.is_hide_set());
        shown.map(|command| command.get_name().to_owned()).collect()
    }

    #[test]
    fn every_shell_completes_every_command_and_its_options() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command_line(), "kryten-llm", &mut script);
            let script = text(script);
            for name in commands() {
                assert!(script.contains(&name), "{shell}: {name}");
            }
            for option in ["log-level", "silent-after", "repeat"] {
                assert!(script.contains(option), "{shell}: {option}");
            }
        }
    }

    #[test]
    fn the_manual_names_every_command_and_exit_code_and_each_command_has_a_page() {
        let manual = text(page(None).expect("a page"));
        assert!(manual.contains(".TH kryten-llm 1"), "{manual}");
        for name in commands() {
            let escaped = name.replace('-', "\\-");
            assert!(manual.contains(&format!("kryten\\-llm\\-{escaped}(1)")), "{name}: {manual}");
            let own = text(page(Some(&name)).expect("a page"));
            assert!(own.contains(&format!("kryten\\-llm\\-{escaped}")), "{name}: {own}");
        }
        for code in [" 0 ", " 69 ", " 77 ", " 78 ", " 124 "] {
            assert!(manual.contains(code), "{code}: {manual}");
        }
        assert!(text(page(Some("watch")).expect("a page")).contains("silent\\-after"));
    }

    #[test]
    fn what_is_not_shown_has_no_page() {
        assert!(page(Some("memory")).is_none() && page(Some("nonsense")).is_none());
    }
}
