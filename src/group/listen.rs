//! Listens to what the services say of themselves, us among them, for whoever shows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Row, SILENT_AFTER_SECONDS, Table};
use crate::bus::Bus;
use crate::bus::link::LinkKeeper;
use crate::bus::subjects::{self, ALL_HEARTBEATS, ALL_LIFECYCLES};
use crate::bus::subscription::{Message, Subscription};
use crate::bus::wire::{Identity, ServiceReport};
use crate::clock::{Clock, Moment};

/// One instance of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    /// How it is.
    pub row: Row,
    /// Whether it is this very run of ours.
    pub is_us: bool,
}

/// Every service that was heard of. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServicesView {
    identity: Arc<Identity>,
    table: Arc<Mutex<Table>>,
}

impl ServicesView {
    /// Nobody was heard of yet.
    pub fn new(identity: Arc<Identity>) -> Self {
        let table = Table::new(Duration::from_secs(SILENT_AFTER_SECONDS), Vec::new());
        Self { identity, table: Arc::new(Mutex::new(table)) }
    }

    /// All of them, by name. While the link is down nobody is called silent.
    pub fn rows(&self, now: Moment) -> Vec<ServiceRow> {
        let rows = self.table().rows(now.elapsed);
        let of_us = |row: Row| {
            let is_us = row.service == self.identity.service
                && row.report.instance_id.as_deref() == Some(&self.identity.instance_id);
            ServiceRow { row, is_us }
        };
        rows.into_iter().map(of_us).collect()
    }

    /// Nothing is half done where somebody panicked: a poisoned lock is used.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens. See [`GroupTask::run`].
pub struct GroupTask {
    view: ServicesView,
    beats: Subscription,
    lives: Subscription,
    bus: Bus,
    clock: Clock,
}

impl GroupTask {
    /// Subscribes, where the server lets us: nobody's work hangs on it. Of messages over `max_bytes` only
    /// the sender is taken.
    pub fn new(
        keeper: &mut LinkKeeper,
        bus: Bus,
        identity: Arc<Identity>,
        clock: Clock,
        max_bytes: usize,
    ) -> Self {
        Self {
            view: ServicesView::new(identity),
            beats: keeper.subscribe_if_allowed(ALL_HEARTBEATS.to_owned(), max_bytes),
            lives: keeper.subscribe_if_allowed(ALL_LIFECYCLES.to_owned(), max_bytes),
            bus,
            clock,
        }
    }

    /// What is heard.
    pub fn view(&self) -> ServicesView {
        self.view.clone()
    }

    /// Listens as long as there can be a link.
    pub async fn run(mut self) {
        let mut is_up = false;
        loop {
            tokio::select! {
                Some(message) = self.beats.next() => self.hear(&message),
                Some(message) = self.lives.next() => self.hear(&message),
                true = self.bus.changed() => {
                    let link_is_up = self.bus.link().is_up();
                    if std::mem::replace(&mut is_up, link_is_up) != link_is_up {
                        self.view.table().link(self.clock.now().elapsed, link_is_up);
                    }
                }
                else => return,
            }
        }
    }

    fn hear(&self, message: &Message) {
        let Some((service, sign)) = subjects::sign(message.subject()) else { return };
        let report = ServiceReport::parse(message.payload());
        self.view.table().hear(self.clock.now().elapsed, service, sign, report);
    }
}

#[cfg(test)]
mod tests {
    use kryten_testkit::nats::{Server, Settings};
    use serde_json::{Value, json};
    use tokio::task::JoinSet;
    use tokio::time::{interval, timeout};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::config::testing::config;
    use crate::group::Standing;
    use crate::health::{Component, HealthMonitor};

    /// Long enough on a busy machine.
    const SOON: Duration = Duration::from_secs(20);

    struct Bench {
        server: Server,
        view: ServicesView,
        bus: Bus,
        health: HealthMonitor,
        clock: Clock,
        _tasks: JoinSet<()>,
    }

