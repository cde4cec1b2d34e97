//! Everything that goes over the bus, as a second client sees it.

use std::fmt;
use std::time::{Duration, Instant};

use async_nats::{Client, HeaderMap};
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::error::{Context, Error, Result};
use crate::journal::{Journal, Mark};
use crate::nats::{Server, round_trip};

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// Its body as JSON; null when it is none.
    pub json: Value,
    /// Its body as it came.
    pub bytes: Vec<u8>,
    /// Its headers, as "Name: value".
    pub headers: Vec<(String, String)>,
    /// When it arrived here.
    pub at: Instant,
    /// The same moment on the wall clock, to compare with the time stamp inside.
    pub wall: DateTime<Utc>,
}

impl Message {
    fn new(message: async_nats::Message) -> Message {
        Message {
            subject: message.subject.to_string(),
            json: serde_json::from_slice(&message.payload).unwrap_or_default(),
            bytes: message.payload.to_vec(),
            headers: message.headers.as_ref().map(flat).unwrap_or_default(),
            at: Instant::now(),
            wall: Utc::now(),
        }
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The text at a JSON pointer such as `/health`; empty when there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

fn flat(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name.to_string(), value.to_string())))
        .collect()
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.wall.format("%H:%M:%S%.3f");
        write!(formatter, "{time} {} {}", self.subject, String::from_utf8_lossy(&self.bytes))
    }
}

/// Records all messages of its subjects until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    client: Client,
    /// What was recorded so far.
    pub messages: Journal<Message>,
    _task: JoinSet<()>,
}

impl Recorder {
    /// Records everything under `kryten.`, but for what is asked of the robot: that is in
    /// [`crate::Robot::says`], and listening to it would make up for a missing robot.
    pub async fn start(server: &Server) -> Result<Recorder> {
        Recorder::start_on(server.listener().await?, "kryten.>").await
    }

    /// Records the subjects that fit `pattern`. When it returns, the server knows of it.
    pub async fn start_on(client: Client, pattern: &str) -> Result<Recorder> {
        let what = "subscribing the recorder";
        let mut subscription = client.subscribe(pattern.to_owned()).await.context(what)?;
        round_trip(&client, Duration::from_secs(10)).await.context(what)?;
        let messages = Journal::default();
        let written = messages.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(message) = subscription.next().await {
                written.push(Message::new(message));
            }
        });
        Ok(Recorder { client, messages, _task: task })
    }

    /// The place behind what was recorded so far.
    pub fn mark(&self) -> Mark {
        self.messages.mark()
    }

    /// What fits `pattern` and came after `mark`, oldest first.
    pub fn since(&self, mark: Mark, pattern: &str) -> Vec<Message> {
        let mut found = self.messages.since(mark);
        found.retain(|message| fits(pattern, &message.subject));
        found
    }

    /// All that fits `pattern`, oldest first.
    pub fn all(&self, pattern: &str) -> Vec<Message> {
        self.since(Mark::START, pattern)
    }

    /// The first message after `mark` that fits `pattern` and that `wanted` accepts.
    pub async fn wait_since(
        &self,
        mark: Mark,
        pattern: &str,
        deadline: Duration,
        mut wanted: impl FnMut(&Message) -> bool,
    ) -> Result<Message> {
        let what = format!("a message on {pattern}");
        self.messages
            .wait_since(mark, what, deadline, |message| fits(pattern, &message.subject) && wanted(message))
            .await
    }

    /// The first message of all that fits `pattern` and that `wanted` accepts.
    pub async fn wait_for(
        &self,
        pattern: &str,
        deadline: Duration,
        wanted: impl FnMut(&Message) -> bool,
    ) -> Result<Message> {
        self.wait_since(Mark::START, pattern, deadline, wanted).await
    }

    /// Waits until everything that had reached the server is recorded. Also waits for a server that
    /// is just coming back.
    pub async fn settle(&self, deadline: Duration) -> Result {
        round_trip(&self.client, deadline).await
    }

    /// Nothing that fits `pattern` reached the server after `mark`. Needs no waiting: use it after
    /// an event that proves that the daemon is past the point where it would have spoken.
    pub async fn none_since(&self, mark: Mark, pattern: &str) -> Result {
        self.settle(Duration::from_secs(10)).await?;
        match self.since(mark, pattern).first() {
            None => Ok(()),
            Some(message) => Err(Error::new(format!("nothing on {pattern} was expected, but: {message}"))),
        }
    }

    /// Nothing that fits `pattern` comes for `period` from now on; fails as soon as something does.
    /// Only for what has no event to wait for.
    pub async fn none_within(&self, period: Duration, pattern: &str) -> Result {
        let mark = self.mark();
        let coming =
            self.messages.wait_since(mark, "", Duration::MAX, |message| fits(pattern, &message.subject));
        match tokio::time::timeout(period, coming).await {
            Err(_) => Ok(()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(message)) => Err(Error::new(format!("nothing on {pattern} was expected, but: {message}"))),
        }
    }
}

/// Does `subject` fit `pattern`, where `*` stands for one token and `>` for one or more?
pub fn fits(pattern: &str, subject: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_as_on_the_bus() {
        let table = [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.b.c", "a.b", false),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("*.b.>", "a.b.c", true),
            ("*.x.>", "a.b.c", false),
        ];
        for (pattern, subject, fitting) in table {
            assert_eq!(fits(pattern, subject), fitting, "{pattern} and {subject}");
        }
    }
}
