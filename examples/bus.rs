//! A small client of the bus, for whoever has no `nats`: listens, publishes, asks. The server is the one
//! that NATS_URL names, as it is for `nats`.

use std::process::ExitCode;
use std::time::Duration;

use async_nats::{Client, Message};
use clap::{Parser, Subcommand};
use futures_util::StreamExt as _;
use futures_util::stream::select_all;
use kryten_testkit::nats::round_trip;
use kryten_testkit::{Context as _, Error, Result, within};
use tokio::process::Command as Process;
use tokio::time::timeout;

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens, publishes and asks on a NATS bus.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server
    #[arg(long, global = true, env = "NATS_URL", default_value = "nats://127.0.0.1:4222")]
    server: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what comes, a line each: the subject and the body
    Sub {
        /// What to listen to; * and > stand for one and for many parts
        #[arg(required = true)]
        subjects: Vec<String>,
        /// Only what holds this text
        #[arg(long, default_value = "")]
        having: String,
        /// End after so many messages
        #[arg(long)]
        count: Option<usize>,
        /// Give up when the next message takes longer, in seconds
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
        /// A bash command to run once the server knows what we listen to
        #[arg(last = true)]
        then: Vec<String>,
    },
    /// Publish one message
    Pub {
        /// Where to
        subject: String,
        /// What
        #[arg(default_value = "")]
        body: String,
    },
    /// Ask, and print the answer
    Request {
        /// Whom
        subject: String,
        /// What
        #[arg(default_value = "")]
        body: String,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bus: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result {
    let what = format!("connecting to {}", arguments.server);
    let client = within(PATIENCE, &what, async_nats::connect(&arguments.server)).await?.context(&what)?;
    match arguments.command {
        Command::Sub { subjects, having, count, timeout, then } => {
            let listening = Listening { subjects, having, count, patience: timeout.map(Duration::from_secs) };
            listening.run(&client, &then.join(" ")).await
        }
        Command::Pub { subject, body } => {
            client.publish(subject, body.into()).await.context("publishing")?;
            round_trip(&client, PATIENCE).await
        }
        Command::Request { subject, body } => {
            let what = format!("the answer on {subject}");
            let answer = within(PATIENCE, &what, client.request(subject, body.into())).await?;
            println!("{}", String::from_utf8_lossy(&answer.context(&what)?.payload));
            Ok(())
        }
    }
}

struct Listening {
    subjects: Vec<String>,
    having: String,
    count: Option<usize>,
    patience: Option<Duration>,
}

impl Listening {
    async fn run(&self, client: &Client, then: &str) -> Result {
        let mut subscriptions = Vec::new();
        for subject in &self.subjects {
            subscriptions.push(client.subscribe(subject.clone()).await.context("subscribing")?);
        }
        round_trip(client, PATIENCE).await?;
        if !then.is_empty() {
            let ended = Process::new("bash").args(["-c", then]).status().await.context(then)?;
            if !ended.success() {
                return Err(Error::new(format!("{then}: {ended}")));
            }
        }
        let wanted = |message: &Message| String::from_utf8_lossy(&message.payload).contains(&self.having);
        let mut messages = select_all(subscriptions);
        let mut left = self.count;
        while left != Some(0) {
            let next = async {
                loop {
                    let message =
                        messages.next().await.ok_or_else(|| Error::new("the connection is closed"))?;
                    if wanted(&message) {
                        return Result::Ok(message);
                    }
                }
            };
            let message = match self.patience {
                None => next.await?,
                Some(patience) => timeout(patience, next).await.map_err(|_| self.nothing(patience))??,
            };
            println!("{} {}", message.subject, String::from_utf8_lossy(&message.payload));
            left = left.map(|left| left - 1);
        }
        Ok(())
    }

    fn nothing(&self, patience: Duration) -> Error {
        Error::new(format!("nothing on {} within {} s", self.subjects.join(" "), patience.as_secs()))
    }
}
