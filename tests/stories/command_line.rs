//! The command line: what it takes, what it says, and the code it ends with.

use std::path::Path;
use std::process::Command;

use kryten_testkit::config::provider_section;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Launch, Mark, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::BINARY;

/// What a run that ends by itself left behind.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the binary in `folder` with nobody's settings in its environment.
fn run_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(folder).env_clear().envs(environment.iter().copied());
    if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
        command.env("LLVM_PROFILE_FILE", profile);
    }
    let output = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn run(folder: &Path, arguments: &[&str]) -> Ended {
    run_with(folder, arguments, &[])
}

/// A folder with this text as its `config.json`.
fn folder(config: impl AsRef<[u8]>) -> TempDir {
    let folder = TempDir::with_prefix("kryten-llm-").expect("a folder");
    std::fs::write(folder.path().join("config.json"), config).expect("a config");
    folder
}

/// The least that can be used.
fn usable() -> Value {
    json!({
        "nats": { "servers": ["nats://127.0.0.1:4222"] },
        "channels": [{ "domain": "cytu.be", "channel": "Lounge" }],
        "llm_providers": { "first": provider_section("first", "http://127.0.0.1:1/v1") },
        "default_provider": "first",
    })
}

#[test]
fn help_lists_the_commands_and_the_exit_codes() {
    let empty = TempDir::new().expect("a folder");
    for flag in ["--help", "-h", "help"] {
        let ended = run(empty.path(), &[flag]);
        assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{flag}");
        for word in ["check-config", "--config", "--log-level", "--dry-run", "--validate-config"] {
            assert!(ended.out.contains(word), "{flag}, {word}: {}", ended.out);
        }
        let (_, codes) = ended.out.split_once("Exit codes:").expect("the exit codes");
        let codes: Vec<&str> = codes.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(codes, ["0", "1", "2", "69", "77", "78", "124"], "{flag}");
    }
}

