//! The robot's own task: it subscribes, answers and echoes in the manner that is in force.

use std::sync::Arc;
use std::time::Instant;

use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Manner, PATIENCE, Said};
use crate::chat::{Room, escape, line};
use crate::error::{Context, Result};
use crate::journal::Journal;
use crate::nats::round_trip;

const SAY: &str = "kryten.robot.command";

/// The robot's own task.
pub(super) struct Servant {
    pub client: Client,
    pub rooms: Arc<[Room]>,
    pub username: String,
    pub says: Journal<Said>,
}

impl Servant {
    pub async fn serve(
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
        subjects.extend(self.rooms.iter().map(user_level));
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
