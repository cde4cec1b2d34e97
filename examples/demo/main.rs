//! The daemon at work, for people. Without arguments it tells a story and fails when an event of it
//! does not come; with `--stay` it sets the stage and leaves it to you.
//!
//! `make demo` and `make run` call it.

mod story;
mod teller;

use std::process::ExitCode;

use kryten_testkit::daemon::binary_beside_example;
use kryten_testkit::{Context as _, Error, Result};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments[..] {
        [] => unless_interrupted(story::tell(binary_beside_example())).await,
        _ => Err(Error::new("usage: demo [--stay]")),
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

async fn interruption() -> Result<&'static str> {
    let what = "listening to signals";
    let mut interrupt = signal(SignalKind::interrupt()).context(what)?;
    let mut terminate = signal(SignalKind::terminate()).context(what)?;
    tokio::select! {
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
    }
}
