//! `kryten-llm send`: a chat line into a room, as if the robot had passed it on.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep_until};

use super::terminal::visible;
use super::visit::{self, Tries, Visit};
use super::{exit, rooms, say, say_error};
use crate::bus::link::LinkFailure;
use crate::bus::subscription::Message;
use crate::bus::{PublishError, subjects, wire};
use crate::chat::event::{self, ChatEvent};
use crate::config::Config;
use crate::names::RoomName;

/// What `--help` says besides.
const HELP: &str = "\
This is for trying things out: it fakes a chat user on the bus. Every service that listens to the
room takes the line for a real one, counts it and may answer it, and providers may cost money.
People in the room don't see it, but they do see the answer.

--wait shows what others say in the room: the robot passes the bot's own lines on like everybody's.

Exit codes:
  0    the bus has it
  2    bad command line, or no such room in the configuration
  69   NATS can't be reached, or it is not known whether it has the line
  77   NATS refused the credentials
  78   the configuration can't be used";

/// The line, and where it goes.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct SendArguments {
    /// Who says it
    #[arg(long, value_name = "NAME", default_value = "tester")]
    user: String,

    /// In which room; the first one when left out
    #[arg(long, value_name = "CHANNEL")]
    room: Option<String>,

    /// The user's rank
    #[arg(long, value_name = "NUMBER")]
    rank: Option<f64>,

    /// Show what is said in the room within so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: Option<u64>,

    /// What is said, as people type it
    #[arg(allow_hyphen_values = true)]
    text: String,
}

/// Why it is not done.
enum Failure {
    Link(LinkFailure),
    Publish(PublishError),
    Output(io::Error),
}

/// Sends the line, and says what came of it.
pub fn run(config: &Config, arguments: &SendArguments) -> ExitCode {
    let Some(room) = rooms::find(config, arguments.room.as_deref()) else { return rooms::unknown() };
    visit::run(async {
        match send(config, &room, arguments).await {
            Ok(()) => exit::code(exit::OK),
            Err(Failure::Link(failure)) => visit::failed(&failure),
            Err(Failure::Publish(error)) => {
                say_error(&format!("it is not known whether the line was sent: {error}"));
                exit::code(exit::UNAVAILABLE)
            }
            // Whoever read it has read enough.
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::code(exit::OK),
            Err(Failure::Output(error)) => {
                say_error(&error.to_string());
                exit::code(exit::UNEXPECTED)
            }
        }
    })
}

async fn send(config: &Config, room: &RoomName, arguments: &SendArguments) -> Result<(), Failure> {
    let subject = subjects::room_event(room.token(), "chatmsg");
    let (mut visit, [mut lines]) = Visit::begin(&config.nats, "send", [&subject], Tries::Once);
    visit.until_up().await.map_err(Failure::Link)?;
    let id = uuid::Uuid::new_v4().to_string();
    let SendArguments { user, rank, text, .. } = arguments;
    let line = wire::chat_line(room, user, *rank, text, &id, visit.clock.now());
    visit.publish(&subject, line).await.map_err(Failure::Publish)?;
    say(&format!("sent to {room}: {}: {}", visible(user), visible(text)));
    let Some(seconds) = arguments.wait else { return Ok(()) };
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        tokio::select! {
            Some(message) = lines.next() => {
                if let Some(said) = said(&message, room, &id) {
                    let mut output = io::stdout().lock();
                    writeln!(output, "{said}").and_then(|()| output.flush()).map_err(Failure::Output)?;
                }
            }
            failure = visit.given_up() => return Err(Failure::Link(failure)),
            () = sleep_until(end) => return Ok(()),
        }
    }
}

/// What somebody else than we said in the room.
fn said(message: &Message, room: &RoomName, own_id: &str) -> Option<String> {
    let event = event::parse("chatmsg", message.payload()).ok()?;
    let is_elsewhere = event.domain.is_some_and(|domain| !domain.eq_ignore_ascii_case(room.domain()));
    match event.event {
        ChatEvent::Chat(line) if !is_elsewhere && line.correlation_id.as_deref() != Some(own_id) => {
            Some(format!("{}: {}", visible(line.user.as_str()), visible(&line.text)))
        }
        _ => None,
    }
}
