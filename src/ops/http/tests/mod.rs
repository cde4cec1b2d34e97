//! The pages over real connections.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{HttpState, serve};
use crate::chat::decide::Decider;
use crate::chat::decisions::{Decisions, End, Entry};
use crate::chat::rules::Rules;
use crate::clock::{Clock, Moment};
use crate::config::testing;
use crate::decider::DeciderHandle;
use crate::group::ServicesView;
use crate::health::{Component, HealthMonitor, LinkHealth};
use crate::history::History;
use crate::names::{ProviderName, RoomName, Username};
use crate::ops::commands::Pauses;
use crate::ops::figures::testing::figures;
use crate::ops::remembered::Remembered;
use crate::outcome::Reason;
use crate::settings::InForce;

mod api;
mod connections;
mod events;
mod guards;
mod pages;

struct Server {
    address: SocketAddr,
    decider: DeciderHandle,
    health: HealthMonitor,
    clock: Clock,
    ready: watch::Sender<bool>,
    stopping: CancellationToken,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn in_force() -> InForce {
    let trigger = |name: &str| json!({"name": name, "patterns": [name]});
    let triggers = ["a", "b", "c"].map(trigger);
    let config = testing::config(json!({"testing": {"dry_run": true}, "triggers": triggers}));
    watch::channel(Rules::new(Arc::new(config))).1
}

/// A server that is ready, with the link up.
async fn server() -> Server {
    server_with("127.0.0.1", |_| {}).await
}

/// A server on this address, changed as a test needs it.
async fn server_with(host: &str, change: impl FnOnce(&mut HttpState)) -> Server {
    let (mut state, ready) = state();
    change(&mut state);
    let HttpState { figures, stopping, decider, .. } = state.clone();
    let listener = TcpListener::bind((host, 0)).await.expect("a port");
    let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().expect("its address").port()));
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, state, stop.clone()));
    Server { address, decider, health: figures.health, clock: figures.clock, ready, stopping, stop, task }
}

/// What the pages are made of: ready, with the link up.
fn state() -> (HttpState, watch::Sender<bool>) {
    let clock = Clock::start();
    let providers = ["local", "openrouter"].map(ProviderName::new);
    let health = HealthMonitor::new(clock.now(), providers, [Component::Robot]);
    health.link(clock.now(), LinkHealth::Up);
    let (ready, is_ready) = watch::channel(true);
    let in_force = in_force();
    let rules = in_force.borrow().clone();
    let config = rules.shared_config().clone();
    let decider = DeciderHandle::answering(clock, Decider::new(rules, clock.now(), 1), Decisions::default());
    let mut figures = figures(in_force, health, clock);
    figures.asking = Remembered::new(decider.clone());
    let state = HttpState {
        services: ServicesView::new(figures.identity.clone()),
        figures,
        metrics_path: "/metrics".to_owned(),
        history: History::off(),
        decider,
        rooms: Pauses::new(config.rooms.clone(), Path::new("/nowhere")),
        ready: is_ready,
        stopping: CancellationToken::new(),
        health_path: "/health".to_owned(),
        token: None,
        own_hosts: vec!["bot.example.org".to_owned()],
    };
    (state, ready)
}

impl Server {
    /// Sends bytes and reads all that comes back.
    async fn send(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(request).await.expect("a request");
        let mut answer = Vec::new();
        // A server that has said no may close before all is read.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    }

    /// The whole answer to a request.
    async fn answer(&self, method: &str, path: &str, headers: &[&str]) -> String {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            request += &format!("Host: {}\r\n", self.address);
        }
        headers.iter().for_each(|header| request += &format!("{header}\r\n"));
        self.send(format!("{request}\r\n").as_bytes()).await
    }

    async fn request(&self, method: &str, path: &str, headers: &[&str]) -> (u16, String) {
        let answer = self.answer(method, path, headers).await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        (status, body)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, &[]).await
    }

    /// A page that is a JSON document, and its status.
    async fn json(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.get(path).await;
        (status, serde_json::from_str(&body).expect("JSON"))
    }

    /// A decision on somebody's message is made.
    async fn decides(&self, has_fired: bool, user: &str, reason: Reason) {
        let entry = Entry {
            at: self.clock.now().wall,
            correlation_id: Some("id".to_owned()),
            room: RoomName::new("cytu.be", "MovieNight").expect("a room"),
            user: Some(Username::new(user)),
            message: "hello?".to_owned(),
            end: End::Silence(reason),
            detail: String::new(),
            retry_after: None,
        };
        let told = self.decider.operate(move |_, _, decisions| decisions.push(has_fired, entry)).await;
        assert_eq!(told, Some(()));
    }

    fn cut_the_link(&self) {
        self.health.link(self.clock.now(), LinkHealth::Down { why: "cut".to_owned() });
    }

    /// A loop that has had the same work in hand for longer than it may.
    fn stall(&self, component: Component) {
        self.health.progress(component).due(Duration::ZERO);
        self.health.tick(Moment { elapsed: Duration::from_secs(60), ..self.clock.now() });
    }
}
