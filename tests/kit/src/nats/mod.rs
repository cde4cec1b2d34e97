//! A private nats-server: the real one, on a port and in a folder of its own.

mod binary;
mod buckets;
mod operator;
mod settings;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use futures_util::StreamExt as _;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

pub use settings::{Auth, NKEY_SEED, Settings, TOKEN, USER};
use settings::{LISTENER, NEIGHBOUR};

use crate::error::{Context, Error, Result, within};
use crate::ports::{self, Port};
use crate::process::{Exit, Process};

/// How long anything that the server itself does may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A nats-server. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    port: Port,
    // The process goes before its folder does.
    process: Process,
    folder: TempDir,
}

impl Server {
    /// A plain server: no JetStream, anybody may connect.
    pub async fn start() -> Result<Server> {
        Server::start_with(Settings::default()).await
    }

    /// A server that is told `settings`, ready for connections.
    ///
    /// # Errors
    /// When there is no nats-server, or it does not get ready; shows what it said.
    pub async fn start_with(settings: Settings) -> Result<Server> {
        let folder = TempDir::with_prefix("kryten-nats-").context("making a folder for nats-server")?;
        if settings.tls {
            tls::write_certificates(folder.path())?;
        }
        if settings.auth == Auth::Creds {
            operator::write_operator(folder.path())?;
        }
        let port = ports::free()?;
        let process = run(&settings, &port, folder.path()).await?;
        Ok(Server { settings, port, process, folder })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its URL for clients.
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The server's URL when it is reached at `address`, through a proxy for instance.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let scheme = if self.settings.tls { "tls" } else { "nats" };
        format!("{scheme}://{address}")
    }

    /// The `nats` section of a daemon's config: the address and what it signs in with.
    pub fn config_section(&self, address: SocketAddr) -> Value {
        let mut section = json!({ "servers": [self.url_at(address)] });
        match self.settings.auth {
            Auth::Anybody => {}
            Auth::UserPassword => {
                section["user"] = json!(USER.0);
                section["password"] = json!(USER.1);
            }
            Auth::Token => section["token"] = json!(TOKEN),
            Auth::Nkey => section["nkey_seed_file"] = json!(self.file("nkey.seed")),
            Auth::Creds => section["creds_file"] = json!(self.file(&operator::creds_file(operator::DAEMON))),
        }
        if self.settings.tls {
            section["tls_ca"] = json!(self.file("ca.pem"));
            section["tls_cert"] = json!(self.file("client.pem"));
            section["tls_key"] = json!(self.file("client.key"));
        }
        section
    }

    /// A file in the server's folder: certificates, keys, its configuration.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client with all rights. It is back within milliseconds of the server.
    pub async fn client(&self) -> Result<Client> {
        self.client_of(NEIGHBOUR).await
    }

    /// A client for whoever listens to everything: it does not hear what is asked of the robot, so
    /// that it does not count as one. (With [`Auth::Token`] it does.)
    pub async fn listener(&self) -> Result<Client> {
        self.client_of(LISTENER).await
    }

    async fn client_of(&self, (user, password): (&str, &str)) -> Result<Client> {
        let mut options = match self.settings.auth {
            Auth::Token => ConnectOptions::with_token(TOKEN.to_owned()),
            Auth::Creds => ConnectOptions::with_credentials_file(self.file(&operator::creds_file(user)))
                .await
                .context("reading a client's creds file")?,
            _ => ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()),
        };
        options = options
            .name(user)
            .subscription_capacity(1 << 20)
            .reconnect_delay_callback(|_| Duration::from_millis(5));
        if self.settings.tls {
            options = options
                .add_root_certificates(self.file("ca.pem"))
                .add_client_certificate(self.file("client.pem"), self.file("client.key"))
                .require_tls(true);
        }
        let connecting = options.connect(self.url());
        within(PATIENCE, "a client's connection", connecting).await?.context("connecting a client")
    }

    /// Asks it to stop (SIGTERM) and waits until it is gone. [`Server::restart`] brings it back.
    pub async fn stop(&self) -> Result<Exit> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait_exit(PATIENCE).await
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub async fn kill(&self) -> Result<Exit> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait_exit(PATIENCE).await
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Stops its clock (SIGSTOP): connections stay open, nothing moves.
    pub fn pause(&self) -> Result {
        self.process.pause()
    }

    /// Lets it go on after [`Server::pause`].
    pub fn resume(&self) -> Result {
        self.process.signal(Signal::SIGCONT)
    }

    /// Starts it again on the same port and folder (JetStream's data is still there). Kills it
    /// first when it runs.
    pub async fn restart(&mut self) -> Result {
        self.process.kill();
        self.process = run(&self.settings, &self.port, self.folder.path()).await?;
        Ok(())
    }

    /// Sends it into lame-duck mode: it tells its clients to go, closes them one by one, and ends.
    pub async fn lame_duck(&self) -> Result {
        self.signal_and_wait(Signal::SIGUSR2, "Entering lame duck mode").await
    }

    /// Changes the settings of a running server (SIGHUP): passwords, denied subjects.
    pub async fn reload(&mut self, change: impl FnOnce(&mut Settings)) -> Result {
        change(&mut self.settings);
        write_file(&self.settings, &self.port, self.folder.path())?;
        self.signal_and_wait(Signal::SIGHUP, "Reloaded server configuration").await
    }

    async fn signal_and_wait(&self, signal: Signal, answer: &str) -> Result {
        let mark = self.process.lines.mark();
        self.process.signal(signal)?;
        let what = format!("nats-server to say {answer:?}");
        self.process.lines.wait_since(mark, what, PATIENCE, |line| line.text.contains(answer)).await.map(drop)
    }
}

fn write_file(settings: &Settings, port: &Port, folder: &Path) -> Result<PathBuf> {
    let path = folder.join("nats.conf");
    let what = "writing nats-server's configuration";
    std::fs::write(&path, settings.file(port, folder)).context(what)?;
    std::fs::write(folder.join("nkey.seed"), NKEY_SEED).context(what)?;
    Ok(path)
}

async fn run(settings: &Settings, port: &Port, folder: &Path) -> Result<Process> {
    let mut command = Command::new(binary::nats_server().await?);
    command.arg("--config").arg(write_file(settings, port, folder)?).current_dir(folder);
    let process = Process::start(command)?;
    let over = |text: &str| {
        text.contains("Server is ready") || text.contains("[FTL]") || text.contains("nats-server: ")
    };
    let line = process.lines.wait("nats-server to get ready", PATIENCE, |line| over(&line.text)).await?;
    if line.text.contains("Server is ready") {
        return Ok(process);
    }
    Err(Error::new(format!("nats-server does not start: {}", line.text)))
}

/// Sends a message to itself by way of the server, and waits for it: what this client did before
/// has reached the server, and what the server had sent it before has arrived.
///
/// # Errors
/// When it did not come back within `deadline`; it is sent again and again meanwhile, so a server
/// that is just coming back is no reason.
pub async fn round_trip(client: &Client, deadline: Duration) -> Result {
    let subject = client.new_inbox();
    let trip = async {
        let mut echoes = client.subscribe(subject.clone()).await.context("subscribing to an own inbox")?;
        let mut again = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                _ = again.tick() => {
                    client.publish(subject.clone(), "".into()).await.context("publishing an echo")?;
                }
                echo = echoes.next() => {
                    return echo.map(drop).ok_or_else(|| Error::new("the client's connection is closed"));
                }
            }
        }
    };
    within(deadline, "a client's round trip", trip).await?
}
