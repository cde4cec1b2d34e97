//! What an operator installs: the unit, `make install`, the Debian package, and how it all behaves
//! under a real systemd.
#![cfg(target_os = "linux")]

mod install;
mod operator;
mod package;
mod supervision;
mod unit;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use kryten_testkit::machine::Machine;
use kryten_testkit::{Context as _, Error, Result};

/// The daemon under test.
const BINARY: &str = env!("CARGO_BIN_EXE_kryten-llm");
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
const UNIT: &str = include_str!("../../packaging/kryten-llm.service");

/// Says that a test can't be made here, past the test runner, which swallows what a test prints.
fn skip(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}: {why}");
}

/// A machine with a systemd of its own; none, loudly, where that can't be had.
async fn machine(what: &str) -> Result<Option<Machine>> {
    match Machine::missing() {
        Some(why) => {
            skip(what, &format!("no machine of its own can be had here: {why}"));
            Ok(None)
        }
        None => Machine::boot().await.map(Some),
    }
}

/// Whether a program is there; when not, says so.
fn has(program: &str, what: &str) -> bool {
    let folders = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let there = folders.split(':').any(|folder| Path::new(folder).join(program).exists());
    if !there {
        skip(what, &format!("there is no {program} here"));
    }
    there
}

/// Runs a program in the repository; what it printed on stdout.
fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(REPOSITORY)
        // A `make` that runs these tests must not tell the ones in them how to be.
        .env_remove("MAKEFLAGS")
        .env("DEB_LEVEL", "1")
        .output()
        .context(format_args!("running {program}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("{program} {}: {}\n{printed}\n{complaint}", arguments.join(" "), output.status)))
}

/// A value of the unit file.
fn setting(name: &str) -> &'static str {
    let line = UNIT.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_default()
}
