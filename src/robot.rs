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
use crate::names::{self, RoomName, Username};

/// How long the robot has to say who we are.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a robot that has not said who we are is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How long a robot that is back in CyTube drops the room's chat, our lines' echoes too: three
/// seconds, and what its notice takes to us.
const DEAF: Duration = Duration::from_millis(3_500);

/// What the bus says about the robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RobotNotice {
    /// It (re)started: ask again.
    Started,
    /// Its CyTube side came up or went away.
    CyTube {
        /// Whether it is there.
        connected: bool,
        /// The domain of the room that is meant, as far as the notice names one.
        domain: Option<String>,
        /// Its channel, likewise; neither means all rooms.
        channel: Option<String>,
    },
}

/// What a room's outbox shares with the watch over the robot.
pub struct RoomRobot {
    presence: Presence,
    cytube: watch::Receiver<CyTubeSide>,
    takes_lines: watch::Sender<bool>,
}

impl RoomRobot {
    /// Waits while the robot's CyTube side is away.
    pub async fn in_the_room(&mut self) {
        if self.cytube.wait_for(|cytube| !cytube.is_away).await.is_err() {
            // The watch is gone, and so will be the outbox.
            std::future::pending::<()>().await;
        }
    }

    /// Since when an echo tells something.
    pub fn echoes(&self) -> Echoes {
        Echoes(self.cytube.clone())
    }

    /// Somebody answered a line, or nobody was there to take it.
    pub fn takes_lines(&self, takes: bool) {
        self.takes_lines.send_replace(takes);
        self.presence.is((!takes).then_some("no robot takes our lines"));
    }
}

/// How a robot's CyTube side is in one room.
#[derive(Debug, Clone, Copy, Default)]
struct CyTubeSide {
    is_away: bool,
    /// When it was last said to have come, since start.
    came: Option<Duration>,
}

/// Since when a room's chat comes through its robot.
pub struct Echoes(watch::Receiver<CyTubeSide>);

impl Echoes {
    /// Of what was said before that, since start, no echo need come.
    pub fn come_since(&self) -> Duration {
        self.0.borrow().came.map_or(Duration::ZERO, |came| came + DEAF)
    }
}

/// What health hears of a robot's being there, for one room: any answer of it ends what was said.
#[derive(Clone)]
struct Presence {
    room: RoomName,
    clock: Clock,
    health: HealthMonitor,
}

impl Presence {
    fn is(&self, unhealthy: Option<&str>) {
        let message = unhealthy.map(|why| format!("{}: {why}", self.room.channel()));
        let key = format!("presence {}", self.room);
        self.health.condition(self.clock.now(), Component::Robot, key, message, None);
    }
}

/// Watches the robot. See [`RobotWatch::run`].
pub struct RobotWatch {
    bus: Bus,
    clock: Clock,
    health: HealthMonitor,
    decider: DeciderHandle,
    notices: mpsc::Receiver<RobotNotice>,
    rooms: Vec<WatchedRoom>,
    /// The connection on which the robot was asked last.
    connection: u64,
}

struct WatchedRoom {
    room: RoomName,
    presence: Presence,
    cytube: watch::Sender<CyTubeSide>,
    takes_lines: watch::Receiver<bool>,
    is_wanted: bool,
    /// At most one question is out, whatever the bus brings.
    is_asked: bool,
    is_answered: bool,
}

impl RobotWatch {
    /// A watch over `rooms`, and for each room its outbox's share in it.
    pub fn new(
        rooms: &[RoomName],
        bus: Bus,
        clock: Clock,
        health: HealthMonitor,
        decider: DeciderHandle,
        notices: mpsc::Receiver<RobotNotice>,
    ) -> (Self, HashMap<RoomName, RoomRobot>) {
        let (rooms, shares) = rooms
            .iter()
            .map(|room| {
                let (cytube_sender, cytube) = watch::channel(CyTubeSide::default());
                let (takes_lines, takes_receiver) = watch::channel(false);
                let presence = Presence { room: room.clone(), clock, health: health.clone() };
                let share = RoomRobot { presence: presence.clone(), cytube, takes_lines };
                let watched = WatchedRoom {
                    room: room.clone(),
                    presence,
                    cytube: cytube_sender,
                    takes_lines: takes_receiver,
                    is_wanted: false,
                    is_asked: false,
                    is_answered: false,
                };
                (watched, (room.clone(), share))
            })
            .unzip();
        (Self { bus, clock, health, decider, notices, rooms, connection: 0 }, shares)
    }

