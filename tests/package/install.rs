//! `make install` and `make uninstall`, into a folder.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use kryten_testkit::{Behaviour, Context as _, Error, Result};
use tempfile::TempDir;

use crate::operator::{CONFIG, Operator};
use crate::{BINARY, run};

const README: &str = include_str!("../../README.md");

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
        "/opt/kryten/share/doc/kryten-llm/monitoring/README.md",
        "/opt/kryten/share/doc/kryten-llm/monitoring/grafana/dashboards/kryten-llm.json",
        "/opt/kryten/share/doc/kryten-llm/monitoring/grafana/provisioning/dashboards/kryten-llm.yml",
        "/opt/kryten/share/doc/kryten-llm/monitoring/grafana/provisioning/datasources/kryten-llm.yml",
        "/opt/kryten/share/doc/kryten-llm/monitoring/prometheus/kryten-llm.rules.test.yml",
        "/opt/kryten/share/doc/kryten-llm/monitoring/prometheus/kryten-llm.rules.yml",
        "/opt/kryten/share/doc/kryten-llm/monitoring/prometheus/prometheus.yml",
        "/opt/kryten/share/fish/vendor_completions.d/kryten-llm.fish",
        "/opt/kryten/share/man/man1/kryten-llm.1",
        "/opt/kryten/share/zsh/vendor-completions/_kryten-llm",
    ];
    assert_eq!(files(folder)?, expected);
    let inside = |path: &str| folder.join(path.trim_start_matches('/'));
    let unit = std::fs::read_to_string(inside(expected[3])).context("reading the unit")?;
    assert!(unit.contains("ExecStart=/opt/kryten/bin/kryten-llm "), "{unit}");
    let dashboards = inside(expected[14]);
    let dashboards = std::fs::read_to_string(dashboards).context("reading what Grafana is told")?;
    assert!(dashboards.contains("path: /opt/kryten/share/doc/kryten-llm/monitoring/"), "{dashboards}");
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

/// The command of the README that begins so, as root runs it where there is no sudo.
fn command(beginning: &str) -> Result<String> {
    let line =
        README.lines().find_map(|line| line.trim_start().strip_prefix("sudo ")?.strip_prefix(beginning));
    let rest = line.ok_or_else(|| Error::new(format!("the README has no 'sudo {beginning}'")))?;
    let as_user = "setpriv --reuid kryten-llm --regid kryten-llm --clear-groups ";
    Ok(format!("PATH=/usr/local/bin:$PATH; {}{rest}", beginning.replace("-u kryten-llm ", as_user)))
}

#[tokio::test]
async fn what_make_installed_runs_by_the_steps_of_the_readme() -> Result {
    let Some(operator) = Operator::with_nothing_installed("make install").await? else { return Ok(()) };
    let machine = &operator.machine;
    let shared = machine.shared().display().to_string();
    run(
        "bash",
        &[
            "-c",
            "cp -r --parents Makefile *.md LICENSE config.example.json docs monitoring packaging \"$0\"",
            &shared,
        ],
    )?;
    run("cp", &[BINARY, &shared])?;
    let install = "make --silent -C /srv install BINARY=/srv/kryten-llm";
    machine.shell(install)?;
    let modes = format!("stat -c '%a %U:%G' /etc/kryten-llm {CONFIG}");
    assert_eq!(machine.shell(&modes)?, "750 root:kryten-llm\n640 root:kryten-llm");

    machine.shell(&command("-u kryten-llm env")?)?;
    operator.configure_with_key("")?;
    machine.shell(&command("systemctl enable")?)?;
    operator.provider.always(Behaviour::Answer("Made and well.".to_owned()));
    assert_eq!(operator.ask("how are you?").await?.text, "Made and well.");

    // Made anew, it leaves the operator's own modes alone.
    machine.shell(&format!("chmod 755 /etc/kryten-llm && chmod 440 {CONFIG} && {install}"))?;
    assert_eq!(machine.shell(&modes)?, "755 root:kryten-llm\n440 root:kryten-llm");
    Ok(())
}
