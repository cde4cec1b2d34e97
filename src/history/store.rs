//! The history's file: SQLite, written by one owner.

mod schema;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, params};
use tracing::warn;

use super::minute::Minute;
use super::pruning::Pruning;
use crate::clock::Moment;
use crate::health::{Change, News, State};
pub(super) use schema::{LATEST_OF_PROVIDERS, NO_FILE, VERSION, has_no_table};

/// What a second process that looks at the file may cost a write.
const BUSY: Duration = Duration::from_secs(2);
/// When the file is too large, so many times a twentieth of what is in it is forgotten at one write.
const MOST_CUTS: usize = 40;

/// In milliseconds.
const DAY: i64 = 86_400_000;

/// Something to be kept.
#[derive(Debug, Clone)]
pub enum Entry {
    /// The service started; nothing is known of its providers.
    Start(Moment),
    /// A minute, or what there is of it so far.
    Minute(Minute),
    /// A change of the state or of a provider.
    News(News),
}

/// Why the history could not be written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder.
    #[error("{0}")]
    File(#[from] io::Error),
    /// What SQLite says.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// The file is there, but is no history that we can go on with.
    #[error("{0}")]
    NotOurs(String),
}

impl StoreError {
    /// Whether another file would help.
    fn is_broken(&self) -> bool {
        match self {
            Self::NotOurs(_) => true,
            Self::Database(error) => {
                matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                )
            }
            Self::File(_) => false,
        }
    }
}

/// The file, opened at the first write, and anew after each failure.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    max_bytes: u64,
    open: Option<Open>,
    /// Whether the file as it is now was looked through.
    is_checked: bool,
    pruning: Pruning,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    /// Device and inode.
    identity: (u64, u64),
}