#[test]
fn version_says_the_name_and_the_version() {
    let empty = TempDir::new().expect("a folder");
    for flag in ["--version", "-V"] {
        let ended = run(empty.path(), &[flag]);
        assert_eq!(ended.code, Some(0));
        assert_eq!(ended.out, concat!("kryten-llm ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

#[test]
fn what_is_unknown_on_the_command_line_ends_with_2_and_is_named() {
    // The config can be used: nothing else is wrong.
    let folder = folder(usable().to_string());
    for arguments in
        [&["--nonsense"][..], &["nonsense"], &["check-config", "--nonsense"], &["check-config", "nonsense"]]
    {
        let ended = run(folder.path(), arguments);
        assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{arguments:?}");
        assert!(ended.err.contains("nonsense"), "{arguments:?}: {}", ended.err);
    }
    assert_eq!(run(folder.path(), &["--config"]).code, Some(2), "a flag without its value");
}

#[test]
fn the_memory_command_of_the_original_is_refused_by_name() {
    let empty = TempDir::new().expect("a folder");
    for arguments in [&["memory"][..], &["memory", "x"], &["memory", "list", "--user", "bob"]] {
        let ended = run(empty.path(), arguments);
        assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{arguments:?}");
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert!(ended.err.contains("kryten-llm memory"), "{}", ended.err);
    }
    assert!(!run(empty.path(), &["--help"]).out.contains("memory"));
}

#[test]
fn a_config_that_is_missing_or_no_file_ends_with_78_and_is_named() {
    let folder = TempDir::new().expect("a folder");
    std::fs::create_dir(folder.path().join("a-folder")).expect("a folder");
    for arguments in [&["--config", "gone.json"][..], &["--config", "gone.json", "check-config"]] {
        let ended = run(folder.path(), arguments);
        assert_eq!((ended.code, &*ended.out), (Some(78), ""));
        assert!(ended.err.starts_with("gone.json: ") && ended.err.lines().count() == 1, "{}", ended.err);
    }
    let ended = run(folder.path(), &[]);
    assert!(ended.code == Some(78) && ended.err.starts_with("config.json: "), "{}", ended.err);
    let ended = run(folder.path(), &["--config", "a-folder"]);
    assert!(ended.code == Some(78) && ended.err.starts_with("a-folder: "), "{}", ended.err);
}

#[test]
fn every_problem_of_a_config_is_said_in_a_line_of_its_own_and_all_at_once() {
    let mut config = usable();
    config["nats"]["connect_timeout"] = json!("soon");
    config["metrics"] = json!({ "port": 70_000 });
    config["channels"] = json!([{ "domain": "cytu.be" }]);
    config["default_provider"] = json!("nobody");
    config["triggers"] = json!([{ "name": "odd", "regex": ["(unclosed"] }]);
    let folder = folder(config.to_string());
    for arguments in [&[][..], &["check-config"], &["--validate-config"], &["--dry-run"]] {
        let ended = run(folder.path(), arguments);
        assert_eq!((ended.code, &*ended.out), (Some(78), ""), "{arguments:?}");
        let lines: Vec<&str> = ended.err.lines().collect();
        assert_eq!(lines.len(), 5, "{}", ended.err);
        for (place, word) in [
            ("nats.connect_timeout", "a whole number"),
            ("metrics.port", "65535"),
            ("channels[0].channel", "missing"),
            ("default_provider", "first"),
            ("triggers[0].regex[0]", "regular expression"),
        ] {
            let start = format!("config.json: {place}: ");
            let found: Vec<_> = lines.iter().filter(|line| line.starts_with(&start)).collect();
            assert!(found.len() == 1 && found[0].contains(word), "{place}: {}", ended.err);
        }
    }
}

#[test]
fn a_syntax_error_is_told_with_its_line_and_column() {
    for (text, place) in [
        ("{\n  \"nats\": {,\n", "line 2, column 12"),
        ("{\n\n", "line 3, column 0"),
        ("", "line 1, column 0"),
        ("{}\n}", "line 2, column 1"),
    ] {
        let folder = folder(text);
        let ended = run(folder.path(), &["check-config"]);
        assert_eq!((ended.code, &*ended.out), (Some(78), ""), "{text:?}");
        assert_eq!(ended.err.lines().count(), 1, "{text:?}: {}", ended.err);
        assert!(ended.err.starts_with(&format!("config.json: {place}")), "{text:?}: {}", ended.err);
    }
    let folder = folder([b'{', 0xff, b'}']);
    let ended = run(folder.path(), &["check-config"]);
    assert!(ended.code == Some(78) && ended.err.starts_with("config.json: "), "{}", ended.err);
}

#[test]
fn both_spellings_of_check_config_print_the_same_and_no_secret() {
    let mut config = usable();
    config["nats"]["user"] = json!("kryten");
    config["nats"]["password"] = json!("planted-in-nats");
    config["metrics"] = json!({ "token": "planted-in-metrics" });
    config["llm_providers"]["first"]["api_key"] = json!("${PLANTED}");
    config["llm_providers"]["first"]["custom_headers"] = json!({ "Authorization": "planted-in-headers" });
    let environment = [("PLANTED", "planted-in-the-environment")];
    let usable = folder(config.to_string());
    let command = run_with(usable.path(), &["check-config"], &environment);
    let flag = run_with(usable.path(), &["--validate-config"], &environment);
    assert_eq!((command.code, &*command.err), (Some(0), ""));
    assert_eq!((flag.code, flag.out, flag.err), (command.code, command.out.clone(), command.err));
    assert!(command.out.starts_with("config.json is valid.\n"), "{}", command.out);
    assert!(!command.out.contains("planted"), "{}", command.out);
    for line in ["nats.password = ****", "metrics.token = ****", "llm_providers.first.api_key = ****"] {
        assert!(command.out.contains(line), "{line}: {}", command.out);
    }
    // Nor does one that can't be used tell.
    config["metrics"]["port"] = json!(70_000);
    config["nats"]["password"] = json!(["planted-in-a-list"]);
    let broken = folder(config.to_string());
    for argument in ["check-config", "--validate-config"] {
        let ended = run_with(broken.path(), &[argument], &environment);
        assert_eq!((ended.code, &*ended.out), (Some(78), ""));
        assert!(!ended.err.contains("planted"), "{}", ended.err);
    }
}

#[test]
fn the_flags_may_stand_before_or_behind_the_command() {
    let folder = folder("{");
    std::fs::write(folder.path().join("other.json"), usable().to_string()).expect("a config");
    for arguments in [
        ["--config", "other.json", "check-config"],
        ["check-config", "--config", "other.json"],
        ["--config", "other.json", "--validate-config"],
        ["--validate-config", "--config", "other.json"],
    ] {
        let ended = run(folder.path(), &arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.err);
        assert!(ended.out.starts_with("other.json is valid.\n"), "{arguments:?}: {}", ended.out);
    }
}

#[test]
fn log_levels_count_in_any_case_and_nonsense_is_refused() {
    let folder = folder(usable().to_string());
    for level in ["debug", "DEBUG", "Info", "warning", "ERROR"] {
        for arguments in [["--log-level", level, "check-config"], ["check-config", "--log-level", level]] {
            let ended = run(folder.path(), &arguments);
            assert_eq!(ended.code, Some(0), "{level}: {}", ended.err);
        }
    }
    for level in ["loud", "", "7"] {
        let ended = run(folder.path(), &["--log-level", level, "check-config"]);
        assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{level}");
        assert!(ended.err.contains("DEBUG, INFO, WARNING and ERROR"), "{level}: {}", ended.err);
    }
}

#[test]
fn the_example_config_passes_as_it_stands() {
    let folder = folder(include_str!("../../config.example.json"));
    let ended = run_with(folder.path(), &["check-config"], &[("OPENROUTER_API_KEY", "planted")]);
    assert_eq!((ended.code, &*ended.err), (Some(0), ""));
    assert!(ended.out.starts_with("config.json is valid.\n"), "{}", ended.out);
    assert!(!ended.out.contains("planted"));
    // Without the key it is a warning, not a problem.
    let ended = run(folder.path(), &["check-config"]);
    assert_eq!((ended.code, &*ended.err), (Some(0), ""));
    assert!(ended.out.contains("OPENROUTER_API_KEY is not set"), "{}", ended.out);
}

#[tokio::test]
async fn a_dry_run_by_flag_or_environment_is_silent_in_chat_and_counted() -> Result {
    let ways: [fn(Launch) -> Launch; 3] = [
        |launch| launch.arg("--dry-run"),
        |launch| launch.env("KRYTEN_LLM_DRY_RUN", "true"),
        |launch| launch.env("KRYTEN_LLM_DRY_RUN", "1"),
    ];
    for way in ways {
        let world = World::of(BINARY).launch(way).start().await?;
        world.mention("bob", "what should we watch?").await?;
        world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
        world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["dry_run"] == 1).await?;
        let ledger = world.ledger().await?;
        assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(1), &json!(0)), "{ledger}");
        assert_eq!(world.robot.says.count(), 0);
    }
    Ok(())
}