    /// Takes notices, and asks the robot who we are until it has said so. Ends when nobody can
    /// give a notice any more, or the link can't come back.
    pub async fn run(mut self) {
        let mut ask_again = interval(ASK_AGAIN);
        ask_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answers = FuturesUnordered::new();
        loop {
            tokio::select! {
                // A new connection first: what it brought counts from then on.
                biased;
                alive = self.bus.changed() => {
                    if !alive {
                        return;
                    }
                    self.hear_link();
                }
                notice = self.notices.recv() => {
                    // It may be here before the waking for the connection that it came over.
                    self.hear_link();
                    match notice {
                        None => return,
                        Some(RobotNotice::Started) => self.rooms.iter_mut().for_each(WatchedRoom::want),
                        Some(RobotNotice::CyTube { connected, domain, channel }) => {
                            self.cytube(connected, domain.as_deref(), channel.as_deref()).await;
                        }
                    }
                }
                Some((index, reply)) = answers.next() => self.answered(index, reply).await,
                _ = ask_again.tick() => {
                    self.rooms.iter_mut().filter(|room| !room.is_answered).for_each(WatchedRoom::want);
                }
            }
            let is_up = self.bus.link().is_up();
            for (index, room) in self.rooms.iter_mut().enumerate() {
                if is_up && room.is_wanted && !room.is_asked {
                    (room.is_wanted, room.is_asked) = (false, true);
                    answers.push(ask(index, room.room.clone(), self.bus.clone()));
                }
            }
        }
    }

    /// Over a loss of the link the robot may have come, gone, or found its room again, unheard.
    fn hear_link(&mut self) {
        let link = self.bus.link();
        if link.is_up() && link.connection != self.connection {
            self.connection = link.connection;
            self.rooms.iter_mut().for_each(WatchedRoom::want);
            for index in 0..self.rooms.len() {
                self.is_in_the_room(index, true);
            }
        }
    }

    async fn cytube(&mut self, connected: bool, domain: Option<&str>, channel: Option<&str>) {
        let rooms: Vec<RoomName> = self.rooms.iter().map(|watched| watched.room.clone()).collect();
        for index in names::meant(&rooms, domain, channel) {
            self.is_in_the_room(index, connected);
            if connected {
                let now = self.clock.now().elapsed;
                self.rooms[index].cytube.send_modify(|cytube| cytube.came = Some(now));
                self.rooms[index].want();
                self.decider.robot_back(self.rooms[index].room.clone()).await;
            }
        }
    }

    fn is_in_the_room(&mut self, index: usize, is_there: bool) {
        let watched = &self.rooms[index];
        let was_away = watched.cytube.borrow().is_away;
        watched.cytube.send_modify(|cytube| cytube.is_away = !is_there);
        match (is_there, was_away) {
            (false, false) => warn!(room = %watched.room, "the robot has left CyTube: replies wait"),
            (true, true) => info!(room = %watched.room, "the robot is back in the room"),
            _ => {}
        }
        let why = (!is_there).then(|| format!("{}: away from CyTube", watched.room.channel()));
        let key = format!("cytube {}", watched.room);
        self.health.condition(self.clock.now(), Component::Robot, key, why, None);
    }

    async fn answered(&mut self, index: usize, reply: Result<Reply, PublishError>) {
        let watched = &mut self.rooms[index];
        watched.is_asked = false;
        match reply {
            Ok(Reply::Answered(answer)) => {
                watched.presence.is(None);
                let name = wire::own_name(&answer).map(|name| Username::new(&name));
                watched.is_answered = name.is_some();
                self.decider.own_name(watched.room.clone(), name.clone()).await;
                debug!(room = %watched.room, ?name, "the robot says who we are");
            }
            // A robot that takes our lines is there, and only knows the room under another spelling.
            Ok(Reply::NoResponders) if !*watched.takes_lines.borrow() => {
                watched.presence.is(Some("no robot is on the bus"));
            }
            // It may be there and not know the question; its answers to lines will tell.
            Ok(Reply::NoResponders | Reply::TimedOut { .. }) | Err(_) => {}
        }
    }
}

impl WatchedRoom {
    fn want(&mut self) {
        self.is_wanted = true;
        self.is_answered = false;
    }
}

async fn ask(index: usize, room: RoomName, bus: Bus) -> (usize, Result<Reply, PublishError>) {
    let Some(subject) = subjects::user_level(room.domain(), room.channel()) else {
        return (index, Err(PublishError::Refused));
    };
    (index, bus.request(&subject, b"{}".to_vec(), None, ANSWER_TIMEOUT).await)
}
