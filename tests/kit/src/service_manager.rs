//! A service manager that listens: it has a socket as systemd's `NOTIFY_SOCKET`, and keeps what it is told.

use std::fmt;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as Datagram};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::task::JoinHandle;

use crate::daemon::Launch;
use crate::error::{Context, Result};
use crate::journal::{Journal, Mark};

/// One datagram.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Its lines, such as `READY=1`.
    pub lines: Vec<String>,
    /// When it was read.
    pub at: Instant,
}

impl Notice {
    /// Whether one of its lines is this.
    pub fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|own| own == line)
    }

    /// The status that it tells, if it does.
    pub fn status(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix("STATUS="))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lines.join(" "))
    }
}

/// The listener. Dropping it closes its socket.
#[derive(Debug)]
pub struct ServiceManager {
    /// All that it was told.
    pub notices: Journal<Notice>,
    address: String,
    reader: JoinHandle<()>,
    _folder: TempDir,
}

impl ServiceManager {
    /// Listens at a path.
    pub fn start() -> Result<ServiceManager> {
        let folder = folder()?;
        let path = folder.path().join("notify");
        let socket = Datagram::bind(&path).context("binding the notify socket")?;
        Self::listen(socket, path.display().to_string(), folder)
    }

    /// Listens at an abstract socket, which has a name and no file.
    pub fn start_abstract() -> Result<ServiceManager> {
        let folder = folder()?;
        let name = folder.path().display().to_string();
        let address = SocketAddr::from_abstract_name(&name).context("naming an abstract socket")?;
        let socket = Datagram::bind_addr(&address).context("binding an abstract socket")?;
        Self::listen(socket, format!("@{name}"), folder)
    }

    fn listen(socket: Datagram, address: String, folder: TempDir) -> Result<ServiceManager> {
        let what = "listening at the notify socket";
        socket.set_nonblocking(true).context(what)?;
        let socket = UnixDatagram::from_std(socket).context(what)?;
        let notices = Journal::default();
        let heard = notices.clone();
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok(length) = socket.recv(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..length]);
                let lines = text.lines().map(str::to_owned).collect();
                heard.push(Notice { lines, at: Instant::now() });
            }
        });
        Ok(ServiceManager { notices, address, reader, _folder: folder })
    }

    /// What a daemon is started with to be heard here; with a watchdog, it has to be fed so often.
    pub fn supervise(&self, launch: Launch, watchdog: Option<Duration>) -> Launch {
        let launch = launch.env("NOTIFY_SOCKET", &self.address);
        match watchdog {
            Some(watchdog) => launch.env("WATCHDOG_USEC", watchdog.as_micros().to_string()),
            None => launch,
        }
    }

    /// The first notice behind `mark` with this line.
    pub async fn wait_for_line(&self, mark: Mark, line: &str, deadline: Duration) -> Result<Notice> {
        self.notices
            .wait_since(mark, format_args!("the line {line}"), deadline, |notice| notice.has(line))
            .await
    }

    /// The first notice behind `mark` with a status that `wanted` accepts.
    pub async fn wait_for_status(
        &self,
        mark: Mark,
        deadline: Duration,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Result<Notice> {
        let accepted = |notice: &Notice| notice.status().is_some_and(&mut wanted);
        self.notices.wait_since(mark, "a status", deadline, accepted).await
    }
}

impl Drop for ServiceManager {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn folder() -> Result<TempDir> {
    TempDir::with_prefix("kryten-notify-").context("making a folder for the notify socket")
}
