//! The daemon under test: the built binary in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::error::{Context, Error, Result, story_failed};
use crate::http;
use crate::journal::{Journal, Mark};
use crate::process::{Exit, Line, Process};

/// Of the surroundings only these reach the daemon, so that nobody's own settings change a story.
const PASSED_ON: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE", "RUST_BACKTRACE"];
const PATIENCE: Duration = Duration::from_secs(10);

/// What a daemon is started with.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    files: Vec<(String, String)>,
}

impl Launch {
    /// Starts `binary`: `env!("CARGO_BIN_EXE_kryten-llm")` in a test.
    pub fn new(binary: impl AsRef<Path>) -> Launch {
        Launch { binary: binary.as_ref().to_owned(), ..Launch::default() }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl Into<String>) -> Launch {
        self.arguments.push(argument.into());
        self
    }

    /// One more environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Launch {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// One more file in the daemon's working directory; `path` is relative to it.
    pub fn file(mut self, path: impl Into<String>, text: impl Into<String>) -> Launch {
        self.files.push((path.into(), text.into()));
        self
    }

    /// Starts it with `config` as its `config.json`.
    pub fn start(self, config: &Value) -> Result<Daemon> {
        self.start_with_text(&format!("{config:#}\n"))
    }

    /// Starts it with any text as its `config.json`.
    pub fn start_with_text(self, config: &str) -> Result<Daemon> {
        let what = "preparing the daemon's folder";
        let folder = TempDir::with_prefix("kryten-llm-").context(what)?;
        std::fs::write(folder.path().join("config.json"), config).context(what)?;
        for (path, text) in &self.files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(folder.path())).context(what)?;
            std::fs::write(path, text).context(what)?;
        }
        let process = self.run(folder.path())?;
        Ok(Daemon { launch: self, process, folder, started: Instant::now() })
    }

    fn run(&self, folder: &Path) -> Result<Process> {
        let mut command = Command::new(&self.binary);
        command.args(["--config", "config.json"]).args(&self.arguments).current_dir(folder).env_clear();
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.environment.iter().cloned());
        Process::start(command)
    }
}

/// A daemon, running or ended. Dropping it kills it and removes its folder; when the story failed
/// it first prints what it logged.
#[derive(Debug)]
pub struct Daemon {
    launch: Launch,
    // The process goes before its folder does.
    process: Process,
    folder: TempDir,
    started: Instant,
}

impl Daemon {
    /// What it printed so far, log and all.
    pub fn log(&self) -> &Journal<Line> {
        &self.process.lines
    }

    /// What it printed on stdout, as one text.
    pub fn stdout(&self) -> String {
        self.process.stdout()
    }

