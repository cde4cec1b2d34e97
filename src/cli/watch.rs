//! `kryten-llm watch`: every Kryten service on the bus, and how it is.

mod screen;
mod show;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, sleep_until};

use super::terminal::escaped_json;
use super::visit::{self, Tries, Visit};
use super::{exit, say, say_error};
use crate::bus::link::LinkFailure;
use crate::bus::subjects::{self, ALL_HEARTBEATS, ALL_LIFECYCLES, DISCOVERY_POLL};
use crate::bus::subscription::{Message, Subscription};
use crate::bus::wire::ServiceReport;
use crate::config::Config;
use crate::group::{SILENT_AFTER_SECONDS, Table, Verdict, verdict};
use crate::names;
use screen::Screen;

/// How often what is shown is brought up to date.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What `--help` says besides.
const HELP: &str = "\
All services are asked once, at the start, to announce themselves (kryten.service.discovery.poll).
A service that has beaten and does so no longer is silent; one that never beats stays announced.
In a terminal the table is redrawn in place; Ctrl-C ends it. Else there is one line for each change.

Exit codes of --once:
  0    all services are healthy (one that said goodbye is no trouble, unless --expect names it)
  1    something is degraded
  2    something is failing, silent or missing, or there is nobody at all; or a bad command line
  69   NATS can't be reached
  77   NATS refused the credentials
  78   the configuration can't be used";

/// How to look.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct WatchArguments {
    /// Listen for a while, show what was heard, and end with an exit code for it
    #[arg(long)]
    once: bool,

    /// How long --once listens; a beat comes every 10 seconds if not configured otherwise
    #[arg(long, value_name = "NUMBER", default_value_t = 12, requires = "once", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,

    /// Show it as one JSON document
    #[arg(long, requires = "once")]
    json: bool,

    /// This service should be there: it is missing when nobody hears of it; can be given several times
    #[arg(long, value_name = "SERVICE")]
    expect: Vec<String>,

    /// Without a beat for so many seconds a service that has beaten is silent
    #[arg(long, value_name = "NUMBER", default_value_t = SILENT_AFTER_SECONDS, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    silent_after: u64,
}

/// Watches until it is told to stop; with `--once` for a while.
pub fn run(config: &Config, arguments: &WatchArguments) -> ExitCode {
    let mut expected = Vec::new();
    for name in &arguments.expect {
        let Ok(token) = names::service_token(name) else {
            say_error("--expect: no service can have this name");
            return exit::code(exit::USAGE);
        };
        expected.push(token);
    }
    expected.sort();
    expected.dedup();
    let table = Table::new(Duration::from_secs(arguments.silent_after), expected);
    visit::run(async {
        let tries = if arguments.once { Tries::Once } else { Tries::AsConfigured };
        let subjects = [ALL_HEARTBEATS, ALL_LIFECYCLES];
        let (visit, [beats, lives]) = Visit::begin(&config.nats, "watch", subjects, tries);
        let mut watch = Watch { visit, beats, lives, table };
        let ended = if arguments.once {
            watch.once(Duration::from_secs(arguments.seconds), arguments.json).await
        } else {
            watch.on().await
        };
        match ended {
            Ok(code) => exit::code(code),
            Err(Ended::Link(failure)) => visit::failed(&failure),
            // Whoever read it has read enough.
            Err(Ended::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::code(exit::OK),
            Err(Ended::Output(error)) => {
                say_error(&error.to_string());
                exit::code(exit::UNEXPECTED)
            }
        }
    })
}

/// Why it can't go on.
enum Ended {
    Link(LinkFailure),
    Output(io::Error),
}

struct Watch {
    visit: Visit,
    beats: Subscription,
    lives: Subscription,
    table: Table,
}

impl Watch {
    /// Listens for `time`, counted from when the link is up.
    async fn once(&mut self, time: Duration, as_json: bool) -> Result<u8, Ended> {
        self.visit.until_up().await.map_err(Ended::Link)?;
        self.ask().await;
        let end = Instant::now() + time;
        loop {
            tokio::select! {
                message = heard(&mut self.beats, &mut self.lives) => self.hear(&message),
                failure = self.visit.given_up() => return Err(Ended::Link(failure)),
                () = sleep_until(end) => break,
            }
            self.look_at_link();
        }
        let now = self.visit.clock.now();
        let rows = self.table.rows(now.elapsed);
        let verdict = verdict(&rows);
        let is_full = self.table.is_full(now.elapsed);
        if as_json {
            say(&escaped_json(&show::document(&rows, is_full, verdict, now)));
        } else {
            say(&show::table(&rows, is_full, None).join("\n"));
        }
        Ok(match verdict {
            Verdict::Healthy => 0,
            Verdict::Degraded => 1,
            Verdict::Failing => 2,
        })
    }

    /// Goes on until a signal.
    async fn on(&mut self) -> Result<u8, Ended> {
        let mut stops = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        let [Ok(interrupt), Ok(terminate)] = &mut stops else {
            return Err(Ended::Output(io::Error::other("signals can't be heard")));
        };
        let mut screen = Screen::of_stdout().map_err(Ended::Output)?;
        let mut look = interval(LOOK_EVERY);
        let mut has_asked = false;
        loop {
            tokio::select! {
                message = heard(&mut self.beats, &mut self.lives) => {
                    self.hear(&message);
                    continue;
                }
                failure = self.visit.given_up() => return Err(Ended::Link(failure)),
                _ = interrupt.recv() => return Ok(exit::OK),
                _ = terminate.recv() => return Ok(exit::OK),
                _ = look.tick() => {}
            }
            self.look_at_link();
            let trouble = self.visit.trouble();
            if trouble.is_none() && !has_asked {
                has_asked = true;
                self.ask().await;
            }
            let now = self.visit.clock.now().elapsed;
            screen
                .show(&self.table.rows(now), self.table.is_full(now), trouble.as_deref())
                .map_err(Ended::Output)?;
        }
    }

    /// Asks everybody to announce themselves. Nobody's life depends on it, so it may fail.
    async fn ask(&mut self) {
        self.look_at_link();
        let _ = self.visit.publish(DISCOVERY_POLL, br#"{"source":"kryten-llm watch"}"#.to_vec()).await;
    }

    fn look_at_link(&mut self) {
        self.table.link(self.visit.clock.now().elapsed, self.visit.bus.link().is_up());
    }

    fn hear(&mut self, message: &Message) {
        let Some((service, sign)) = subjects::sign(message.subject()) else { return };
        let now = self.visit.clock.now().elapsed;
        self.table.hear(now, service, sign, ServiceReport::parse(message.payload()));
    }
}

/// The next message of either. Waits for ever when the link's keeper has ended, which is told elsewhere.
async fn heard(beats: &mut Subscription, lives: &mut Subscription) -> Message {
    tokio::select! {
        Some(message) = beats.next() => message,
        Some(message) = lives.next() => message,
        else => std::future::pending().await,
    }
}