    /// A listener on a real server, with one subscription more, which it needs.
    async fn bench(settings: Settings) -> Bench {
        let server = Server::start_with(settings).await.expect("a server");
        let clock = Clock::start();
        let health = HealthMonitor::new(clock.now(), [], []);
        let nats = config(json!({"nats": {"servers": [server.url()]}})).nats;
        let (mut keeper, bus) = LinkKeeper::new(nats, "llm", clock, health.clone());
        let identity = Arc::new(Identity {
            service: "llm".to_owned(),
            version: "1.2.3".to_owned(),
            hostname: "vera".to_owned(),
            instance_id: "ours".to_owned(),
            started: clock.now(),
        });
        let group = GroupTask::new(&mut keeper, bus.clone(), identity, clock, 1_000);
        let needed = keeper.subscribe("needed".to_owned(), 1_000);
        let view = group.view();
        let mut tasks = JoinSet::new();
        tasks.spawn(group.run());
        tasks.spawn(async move {
            let _needed = needed;
            _ = keeper.run(CancellationToken::new()).await;
        });
        timeout(SOON, bus.up_after(0)).await.expect("the link comes up");
        Bench { server, view, bus, health, clock, _tasks: tasks }
    }

    impl Bench {
        async fn say(&self, subject: &str, body: Value) {
            let client = self.server.client().await.expect("a client");
            client.publish(subject.to_owned(), body.to_string().into()).await.expect("published");
            client.flush().await.expect("flushed");
        }

        async fn until(&self, mut holds: impl FnMut() -> bool) {
            let mut look = interval(Duration::from_millis(5));
            let held = async {
                while !holds() {
                    look.tick().await;
                }
            };
            timeout(SOON, held).await.expect("it comes about");
        }

        fn nats(&self) -> String {
            let snapshot = self.health.snapshot(self.clock.now());
            snapshot.unhealthy(Component::Nats).unwrap_or_default().to_owned()
        }
    }

    #[tokio::test]
    async fn every_service_that_beats_is_there_and_we_are_marked() {
        let bench = bench(Settings::default()).await;
        let beat = |id: &str| json!({"instance_id": id, "health": "healthy", "version": "2"});
        bench.say("kryten.service.heartbeat.economy", beat("theirs")).await;
        bench.say("kryten.lifecycle.robot.startup", json!({"version": "1"})).await;
        bench.say("kryten.lifecycle.robot.connected", json!({})).await;
        bench
            .say("kryten.service.heartbeat.llm", json!({"instance_id": "another", "health": "failing"}))
            .await;
        let body = beat("ours").to_string().into_bytes();
        bench.bus.publish("kryten.service.heartbeat.llm", body).await.expect("published");
        bench.until(|| bench.view.rows(bench.clock.now()).len() == 4).await;
        let rows = bench.view.rows(bench.clock.now());
        let shown: Vec<_> = rows.iter().map(|one| (&*one.row.service, one.row.standing, one.is_us)).collect();
        assert_eq!(
            shown,
            [
                ("economy", Standing::Healthy, false),
                ("llm", Standing::Failing, false),
                ("llm", Standing::Healthy, true),
                ("robot", Standing::Announced, false),
            ]
        );
        assert!(rows[0].row.beat_age.is_some() && rows[3].row.beat_age.is_none());
        bench.say("kryten.lifecycle.economy.shutdown", json!({"instance_id": "theirs"})).await;
        bench.until(|| bench.view.rows(bench.clock.now())[0].row.standing == Standing::Stopped).await;
    }

    #[tokio::test]
    async fn where_it_may_not_listen_it_shows_nobody_and_that_is_no_trouble() {
        let denied = [ALL_HEARTBEATS, ALL_LIFECYCLES, "needed"].map(str::to_owned);
        let bench = bench(Settings { deny_subscribe: denied.to_vec(), ..Settings::default() }).await;
        // It is the last one that was asked for.
        bench.until(|| !bench.nats().is_empty()).await;
        assert_eq!(bench.nats(), "may not subscribe to needed");
        bench.say("kryten.service.heartbeat.economy", json!({"health": "healthy"})).await;
        timeout(SOON, bench.bus.proven_since(bench.clock.now().elapsed)).await.expect("a round trip");
        assert_eq!(bench.view.rows(bench.clock.now()), []);
    }
}
