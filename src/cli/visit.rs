//! A visit to the bus, for commands that look on or say one thing. The service itself is elsewhere.

use std::process::ExitCode;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::terminal::visible;
use super::{exit, say_error};
use crate::bus::link::{LinkFailure, LinkKeeper};
use crate::bus::subscription::Subscription;
use crate::bus::{Bus, PublishError};
use crate::clock::Clock;
use crate::config::NatsConfig;
use crate::health::{Component, HealthMonitor};

/// Of longer messages only the length is taken, in bytes.
const LARGEST_MESSAGE: usize = 64 * 1024;

/// A connection of our own, with the service's settings. It ends with the visit.
pub struct Visit {
    /// What to publish on.
    pub bus: Bus,
    /// Our time.
    pub clock: Clock,
    health: HealthMonitor,
    keeper: JoinSet<Result<(), LinkFailure>>,
}

/// How often to try to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// Each server once: somebody waits for the answer.
    Once,
    /// As the service does.
    AsConfigured,
}

impl Visit {
    /// Begins to connect, in a runtime. `purpose` tells the server's operator which command it is.
    pub fn begin<const N: usize>(
        settings: &NatsConfig,
        purpose: &str,
        subjects: [&str; N],
        tries: Tries,
    ) -> (Self, [Subscription; N]) {
        let mut settings = settings.clone();
        if tries == Tries::Once {
            settings.max_reconnect_attempts = Some(1);
        }
        let clock = Clock::start();
        let health = HealthMonitor::new(clock.now(), [], []);
        let (mut link, bus) = LinkKeeper::new(settings, purpose, clock, health.clone());
        let subscriptions = subjects.map(|subject| link.subscribe(subject.to_owned(), LARGEST_MESSAGE));
        let mut keeper = JoinSet::new();
        keeper.spawn(link.run(CancellationToken::new()));
        (Self { bus, clock, health, keeper }, subscriptions)
    }

    /// Waits until the link is up.
    ///
    /// # Errors
    /// When it is given up.
    pub async fn until_up(&mut self) -> Result<(), LinkFailure> {
        let mut bus = self.bus.clone();
        let up = async {
            while !bus.link().is_up() && bus.changed().await {}
            bus.link().is_up()
        };
        tokio::select! {
            true = up => Ok(()),
            failure = self.given_up() => Err(failure),
        }
    }

    /// Waits until the link is given up; why.
    pub async fn given_up(&mut self) -> LinkFailure {
        match self.keeper.join_next().await {
            Some(Ok(Err(failure))) => failure,
            _ => LinkFailure::Unavailable(0, "the connection's task has ended".to_owned()),
        }
    }

    /// What is wrong with the link; `None` while it is up.
    pub fn trouble(&self) -> Option<String> {
        if self.bus.link().is_up() {
            return None;
        }
        let snapshot = self.health.snapshot(self.clock.now());
        Some(snapshot.unhealthy(Component::Nats).unwrap_or("not connected yet").to_owned())
    }

    /// Publishes, and waits until the server has it.
    ///
    /// # Errors
    /// When it is not known to have arrived.
    pub async fn publish(&self, subject: &str, body: Vec<u8>) -> Result<(), PublishError> {
        let connection = self.bus.link().connection;
        self.bus.publish(subject, body).await?;
        let proven = self.bus.proves(connection, self.clock.now().elapsed).await;
        if proven { Ok(()) } else { Err(PublishError::LinkDown) }
    }
}

/// Runs a visit to its end, on this thread.
pub fn run(visit: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(visit),
        Err(error) => {
            say_error(&format!("the runtime can't be started: {error}"));
            exit::code(exit::UNEXPECTED)
        }
    }
}

/// Says why there is no link, and gives the exit code for it.
pub fn failed(failure: &LinkFailure) -> ExitCode {
    let (text, code) = match failure {
        LinkFailure::Unavailable(_, why) => (format!("NATS can't be reached: {why}"), exit::UNAVAILABLE),
        LinkFailure::Refused(why) => (why.clone(), exit::REFUSED),
        LinkFailure::Settings(why) => (why.clone(), exit::CONFIG),
    };
    say_error(&visible(&text));
    exit::code(code)
}
