//! The command subject: what a person or a panel asks of the running service.

pub(super) mod documents;
pub(super) mod pauses;
pub mod request;

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{FuturesUnordered, select_all};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::bus::subscription::Subscription;
use crate::bus::wire::{Identity, rounded};
use crate::bus::{Bus, PublishError};
use crate::chat::decide::Decider;
use crate::chat::decisions::{Decisions, Wanted};
use crate::clock::{Clock, Moment, iso};
use crate::config::Config;
use crate::context_log::{Context, ContextLog};
use crate::decider::DeciderHandle;
use crate::health::HealthMonitor;
use crate::llm::ProvidersView;
use crate::names::Username;
use crate::settings::{Change, InForce, NotChanged, SettingsHandle};

use super::document::{self, Facts};
use super::providers;

pub use pauses::Pauses;
use request::{BadRequest, Command, WhichContext};

/// What goes with a user's figures: the Python original kept more.
const NO_MEMORY: &str = "long-term memory is not available here";

/// The most reloads and changes that are under way or wait; one more is refused.
const MOST_SLOW: usize = 64;

/// Follows commands. See [`Commands::run`].
pub struct Commands {
    pub identity: Arc<Identity>,
    pub settings: SettingsHandle,
    pub in_force: InForce,
    pub decider: DeciderHandle,
    pub pauses: Pauses,
    pub providers: ProvidersView,
    pub contexts: ContextLog,
    /// Where the metrics are; none without HTTP.
    pub metrics_endpoint: Option<String>,
    pub health: HealthMonitor,
    pub bus: Bus,
    pub clock: Clock,
}

/// Why a command was not followed: words, and what else there is to say.
struct Failed {
    error: String,
    data: Option<Value>,
}

impl<T: Into<String>> From<T> for Failed {
    fn from(error: T) -> Self {
        Self { error: error.into(), data: None }
    }
}

impl Commands {
    /// Follows what comes on the command subjects, one after the other; nothing waits for reloads and
    /// changes.
    pub async fn run(self, subscriptions: Vec<Subscription>) {
        let mut messages = select_all(subscriptions.into_iter().map(Subscription::into_stream));
        let mut slow = FuturesUnordered::new();
        loop {
            let message = tokio::select! {
                Some(()) = slow.next() => continue,
                message = messages.next() => message,
            };
            let Some(message) = message else { break };
            let reply = message.reply().map(str::to_owned);
            match request::parse(message.payload(), &self.identity.service) {
                Ok((name, command)) if !command.may_take_long() => self.serve(name, command, reply).await,
                Ok((name, command)) if slow.len() < MOST_SLOW => slow.push(self.serve(name, command, reply)),
                Ok((name, _)) => {
                    let result = Err("Too many reloads and changes wait; try again later".into());
                    self.send(reply, envelope(Some(name), result)).await;
                }
                Err(BadRequest { command, error }) => {
                    self.send(reply, envelope(command.as_deref(), Err(error.into()))).await;
                }
            }
        }
        while slow.next().await.is_some() {}
    }

    async fn serve(&self, name: &'static str, command: Command, reply: Option<String>) {
        let changes = command.changes();
        let result = self.follow(command).await;
        if changes {
            match &result {
                Ok(_) => info!(command = name, "command followed"),
                Err(Failed { error, .. }) => warn!(command = name, ?error, "command refused"),
            }
        }
        self.send(reply, envelope(Some(name), result)).await;
    }

    async fn send(&self, reply: Option<String>, answer: Value) {
        let Some(reply) = reply else { return };
        let bytes = answer.to_string().into_bytes();
        let length = bytes.len();
        let mut sent = self.bus.publish(&reply, bytes).await;
        if sent == Err(PublishError::Refused) {
            let command = answer["command"].as_str();
            warn!(command, bytes = length, "a command's answer is too large for NATS");
            let refusal = envelope(command, Err("the answer is too large; narrow it".into()));
            sent = self.bus.publish(&reply, refusal.to_string().into_bytes()).await;
        }
        if let Err(error) = sent {
            warn!(%error, "a command's answer could not be sent");
        }
    }

