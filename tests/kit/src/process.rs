//! A child process: its lines are kept as they come, it takes signals, and it dies with its handle.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::watch;

use crate::error::{Context, Error, Result};
use crate::journal::Journal;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It ended by itself, with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Exit {
        match status.code() {
            Some(code) => Exit::Code(code),
            None => Exit::Signal(status.signal().unwrap_or_default()),
        }
    }
}

/// One line that a process printed.
#[derive(Debug, Clone)]
pub struct Line {
    /// The text, without its line break.
    pub text: String,
    /// Whether it came on stderr.
    pub stderr: bool,
    /// When it was read.
    pub at: Instant,
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// A running (or ended) child. Dropping it kills it and waits until it is gone.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    /// What it printed so far, both streams in one list.
    pub lines: Journal<Line>,
    exit: watch::Receiver<Option<Exit>>,
    keeper: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts `command` with both outputs captured and nothing on its input.
    pub fn start(mut command: Command) -> Result<Process> {
        let what = format!("starting {}", command.get_program().to_string_lossy());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_parent(&mut command);
        let lines = Journal::default();
        let (ended, exit) = watch::channel(None);
        let (started, is_started) = std::sync::mpsc::channel();
        let for_keeper = lines.clone();
        // The thread that starts the child stays until the child ends: `die_with_parent` looks at
        // the thread. It also is the only one to collect the exit status.
        let keeper = std::thread::spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            let readers = [
                child.stdout.take().map(|output| read_lines(output, false, for_keeper.clone())),
                child.stderr.take().map(|output| read_lines(output, true, for_keeper)),
            ];
            let _ = started.send(Ok(child.id()));
            let status = child.wait();
            // The last words first, so that they are there for whoever waits for the exit.
            for reader in readers.into_iter().flatten() {
                let _ = reader.join();
            }
            ended.send_replace(status.ok().map(Exit::from));
        });
        let pid = is_started.recv().context(&what)?.context(&what)?;
        let pid = i32::try_from(pid).context(&what)?;
        Ok(Process { pid: Pid::from_raw(pid), lines, exit, keeper: Some(keeper) })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// What it printed on stdout so far, as one text.
    pub fn stdout(&self) -> String {
        let lines = self.lines.all();
        lines.iter().filter(|line| !line.stderr).map(|line| format!("{}\n", line.text)).collect()
    }

    /// How it ended, when it has.
    pub fn exited(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signal(&self, signal: Signal) -> Result {
        if let Some(exit) = self.exited() {
            return Err(Error::new(format!(
                "no {signal} for process {}: it has ended with {exit:?}",
                self.pid
            )));
        }
        kill(self.pid, signal).context(format_args!("sending {signal} to process {}", self.pid))
    }

    /// SIGSTOP, and waits until all of its threads stand still, which a busy machine may take a while for.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn pause(&self) -> Result {
        self.signal(Signal::SIGSTOP)?;
        waitid(Id::Pid(self.pid), WaitPidFlag::WSTOPPED)
            .context(format_args!("waiting until process {} stands still", self.pid))
            .map(drop)
    }

    /// SIGTERM.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn terminate(&self) -> Result {
        self.signal(Signal::SIGTERM)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it still runs after `deadline`; shows its latest lines.
    pub async fn wait_exit(&self, deadline: Duration) -> Result<Exit> {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some);
        match tokio::time::timeout(deadline, ended).await {
            Ok(Ok(exit)) => exit.ok_or_else(|| Error::new("the exit status is unknown")),
            Ok(Err(_)) => Err(Error::new("the exit status could not be read")),
            Err(_) => {
                let what = format!("process {} to end", self.pid);
                Err(self.lines.missed(crate::journal::Mark::START, what, deadline))
            }
        }
    }

    /// Kills it and blocks until it is gone. Does nothing when it has ended.
    pub fn kill(&mut self) {
        if self.exited().is_none() {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_lines(output: impl Read + Send + 'static, stderr: bool, lines: Journal<Line>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut bytes = Vec::new();
        while matches!(output.read_until(b'\n', &mut bytes), Ok(read) if read > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            lines.push(Line { text, stderr, at: Instant::now() });
            bytes.clear();
        }
    })
}

/// A test run that is killed leaves nothing behind, where the system can do that. There Ctrl-C reaches
/// only whoever started the child, and not the child before it.
fn die_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    command.process_group(0);
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec only one system call is made, nothing is allocated.
    unsafe {
        command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}
