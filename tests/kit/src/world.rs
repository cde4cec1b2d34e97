//! The usual bundle of a story: server, providers, robot, recorder, and the daemon among them.
//!
//! ```no_run
//! # use kryten_testkit::{Behaviour, Exit, Result, World, world::SOON};
//! # async fn a_broken_provider_turns_the_daemon_failing(binary: &str) -> Result {
//! let world = World::of(binary).start().await?;
//! world.provider().always(Behaviour::Status(500, "{}".to_owned()));
//! world.mention("bob", "are you there?").await?;
//! world.wait_until("failing", SOON).await?;
//! assert_eq!(world.ledger().await?["failed"], 1);
//! assert_eq!(world.stop().await?, Exit::Code(0));
//! # Ok(())
//! # }
//! ```

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::chat::{Room, escape};
use crate::config;
use crate::daemon::{Daemon, Launch};
use crate::error::{Context, Error, Result};
use crate::journal::Mark;
use crate::nats::{Server, Settings, round_trip};
use crate::process::Exit;
use crate::provider::{Behaviour, Provider};
use crate::proxy::Proxy;
use crate::recorder::{Message, Recorder};
use crate::robot::{Manner, Robot, Said};
use crate::stopwatch::Stopwatch;

/// How long a daemon may take for anything that it should do at once, on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
/// How long the slowest end of a daemon may take: its longest default deadline, and some.
const ENDED: Duration = Duration::from_secs(40);
/// The heartbeats of any service.
const BEATS: &str = "kryten.service.heartbeat.*";
/// The chat user that the robot speaks as.
pub const BOT: &str = "CynthiaBot";

/// A world in preparation.
#[derive(Debug)]
pub struct Builder {
    launch: Launch,
    rooms: Vec<Room>,
    providers: usize,
    models: Vec<Behaviour>,
    server: Settings,
    manner: Manner,
    proxied: bool,
    stored: Vec<(String, String, Vec<u8>)>,
    changes: Vec<Value>,
}

/// A running world. The daemon goes first when it is dropped.
#[derive(Debug)]
pub struct World {
    /// The daemon.
    pub daemon: Daemon,
    /// All that is published, but for what is asked of the robot.
    pub recorder: Recorder,
    /// The robot, which also speaks for everybody in the rooms.
    pub robot: Robot,
    /// What stands between daemon and server, when asked for.
    pub proxy: Option<Proxy>,
    /// The providers, in the order in which they are asked.
    pub providers: Vec<Provider>,
    /// The bus.
    pub server: Server,
    /// The rooms that the daemon and the robot serve.
    pub rooms: Vec<Room>,
    /// The config that the daemon was started with.
    pub config: Value,
}

impl World {
    /// A world round `binary`: one room, one provider that answers, a robot that echoes.
    pub fn of(binary: impl AsRef<Path>) -> Builder {
        Builder {
            launch: Launch::new(binary),
            rooms: vec![Room::new("cytu.be", "Lounge")],
            providers: 1,
            models: Vec::new(),
            server: Settings::default(),
            manner: Manner::Echoes,
            proxied: false,
            stored: Vec::new(),
            changes: Vec::new(),
        }
    }
}

impl Builder {
    /// Puts `changes` over the config, object by object.
    pub fn config(mut self, changes: Value) -> Builder {
        self.changes.push(changes);
        self
    }

    /// Serves these rooms.
    pub fn rooms(mut self, rooms: impl IntoIterator<Item = Room>) -> Builder {
        self.rooms = rooms.into_iter().collect();
        self
    }

    /// Has this many providers.
    pub fn providers(mut self, count: usize) -> Builder {
        self.providers = count;
        self
    }

    /// Lets the providers, in their order, answer so from the beginning when they are asked for their models.
    pub fn models(mut self, answers: impl IntoIterator<Item = Behaviour>) -> Builder {
        self.models = answers.into_iter().collect();
        self
    }

    /// Tells the nats-server these settings.
    pub fn server(mut self, settings: Settings) -> Builder {
        self.server = settings;
        self
    }

    /// Has a server with JetStream, where this is written down before the daemon starts.
    pub fn stored(mut self, bucket: &str, key: &str, value: impl Into<Vec<u8>>) -> Builder {
        self.stored.push((bucket.to_owned(), key.to_owned(), value.into()));
        self
    }

    /// Begins with the robot in this manner.
    pub fn robot(mut self, manner: Manner) -> Builder {
        self.manner = manner;
        self
    }

