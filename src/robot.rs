//! The robot's presence: is it there, is it in the room, and under which name.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use crate::bus::{Bus, PublishError, Reply, subjects, wire};
use crate::clock::Clock;
use crate::decider::DeciderHandle;
use crate::health::{Component, HealthMonitor};
use crate::names::{RoomName, Username};

/// How long the robot has to say who we are.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a robot that has not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// The condition that any sign of life of the robot ends.
pub const ROBOT_CONDITION: &str = "robot answers";

/// What the bus says about the robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RobotNotice {
    /// It (re)started, or the link came back: ask again.
    Started,
    /// Its CyTube side came up or went away.
    CyTube {
        /// Whether it is there.
        connected: bool,
        /// The room that the notice names; none means all.
        room: Option<(String, String)>,
    },
}

/// Watches the robot. See [`RobotWatch::run`].
pub struct RobotWatch {
    bus: Bus,
    clock: Clock,
    health: HealthMonitor,
    decider: DeciderHandle,
    notices: mpsc::Receiver<RobotNotice>,
    rooms: Vec<WatchedRoom>,
}

struct WatchedRoom {
    room: RoomName,
    cytube_away: watch::Sender<bool>,
    /// Whether the question is out, or answered.
    is_asked: bool,
}

impl RobotWatch {
    /// A watch over `rooms`, and per room whether the robot's CyTube side is away.
    pub fn new(
        rooms: &[RoomName],
        bus: Bus,
        clock: Clock,
        health: HealthMonitor,
        decider: DeciderHandle,
        notices: mpsc::Receiver<RobotNotice>,
    ) -> (Self, HashMap<RoomName, watch::Receiver<bool>>) {
        let mut away = HashMap::new();
        let rooms = rooms
            .iter()
            .map(|room| {
                let (cytube_away, receiver) = watch::channel(false);
                away.insert(room.clone(), receiver);
                WatchedRoom { room: room.clone(), cytube_away, is_asked: false }
            })
            .collect();
        (Self { bus, clock, health, decider, notices, rooms }, away)
    }

    /// Takes notices, and asks the robot who we are until it has said so. Ends when nobody can
    /// give a notice any more.
    pub async fn run(mut self) {
        let mut ask_again = interval(ASK_AGAIN);
        ask_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answers = FuturesUnordered::new();
        loop {
            tokio::select! {
                notice = self.notices.recv() => match notice {
                    None => return,
                    Some(RobotNotice::Started) => self.names_unknown(|_| true),
                    Some(RobotNotice::CyTube { connected, room }) => {
                        self.cytube(connected, room).await;
                    }
                },
                Some((index, reply)) = answers.next() => {
                    self.answered(index, reply).await;
                    continue;
                }
                _ = ask_again.tick() => {}
            }
            for index in 0..self.rooms.len() {
                if !std::mem::replace(&mut self.rooms[index].is_asked, true) {
                    answers.push(self.ask(index));
                }
            }
        }
    }

    fn names_unknown(&mut self, is_meant: impl Fn(&RoomName) -> bool) {
        self.rooms
            .iter_mut()
            .filter(|watched| is_meant(&watched.room))
            .for_each(|watched| watched.is_asked = false);
    }

    async fn cytube(&mut self, connected: bool, named: Option<(String, String)>) {
        for watched in &mut self.rooms {
            let is_meant = named.as_ref().is_none_or(|(domain, channel)| {
                watched.room.domain().eq_ignore_ascii_case(domain)
                    && watched.room.channel().eq_ignore_ascii_case(channel)
            });
            if !is_meant {
                continue;
            }
            let was_away = watched.cytube_away.send_replace(!connected);
            match (connected, was_away) {
                (false, false) => {
                    warn!(room = %watched.room, "the robot has left CyTube: replies wait");
                }
                (true, true) => info!(room = %watched.room, "the robot is back in the room"),
                _ => {}
            }
            let why = (!connected).then(|| format!("{}: away from CyTube", watched.room.channel()));
            let key = format!("cytube {}", watched.room);
            self.health.condition(self.clock.now(), Component::Robot, key, why, None);
            watched.is_asked = !connected;
            if connected {
                self.decider.robot_back(watched.room.clone()).await;
            }
        }
    }

    fn ask(&self, index: usize) -> impl Future<Output = (usize, Result<Reply, PublishError>)> + use<> {
        let bus = self.bus.clone();
        let room = &self.rooms[index].room;
        let subject = subjects::user_level(room.domain(), room.channel());
        async move {
            let Some(subject) = subject else { return (index, Err(PublishError::Refused)) };
            (index, bus.request(&subject, b"{}".to_vec(), None, ANSWER_TIMEOUT).await)
        }
    }

    /// A room whose answer tells no name is asked again at the next tick.
    async fn answered(&mut self, index: usize, reply: Result<Reply, PublishError>) {
        let now = self.clock.now();
        let watched = &mut self.rooms[index];
        match reply {
            Ok(Reply::Answered(answer)) => {
                self.health.condition(now, Component::Robot, ROBOT_CONDITION, None, None);
                let name = wire::own_name(&answer).map(|name| Username::new(&name));
                debug!(room = %watched.room, ?name, "the robot says who we are");
                watched.is_asked = name.is_some();
                self.decider.own_name(watched.room.clone(), name).await;
            }
            Ok(Reply::NoResponders) => {
                let why = "no robot is on the bus".to_owned();
                self.health.condition(now, Component::Robot, ROBOT_CONDITION, Some(why), None);
                watched.is_asked = false;
            }
            // It may be there and not know the question; its answers to lines will tell.
            Ok(Reply::TimedOut) | Err(_) => watched.is_asked = false,
        }
    }
}
