//! MANUAL_TESTING.md keeps its word: its very blocks are run, each scenario in a shell of its own, and
//! what a person should see must be there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use kryten_testkit::process::Process;
use kryten_testkit::{Context as _, Error, Result, ports};
use tempfile::TempDir;

const MANUAL: &str = include_str!("../MANUAL_TESTING.md");
/// What the shell prints before it runs a block.
const BLOCK: &str = "=== block";
/// Every block ends long before: each of its waits has a time-out of its own.
const PATIENCE: Duration = Duration::from_secs(120);
/// Scenarios that run at once.
const AT_ONCE: usize = 4;

/// A heading that begins with a number, and its blocks.
#[derive(Debug, Clone, Default, PartialEq)]
struct Scenario {
    title: String,
    blocks: Vec<Block>,
}

/// Commands, and the lines that a person should see.
#[derive(Debug, Clone, Default, PartialEq)]
struct Block {
    commands: String,
    expected: Vec<String>,
}

#[tokio::test]
async fn every_scenario_of_the_manual_shows_what_it_says() {
    let scenarios = scenarios(MANUAL).unwrap();
    assert!(scenarios.len() >= 10, "the manual has {} scenarios, fewer than ten", scenarios.len());
    let failures: Vec<String> =
        stream::iter(scenarios)
            .map(|scenario| async move {
                run(&scenario).await.err().map(|why| format!("{}\n{why}", scenario.title))
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test]
async fn a_scenario_that_does_not_show_what_it_says_fails() {
    let manual = "## 1. Wrong\n```sh\necho one\necho two\n```\n```text\none\nthree\n```\n";
    let wrong = run(&scenarios(manual).unwrap()[0]).await.unwrap_err().to_string();
    assert!(wrong.contains("\"three\""), "{wrong}");
    assert!(wrong.contains("two"), "it shows what was seen instead: {wrong}");
}

/// Runs a scenario's blocks in one shell.
async fn run(scenario: &Scenario) -> Result {
    let folder = TempDir::with_prefix("kryten-manual-").context("making a folder for the scenario")?;
    let port = ports::free()?;
    let mut script = "exec 2>&1\nsource scripts/manual.sh\n".to_owned();
    for block in &scenario.blocks {
        script.push_str(&format!("echo '{BLOCK}'\n{}\n", block.commands));
    }
    let mut shell = Command::new("bash");
    shell
        .args(["--noprofile", "--norc", "-c", &script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("KRYTEN_BIN", programs()?)
        .env("NATS_PORT", port.to_string())
        .env("TMPDIR", folder.path());
    let shell = Process::start(shell)?;
    shell.wait_exit(PATIENCE).await.inspect_err(|_| end_what_is_left(folder.path()))?;
    let lines: Vec<String> = shell.lines.all().into_iter().map(|line| line.text).collect();
    let seen: Vec<&[String]> = lines.split(|line| line == BLOCK).skip(1).collect();
    if seen.len() != scenario.blocks.len() {
        return Err(Error::new(format!("the shell ended early; it said:\n{}", lines.join("\n"))));
    }
    scenario.blocks.iter().zip(seen).try_for_each(|(block, seen)| {
        missing(&block.expected, seen).map_or(Ok(()), |line| {
            Err(Error::new(format!("there is no {line:?}, in this order, in:\n{}", seen.join("\n"))))
        })
    })
}

/// The folder of the daemon and, in `examples`, of what the manual needs besides.
fn programs() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_BIN_EXE_kryten-llm")).parent().unwrap_or(Path::new(".")).to_owned();
    for example in ["demo", "bus"] {
        if !folder.join("examples").join(example).exists() {
            return Err(Error::new(format!(
                "the example {example} is not built: run 'cargo test --no-run' first"
            )));
        }
    }
    Ok(folder)
}

/// A shell that hangs is killed, and can't end what it started.
fn end_what_is_left(folder: &Path) {
    let kill = "cat \"$0\"/*/*.pid | xargs kill -9";
    let _ = Command::new("bash").args(["-c", kill]).arg(folder).status();
}

/// The scenarios of a manual: behind each block of commands stands a block of what to see.
fn scenarios(manual: &str) -> std::result::Result<Vec<Scenario>, String> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut lines = manual.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ").filter(|title| title.starts_with(char::is_numeric)) {
            scenarios.push(Scenario { title: title.to_owned(), blocks: Vec::new() });
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let Some(scenario) = scenarios.last_mut() else {
            return Err(format!("a {language} block before all scenarios"));
        };
        let waits = scenario.blocks.last().is_some_and(|block| block.expected.is_empty());
        match language {
            "sh" if !waits => {
                scenario.blocks.push(Block { commands: body.join("\n"), expected: Vec::new() });
            }
            "text" if waits && !body.is_empty() => {
                let expected = body.iter().map(|line| (*line).to_owned()).collect();
                scenario
                    .blocks
                    .iter_mut()
                    .last()
                    .into_iter()
                    .for_each(|block| block.expected = Vec::clone(&expected));
            }
            _ => return Err(format!("{}: a {language} block out of place", scenario.title)),
        }
    }
    match scenarios.iter().find(|scenario| scenario.blocks.iter().all(|block| block.expected.is_empty())) {
        Some(empty) => Err(format!("{}: nothing to run or nothing to see", empty.title)),
        None => Ok(scenarios),
    }
}

/// The first of the expected lines that is not among the seen ones, in their order.
fn missing<'expected>(expected: &'expected [String], seen: &[String]) -> Option<&'expected String> {
    let mut seen = seen.iter();
    expected.iter().find(|expected| !seen.any(|line| fits(expected, line)))
}

/// Does a line fit, where `...` stands for anything?
fn fits(expected: &str, line: &str) -> bool {
    let mut parts = expected.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn a_line_fits_when_its_parts_stand_in_it_in_their_order() {
    let table = [
        ("exit code 0", "exit code 0", true),
        ("exit code 0", "exit code 01", false),
        ("exit code 0", "the exit code 0", false),
        ("a...c", "abc", true),
        ("a...c", "abcd", false),
        ("a...c...", "abcd", true),
        ("...b...", "abc", true),
        ("a...b...c", "acb", false),
        ("a...a", "a", false),
    ];
    for (expected, line, fitting) in table {
        assert_eq!(fits(expected, line), fitting, "{expected:?} and {line:?}");
    }
}

#[test]
fn lines_must_be_seen_in_their_order() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(missing(&lines("a b"), &lines("x a x b")), None);
    assert_eq!(missing(&lines("b a"), &lines("a b")), Some(&"a".to_owned()));
    assert_eq!(missing(&lines("a a"), &lines("a")), Some(&"a".to_owned()), "one line is one sight");
}

#[test]
fn a_manual_with_a_block_that_shows_nothing_is_refused() {
    let whole = "## 1. One\n```sh\necho\n```\n```text\nx\n```\n";
    assert_eq!(scenarios(whole).map(|scenarios| scenarios.len()), Ok(1));
    for broken in [
        "```sh\necho\n```\n",
        "## 1. One\n",
        "## 1. One\n```sh\necho\n```\n",
        "## 1. One\n```sh\necho\n```\n```sh\necho\n```\n```text\nx\n```\n",
        "## 1. One\n```text\nx\n```\n",
        "## 1. One\n```sh\necho\n```\n```text\n```\n",
    ] {
        assert!(scenarios(broken).is_err(), "{broken}");
    }
}