    async fn follow(&self, command: Command) -> Result<Value, Failed> {
        if command.changes() && !self.config().commands.allow_changes {
            return Err("Changes by command are switched off (commands.allow_changes)".into());
        }
        Ok(match command {
            Command::Ping => self.ping(),
            Command::Health => self.system_health(),
            Command::Reload => return self.reload().await,
            Command::RecentContexts(limit) => {
                let entries: Vec<Value> =
                    self.contexts.recent(limit).iter().map(Context::beginnings).collect();
                json!({"entries": entries, "total": self.contexts.len()})
            }
            Command::Context(which) => {
                let found = match which {
                    WhichContext::Index(index) => self.contexts.at(index),
                    WhichContext::CorrelationId(id) => self.contexts.of(&id),
                };
                found.ok_or("Entry not found")?.whole()
            }
            Command::Personality => documents::personality(&self.config().personality),
            Command::Triggers => documents::triggers(&self.config()),
            Command::RateLimits => {
                let used = self.operate(|now, decider, _| (now, decider.usage(now)));
                let (now, usage) = used.await?;
                documents::limits_in_use(now, &self.config().rate_limits, usage)
            }
            Command::Providers => providers::list(self.clock.now(), &self.config(), &self.providers),
            Command::Change(change) => return self.change(change).await,
            Command::ResetRateLimits(user) => {
                self.operate(move |_, decider, _| decider.reset_rate_limits(user.as_ref())).await?;
                json!({"reset": true})
            }
            Command::Pardon(user) => {
                let pardoned = self.operate(move |now, decider, _| decider.pardon(now, &user)).await?;
                json!({"pardoned": pardoned})
            }
            Command::Pause { channel, duration } => {
                self.pauses.pause(&self.decider, &self.health, channel.as_deref(), duration).await?
            }
            Command::Resume { channel } => {
                self.pauses.resume(&self.decider, &self.health, channel.as_deref()).await?
            }
            Command::Decisions { user, channel, limit } => {
                let rooms = channel.map(|channel| self.pauses.named(&channel)).transpose()?;
                let wanted = Wanted { user, rooms, fired: false, limit };
                let recent = self.operate(move |_, _, decisions| decisions.recent(&wanted)).await?;
                documents::decisions(&recent)
            }
            Command::ForgetUser(user) => self.forget(user).await?,
            Command::InspectUser(user) => {
                let name = user.clone();
                let lines = self.operate(move |_, decider, _| decider.lines_of(&user)).await?;
                json!({"username": name.as_str(), "lines": lines, "memory": NO_MEMORY})
            }
        })
    }

    fn ping(&self) -> Value {
        let now = self.clock.now();
        let uptime = now.elapsed.saturating_sub(self.identity.started.elapsed);
        let mut pong = json!({
            "pong": true,
            "service": self.identity.service,
            "version": self.identity.version,
            "uptime_seconds": rounded(uptime.as_secs_f64(), 3),
            "timestamp": iso(now.wall),
        });
        if let Some(endpoint) = &self.metrics_endpoint {
            pong["metrics_endpoint"] = json!(endpoint);
        }
        pong
    }

    fn system_health(&self) -> Value {
        let facts = Facts::of(&self.config(), self.contexts.len());
        document::health(&self.identity, &facts, &self.health.snapshot(self.clock.now()))
    }

    async fn reload(&self) -> Result<Value, Failed> {
        let result = self.settings.reload().await;
        let data = documents::reload(&result);
        match result {
            Ok(_) => Ok(data),
            Err(NotChanged::BadFile(_)) => {
                Err(Failed { error: "The configuration can't be used".to_owned(), data: Some(data) })
            }
            Err(other) => Err(Failed { error: other.to_string(), data: Some(data) }),
        }
    }

    async fn change(&self, change: Change) -> Result<Value, Failed> {
        self.settings.change(change.clone()).await.map_err(|failure| failure.to_string())?;
        let config = self.config();
        let find = |name: &str| config.triggers.iter().find(|trigger| trigger.name == name);
        let values = match &change {
            Change::Personality(_) => documents::personality(&config.personality),
            Change::RateLimits(_) => documents::limits(&config.rate_limits),
            Change::Trigger(name, _) => {
                documents::trigger(find(name).ok_or_else(|| format!("Trigger not found: {name}"))?)
            }
            Change::ToggleTrigger(name) => {
                json!({"name": name, "enabled": find(name).is_some_and(|trigger| trigger.enabled)})
            }
        };
        Ok(documents::until_reload(values))
    }

    async fn forget(&self, user: Username) -> Result<Value, Failed> {
        let (name, of_contexts) = (user.clone(), self.contexts.forget(&user));
        let forgotten =
            self.operate(move |_, decider, decisions| (decider.forget(&user), decisions.forget(&user)));
        let (lines, decisions) = forgotten.await?;
        Ok(json!({
            "username": name.as_str(), "lines_erased": lines, "contexts_erased": of_contexts,
            "decisions_erased": decisions, "memory": NO_MEMORY,
        }))
    }

    async fn operate<T: Send + 'static>(
        &self,
        operation: impl FnOnce(Moment, &mut Decider, &mut Decisions) -> T + Send + 'static,
    ) -> Result<T, Failed> {
        Ok(self.decider.operate(operation).await.ok_or("The service is stopping")?)
    }

    fn config(&self) -> Arc<Config> {
        self.in_force.borrow().shared_config().clone()
    }
}

/// An answer as everybody expects it.
fn envelope(command: Option<&str>, result: Result<Value, Failed>) -> Value {
    let mut answer = json!({"service": "llm"});
    if let Some(command) = command {
        answer["command"] = json!(command);
    }
    match result {
        Ok(data) => {
            answer["success"] = json!(true);
            answer["data"] = data;
        }
        Err(Failed { error, data }) => {
            answer["success"] = json!(false);
            answer["error"] = json!(error);
            if let Some(data) = data {
                answer["data"] = data;
            }
        }
    }
    answer
}
