//! The operator's templates: their folder is read here, outside of everything that decides.
//!
//! Each reply asks for the templates in force. What has changed in the folder since is read first,
//! by the one task that does; several replies that ask at the same time are served by one look.

pub mod folder;
pub mod keeper;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::chat::prompt::{Failure, Templates};
use crate::clock::Clock;
use crate::config::Templates as Settings;
use crate::health::{Component, HealthMonitor, listed};
use keeper::{Keeper, News};

/// How long a reply waits for a look at the folder; then it takes the templates as they were.
const PATIENCE: Duration = Duration::from_secs(1);
/// Replies that may wait for a look.
const WAITING: usize = 64;
/// How long health speaks of a failure that only some messages meet.
const FAILURE_SHOWN: Duration = Duration::from_secs(600);

/// Hands out the templates in force. Cheap to clone.
#[derive(Clone)]
pub struct TemplatesHandle {
    looks: mpsc::Sender<oneshot::Sender<()>>,
    current: watch::Receiver<Arc<Templates>>,
    health: HealthMonitor,
    clock: Clock,
}

impl TemplatesHandle {
    /// The templates, with what has changed in the folder until now.
    pub async fn current(&self) -> Arc<Templates> {
        let looked = async {
            let (done, is_done) = oneshot::channel();
            self.looks.send(done).await.ok()?;
            is_done.await.ok()
        };
        if timeout(PATIENCE, looked).await.ok().flatten().is_none() {
            warn!("the templates' folder can't be looked at in time; the templates stay as they were");
            self.unhealthy("looking", "templates: the folder can't be looked at in time".to_owned());
        }
        self.current.borrow().clone()
    }

    /// A template failed while a prompt was made; another one took over.
    pub fn failed(&self, failure: &Failure) {
        warn!(template = %failure, "a template failed; the next one, at last the built-in one, takes over");
        self.unhealthy("rendering", failure.to_string());
    }

    fn unhealthy(&self, key: &'static str, what: String) {
        self.health.condition(self.clock.now(), Component::Config, key, Some(what), Some(FAILURE_SHOWN));
    }
}

/// The task that reads the folder. See [`TemplatesTask::run`].
pub struct TemplatesTask {
    keeper: Keeper,
    looks: mpsc::Receiver<oneshot::Sender<()>>,
    current: watch::Sender<Arc<Templates>>,
    health: HealthMonitor,
    clock: Clock,
}

impl TemplatesTask {
    /// The task and where to ask it; the built-in templates are in force until it runs.
    pub fn new(settings: &Settings, clock: Clock, health: HealthMonitor) -> (Self, TemplatesHandle) {
        let keeper = Keeper::new(settings.clone());
        let (looks, asked) = mpsc::channel(WAITING);
        let (sender, current) = watch::channel(keeper.current());
        let handle = TemplatesHandle { looks, current, health: health.clone(), clock };
        (Self { keeper, looks: asked, current: sender, health, clock }, handle)
    }

    /// Looks at the folder at once, and then whenever somebody asks. Ends with the last handle.
    pub async fn run(mut self) {
        let mut waiting = Vec::new();
        loop {
            let mut keeper = self.keeper;
            // A file system that hangs holds up this task alone.
            let looked = spawn_blocking(move || (keeper.look(), keeper)).await;
            let Ok((news, keeper)) = looked else {
                warn!("reading the templates panicked; this is a bug, please report it");
                return;
            };
            self.keeper = keeper;
            if let Some(news) = news {
                self.tell(&news);
                self.current.send_replace(news.templates);
            }
            for done in waiting.drain(..) {
                // Whoever asked may have lost patience.
                let _: Result<(), ()> = oneshot::Sender::send(done, ());
            }
            if self.looks.recv_many(&mut waiting, WAITING).await == 0 {
                return;
            }
        }
    }

    fn tell(&self, news: &News) {
        let own: Vec<&str> = news.templates.entries().collect();
        info!(?own, "templates are loaded; what is not among the operator's own is built in");
        for failure in &news.failures {
            warn!(template = %failure, "a template can't be used; its last good version stays, if there is one");
        }
        let failures: Vec<String> = news.failures.iter().map(ToString::to_string).collect();
        let message = (!failures.is_empty()).then(|| listed("", &failures));
        let now = self.clock.now();
        self.health.condition(now, Component::Config, "templates", message, None);
        // What failed before may be mended; if not, the next reply says so again.
        self.health.condition(now, Component::Config, "rendering", None, None);
        self.health.condition(now, Component::Config, "looking", None, None);
    }
}
