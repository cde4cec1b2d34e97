//! The command line: what it teaches, what it refuses, and how the process ends.

use std::path::Path;
use std::process::Command;

use kryten_testkit::process::Process;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Context as _, Exit, Mark, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::BINARY;

/// What a run came to.
#[derive(Debug)]
struct Ran {
    exit: Exit,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn errors(&self) -> Vec<&str> {
        self.stderr.lines().collect()
    }
}

/// Runs the binary to its end in a folder, with nothing of this process's surroundings.
async fn run_in(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Ran> {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(folder).env_clear().envs(environment.iter().copied());
    let process = Process::start(command)?;
    let exit = process.wait_exit(SOON).await?;
    let text = |stderr: bool| {
        let lines = process.lines.all();
        lines.iter().filter(|line| line.stderr == stderr).map(|line| format!("{}\n", line.text)).collect()
    };
    Ok(Ran { exit, stdout: text(false), stderr: text(true) })
}

/// Runs the binary beside a `config.json` with this text.
async fn run_with(config: &str, arguments: &[&str]) -> Result<Ran> {
    let folder = folder_with(config)?;
    run_in(folder.path(), arguments, &[]).await
}

fn folder_with(config: &str) -> Result<TempDir> {
    let folder = TempDir::new().context("making a folder")?;
    std::fs::write(folder.path().join("config.json"), config).context("writing a config")?;
    Ok(folder)
}

/// A configuration that can be used, with secrets of every kind.
fn good() -> Value {
    json!({
        "nats": { "servers": ["nats://carol:planted-in-url@127.0.0.1:4222"], "password": "planted-password", "user": "bot" },
        "channels": [{ "domain": "cytu.be", "channel": "Lounge" }],
        "llm_providers": { "local": {
            "type": "openai_compatible", "base_url": "http://127.0.0.1:8080/v1", "model": "small",
            "api_key": "planted-key", "custom_headers": { "X-Auth": "planted-header" },
        }},
        "chat_min_delay": 2.5,
    })
}

#[tokio::test]
async fn help_teaches_what_there_is_and_lists_the_exit_codes() -> Result {
    let ran = run_with("", &["--help"]).await?;
    assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Code(0), ""));
    for words in [
        "check-config",
        "config-schema",
        "watch",
        "send",
        "completions",
        "man",
        "--config",
        "config.json",
        "--log-level",
        "--dry-run",
        "KRYTEN_LLM_DRY_RUN",
        "--validate-config",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    let (_, codes) = ran.stdout.split_once("Exit codes:").expect("a list of exit codes");
    let codes: Vec<&str> = codes.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(codes, ["0", "1", "2", "69", "77", "78", "124"]);
    assert!(!ran.stdout.contains("memory"), "it is not advertised: {}", ran.stdout);
    Ok(())
}

#[tokio::test]
async fn req_009_the_schema_and_the_reference_are_printed_without_a_config() -> Result {
    let folder = TempDir::new().context("making a folder")?;
    let ran = run_in(folder.path(), &["config-schema"], &[]).await?;
    assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Code(0), ""));
    let schema: Value = serde_json::from_str(&ran.stdout).context("reading the schema")?;
    let schema = jsonschema::draft202012::new(&schema).context("compiling the schema")?;
    let mut config = good();
    assert!(schema.is_valid(&config));
    config["metrics"] = json!({ "port": 65_536 });
    config["nats"]["sservers"] = json!([]);
    let places: Vec<String> =
        schema.iter_errors(&config).map(|error| error.instance_path().to_string()).collect();
    assert_eq!(places, ["/nats", "/metrics/port"]);
    let ran = run_in(folder.path(), &["config-schema", "--markdown"], &[]).await?;
    assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Code(0), ""));
    assert!(ran.stdout.contains("| `metrics.port` | `28286` | whole number, 0 to 65535 |"), "{}", ran.stdout);
    Ok(())
}

