//! `make install` and `make uninstall`, into a folder.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use kryten_testkit::{Context as _, Result};
use tempfile::TempDir;

use crate::{BINARY, run};

/// All files under a folder, as paths from there, sorted.
fn files(folder: &Path) -> Result<Vec<String>> {
    let found = run("find", &[&folder.display().to_string(), "-type", "f", "-printf", "/%P\n"])?;
    let mut files: Vec<String> = found.lines().map(str::to_owned).collect();
    files.sort();
    Ok(files)
}

fn make(target: &str, folder: &Path, prefix: &str) -> Result<String> {
    let (binary, destination) = (format!("BINARY={BINARY}"), format!("DESTDIR={}", folder.display()));
    run("make", &["--silent", target, &binary, &destination, &format!("PREFIX={prefix}")])
}

#[test]
fn make_installs_everything_under_its_prefix_and_removes_it_again_but_for_the_config() -> Result {
    let folder = TempDir::new().context("making a folder")?;
    let folder = folder.path();
    make("install", folder, "/opt/kryten")?;
    let expected = [
        "/etc/kryten-llm/config.json",
        "/etc/logrotate.d/kryten-llm",
        "/opt/kryten/bin/kryten-llm",
        "/opt/kryten/lib/systemd/system/kryten-llm.service",
        "/opt/kryten/lib/sysusers.d/kryten-llm.conf",
        "/opt/kryten/share/bash-completion/completions/kryten-llm",
        "/opt/kryten/share/doc/kryten-llm/CHANGELOG.md",
        "/opt/kryten/share/doc/kryten-llm/LICENSE",
        "/opt/kryten/share/doc/kryten-llm/MIGRATING.md",
        "/opt/kryten/share/doc/kryten-llm/README.md",
        "/opt/kryten/share/doc/kryten-llm/config.example.json",
        "/opt/kryten/share/doc/kryten-llm/docs/CONFIGURATION.md",
        "/opt/kryten/share/fish/vendor_completions.d/kryten-llm.fish",
        "/opt/kryten/share/man/man1/kryten-llm.1",
        "/opt/kryten/share/zsh/vendor-completions/_kryten-llm",
    ];
    assert_eq!(files(folder)?, expected);
    let inside = |path: &str| folder.join(path.trim_start_matches('/'));
    let unit = std::fs::read_to_string(inside(expected[3])).context("reading the unit")?;
    assert!(unit.contains("ExecStart=/opt/kryten/bin/kryten-llm "), "{unit}");
    let config = inside(expected[0]);
    let mode = std::fs::metadata(&config).context("looking at the config")?.permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "it may hold secrets");
    let shown = run(BINARY, &["check-config", "--config", &config.display().to_string()])?;
    for line in ["log_file = \"/var/log/kryten-llm/responses.jsonl\"", "state_dir = \"/var/lib/kryten-llm\""]
    {
        assert!(shown.contains(line), "the service could not write elsewhere: {line}\n{shown}");
    }

    let page =
        std::fs::read_to_string(inside("/opt/kryten/share/man/man1/kryten-llm.1")).context("the page")?;
    assert!(page.contains(".TH kryten-llm"), "{page}");

    std::fs::write(&config, "mine").context("changing the config")?;
    make("install", folder, "/opt/kryten")?;
    assert_eq!(std::fs::read_to_string(&config).context("reading the config")?, "mine");
    make("uninstall", folder, "/opt/kryten")?;
    assert_eq!(files(folder)?, ["/etc/kryten-llm/config.json"]);
    Ok(())
}
