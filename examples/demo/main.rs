//! The daemon at work, for people. Without arguments it tells a story and fails when an event of it
//! does not come. With `--stay` it sets the stage and leaves it to you. With `--neighbours` it only plays
//! the providers and the robot on the server that NATS_URL names, and writes a config.json that reaches
//! them.
//!
//! `make demo`, `make run` and `make manual` call it.

mod neighbours;
mod stay;
mod story;
mod teller;

use std::process::ExitCode;

use kryten_testkit::config::merge;
use kryten_testkit::daemon::binary_beside_example;
use kryten_testkit::{Context as _, Error, Result};
use neighbours::Neighbours;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments[..] {
        [] => unless_interrupted(story::tell(binary_beside_example())).await,
        ["--stay"] => stay::stay(binary_beside_example(), interruption()).await,
        ["--neighbours"] => unless_interrupted(play_neighbours()).await,
        _ => Err(Error::new("usage: demo [--stay | --neighbours]")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever is interrupted cleans up first: the servers and their folders go with `work`.
async fn unless_interrupted(work: impl Future<Output = Result>) -> Result {
    tokio::select! {
        ended = work => ended,
        name = interruption() => Err(Error::new(format!("interrupted by {}", name?))),
    }
}

/// Writes the config once everybody is there.
async fn play_neighbours() -> Result {
    let url = std::env::var("NATS_URL").context("NATS_URL")?;
    let neighbours = Neighbours::start(&url).await?;
    let mut config = neighbours.config(&url)?;
    merge(&mut config, for_the_impatient());
    std::fs::write("config.json", format!("{config:#}\n")).context("writing config.json")?;
    neighbours.obey().await
}

/// A beat each second, one try a provider, a free port.
fn for_the_impatient() -> Value {
    json!({
        "service_metadata": { "heartbeat_interval_seconds": 1 },
        "llm_providers": { "local": { "max_retries": 0 }, "openrouter": { "max_retries": 0 } },
        "metrics": { "port": 0 },
    })
}

async fn interruption() -> Result<&'static str> {
    let what = "listening to signals";
    let mut interrupt = signal(SignalKind::interrupt()).context(what)?;
    let mut terminate = signal(SignalKind::terminate()).context(what)?;
    tokio::select! {
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
    }
}