#[tokio::test]
async fn completions_and_manual_pages_need_no_config() -> Result {
    let folder = TempDir::new().context("making a folder")?;
    for (arguments, words) in [
        (&["completions", "bash"][..], "complete -F _kryten__llm -o"),
        (&["completions", "zsh"], "#compdef kryten-llm"),
        (&["completions", "fish"], "complete -c kryten-llm"),
        (&["man"], ".TH kryten-llm 1"),
        (&["man", "watch"], "silent\\-after"),
    ] {
        let ran = run_in(folder.path(), arguments, &[]).await?;
        assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Code(0), ""), "{arguments:?}");
        assert!(ran.stdout.contains(words), "{arguments:?}: {}", ran.stdout);
    }
    for arguments in [&["completions"][..], &["completions", "cmd"], &["man", "memory"], &["man", "nonsense"]]
    {
        let ran = run_in(folder.path(), arguments, &[]).await?;
        assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Code(2), ""), "{arguments:?}: {ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn version_says_name_and_version() -> Result {
    let ran = run_with("", &["--version"]).await?;
    assert_eq!(ran.exit, Exit::Code(0));
    assert_eq!(ran.stdout, concat!("kryten-llm ", env!("CARGO_PKG_VERSION"), "\n"));
    Ok(())
}

