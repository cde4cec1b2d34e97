//! What the providers cost, written down: the one owner of these sums.
//!
//! A call is reserved before it is made and settled when it is over. When there is a limit, a
//! reservation is in the file before the call goes out; so whatever ends the service, no call that was
//! made is ever forgotten.

mod file;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{Local, NaiveDate};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::chat::shares;
use crate::chat::spend::{
    Call, Denied, Near, ProviderSpent, Saved, Spend, SpendInUse, SpendTicket, Usage, day_left,
};
use crate::clock::{Clock, Moment};
use crate::config::{self, Config};
use crate::names::{ProviderName, Username};
use crate::state_file::StateFile;

pub use file::SpendWriter;

/// The name of the file in `state_dir`.
const FILE: &str = "spend.json";
/// A disk that takes longer holds no reply up; what it misses is in the next write.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says what may be spent, and is told what was. Cheap to clone; all clones share the sums.
#[derive(Debug, Clone)]
pub struct SpendBook {
    inner: Arc<Inner>,
    /// None when nothing is written down.
    writer: Option<ToWriter>,
}

#[derive(Debug)]
struct Inner {
    users_bytes: usize,
    clock: Clock,
    sums: Mutex<Sums>,
}

/// Held for moments only, never across an await.
#[derive(Debug)]
struct Sums {
    limits: config::Spend,
    spend: Spend,
    /// How often they have changed, by which a change is known to be written.
    changes: u64,
}

/// How the writer is woken, and how far it has come.
#[derive(Debug, Clone)]
struct ToWriter {
    wake: mpsc::Sender<()>,
    written: watch::Receiver<u64>,
}

impl SpendBook {
    /// The service's book: it goes on from the file, and the writer keeps the file as long as anything
    /// is limited. Reads the file at once.
    pub fn open(config: &Config, clock: Clock) -> (Self, SpendWriter) {
        let file = StateFile::new(&config.state_dir, FILE);
        let inner = Self::going_on_from(file::read_or_set_aside(&file), config, clock);
        let (writer, to_writer) = SpendWriter::new(inner.clone(), file);
        (Self { inner, writer: Some(to_writer) }, writer)
    }

    /// A book that goes on from the service's file but leaves it alone: what is spent by it, nobody
    /// else learns.
    pub fn open_to_look(config: &Config, clock: Clock) -> Self {
        let file = StateFile::new(&config.state_dir, FILE);
        // A file that can't be read is the service's to tell of.
        let saved = file.read().ok().flatten().filter(|_| config.spend.is_limited());
        Self { inner: Self::going_on_from(saved, config, clock), writer: None }
    }

    /// A book in which nothing stands, and that nobody writes down.
    pub fn blank(config: &Config, clock: Clock) -> Self {
        Self { inner: Self::going_on_from(None, config, clock), writer: None }
    }

    fn going_on_from(saved: Option<Saved>, config: &Config, clock: Clock) -> Arc<Inner> {
        let now = clock.now();
        let users_bytes = shares::spend(config);
        let spend = match saved {
            Some(saved) => Spend::restore(now, local_day(now), users_bytes, &saved),
            None => Spend::new(local_day(now)),
        };
        let sums = Mutex::new(Sums { limits: config.spend.clone(), spend, changes: 0 });
        Arc::new(Inner { users_bytes, clock, sums })
    }

    /// Keeps to other limits from now on; what was spent stays.
    pub fn adopt(&self, limits: &config::Spend) {
        self.inner.lock().limits = limits.clone();
    }

    /// The limit that is so near that unasked replies stop; for all, or the user's.
    pub fn near(&self, now: Moment, user: Option<&Username>) -> Option<Near> {
        let sums = self.inner.lock();
        sums.spend.near(now, local_day(now), &sums.limits, user)
    }

    /// Shows the sums. The writer does not wait for its end.
    pub fn view(&self) -> SpendView {
        SpendView(self.inner.clone())
    }

    /// Counts a call that is about to be made, and returns when that is written down.
    ///
    /// # Errors
    /// With the limit that the call might exceed. Then it must not be made.
    pub async fn reserve(&self, call: Call<'_>) -> Result<OpenCall, Denied> {
        let (ticket, change, is_limited) = self.inner.reserve(call)?;
        // From here on it is settled, whatever happens.
        let mut open = OpenCall { book: self.clone(), ticket, at_drop: Usage::Nothing };
        if let Some(writer) = self.writer.as_ref().filter(|_| is_limited) {
            writer.has_written(change).await;
        }
        open.at_drop = Usage::Unknown;
        Ok(open)
    }

    fn settle(&self, ticket: SpendTicket, usage: Usage) {
        let mut sums = self.inner.lock();
        sums.spend.settle(ticket, usage);
        sums.changes += 1;
        let is_limited = sums.limits.is_limited();
        drop(sums);
        self.writer.iter().filter(|_| is_limited).for_each(ToWriter::wake);
    }
}

/// Shows the sums of a book.
#[derive(Debug, Clone)]
pub struct SpendView(Arc<Inner>);

impl SpendView {
    /// What a provider was used for today.
    pub fn of_provider(&self, now: Moment, provider: &ProviderName) -> ProviderSpent {
        self.0.lock().spend.of_provider(local_day(now), provider)
    }

    /// The limits that are configured, and how far they are used up today.
    pub fn limits_in_use(&self, now: Moment) -> Vec<SpendInUse> {
        let sums = self.0.lock();
        sums.spend.in_use(now, local_day(now), day_left(&now.wall.with_timezone(&Local)), &sums.limits)
    }

    /// What was spent today, by the configured prices.
    pub fn cost(&self, now: Moment) -> f64 {
        self.0.lock().spend.cost(local_day(now))
    }
}

impl Inner {
    /// Its ticket, which change it is, and whether anything is limited.
    fn reserve(&self, call: Call<'_>) -> Result<(SpendTicket, u64, bool), Denied> {
        let now = self.clock.now();
        let mut sums = self.lock();
        let Sums { limits, spend, changes } = &mut *sums;
        let ticket = spend.reserve(now, local_day(now), limits, self.users_bytes, call)?;
        *changes += 1;
        Ok((ticket, *changes, limits.is_limited()))
    }

    /// What is to be written down, and which changes are in it.
    fn save(&self) -> (Saved, u64) {
        let sums = self.lock();
        (sums.spend.save(self.clock.now()), sums.changes)
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ToWriter {
    /// One notice that waits stands for all changes so far.
    fn wake(&self) {
        let _ = self.wake.try_send(());
    }

    /// Waits until a change is written down, or could not be.
    async fn has_written(&self, change: u64) {
        self.wake();
        let mut written = self.written.clone();
        let _ = timeout(PATIENCE, written.wait_for(|written| *written >= change)).await;
    }
}

/// A call that is counted but not yet over. When it is dropped, what was reserved for it stays
/// counted, since nobody knows what it has cost.
#[derive(Debug)]
#[must_use = "dropping it is settling it"]
pub struct OpenCall {
    book: SpendBook,
    ticket: SpendTicket,
    at_drop: Usage,
}

impl OpenCall {
    /// The call is over.
    pub fn settle(mut self, usage: Usage) {
        self.at_drop = usage;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.book.settle(self.ticket, self.at_drop);
    }
}

/// Days begin at midnight where this machine is.
fn local_day(now: Moment) -> NaiveDate {
    now.wall.with_timezone(&Local).date_naive()
}

#[cfg(test)]
mod tests;
