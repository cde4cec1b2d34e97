//! A real Prometheus that scrapes the daemon, with the rules and the example of this repository.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kryten_testkit::http::{get_json, query_value};
use kryten_testkit::process::Process;
use kryten_testkit::world::SOON;
use kryten_testkit::{Context as _, Error, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::folder;

/// How long it may take for anything: the alert that is waited for holds for 30 s before it fires.
const PATIENCE: Duration = Duration::from_secs(90);

/// A Prometheus. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    // The process goes before its folder does.
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it on a port that the system chooses. The example's target becomes `daemon`, and its
    /// intervals a second.
    pub async fn start(program: &Path, daemon: SocketAddr) -> Result<Prometheus> {
        let what = "preparing a Prometheus";
        let own = TempDir::with_prefix("kryten-prometheus-").context(what)?;
        let example = std::fs::read_to_string(folder().join("prometheus.yml")).context(what)?;
        let mut config = example.clone();
        for (from, to) in [
            ("127.0.0.1:28286", daemon.to_string()),
            ("scrape_interval: 15s", "scrape_interval: 1s".to_owned()),
            ("evaluation_interval: 15s", "evaluation_interval: 1s".to_owned()),
        ] {
            assert_eq!(example.matches(from).count(), 1, "{from} in the example");
            config = config.replace(from, &to);
        }
        std::fs::write(own.path().join("prometheus.yml"), config).context(what)?;
        let rules = "kryten-llm.rules.yml";
        std::fs::copy(folder().join(rules), own.path().join(rules)).context(what)?;
        let mut command = Command::new(program);
        command
            .args([
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--web.listen-address=127.0.0.1:0",
            ])
            .current_dir(own.path());
        let process = Process::start(command)?;
        let lines = &process.lines;
        let listens = |text: &str| text.contains("Listening on");
        let line = lines.wait("Prometheus to listen", SOON, |line| listens(&line.text)).await?.text;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.and_then(|address| address.trim_matches('"').parse().ok());
        let address = address.ok_or_else(|| Error::new(format!("no address in {line:?}")))?;
        lines.wait("Prometheus to get ready", SOON, |line| line.text.contains("Server is ready")).await?;
        Ok(Prometheus { address, _process: process, _folder: own })
    }

    /// The `data` of an answer of its API.
    ///
    /// # Errors
    /// Also when it says that the question is wrong.
    pub async fn ask(&self, path: &str) -> Result<Value> {
        let mut answer = get_json(self.address, &format!("/api/v1/{path}")).await?;
        if answer["status"] != "success" {
            return Err(Error::new(format!("Prometheus, asked for {path}: {answer}")));
        }
        Ok(answer["data"].take())
    }

    /// The samples that an expression gives now.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let mut data = self.ask(&format!("query?query={}", query_value(expression))).await?;
        Ok(data["result"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Asks again and again until `wanted` accepts the answer; gives it.
    pub async fn wait(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let asked = Instant::now();
        loop {
            let answer = self.ask(path).await?;
            if wanted(&answer) {
                return Ok(answer);
            }
            if asked.elapsed() > PATIENCE {
                return Err(Error::new(format!(
                    "waited {PATIENCE:?} for another answer to {path} than {answer}"
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an expression gives something.
    pub async fn wait_for(&self, expression: &str) -> Result {
        let some = |data: &Value| data["result"].as_array().is_some_and(|result| !result.is_empty());
        self.wait(&format!("query?query={}", query_value(expression)), some).await.map(drop)
    }
}
