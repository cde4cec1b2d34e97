//! A stand-in for the robot: takes lines, answers or not, and lets the room hear them or not.

mod servant;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chat::{Room, line, timestamp};
use crate::error::{Context, Error, Result, within};
use crate::journal::{Journal, Mark};
use crate::nats::round_trip;
use servant::Servant;

const PATIENCE: Duration = Duration::from_secs(10);

/// How the robot treats a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Takes it, says so, and the room hears it.
    Echoes,
    /// Takes it and says so, but the room never hears it: cut off from CyTube, or muted there.
    Mute,
    /// Answers with this error.
    Refuses(String),
    /// Takes it and says nothing, and nobody hears it.
    Silent,
    /// Takes it and says nothing, but the room hears it.
    SilentButEchoes,
    /// Is not there: no responders.
    Absent,
}

/// A line that the robot was asked to say.
#[derive(Debug, Clone)]
pub struct Said {
    /// The line.
    pub text: String,
    /// The room, as the request names it.
    pub room: Room,
    /// The whole request.
    pub request: Value,
    /// Whether the robot felt addressed: it serves that room.
    pub taken: bool,
    /// When it arrived.
    pub at: Instant,
}

impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mine = if self.taken { "" } else { ", which is not the robot's" };
        write!(formatter, "{:?} in {}/{}{mine}", self.text, self.room.domain, self.room.channel)
    }
}

/// The stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct Robot {
    client: Client,
    rooms: Arc<[Room]>,
    manner: watch::Sender<Manner>,
    /// The manner that is in force: the task has subscribed or unsubscribed as it asks for.
    in_force: watch::Receiver<Manner>,
    /// The lines that it was asked to say, in order.
    pub says: Journal<Said>,
    _task: JoinSet<()>,
}

impl Robot {
    /// A robot that serves `rooms` as the chat user `username`.
    pub async fn start(client: Client, rooms: &[Room], username: &str, manner: Manner) -> Result<Robot> {
        let (wanted, changes) = watch::channel(manner);
        let (confirmed, in_force) = watch::channel(Manner::Absent);
        let mut robot = Servant {
            client: client.clone(),
            rooms: rooms.into(),
            username: username.to_owned(),
            says: Journal::default(),
        };
        let (rooms, says) = (robot.rooms.clone(), robot.says.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = robot.serve(changes, confirmed).await {
                eprintln!("the robot stand-in ended: {error}");
            }
        });
        let robot = Robot { client, rooms, manner: wanted, in_force, says, _task: task };
        robot.confirmed().await?;
        Ok(robot)
    }

    /// Changes its manner; when it returns, the next line meets the new one.
    pub async fn behave(&self, manner: Manner) -> Result {
        self.manner.send_replace(manner);
        self.confirmed().await
    }

    async fn confirmed(&self) -> Result {
        let manner = self.manner.borrow().clone();
        let mut in_force = self.in_force.clone();
        let what = format!("the robot stand-in to become {manner:?}");
        // It starts as absent without having been asked, so being absent is no proof: but then
        // nothing had to be done either.
        within(PATIENCE, &what, in_force.wait_for(|now| *now == manner)).await?.context(&what)?;
        Ok(())
    }

    /// The first line behind `mark` that `wanted` accepts.
    pub async fn wait_for_say(
        &self,
        mark: Mark,
        deadline: Duration,
        mut wanted: impl FnMut(&Said) -> bool,
    ) -> Result<Said> {
        self.says.wait_since(mark, "a line for the robot to say", deadline, |said| wanted(said)).await
    }

    /// Somebody in the robot's first room writes `html`, as CyTube would pass it on.
    pub async fn chat(&self, user: &str, html: &str) -> Result {
        self.chat_in(self.first_room()?, user, html).await
    }

    /// Somebody in `room` writes `html`.
    pub async fn chat_in(&self, room: &Room, user: &str, html: &str) -> Result {
        self.event(room, "chatmsg", line(user, html)).await
    }

    /// Any event of a room, in a proper envelope.
    pub async fn event(&self, room: &Room, event: &str, payload: Value) -> Result {
        self.publish(&room.subject(event), room.envelope(event, payload)).await
    }

    /// Any JSON on any subject.
    pub async fn publish(&self, subject: &str, body: Value) -> Result {
        self.publish_raw(subject, body.to_string()).await
    }

    /// Any bytes on any subject.
    pub async fn publish_raw(&self, subject: &str, body: impl Into<Vec<u8>>) -> Result {
        let what = format!("publishing on {subject}");
        self.client.publish(subject.to_owned(), body.into().into()).await.context(&what)?;
        self.client.flush().await.context(&what)
    }

    /// A request, and its answer as JSON.
    pub async fn ask(&self, subject: &str, body: Value) -> Result<Value> {
        let what = format!("a request on {subject}");
        let request = self.client.request(subject.to_owned(), body.to_string().into());
        let answer = within(PATIENCE, &what, request).await?.context(&what)?;
        serde_json::from_slice(&answer.payload).context(format_args!("the answer to {what}"))
    }

    /// The robot starts: the bare `startup`.
    pub async fn startup(&self) -> Result {
        self.lifecycle("startup", json!({})).await
    }

    /// The robot's CyTube side of `room` came up.
    pub async fn connected(&self, room: &Room) -> Result {
        self.lifecycle(
            "connected",
            json!({ "target": "CyTube", "domain": room.domain, "channel": room.channel }),
        )
        .await
    }

    /// The robot's CyTube side went; like the real one it names no room.
    pub async fn disconnected(&self) -> Result {
        self.lifecycle("disconnected", json!({ "target": "CyTube", "reason": "transport close" })).await
    }

    /// Any lifecycle message of the robot's, with the common keys added.
    pub async fn lifecycle(&self, event: &str, keys: Value) -> Result {
        let mut body = json!({
            "service": "robot",
            "version": "1.12.0",
            "hostname": "robot-stand-in",
            "timestamp": timestamp(),
            "uptime_seconds": 12.5,
        });
        crate::config::merge(&mut body, keys);
        self.publish(&format!("kryten.lifecycle.robot.{event}"), body).await
    }

    /// Waits until the server knows of its subscriptions again, after a restart for instance.
    pub async fn settle(&self, deadline: Duration) -> Result {
        round_trip(&self.client, deadline).await
    }

    /// The first of its rooms.
    pub fn first_room(&self) -> Result<&Room> {
        self.rooms.first().ok_or_else(|| Error::new("the robot stand-in has no room"))
    }
}