    /// Starts another command of the same binary beside it, with the same config.
    pub fn beside(&self, arguments: &[&str]) -> Result<Process> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Launch { arguments, ..self.launch.clone() }.run(self.folder.path())
    }

    /// The first log line behind `mark` that `wanted` accepts.
    pub async fn wait_for_log(
        &self,
        mark: Mark,
        deadline: Duration,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Result<Line> {
        self.log().wait_since(mark, "a line in the daemon's log", deadline, |line| wanted(&line.text)).await
    }

    /// The log lines with these words so far. A line is read behind what the daemon did after it, so that more
    /// may be on their way until it has ended.
    pub fn lines(&self, words: &str) -> Vec<String> {
        let all = self.log().all().into_iter().map(|line| line.text);
        all.filter(|line| line.contains(words)).collect()
    }

    /// The same, once there are so many of them.
    pub async fn wait_for_lines(&self, words: &str, count: usize) -> Result<Vec<String>> {
        let mut seen = 0;
        let are_all = |line: &Line| {
            seen += usize::from(line.text.contains(words));
            seen >= count
        };
        let what = format!("{count} lines with {words:?} in the daemon's log");
        self.log().wait(what, PATIENCE, are_all).await?;
        Ok(self.lines(words))
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its working directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes its config anew; what it makes of that is up to it.
    pub fn write_config(&self, config: &Value) -> Result {
        let path = self.folder.path().join("config.json");
        std::fs::write(path, format!("{config:#}\n")).context("writing the daemon's config")
    }

    /// SIGTERM.
    pub fn terminate(&self) -> Result {
        self.process.terminate()
    }

    /// SIGINT, as from Ctrl-C.
    pub fn interrupt(&self) -> Result {
        self.process.signal(Signal::SIGINT)
    }

    /// SIGHUP.
    pub fn hang_up(&self) -> Result {
        self.process.signal(Signal::SIGHUP)
    }

    /// SIGSTOP: it stands still until [`Daemon::resume`].
    pub fn pause(&self) -> Result {
        self.process.pause()
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result {
        self.process.signal(Signal::SIGCONT)
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again in the same folder, with its state and whatever config lies there now.
    /// Kills it first when it runs.
    pub fn restart(&mut self) -> Result {
        self.process.kill();
        self.started = Instant::now();
        self.process = self.launch.run(self.folder.path())?;
        Ok(())
    }

    /// How it ended, when it has.
    pub fn exited(&self) -> Option<Exit> {
        self.process.exited()
    }

    /// Waits for its end.
    pub async fn wait_exit(&self, deadline: Duration) -> Result<Exit> {
        self.process.wait_exit(deadline).await
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the process has ended, or the system has no `/proc`.
    pub fn resident_bytes(&self) -> Result<u64> {
        let what = "reading the daemon's resident memory";
        let status = self.proc_file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
        Ok(kibibytes.parse::<u64>().context(what)? * 1024)
    }

    /// Processor time that it has used so far, to 10 ms.
    ///
    /// # Errors
    /// When the process has ended, or the system has no `/proc`.
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = self.proc_file("stat")?;
        // The name in brackets may hold spaces; behind it, user and system time are the 12th and
        // 13th field, in ticks of a hundredth of a second.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    fn proc_file(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.pid());
        std::fs::read_to_string(&path).context(format_args!("reading {path}"))
    }

    /// Where it serves HTTP: the first log line that mentions HTTP and an address says so.
    pub async fn http_address(&self) -> Result<SocketAddr> {
        let mut address = None;
        let wanted = |line: &Line| {
            address = line.text.to_lowercase().contains("http").then(|| address_in(&line.text)).flatten();
            address.is_some()
        };
        self.log().wait("the daemon to log the address of its HTTP server", PATIENCE, wanted).await?;
        address.ok_or_else(|| Error::new("the line with the address is gone"))
    }

    /// GETs a path such as `/health`: the status and the body.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        http::get(self.http_address().await?, path).await
    }

    /// GETs a path again and again until it has this status; gives the body.
    pub async fn wait_for_status(&self, path: &str, status: u16, deadline: Duration) -> Result<String> {
        let asked = Instant::now();
        loop {
            let (latest, body) = self.get(path).await?;
            if latest == status {
                return Ok(body);
            }
            if asked.elapsed() > deadline {
                let message =
                    format!("waited {deadline:?} for {path} to be {status}, the latest: {latest} {body:?}");
                return Err(Error::new(message));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// GETs a path again and again until what it says as JSON is accepted; gives that.
    pub async fn wait_for_json(
        &self,
        path: &str,
        deadline: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        let asked = Instant::now();
        loop {
            let (status, body) = self.get(path).await?;
            if let Ok(value) = serde_json::from_str(&body)
                && wanted(&value)
            {
                return Ok(value);
            }
            if asked.elapsed() > deadline {
                let message = format!("waited {deadline:?} for {path}, the latest: {status} {body}");
                return Err(Error::new(message));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// GETs `/health` as JSON, whatever its status.
    pub async fn health(&self) -> Result<Value> {
        http::get_json(self.http_address().await?, "/health").await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if story_failed() {
            eprintln!("--- what the daemon printed ---");
            for line in self.log().all() {
                eprintln!("{:>8.3} {}", line.at.duration_since(self.started).as_secs_f64(), line.text);
            }
            eprintln!("--- it ended with {:?} ---", self.exited());
        }
    }
}

/// The daemon's binary for a program that cargo doesn't tell of it: an example, which lies in a folder
/// beside it.
///
/// # Errors
/// When it has not been built.
pub fn binary_beside_example() -> Result<PathBuf> {
    let example = std::env::current_exe().context("looking for the running example")?;
    let binary = example.ancestors().nth(2).map(|folder| folder.join("kryten-llm"));
    binary.filter(|path| path.exists()).ok_or_else(|| {
        Error::new(format!("no kryten-llm beside {}: run 'cargo build' first", example.display()))
    })
}

/// The first "host:port" with a numeric host in a line, as in "http://127.0.0.1:28286/health".
fn address_in(line: &str) -> Option<SocketAddr> {
    line.split(|letter: char| !(letter.is_ascii_digit() || letter == '.' || letter == ':'))
        .find_map(|word| word.trim_matches([':', '.']).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::address_in;

    #[test]
    fn an_address_is_found_in_a_log_line() {
        let table = [
            ("12:30:01 HTTP on 127.0.0.1:4711", Some("127.0.0.1:4711")),
            ("INFO serving address=http://127.0.0.1:80/health", Some("127.0.0.1:80")),
            ("HTTP is off since 12:30", None),
        ];
        for (line, address) in table {
            assert_eq!(address_in(line), address.and_then(|text| text.parse().ok()), "{line}");
        }
    }
}
