//! Looking into the history's file, on a connection of its own that can't write.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, Row, params};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::document::{Document, ProviderChange, StateAtStart, Transition};
use super::minute::{Figures, Latency};
use super::steps::{Range, Steps};
use super::store::{LATEST_OF_PROVIDERS, NO_FILE, VERSION, has_no_table};
use crate::clock::iso;
use crate::health::{State, TokenCounts};

/// So many may look at once.
const AT_ONCE: usize = 2;
/// How long others may be waited for.
const WAIT: Duration = Duration::from_secs(2);
/// How long a look may take.
const LOOK: Duration = Duration::from_secs(2);
/// How long SQLite may wait for a lock.
const BUSY: Duration = Duration::from_millis(500);
/// Of so many changes of a kind the latest are shown.
const MOST_CHANGES: usize = 2_000;

/// Why a look found nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// There is no file, or there is nothing in it yet.
    #[error("nothing was written down yet")]
    Nothing,
    /// It can't be read now.
    #[error("the history can't be read: {0}")]
    Because(String),
}

impl From<String> for Unread {
    fn from(why: String) -> Self {
        Self::Because(why)
    }
}

/// Looks into the file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    path: PathBuf,
    places: Arc<Semaphore>,
}

impl Reader {
    /// Looks into this file. Nothing is opened yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// What there is of a range that ends now, as a text of JSON. Of more than 2,000 changes of a kind the
    /// latest are shown.
    ///
    /// # Errors
    /// When there is no file, when it can't be read within two seconds or so, or when two others are being
    /// answered for as long.
    pub async fn document(&self, now: DateTime<Utc>, range: Range) -> Result<String, Unread> {
        let place = timeout(WAIT, self.places.clone().acquire_owned())
            .await
            .map_err(|_| "others are being answered".to_owned())?;
        let path = self.path.clone();
        let look = move || {
            // Held to the end, even when nobody waits for it any more.
            let _place = place;
            let look = Look::begin(&path)?.ok_or(Unread::Nothing)?;
            Ok(look.document(now, range)?.text()?)
        };
        let looked = timeout(LOOK + BUSY, spawn_blocking(look))
            .await
            .map_err(|_| "its file does not answer: the disk hangs".to_owned())?;
        looked.map_err(told)?
    }
}

/// One look, bounded in time.
struct Look {
    connection: Connection,
    deadline: Instant,
}

impl Look {
    /// None when there is no file, or when it is only just being made.
    fn begin(path: &Path) -> Result<Option<Self>, String> {
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if !metadata.is_file() => return Err(NO_FILE.to_owned()),
            _ => {}
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(told)?;
        connection.busy_timeout(BUSY).map_err(told)?;
        // All of it as it is at one moment.
        connection.execute_batch("BEGIN").map_err(told)?;
        let version: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(told)?;
        if version == 0 && has_no_table(&connection).map_err(told)? {
            return Ok(None);
        }
        if usize::try_from(version) != Ok(VERSION) {
            return Err(format!("its file is of version {version}, not {VERSION}"));
        }
        Ok(Some(Self { connection, deadline: Instant::now() + LOOK }))
    }

    fn document(&self, now: DateTime<Utc>, range: Range) -> Result<Document, String> {
        let mut steps = Steps::of(range.step());
        let (from, to) = (range.begin(now), now.timestamp());
        self.minutes(&mut steps, from, to)?;
        self.silences(&mut steps, from, to)?;
        let (from, to) = (from.saturating_mul(1_000), now.timestamp_millis());
        Ok(Document {
            minutes: steps.show(),
            transitions: self.transitions(from, to)?,
            providers: self.providers(from, to)?,
            state_at_start: self.state_at(from)?,
            providers_at_start: self.providers_at(from)?,
            ..Document::empty(now, range)
        })
    }

    fn minutes(&self, steps: &mut Steps, from: i64, to: i64) -> Result<(), String> {
        let sql = "SELECT at, state, ran, messages, replies, errors, prompt_tokens, completion_tokens,
                   measured, p50, p90, p99 FROM minutes WHERE at >= ?1 AND at <= ?2 ORDER BY at, part";
        self.each(sql, params![from, to], |row| {
            let state: String = row.get(1)?;
            let measured: Option<i64> = row.get(8)?;
            let latency = match measured.map(unsigned).filter(|replies| *replies > 0) {
                Some(replies) => {
                    Some(Latency { replies, p50: row.get(9)?, p90: row.get(10)?, p99: row.get(11)? })
                }
                None => None,
            };
            let count = |column| row.get(column).map(unsigned);
            let figures = Figures {
                ran: Duration::from_millis(count(2)?),
                messages: count(3)?,
                replies: count(4)?,
                errors: count(5)?,
                silences: BTreeMap::new(),
                latency,
                tokens: TokenCounts { prompt: count(6)?, completion: count(7)? },
            };
            steps.add(row.get(0)?, state_named(&state), figures);
            Ok(())
        })
    }

    fn silences(&self, steps: &mut Steps, from: i64, to: i64) -> Result<(), String> {
        let sql = "SELECT at, reason, count FROM silences WHERE at >= ?1 AND at <= ?2";
        self.each(sql, params![from, to], |row| {
            steps.silence(row.get(0)?, row.get_ref(1)?.as_str()?, unsigned(row.get(2)?));
            Ok(())
        })
    }

