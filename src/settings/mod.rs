//! What is in force: one owner, and everybody else reads it from a watch between two items of work.
//! A reply keeps the settings that it began with.

mod change;
mod fixed;
mod owner;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::chat::rules::Rules;
use crate::clock::Clock;
use crate::config::{self, Loaded};
use crate::health::{Component, HealthMonitor};

pub use change::{Change, PERSONALITY_FIELDS, RATE_LIMIT_FIELDS, Refused, TRIGGER_FIELDS};
pub use owner::{ChangedValue, Overrules, Taken};

use owner::Owner;

/// Changes that may wait; whoever brings one waits then.
const WAITING: usize = 64;
/// How long a reload or a change may take; whoever asked for it waits no longer.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// It takes too long. What was begun may still be done.
    #[error("it takes longer than {} s; it may still be done", PATIENCE.as_secs())]
    TooLong,
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

type Answer = oneshot::Sender<Result<Taken, NotChanged>>;

enum Work {
    Reload,
    Change(Change),
}

impl Work {
    /// What is wrong when it does not end.
    fn endless(&self) -> &'static str {
        match self {
            Self::Reload => "the last reload does not end",
            Self::Change(_) => "the last change does not end",
        }
    }
}

struct Request {
    work: Work,
    answer: Answer,
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
    /// Everything that is wrong with it; then nothing is changed. That it takes longer than 10 s.
    pub async fn reload(&self) -> Result<Taken, NotChanged> {
        self.ask(Work::Reload).await
    }

    /// Changes some values until the next reload or start.
    ///
    /// # Errors
    /// Why it can't be; then nothing is changed. That it takes longer than 10 s.
    pub async fn change(&self, change: Change) -> Result<Taken, NotChanged> {
        self.ask(Work::Change(change)).await
    }

    async fn ask(&self, work: Work) -> Result<Taken, NotChanged> {
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.requests.send(Request { work, answer }).await.map_err(|_| NotChanged::Stopping)?;
            answered.await.unwrap_or(Err(NotChanged::Stopping))
        };
        timeout(PATIENCE, asking).await.unwrap_or(Err(NotChanged::TooLong))
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

    /// Makes changes, one after the other, for as long as somebody can ask for them. One reload serves
    /// everybody who waits for one.
    pub async fn run(mut self) {
        let mut next = self.requests.recv().await;
        while let Some(Request { work, answer }) = next.take() {
            let mut answers = vec![answer];
            if matches!(work, Work::Reload) {
                next = self.merge_reloads(&mut answers);
            }
            // A reload is due whoever waits for it, for the file is another.
            if matches!(work, Work::Reload) || answers.iter().any(|answer| !answer.is_closed()) {
                let (clock, health, endless) = (self.clock, self.health.clone(), work.endless());
                // Reading the file and compiling the patterns may take long.
                let making = spawn_blocking(move || self.make(&work));
                let made = watched(making, endless, clock, &health).await;
                let (task, result) = made.unwrap_or_else(|error| resume_unwind(error.into_panic()));
                self = task;
                for answer in answers {
                    // Whoever asked may be gone.
                    let _ = answer.send(result.clone());
                }
            }
            if next.is_none() {
                next = self.requests.recv().await;
            }
        }
    }

    /// Takes the reloads that wait already, and gives what comes behind them.
    fn merge_reloads(&mut self, answers: &mut Vec<Answer>) -> Option<Request> {
        while let Ok(request) = self.requests.try_recv() {
            match request.work {
                Work::Reload => answers.push(request.answer),
                Work::Change(_) => return Some(request),
            }
        }
        None
    }

    fn make(mut self, work: &Work) -> (Self, Result<Taken, NotChanged>) {
        let result = match work {
            Work::Reload => self.reload(),
            Work::Change(change) => self.owner.change(change, &config::of_process).map_err(NotChanged::from),
        };
        if let Ok(taken) = &result
            && !taken.changes.is_empty()
        {
            let config = self.owner.config();
            self.health.providers(config.llm_providers.iter().map(|provider| provider.name.clone()));
            self.in_force.send_replace(Rules::new(config.clone()));
        }
        if let Ok(taken) = &result {
            tell(taken);
            if matches!(work, Work::Reload) {
                info!(changes = taken.changes.len(), "configuration reloaded");
            }
        }
        (self, result)
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
}

/// Waits for work to end, and says so in the health while it is over its time.
async fn watched<T>(
    making: impl Future<Output = T>,
    endless: &str,
    clock: Clock,
    health: &HealthMonitor,
) -> T {
    let fault = |fault| health.condition(clock.now(), Component::Config, "endless", fault, None);
    let mut making = pin!(making);
    match timeout(PATIENCE, &mut making).await {
        Ok(made) => made,
        Err(_) => {
            error!("{endless}");
            fault(Some(endless.to_owned()));
            let made = making.await;
            fault(None);
            made
        }
    }
}

#[cfg(test)]
mod tests;