    /// Puts a proxy between the daemon and the server.
    pub fn proxied(mut self) -> Builder {
        self.proxied = true;
        self
    }

    /// Changes how the daemon is started: arguments, environment, files.
    pub fn launch(mut self, change: impl FnOnce(Launch) -> Launch) -> Builder {
        self.launch = change(self.launch);
        self
    }

    /// Starts everything and waits until the daemon is announced and has beaten once.
    pub async fn start(self) -> Result<World> {
        let world = self.start_at_once().await?;
        world.wait_until_up(Mark::START).await?;
        Ok(world)
    }

    /// Starts everything; the daemon may not be up yet, or never get up.
    pub async fn start_at_once(self) -> Result<World> {
        let jetstream = self.server.jetstream || !self.stored.is_empty();
        let server = Server::start_with(Settings { jetstream, ..self.server }).await?;
        for (bucket, key, value) in self.stored {
            server.put(&bucket, &key, value).await?;
        }
        let mut providers = Vec::new();
        for _ in 0..self.providers {
            providers.push(Provider::start().await?);
        }
        providers.iter().zip(self.models).for_each(|(provider, answer)| provider.models(answer));
        let recorder = Recorder::start(&server).await?;
        let robot = Robot::start(server.client().await?, &self.rooms, BOT, self.manner).await?;
        let proxy = if self.proxied { Some(Proxy::start(server.address()).await?) } else { None };
        let mut config = config::base(&server, &self.rooms, &providers);
        if let Some(proxy) = &proxy {
            config["nats"] = server.config_section(proxy.address());
        }
        for changes in self.changes {
            config::merge(&mut config, changes);
        }
        let daemon = self.launch.start(&config)?;
        Ok(World { daemon, recorder, robot, proxy, providers, server, rooms: self.rooms, config })
    }
}

impl World {
    /// Waits until the daemon has announced itself and beaten behind `mark`.
    ///
    /// # Errors
    /// When it does not, or ends instead.
    pub async fn wait_until_up(&self, mark: Mark) -> Result {
        let up = async {
            let announced = |message: &Message| message.subject != "kryten.lifecycle.robot.startup";
            self.recorder.wait_since(mark, "kryten.lifecycle.*.startup", SOON, announced).await?;
            self.wait_for_beat(mark, SOON, |_| true).await
        };
        tokio::select! {
            up = up => up.map(drop),
            exit = self.daemon.wait_exit(Duration::MAX) => {
                let log: Vec<String> = self.daemon.log().all().iter().map(ToString::to_string).collect();
                Err(Error::new(format!("the daemon ended instead of getting up: {:?}\n{}", exit?, log.join("\n"))))
            }
        }
    }

    /// The first heartbeat behind `mark` that `wanted` accepts.
    pub async fn wait_for_beat(
        &self,
        mark: Mark,
        deadline: Duration,
        wanted: impl FnMut(&Message) -> bool,
    ) -> Result<Message> {
        self.recorder.wait_since(mark, BEATS, deadline, wanted).await
    }