#[tokio::test]
async fn a_bad_command_line_is_told_and_ends_with_2() -> Result {
    let config = good().to_string();
    for (arguments, words) in [
        (&["--frobnicate"][..], "--frobnicate"),
        (&["--dry-rum"], "--dry-run"),
        (&["frobnicate"], "frobnicate"),
        (&["--config"], "--config"),
        (&["--log-level", "loud"], "loud"),
    ] {
        let ran = run_with(&config, arguments).await?;
        assert_eq!(ran.exit, Exit::Code(2), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{arguments:?}: {ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn memory_is_refused_by_name() -> Result {
    for arguments in [&["memory"][..], &["memory", "list", "--user", "bob"], &["memory", "--help-me", "-x"]] {
        let ran = run_with(&good().to_string(), arguments).await?;
        assert_eq!(ran.exit, Exit::Code(2), "{arguments:?}");
        assert!(ran.stderr.contains("`kryten-llm memory` is not available here"), "{ran:?}");
        assert_eq!(ran.errors().len(), 1, "{ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn req_009_a_missing_or_unreadable_config_ends_with_78() -> Result {
    let folder = TempDir::new().context("making a folder")?;
    for arguments in [&[][..], &["check-config"], &["--config", "elsewhere.json"]] {
        let ran = run_in(folder.path(), arguments, &[]).await?;
        let path = arguments.last().filter(|path| path.ends_with(".json")).unwrap_or(&"config.json");
        assert_eq!((ran.exit, ran.errors().len()), (Exit::Code(78), 1), "{ran:?}");
        assert!(ran.stderr.contains(path), "{ran:?}");
    }
    for (text, words) in [("", "line 1"), ("{\n  \"nats\": {,\n}", "line 2"), ("[]", "list"), ("7", "number")]
    {
        let ran = run_with(text, &[]).await?;
        assert_eq!((ran.exit, ran.errors().len()), (Exit::Code(78), 1), "{text:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{text:?}: {ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn req_009_five_mistakes_are_exactly_five_lines_without_a_value() -> Result {
    let mut config = good();
    config["nats"]["password"] = json!(["planted-wrong-kind"]);
    config["handler_timeout"] = json!(0.5);
    config["channels"] = json!([{ "domain": "cytu.be" }]);
    config["default_provider"] = json!("planted-nobody");
    config["validation"] = json!({ "check_inappropriate": true, "inappropriate_patterns": ["planted("] });
    for arguments in [&[][..], &["check-config"], &["--validate-config"]] {
        let ran = run_with(&config.to_string(), arguments).await?;
        assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Code(78), ""), "{ran:?}");
        let lines = ran.errors();
        assert_eq!(lines.len(), 5, "{ran:?}");
        for place in [
            "nats.password",
            "handler_timeout",
            "channels[0].channel",
            "default_provider",
            "validation.inappropriate_patterns[0]",
        ] {
            let about = lines.iter().filter(|line| line.contains(&format!("{place}:"))).count();
            assert_eq!(about, 1, "{place}: {ran:?}");
        }
        assert!(!ran.stderr.contains("planted"), "{ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn req_009_both_ways_to_check_a_config_say_the_same_and_tell_no_secret() -> Result {
    let config = good().to_string();
    let by_command = run_with(&config, &["check-config"]).await?;
    let by_flag = run_with(&config, &["--validate-config"]).await?;
    assert_eq!((by_command.exit, by_flag.exit), (Exit::Code(0), Exit::Code(0)), "{by_command:?}");
    assert_eq!(by_command.stdout, by_flag.stdout);
    assert!(by_command.stdout.starts_with("config.json is valid"), "{by_command:?}");
    assert!(by_command.stdout.contains("chat_min_delay = 2.5\n"), "{}", by_command.stdout);
    assert!(by_command.stdout.contains("nats.password = ****"), "{}", by_command.stdout);
    assert!(by_command.stdout.contains("llm_providers.local.api_key = ****"), "{}", by_command.stdout);
    assert!(
        !by_command.stdout.contains("planted") && !by_command.stderr.contains("planted"),
        "{by_command:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_config_may_be_named_before_and_behind_the_command() -> Result {
    let folder = folder_with("this is not the one")?;
    std::fs::write(folder.path().join("other.json"), good().to_string()).context("writing a config")?;
    for arguments in [
        &["--config", "other.json", "check-config"][..],
        &["check-config", "--config", "other.json"],
        &["check-config", "--config=other.json"],
        &["--validate-config", "--config", "other.json"],
    ] {
        let ran = run_in(folder.path(), arguments, &[]).await?;
        assert_eq!(ran.exit, Exit::Code(0), "{arguments:?}: {ran:?}");
        assert!(ran.stdout.starts_with("other.json is valid"), "{ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_the_command_line_changes_shows_in_the_check() -> Result {
    let folder = folder_with(&good().to_string())?;
    let line = |ran: &Ran, place: &str| {
        let line = ran.stdout.lines().find(|line| line.trim_start().starts_with(&format!("{place} = ")));
        line.unwrap_or_default().trim().to_owned()
    };
    let ran = run_in(folder.path(), &["check-config", "--dry-run", "--log-level", "debug"], &[]).await?;
    assert_eq!(line(&ran, "testing.dry_run"), "testing.dry_run = true", "{}", ran.stdout);
    assert_eq!(line(&ran, "log_level"), "log_level = \"DEBUG\"", "{}", ran.stdout);
    let ran = run_in(folder.path(), &["check-config"], &[("KRYTEN_LLM_DRY_RUN", "true")]).await?;
    assert_eq!(line(&ran, "testing.dry_run"), "testing.dry_run = true", "{}", ran.stdout);
    let ran = run_in(folder.path(), &["check-config"], &[("KRYTEN_LLM_DRY_RUN", "false")]).await?;
    assert!(line(&ran, "testing.dry_run").starts_with("testing.dry_run = false"), "{}", ran.stdout);
    Ok(())
}

/// The severities of all lines that a daemon logged from its start to its end.
async fn severities(config: Value, arguments: &[&str]) -> Result<Vec<&'static str>> {
    const SEVERITIES: [&str; 4] = ["ERROR", "WARN", "INFO", "DEBUG"];
    // A warning is due in any case.
    let world = World::of(BINARY)
        .config(json!({ "not_a_field": 1 }))
        .config(config)
        .launch(|launch| arguments.iter().fold(launch, |launch, argument| launch.arg(*argument)))
        .start()
        .await?;
    world.robot.chat("bob", "nobody is meant").await?;
    world
        .wait_for_beat(world.recorder.mark(), SOON, |beat| beat.json["status"]["messages_processed"] == 1)
        .await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    let log = world.daemon.log().since(Mark::START);
    let seen = |word: &&&str| log.iter().any(|line| line.text.contains(&format!(" {word} ")));
    Ok(SEVERITIES.iter().filter(seen).copied().collect())
}

#[tokio::test]
async fn the_log_level_comes_from_the_file_and_the_command_line_wins() -> Result {
    let from_file = |level: &str| json!({ "log_level": level });
    assert_eq!(severities(json!({}), &[]).await?, ["WARN", "INFO"]);
    assert_eq!(severities(from_file("WARNING"), &[]).await?, ["WARN"]);
    assert_eq!(severities(from_file("debug"), &[]).await?, ["WARN", "INFO", "DEBUG"]);
    for level in ["debug", "DEBUG"] {
        assert_eq!(severities(from_file("ERROR"), &["--log-level", level]).await?, ["WARN", "INFO", "DEBUG"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_good_end_is_0_and_says_nothing_on_stdout() -> Result {
    let world = World::of(BINARY).start().await?;
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert_eq!(world.daemon.stdout(), "");
    Ok(())
}
