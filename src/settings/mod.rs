//! What is in force: one owner, and everybody else reads it from a watch between two items of work.
//! A reply keeps the settings that it began with.

mod change;
mod fixed;
mod owner;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::chat::rules::Rules;
use crate::clock::Clock;
use crate::config::{self, Loaded};
use crate::health::{Component, HealthMonitor};

pub use change::{Change, PERSONALITY_FIELDS, RATE_LIMIT_FIELDS, Refused, TRIGGER_FIELDS};
pub use owner::{ChangedValue, Overrules, Taken};

use owner::Owner;

/// Changes that may wait; whoever brings one waits then.
const WAITING: usize = 16;

/// The settings in force, with what was compiled from them.
pub type InForce = watch::Receiver<Arc<Rules>>;

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// The file can't be used; one text for each problem.
    #[error("{}", .0.join("\n"))]
    BadFile(Vec<String>),
    /// The command can't be followed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

type Answer = oneshot::Sender<Result<Taken, NotChanged>>;

enum Request {
    Reload(Answer),
    Change(Change, Answer),
}

/// Asks for changes. Cheap to clone.
#[derive(Clone)]
pub struct SettingsHandle {
    requests: mpsc::Sender<Request>,
}

impl SettingsHandle {
    /// Reads the file again.
    ///
    /// # Errors
    /// Everything that is wrong with it; then nothing is changed.
    pub async fn reload(&self) -> Result<Taken, NotChanged> {
        self.ask(Request::Reload).await
    }

    /// Changes some values until the next reload or start.
    ///
    /// # Errors
    /// Why it can't be; then nothing is changed.
    pub async fn change(&self, change: Change) -> Result<Taken, NotChanged> {
        self.ask(|answer| Request::Change(change, answer)).await
    }

    async fn ask(&self, request: impl FnOnce(Answer) -> Request) -> Result<Taken, NotChanged> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| NotChanged::Stopping)?;
        answered.await.unwrap_or(Err(NotChanged::Stopping))
    }
}

/// Where the settings come from.
#[derive(Debug)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// What it held at the start, with what the command line puts over it.
    pub loaded: Loaded,
    /// What the command line puts over it.
    pub overrules: Overrules,
}

/// Reads the file again at each SIGHUP. Never returns.
pub async fn reload_on(mut hang_up: Signal, settings: SettingsHandle) {
    while hang_up.recv().await.is_some() {
        info!("SIGHUP: reading the configuration again");
        // What came of it is in the log.
        let _ = settings.reload().await;
    }
}

/// The task that owns the settings. See [`SettingsTask::run`].
pub struct SettingsTask {
    path: PathBuf,
    owner: Owner,
    in_force: watch::Sender<Arc<Rules>>,
    requests: mpsc::Receiver<Request>,
    clock: Clock,
    health: HealthMonitor,
}

impl SettingsTask {
    /// The owner of what was loaded from a file, how to ask it, and where to read what is in force.
    pub fn new(source: Source, clock: Clock, health: HealthMonitor) -> (Self, SettingsHandle, InForce) {
        let Source { path, loaded, overrules } = source;
        let owner = Owner::new(loaded, overrules);
        let (in_force, reader) = watch::channel(Rules::new(owner.config().clone()));
        let (sender, requests) = mpsc::channel(WAITING);
        let task = Self { path, owner, in_force, requests, clock, health };
        (task, SettingsHandle { requests: sender }, reader)
    }

    /// Makes changes, one after the other, for as long as somebody can ask for them.
    pub async fn run(mut self) {
        while let Some(request) = self.requests.recv().await {
            // Reading the file and compiling the patterns may take long.
            let made = spawn_blocking(move || self.make(request)).await;
            let (task, answer, result) = made.unwrap_or_else(|error| resume_unwind(error.into_panic()));
            self = task;
            // Whoever asked may be gone.
            let _ = answer.send(result);
        }
    }

    fn make(mut self, request: Request) -> (Self, Answer, Result<Taken, NotChanged>) {
        let is_reload = matches!(request, Request::Reload(_));
        let (answer, result) = match request {
            Request::Reload(answer) => (answer, self.reload()),
            Request::Change(change, answer) => {
                let result = self.owner.change(&change, &config::of_process);
                (answer, result.map_err(NotChanged::from))
            }
        };
        if let Ok(taken) = &result
            && !taken.changes.is_empty()
        {
            let config = self.owner.config();
            self.health.providers(config.llm_providers.iter().map(|provider| provider.name.clone()));
            self.in_force.send_replace(Rules::new(config.clone()));
        }
        if is_reload && let Ok(taken) = &result {
            tell(taken);
        }
        (self, answer, result)
    }

    fn reload(&mut self) -> Result<Taken, NotChanged> {
        let now = self.clock.now();
        let loaded = config::load_file(&self.path);
        let fault = loaded.is_err().then(|| "the last reload failed: the file can't be used".to_owned());
        self.health.condition(now, Component::Config, "reload", fault, None);
        match loaded {
            Ok(loaded) => Ok(self.owner.reload(loaded)),
            Err(failure) => {
                let lines: Vec<String> = failure.to_string().lines().map(str::to_owned).collect();
                for problem in &lines {
                    error!("the configuration can't be taken up: {problem}");
                }
                warn!("nothing was changed; mend the file and reload again");
                Err(NotChanged::BadFile(lines))
            }
        }
    }
}

/// One line for each thing that an operator should know.
fn tell(taken: &Taken) {
    for warning in &taken.warnings {
        warn!("{warning}");
    }
    for ChangedValue { place, from, to } in &taken.changes {
        let (from, to) = (from.as_deref().unwrap_or("(nothing)"), to.as_deref().unwrap_or("(nothing)"));
        info!("{place}: {from} → {to}");
    }
    for place in &taken.needs_restart {
        warn!("{place} is another in the file; only a restart takes it up");
    }
    if taken.commands_undone {
        warn!("what was changed by command is as in the file again");
    }
    info!(changes = taken.changes.len(), "configuration reloaded");
}