impl Store {
    /// A store in this file that forgets what is older than `retention`, and the oldest when file and write
    /// ahead log are larger than `max_bytes`. Nothing is opened yet.
    pub fn new(path: PathBuf, retention: Duration, max_bytes: u64) -> Self {
        Self { path, max_bytes, open: None, is_checked: false, pruning: Pruning::of(retention) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of these, or none, and forgets what is too old or too much. A file that is broken, or no
    /// history of ours, is set aside, and a new one is begun.
    ///
    /// # Errors
    /// When it can't be written. The next write opens the file anew.
    pub fn write(&mut self, now: Moment, entries: &[Entry]) -> Result<(), StoreError> {
        let mut result = self.try_to_write(now, entries);
        if let Err(error) = &result
            && error.is_broken()
        {
            self.open = None;
            let aside = set_aside(&self.path)?;
            warn!(path = %self.path.display(), aside = %aside.display(), %error, "the history can't be read: it was set aside, and a new one is begun");
            self.is_checked = false;
            result = self.try_to_write(now, entries);
        }
        if result.is_err() {
            self.open = None;
        }
        result
    }

    fn try_to_write(&mut self, now: Moment, entries: &[Entry]) -> Result<(), StoreError> {
        let connection = self.current()?;
        if !entries.is_empty() {
            let transaction = connection.transaction()?;
            for entry in entries {
                keep(&transaction, entry)?;
            }
            transaction.commit()?;
        }
        self.forget_the_old(now)?;
        self.forget_too_much()
    }

    /// The connection, to the file that is there: somebody may have taken it away.
    fn current(&mut self) -> Result<&mut Connection, StoreError> {
        let is_current = |open: &Open| identity(&self.path).ok() == Some(open.identity);
        let open = match self.open.take().filter(is_current) {
            Some(open) => open,
            None => {
                let connection = schema::open(&self.path, BUSY, !self.is_checked)?;
                self.is_checked = true;
                Open { connection, identity: identity(&self.path)? }
            }
        };
        Ok(&mut self.open.insert(open).connection)
    }

    fn forget_the_old(&mut self, now: Moment) -> Result<(), StoreError> {
        if let Some(begin) = self.pruning.due(now) {
            forget_before(self.current()?, begin)?;
            self.pruning.done(now);
        }
        Ok(())
    }

    fn forget_too_much(&mut self) -> Result<(), StoreError> {
        for _ in 0..MOST_CUTS {
            if size(&self.path) <= self.max_bytes {
                break;
            }
            let connection = self.current()?;
            let is_read: bool =
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            // A reader keeps the log from being emptied: nothing is forgotten for that.
            if is_read || size(&self.path) <= self.max_bytes {
                break;
            }
            let connection = self.current()?;
            let Some(oldest) = schema::end_of_the_oldest(connection)? else { break };
            forget_before(connection, oldest.saturating_add(1))?;
        }
        Ok(())
    }

    /// The connection itself, for tests that fill the disk.
    #[cfg(test)]
    fn connection(&self) -> &Connection {
        &self.open.as_ref().expect("an open file").connection
    }
}

fn keep(transaction: &Transaction<'_>, entry: &Entry) -> Result<(), rusqlite::Error> {
    match entry {
        Entry::Minute(Minute { at, part, state, figures }) => {
            let latency = figures.latency;
            transaction.execute(
                "INSERT OR REPLACE INTO minutes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                params![
                    at,
                    part,
                    i64::try_from(figures.ran.as_millis()).unwrap_or(i64::MAX),
                    state.as_str(),
                    signed(figures.messages),
                    signed(figures.replies),
                    signed(figures.errors),
                    signed(figures.tokens.prompt),
                    signed(figures.tokens.completion),
                    latency.map(|latency| signed(latency.replies)),
                    latency.map(|latency| latency.p50),
                    latency.map(|latency| latency.p90),
                    latency.map(|latency| latency.p99),
                ],
            )?;
            let mut silence =
                transaction.prepare("INSERT OR REPLACE INTO silences VALUES (?1, ?2, ?3, ?4)")?;
            for (reason, count) in &figures.silences {
                silence.execute(params![at, part, reason, signed(*count)])?;
            }
        }
        Entry::Start(at) => {
            let at = at.wall.timestamp_millis();
            // A clock that was ahead, by a time zone say, would have the last word for as long.
            transaction
                .execute("DELETE FROM providers WHERE at >= ?1 AND at < ?2", [at, at.saturating_add(DAY)])?;
            // Their numbers are below those of all that happens in the same millisecond.
            let sql = format!(
                "INSERT OR REPLACE INTO providers SELECT ?1, -row_number() OVER (), provider, status, 'unknown'
                 FROM ({LATEST_OF_PROVIDERS}) WHERE status <> 'unknown'"
            );
            transaction.execute(&sql, [at])?;
        }
        Entry::News(News { number, at, change }) => {
            let at = at.wall.timestamp_millis();
            match change {
                Change::State(transition) => {
                    let (before, reason) = (transition.before().map_or("", State::as_str), transition.why());
                    transaction.execute(
                        "INSERT OR REPLACE INTO transitions VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![at, signed(*number), before, transition.to.as_str(), reason],
                    )?
                }
                Change::Provider { provider, from, to } => transaction.execute(
                    "INSERT OR REPLACE INTO providers VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![at, signed(*number), provider.as_str(), from.as_str(), to.as_str()],
                )?,
            };
        }
    }
    Ok(())
}

/// Forgets what was before this second, and gives the room back.
fn forget_before(connection: &mut Connection, at: i64) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    for table in ["minutes", "silences"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE at < ?1"), [at])?;
    }
    let at = at.saturating_mul(1_000);
    transaction.execute("DELETE FROM transitions WHERE at < ?1", [at])?;
    // What a provider was all the time since then is not forgotten, unless that is nothing.
    transaction.execute(
        "DELETE FROM providers WHERE at < ?1 AND (status = 'unknown' OR EXISTS (
            SELECT 1 FROM providers AS later WHERE later.provider = providers.provider AND later.at < ?1
            AND (later.at, later.number) > (providers.at, providers.number)))",
        [at],
    )?;
    transaction.commit()?;
    // It gives back a page for each row that it is asked for.
    let mut give_back = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut pages = give_back.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}

/// Puts the file and what belongs to it out of the way, for somebody to look at; an older one there is
/// replaced.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = beside(path, ".broken");
    for ending in ["-wal", "-shm", ""] {
        match fs::rename(beside(path, ending), beside(&aside, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// A file that SQLite keeps beside this one.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// What the file and its write ahead log take, in bytes.
fn size(path: &Path) -> u64 {
    let bytes = |ending| fs::metadata(beside(path, ending)).map_or(0, |metadata| metadata.len());
    bytes("") + bytes("-wal")
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// SQLite's whole numbers have a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
