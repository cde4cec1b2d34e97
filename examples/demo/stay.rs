//! The stage without the story: everything runs until you end it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use kryten_testkit::config::merge;
use kryten_testkit::process::Process;
use kryten_testkit::{Context as _, Daemon, Error, Launch, Result, ports};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::neighbours::Neighbours;
use crate::teller::Teller;

/// Where NATS listens when nobody else does.
const NATS_PORT: u16 = 4222;
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the daemon may take to end: longer than its own deadline.
const ENDED: Duration = Duration::from_secs(40);

/// Starts everything, says where it is, and shows what happens until `end`.
///
/// # Errors
/// When something does not start, or the daemon ends by itself.
pub async fn stay(binary: Result<PathBuf>, end: impl Future<Output = Result<&'static str>>) -> Result {
    let (_nats, url) = nats_server().await?;
    let neighbours = Neighbours::start(&url).await?;
    let mut config = neighbours.config(&url)?;
    let wanted = config["metrics"]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let has_port = wanted.is_some_and(is_free);
    if !has_port {
        merge(&mut config, json!({ "metrics": { "port": 0 } }));
    }
    let mut show = Show::start(&url).await?;
    let daemon = Launch::new(binary?).env("OPENROUTER_API_KEY", "key-of-a-stand-in").start(&config)?;
    introduce(&url, &daemon, &config, has_port).await?;
    tokio::select! {
        obeyed = neighbours.obey() => return obeyed,
        () = show.run() => return Err(Error::new("the NATS server is gone")),
        exit = daemon.wait_exit(Duration::MAX) => {
            return Err(Error::new(format!("the daemon ended by itself: {:?}", exit?)));
        }
        asked = end => asked.map(drop)?,
    }
    daemon.terminate()?;
    let (_, exit) = tokio::join!(timeout(ENDED, show.run()), daemon.wait_exit(ENDED));
    println!("\nThe daemon ended with {:?}, and nothing is left behind.", exit?);
    Ok(())
}

/// A server on the usual port, or on another when that is taken, and its URL.
async fn nats_server() -> Result<(Process, String)> {
    let binary = std::env::var_os("NATS_SERVER").ok_or_else(|| {
        Error::new("NATS_SERVER does not say where nats-server is: start this with 'make run'")
    })?;
    let port = if is_free(NATS_PORT) { NATS_PORT } else { ports::free()?.number() };
    let mut command = Command::new(binary);
    command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
    let process = Process::start(command)?;
    let ready = |line: &str| line.contains("Server is ready");
    process.lines.wait("nats-server to get ready", PATIENCE, |line| ready(&line.text)).await?;
    Ok((process, format!("nats://127.0.0.1:{port}")))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

async fn introduce(url: &str, daemon: &Daemon, config: &Value, has_port: bool) -> Result {
    let http = daemon.http_address().await?;
    let text = |pointer| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (domain, channel) = (text("/channels/0/domain"), text("/channels/0/channel"));
    let port =
        if has_port { "" } else { "\n              metrics.port: any, because the usual one is taken" };
    let has_client = Command::new("nats").arg("--version").output().is_ok();
    let client = if has_client { format!("nats --server {url}") } else { own_client(url)? };
    println!(
        "kryten-llm runs, with a NATS server; the robot and two LLM providers only pretend.

  NATS      {url}
  dashboard http://{http}/
  health    http://{http}{health_path}
  room      {domain}/{channel}, where the bot is {name}
  config    config.example.json, but for
              nats.servers: the one above
              llm_providers.*.base_url: the pretenders
              rate_limits: so wide that you need not wait
              spam_detection.enabled: false, so that you may repeat yourself{port}

Paste this into another terminal, and the bot talks:

  {client} pub kryten.events.cytube.{token}.chatmsg '{{\"payload\":{{\"username\":\"you\",\"msg\":\"Cynthia, say something\"}}}}'

Change how a provider is (works, fails, hangs, slow); it has a fellow, called openrouter:

  {client} request stand-in.local fails

What the room and the bus hear of it stands here. Ctrl-C ends it all.
",
        health_path = text("/metrics/health_path"),
        name = text("/personality/character_name"),
        token = channel.to_lowercase(),
    );
    Ok(())
}

/// How to call the client that lies beside us, when there is no `nats`.
fn own_client(url: &str) -> Result<String> {
    let here = std::env::current_exe().context("looking for the running example")?;
    let client = here.with_file_name("bus");
    let folder = std::env::current_dir().unwrap_or_default();
    let client = client.strip_prefix(folder).unwrap_or(&client);
    Ok(format!("{} --server {url}", client.display()))
}

/// What is shown of the bus.
struct Show {
    messages: Subscriber,
    teller: Teller,
    health: String,
}

impl Show {
    async fn start(url: &str) -> Result<Show> {
        let what = "listening to the bus";
        let client = async_nats::connect(url).await.context(what)?;
        let messages = client.subscribe("kryten.>").await.context(what)?;
        client.flush().await.context(what)?;
        Ok(Show { messages, teller: Teller::new(Instant::now()), health: String::new() })
    }

    /// Shows what comes, until the daemon has said goodbye.
    async fn run(&mut self) {
        while let Some(message) = self.messages.next().await {
            let body: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            let text = |pointer| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let event = message.subject.rsplit('.').next().unwrap_or_default();
            let words = match (message.subject.as_str(), event) {
                (_, "chatmsg") => {
                    let said = html_escape::decode_html_entities(text("/payload/msg"));
                    format!("{}: {said}", text("/payload/username"))
                }
                ("kryten.lifecycle.llm.startup", _) => "announced itself".to_owned(),
                ("kryten.lifecycle.llm.shutdown", _) => {
                    let figure = |name| &body[name];
                    let (messages, replies) = (figure("messages_processed"), figure("responses_sent"));
                    format!("said goodbye ({}): {messages} messages, {replies} replies", text("/reason"))
                }
                ("kryten.service.heartbeat.llm", _) => match self.health_news(&body) {
                    Some(news) => news,
                    None => continue,
                },
                _ => continue,
            };
            self.teller.line(Instant::now(), &words);
            if message.subject.as_str() == "kryten.lifecycle.llm.shutdown" {
                return;
            }
        }
    }

    /// What a beat says of the health, when that is new.
    fn health_news(&mut self, beat: &Value) -> Option<String> {
        let text = |key: &str| beat[key].as_str().unwrap_or_default();
        let reason = text("health_reason");
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let health = format!("{}{reason}", self.teller.health(text("health")));
        let is_news = health != self.health;
        self.health.clone_from(&health);
        is_news.then(|| format!("beats, {health}"))
    }
}
