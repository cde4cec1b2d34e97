//! The Debian package: installed, upgraded, removed, purged.

use kryten_testkit::world::SOON;
use kryten_testkit::{Behaviour, Context as _, Result};
use serde_json::json;
use tempfile::TempDir;

use crate::operator::{CONFIG, Operator};
use crate::run;

/// Whether any process of the bot is there; its name is that of the program.
const NO_PROCESS: &str = "! pgrep -x kryten-llm";

#[tokio::test]
async fn the_package_is_installed_upgraded_removed_and_purged() -> Result {
    if !crate::has("dpkg-deb", "the Debian package") {
        return Ok(());
    }
    let Some(operator) = Operator::start("the Debian package").await? else { return Ok(()) };
    let machine = &operator.machine;

    // Installed: nothing runs before the operator has written a config, and nobody else can read it.
    assert_eq!(operator.property("ActiveState")?, "inactive");
    assert!(machine.run("systemctl", ["is-enabled", "kryten-llm"]).is_err(), "it must not start by itself");
    let owned = machine.shell(&format!("stat -c '%a %U:%G' /etc/kryten-llm {CONFIG}"))?;
    assert_eq!(owned, "750 root:kryten-llm\n640 root:kryten-llm");
    let as_user = "setpriv --reuid kryten-llm --regid kryten-llm --clear-groups";
    machine.shell(&format!("cd /etc/kryten-llm && {as_user} kryten-llm check-config"))?;
    machine.shell(&format!("! setpriv --reuid nobody --regid nogroup --clear-groups cat {CONFIG}"))?;

    // Run.
    operator.enable("")?;
    assert_eq!(operator.property("ActiveState")?, "active");
    operator.provider.always(Behaviour::Answer("Installed and well.".to_owned()));
    assert_eq!(operator.ask("how are you?").await?.text, "Installed and well.");

    // Upgraded: the config is the operator's, and the new version is the one that runs.
    machine.shell(&format!("chmod 440 {CONFIG}"))?;
    let before = (operator.property("MainPID")?, machine.shell(&format!("cat {CONFIG}"))?);
    operator.install("0.1.1")?;
    let restarted = "systemctl show --value --property MainPID kryten-llm";
    machine
        .wait_for(&format!("test $({restarted}) != {} && systemctl is-active kryten-llm", before.0), SOON)
        .await?;
    let after = (operator.property("MainPID")?, machine.shell(&format!("cat {CONFIG}"))?);
    assert_ne!(before.0, after.0, "the old process still runs");
    assert_eq!(before.1, after.1);
    assert_eq!(machine.shell(&format!("stat -c '%a %U:%G' {CONFIG}"))?, "440 root:kryten-llm");
    operator.ask("still there?").await?;

    // Upgraded while NATS is away, and while there is no config: dpkg neither waits nor fails.
    let mut away = operator.config.clone();
    away["nats"]["servers"] = json!(["nats://localhost:1"]);
    operator.configure(&away)?;
    let again = "timeout 30 dpkg --install /srv/kryten-llm_0.1.1_*.deb";
    machine.shell(again)?;
    machine
        .wait_for("systemctl show --value --property ActiveState kryten-llm | grep activating", SOON)
        .await?;
    machine.shell(&format!("rm {CONFIG}; {again}"))?;
    assert_eq!(
        machine.shell("dpkg-query --show --showformat '${db:Status-Status}' kryten-llm")?,
        "installed"
    );
    operator.configure(&operator.config)?;

    // Removed: no process, no unit; what the operator and the service wrote is still there.
    machine.run("dpkg", ["--remove", "kryten-llm"])?;
    machine.shell(NO_PROCESS)?;
    assert_eq!(operator.property("LoadState")?, "not-found");
    machine.shell(&format!("grep -q localhost {CONFIG} && test -s /var/log/kryten-llm/responses.jsonl"))?;

    // Purged: nothing is left.
    machine.run("dpkg", ["--purge", "kryten-llm"])?;
    machine.shell("! getent passwd kryten-llm")?;
    machine.shell(
        "! ls -d /etc/kryten-llm /var/lib/kryten-llm /var/log/kryten-llm /usr/bin/kryten-llm 2>/dev/null",
    )?;
    Ok(())
}

#[test]
fn the_package_says_what_it_needs_and_which_files_are_the_operators() -> Result {
    if !crate::has("dpkg-deb", "the Debian package") {
        return Ok(());
    }
    let folder = TempDir::new().context("making a folder for the package")?;
    let package = run("scripts/deb.sh", &[crate::BINARY, &folder.path().display().to_string()])?;
    let field = |name: &str| run("dpkg-deb", &["--field", &package, name]);
    assert_eq!(field("Version")?, env!("CARGO_PKG_VERSION"));
    assert!(field("Depends")?.starts_with("libc6 (>= 2."), "{}", field("Depends")?);
    let conffiles = run("dpkg-deb", &["--info", &package, "conffiles"])?;
    assert_eq!(conffiles, "/etc/kryten-llm/config.json\n/etc/logrotate.d/kryten-llm");
    Ok(())
}