    /// Takes the time of what the daemon and the bus do from now on.
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch::start([self.daemon.pid(), self.server.pid()])
    }

    /// The first heartbeat from now on whose `health` is `health`.
    pub async fn wait_until(&self, health: &str, deadline: Duration) -> Result<Message> {
        self.wait_for_beat(self.recorder.mark(), deadline, |beat| beat.text("/health") == health).await
    }

    /// Asks `/health` again and again until `wanted` accepts it: for what can't be heard on the bus
    /// because the link is down.
    pub async fn wait_for_health(
        &self,
        deadline: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        let mut latest = Value::Null;
        let search = async {
            loop {
                latest = self.daemon.health().await?;
                if wanted(&latest) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(deadline, search).await {
            Ok(found) => found.map(|()| latest),
            Err(_) => {
                Err(Error::new(format!("waited {deadline:?} for /health to change, the latest: {latest}")))
            }
        }
    }

    /// The provider that is asked first.
    ///
    /// # Panics
    /// When the world was built without one.
    pub fn provider(&self) -> &Provider {
        &self.providers[0]
    }

    /// `user` speaks to the bot in the first room.
    pub async fn mention(&self, user: &str, text: &str) -> Result {
        self.robot.chat(user, &escape(&format!("{} {text}", config::CHARACTER))).await
    }

    /// `user` speaks to the bot, and the bot's next line is awaited.
    pub async fn ask(&self, user: &str, text: &str) -> Result<Said> {
        let mark = self.robot.says.mark();
        self.mention(user, text).await?;
        self.robot.wait_for_say(mark, SOON, |_| true).await
    }

    /// `user` speaks to the bot, and the provider holds its answer back until it is told to release it.
    pub async fn ask_and_hold(&self, user: &str, text: &str, answer: &str) -> Result {
        let mark = self.provider().requests().mark();
        self.provider().next([Behaviour::Hold(answer.to_owned())]);
        self.mention(user, text).await?;
        self.provider().wait_for_request(mark, SOON, |_| true).await.map(drop)
    }

    /// Cuts the daemon off the bus, and waits until it knows.
    ///
    /// # Errors
    /// Also when the world has no proxy.
    pub async fn cut_off(&self) -> Result {
        self.proxy()?.refuse().await?;
        self.proxy()?.cut().await?;
        self.wait_for_health(SOON, |health| health["nats_connected"] == false).await.map(drop)
    }

    /// Releases the one held answer while the daemon is cut off, and waits until its lines are held.
    pub async fn release_cut_off(&self) -> Result {
        self.provider().release();
        let held =
            |health: &Value| health["llm_providers"]["first"] == "ok" && health["ledger"]["in_flight"] == 1;
        self.wait_for_health(SOON, held).await.map(drop)
    }

    /// Publishes `count` messages (subject and body), `per_second` of them each second or as fast as
    /// the server takes them, and waits until it has them all.
    pub async fn flood(
        &self,
        count: u64,
        per_second: Option<u64>,
        message: impl Fn(u64) -> (String, String),
    ) -> Result {
        const TICKS_PER_SECOND: u64 = 100;
        let client = self.server.client().await?;
        let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / TICKS_PER_SECOND));
        for number in 0..count {
            if per_second.is_some_and(|rate| number % (rate / TICKS_PER_SECOND).max(1) == 0) {
                ticks.tick().await;
            }
            let (subject, body) = message(number);
            client.publish(subject, body.into()).await.context("publishing a flood")?;
        }
        round_trip(&client, SOON).await
    }

    /// The proxy.
    ///
    /// # Errors
    /// When the world was built without one.
    pub fn proxy(&self) -> Result<&Proxy> {
        self.proxy.as_ref().ok_or_else(|| Error::new("this world has no proxy: build it with `proxied`"))
    }

    /// Brings the server back on its port, killing it first when it runs. The recorder and the robot
    /// are back before the daemon can be, so that nothing of what it does then is missed.
    ///
    /// # Errors
    /// Also when the world has no proxy: nobody could hold the daemon back.
    pub async fn restart_server(&mut self) -> Result {
        self.proxy()?.refuse().await?;
        self.server.restart().await?;
        self.recorder.settle(SOON).await?;
        self.robot.settle(SOON).await?;
        self.proxy()?.admit().await
    }

    /// Asks the daemon to stop (SIGTERM), and waits for its end and until its last words are recorded.
    pub async fn stop(&self) -> Result<Exit> {
        self.daemon.terminate()?;
        let exit = self.daemon.wait_exit(ENDED).await?;
        self.recorder.settle(SOON).await?;
        Ok(exit)
    }

    /// Waits until no reply is in flight, checks that every trigger that fired has come to exactly
    /// one end, and gives the ledger.
    ///
    /// # Errors
    /// When it does not add up.
    pub async fn ledger(&self) -> Result<Value> {
        let settled = |health: &Value| health.pointer("/ledger/in_flight") == Some(&Value::from(0));
        let health = self.wait_for_health(SOON, settled).await.context("waiting for the ledger to settle")?;
        let ledger = health["ledger"].clone();
        let ends = ["sent", "silenced", "failed", "in_doubt", "abandoned", "in_flight"];
        let ended: u64 = ends.iter().map(|key| total(&ledger[*key])).sum();
        if ledger["fired"].as_u64() != Some(ended) {
            return Err(Error::new(format!("the ledger does not add up to {ended}: {ledger}")));
        }
        Ok(ledger)
    }
}

/// A number, or the sum of an object's numbers (silenced replies are counted by reason).
fn total(value: &Value) -> u64 {
    match value {
        Value::Object(entries) => entries.values().map(total).sum(),
        other => other.as_u64().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::total;

    #[test]
    fn a_ledgers_entry_counts_as_a_number_or_by_reason() {
        assert_eq!(total(&json!(3)), 3);
        assert_eq!(total(&json!({ "stale": 1, "spam": 2 })), 3);
        assert_eq!(total(&json!(null)), 0);
    }
}