    fn transitions(&self, from: i64, to: i64) -> Result<Vec<Transition>, String> {
        let sql = format!(
            "SELECT at, NULLIF(state_before, ''), state, reason FROM transitions WHERE at >= ?1 AND at <= ?2
             ORDER BY at DESC, number DESC LIMIT {MOST_CHANGES}"
        );
        self.changes(&sql, from, to, |row| {
            Ok(Transition { at: time(row)?, from: row.get(1)?, to: row.get(2)?, reason: row.get(3)? })
        })
    }

    fn providers(&self, from: i64, to: i64) -> Result<Vec<ProviderChange>, String> {
        let sql = format!(
            "SELECT at, provider, status_before, status FROM providers WHERE at >= ?1 AND at <= ?2
             ORDER BY at DESC, number DESC LIMIT {MOST_CHANGES}"
        );
        self.changes(&sql, from, to, |row| {
            Ok(ProviderChange { at: time(row)?, provider: row.get(1)?, from: row.get(2)?, to: row.get(3)? })
        })
    }

    /// Changes that are asked for newest first, as of which there are only so many; the oldest first.
    fn changes<T>(
        &self,
        sql: &str,
        from: i64,
        to: i64,
        make: impl Fn(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Vec<T>, String> {
        let mut changes = Vec::new();
        self.each(sql, params![from, to], |row| {
            changes.push(make(row)?);
            Ok(())
        })?;
        changes.reverse();
        Ok(changes)
    }

    /// The state that the latest change before a moment led to.
    fn state_at(&self, moment: i64) -> Result<Option<StateAtStart>, String> {
        let sql = "SELECT state FROM transitions WHERE at < ?1 ORDER BY at DESC, number DESC LIMIT 1";
        let mut state = None;
        self.each(sql, params![moment], |row| {
            state = Some(StateAtStart { state: row.get(0)? });
            Ok(())
        })?;
        Ok(state)
    }

    /// What the latest change of each provider before a moment led to.
    fn providers_at(&self, moment: i64) -> Result<BTreeMap<String, String>, String> {
        let mut known = BTreeMap::new();
        self.each(LATEST_OF_PROVIDERS, params![moment], |row| {
            known.insert(row.get(0)?, row.get(1)?);
            Ok(())
        })?;
        Ok(known)
    }

    /// Goes through rows, as long as there is time.
    fn each(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        mut take: impl FnMut(&Row<'_>) -> Result<(), rusqlite::Error>,
    ) -> Result<(), String> {
        let mut statement = self.connection.prepare(sql).map_err(told)?;
        let mut rows = statement.query(parameters).map_err(told)?;
        while let Some(row) = rows.next().map_err(told)? {
            take(row).map_err(told)?;
            if Instant::now() > self.deadline {
                return Err(format!("it took more than {} s", LOOK.as_secs()));
            }
        }
        Ok(())
    }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The time in the first column.
fn time(row: &Row<'_>) -> Result<String, rusqlite::Error> {
    row.get(0).map(|at| iso(DateTime::<Utc>::from_timestamp_millis(at).unwrap_or_default()))
}

/// A name that nobody knows counts as the worst.
fn state_named(name: &str) -> State {
    let states = [State::Healthy, State::Degraded, State::Failing];
    states.into_iter().find(|state| state.as_str() == name).unwrap_or(State::Failing)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_third_look_waits_for_one_of_two_but_not_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let reader = Reader::new(folder.path().join("history.db"));
        let held = reader.places.clone().acquire_many_owned(2).await.expect("two places");
        tokio::time::pause();
        let busy = Unread::Because("others are being answered".to_owned());
        assert_eq!(reader.document(Utc::now(), Range::Hour).await, Err(busy));
        tokio::time::resume();
        drop(held);
        assert_eq!(reader.document(Utc::now(), Range::Hour).await, Err(Unread::Nothing), "no file");
        assert_eq!(reader.places.available_permits(), AT_ONCE, "each place is given back");
    }

    #[test]
    fn a_file_without_anything_is_nothing_and_one_that_is_none_of_ours_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history.db");
        let look = || Look::begin(&path).map(|look| look.is_some());
        assert_eq!(look(), Ok(false), "no file");
        fs::write(&path, "").expect("written");
        assert_eq!(look(), Ok(false), "an empty file");
        let connection = Connection::open(&path).expect("a database");
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("a database");
        assert_eq!(look(), Ok(false), "a database without a table, as one is that is being made");
        connection.execute_batch("CREATE TABLE other (x)").expect("a table");
        assert_eq!(look(), Err(format!("its file is of version 0, not {VERSION}")));
        drop(connection);
        fs::write(&path, "no database".repeat(1_000)).expect("written");
        assert_eq!(look(), Err("file is not a database".to_owned()));
        fs::remove_file(&path).expect("gone");
        fs::create_dir(&path).expect("a folder");
        assert_eq!(look(), Err("something stands there that is no file".to_owned()));
    }

    #[test]
    fn a_look_that_takes_too_long_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let connection = Connection::open(folder.path().join("history.db")).expect("a database");
        let look = Look { connection, deadline: Instant::now() };
        let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";
        let ended = look.each(endless, [], |_| Ok(()));
        assert_eq!(ended, Err("it took more than 2 s".to_owned()));
    }
}
