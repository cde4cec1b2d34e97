//! What stands in `monitoring/` against the daemon's real metrics, promtool, and a real Prometheus.

mod dashboard;
mod live;
mod names;
mod prometheus;
mod rules;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kryten_testkit::{Context as _, Error, Result};

/// The daemon under test.
const BINARY: &str = env!("CARGO_BIN_EXE_kryten-llm");
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// The folder of the rules, their cases and the example of a `prometheus.yml`.
fn folder() -> PathBuf {
    Path::new(REPOSITORY).join("monitoring/prometheus")
}

/// A file of the repository.
fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(Path::new(REPOSITORY).join(path)).context(format_args!("reading {path}"))
}

/// A program of Prometheus: where the PATH has it, or where `scripts/prometheus.sh` has put it. When it
/// is nowhere, says so past the test runner, which swallows what a test prints.
fn program(name: &str, what: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let fetched = Path::new(REPOSITORY).join(".tools/prometheus");
    let there = std::env::split_paths(&folders)
        .chain([fetched])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if there.is_none() {
        let why = format!("there is no {name} here; scripts/prometheus.sh would fetch it");
        let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}: {why}");
    }
    there
}

/// Runs promtool in the folder of the rules, with this on its input; an error with all that it said
/// unless it succeeds.
fn promtool(program: &Path, arguments: &[&str], input: &str) -> Result {
    let what = format!("promtool {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context(&what)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).context(&what)?;
    }
    let mut complaint = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut complaint).context(&what)?;
    }
    if child.wait().context(&what)?.success() {
        return Ok(());
    }
    Err(Error::new(format!("{what}:\n{complaint}")))
}
