//! A machine with a systemd of its own, on a copy of this one's files that is gone with its handle.
//!
//! It shares this machine's network, so that a server started here is reached from there. That takes
//! root, and a Linux with overlay file systems and control groups of the second version.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{Context, Error, Result, story_failed};
use crate::process::Process;

const BOOT: &str = include_str!("../machine/boot.sh");
const CLEAN: &str = include_str!("../machine/clean.sh");
/// How long a machine may take to be up.
const UP_WITHIN: Duration = Duration::from_secs(30);

/// A running machine. Dropping it ends every process in it; when the story failed, its journal is shown.
#[derive(Debug)]
pub struct Machine {
    // The processes go before the folder does.
    process: Process,
    /// systemd, as this machine counts processes.
    init: u32,
    folder: TempDir,
}

impl Machine {
    /// What keeps this machine from having another one inside, if anything does.
    pub fn missing() -> Option<String> {
        if !nix::unistd::geteuid().is_root() {
            return Some("that takes root".to_owned());
        }
        let systemd = Path::new("/lib/systemd/systemd");
        if !systemd.exists() {
            return Some(format!("there is no {}", systemd.display()));
        }
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        for kind in ["overlay", "cgroup2"] {
            if !known.lines().any(|line| line.split_whitespace().last() == Some(kind)) {
                return Some(format!("the kernel has no {kind}"));
            }
        }
        let tried = Command::new("unshare").args(["--mount", "--pid", "--fork", "--cgroup", "true"]).output();
        match tried {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(format!("unshare: {error}")),
        }
    }

    /// Boots it, and waits until it is up.
    pub async fn boot() -> Result<Machine> {
        let what = "booting a machine";
        let folder = TempDir::with_prefix("kryten-machine-").context(what)?;
        let process = Process::start(script(BOOT, folder.path()))?;
        let mut machine = Machine { process, init: 0, folder };
        let begun = Instant::now();
        while !machine.is_up() {
            if begun.elapsed() > UP_WITHIN || machine.process.exited().is_some() {
                let said: Vec<String> = machine.process.lines.all().iter().map(ToString::to_string).collect();
                return Err(Error::new(format!("{what}: it is not up; it said:\n{}", said.join("\n"))));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(machine)
    }

    fn is_up(&mut self) -> bool {
        let pid = self.process.pid();
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let Some(init) = children.split_whitespace().next().and_then(|pid| pid.parse().ok()) else {
            return false;
        };
        self.init = init;
        let is_systemd =
            std::fs::read_to_string(format!("/proc/{init}/comm")).is_ok_and(|name| name == "systemd\n");
        is_systemd && self.run("systemctl", ["is-active", "up.target"]).is_ok()
    }

    /// Runs a program there; what it printed, on both outputs.
    ///
    /// # Errors
    /// When it fails, with what it printed.
    pub fn run<'a>(&self, program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        let arguments: Vec<&str> = arguments.into_iter().collect();
        let output = self.output(program, &arguments)?;
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).trim().to_owned();
        if output.status.success() {
            Ok(printed)
        } else {
            Err(Error::new(format!("{program} {} there: {}\n{printed}", arguments.join(" "), output.status)))
        }
    }

    /// Runs a line of shell there.
    pub fn shell(&self, line: &str) -> Result<String> {
        self.run("bash", ["-euo", "pipefail", "-c", line])
    }

    fn output(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.init.to_string());
        command.args(["--mount", "--pid", "--cgroup", "--uts", "--ipc", "--root", "--wd"]);
        // As in a shell that somebody has just logged in to.
        command.args(["env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]);
        command.args(["DEBIAN_FRONTEND=noninteractive", program]).args(arguments);
        command.output().context(format_args!("running {program} in a machine"))
    }

    /// Runs a line of shell there again and again until it succeeds.
    ///
    /// # Errors
    /// When it has not by the deadline: what it printed last.
    pub async fn wait_for(&self, line: &str, deadline: Duration) -> Result<String> {
        let begun = Instant::now();
        loop {
            match self.shell(line) {
                Err(error) if begun.elapsed() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                printed => return printed,
            }
        }
    }

    /// The folder here that is `/srv` there.
    pub fn shared(&self) -> PathBuf {
        self.folder.path().join("shared")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if story_failed() {
            eprintln!("--- what the machine's journal says last ---");
            match self.run("journalctl", ["--no-pager", "--lines", "60", "--output", "cat"]) {
                Ok(journal) => eprintln!("{journal}"),
                Err(error) => eprintln!("{error}"),
            }
        }
        self.process.kill();
        let _ = script(CLEAN, self.folder.path()).output();
    }
}

fn script(text: &str, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "bash", "-c", text, "machine"]).arg(folder);
    command
}
