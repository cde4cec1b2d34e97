//! A stand-in for the robot: takes lines, answers or not, and lets the room hear them or not.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::chat::{Room, escape, line, timestamp};
use crate::error::{Context, Error, Result, within};
use crate::journal::{Journal, Mark};
use crate::nats::round_trip;

const SAY: &str = "kryten.robot.command";
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
    task: JoinHandle<()>,
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
        let task = tokio::spawn(async move {
            if let Err(error) = robot.serve(changes, confirmed).await {
                eprintln!("the robot stand-in ended: {error}");
            }
        });
        let robot = Robot { client, rooms, manner: wanted, in_force, says, task };
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

impl Drop for Robot {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The robot's own task.
struct Servant {
    client: Client,
    rooms: Arc<[Room]>,
    username: String,
    says: Journal<Said>,
}

impl Servant {
    async fn serve(
        &mut self,
        mut changes: watch::Receiver<Manner>,
        confirmed: watch::Sender<Manner>,
    ) -> Result {
        let mut requests = SelectAll::new();
        loop {
            let manner = changes.borrow_and_update().clone();
            if manner == Manner::Absent {
                // Dropping a subscription unsubscribes it.
                requests.clear();
            } else if requests.is_empty() {
                requests = self.subscribe().await?;
            }
            round_trip(&self.client, PATIENCE).await?;
            confirmed.send_replace(manner.clone());
            loop {
                tokio::select! {
                    changed = changes.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return Ok(()),
                    },
                    Some(request) = requests.next() => self.answer(&manner, request).await?,
                }
            }
        }
    }

    async fn subscribe(&self) -> Result<SelectAll<Subscriber>> {
        let mut subjects = vec![SAY.to_owned()];
        // The names as they are, case and dots kept.
        subjects.extend(self.rooms.iter().map(|room| user_level(room)));
        let mut requests = SelectAll::new();
        for subject in subjects {
            requests.push(self.client.subscribe(subject).await.context("subscribing the robot stand-in")?);
        }
        Ok(requests)
    }

    async fn answer(&self, manner: &Manner, request: Message) -> Result {
        if request.subject.as_str() != SAY {
            let answer = json!({ "success": true, "rank": 2, "username": self.username });
            return self.reply(&request, answer).await;
        }
        let body: Value = serde_json::from_slice(&request.payload).unwrap_or_default();
        let Some(text) = body.pointer("/args/message").and_then(Value::as_str) else {
            return self.reply(&request, refusal("Missing message")).await;
        };
        let name = |pointer| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let named = Room::new(name("/meta/domain"), name("/meta/channel"));
        let room = self.rooms.iter().find(|room| obeys(room, &named));
        let said = Said {
            text: text.to_owned(),
            room: named,
            request: body.clone(),
            taken: room.is_some(),
            at: Instant::now(),
        };
        self.says.push(said);
        let Some(room) = room else { return Ok(()) };
        match manner {
            Manner::Echoes | Manner::Mute => {
                let success = json!({
                    "service": "robot", "command": "say", "success": true, "data": { "success": true }
                });
                self.reply(&request, success).await?;
            }
            Manner::Refuses(error) => self.reply(&request, refusal(error)).await?,
            Manner::Silent | Manner::SilentButEchoes | Manner::Absent => {}
        }
        if matches!(manner, Manner::Echoes | Manner::SilentButEchoes) {
            let event = room.envelope("chatmsg", line(&self.username, &escape(text)));
            self.send(room.subject("chatmsg"), event).await?;
        }
        Ok(())
    }

    async fn reply(&self, request: &Message, answer: Value) -> Result {
        match &request.reply {
            Some(inbox) => self.send(inbox.to_string(), answer).await,
            None => Ok(()),
        }
    }

    async fn send(&self, subject: String, body: Value) -> Result {
        self.client.publish(subject, body.to_string().into()).await.context("sending as the robot stand-in")
    }
}

fn user_level(room: &Room) -> String {
    format!("kryten.user_level.{}.{}", room.domain, room.channel)
}

/// The domain exactly, the channel in any case.
fn obeys(room: &Room, named: &Room) -> bool {
    room.domain == named.domain && room.channel.eq_ignore_ascii_case(&named.channel)
}

fn refusal(error: &str) -> Value {
    json!({ "service": "robot", "success": false, "error": error })
}
