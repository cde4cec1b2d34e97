//! What the history's file looks like, and how an older one becomes a present one.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// From nothing to the present: each is done once, in this order; the file remembers how many were
/// (`user_version`). Never change one that was in a release; add another.
const STEPS: [&str; 1] = [
    // Times of minutes are in seconds since 1970, those of changes in milliseconds; `ran` is in milliseconds.
    "CREATE TABLE minutes (
        at INTEGER NOT NULL, part INTEGER NOT NULL, ran INTEGER NOT NULL, state TEXT NOT NULL,
        messages INTEGER NOT NULL, replies INTEGER NOT NULL, errors INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
        measured INTEGER, p50 REAL, p90 REAL, p99 REAL,
        PRIMARY KEY (at, part)
    ) WITHOUT ROWID;
    CREATE TABLE silences (
        at INTEGER NOT NULL, part INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (at, part, reason)
    ) WITHOUT ROWID;
    CREATE TABLE transitions (
        at INTEGER NOT NULL, number INTEGER NOT NULL,
        state_before TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (at, number)
    ) WITHOUT ROWID;
    CREATE TABLE providers (
        at INTEGER NOT NULL, number INTEGER NOT NULL, provider TEXT NOT NULL,
        status_before TEXT NOT NULL, status TEXT NOT NULL,
        PRIMARY KEY (at, number)
    ) WITHOUT ROWID;",
];

/// How many steps there are: what `user_version` says of a present file.
pub const VERSION: usize = STEPS.len();
/// Owner and group only, as for the other files of ours.
const FOLDER_MODE: u32 = 0o750;

/// Opens the file to write, made or brought up to date where needed; with `check` it is looked through for
/// damage first.
pub fn open(path: &Path, busy: Duration, check: bool) -> Result<Connection, StoreError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    }
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(std::io::Error::other("something stands there that is no file").into());
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy)?;
    // Before there is any table; later it has no effect.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // 256 KiB: the whole daemon is to stay small, and a write touches few pages.
    connection.pragma_update(None, "cache_size", -256)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // A crash of ours loses nothing, a power cut the latest minutes at most.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 64, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", 1_048_576, |_| Ok(()))?;
    if check {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(StoreError::NotOurs(verdict));
        }
    }
    bring_up_to_date(&mut connection, &STEPS)?;
    Ok(connection)
}

/// Does the steps that the file has not seen.
pub(super) fn bring_up_to_date(connection: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let done = usize::try_from(version).ok().filter(|done| *done <= steps.len());
    let Some(done) = done else {
        return Err(StoreError::NotOurs(format!(
            "it is of version {version}, and this program knows {} at most",
            steps.len()
        )));
    };
    if (done == 0) != (tables == 0) {
        return Err(StoreError::NotOurs("it is a database of something else".to_owned()));
    }
    if done < steps.len() {
        let transaction = connection.transaction()?;
        steps[done..].iter().try_for_each(|step| transaction.execute_batch(step))?;
        transaction.pragma_update(None, "user_version", super::signed(steps.len() as u64))?;
        transaction.commit()?;
    }
    Ok(())
}

/// When the oldest and the newest of all were, in seconds.
pub fn span(connection: &Connection) -> Result<(i64, i64), rusqlite::Error> {
    let of = |which: &str| {
        format!(
            "SELECT {which}(at) FROM (SELECT {which}(at) AS at FROM minutes
             UNION ALL SELECT {which}(at) FROM silences
             UNION ALL SELECT {which}(at) / 1000 FROM transitions
             UNION ALL SELECT {which}(at) / 1000 FROM providers)"
        )
    };
    let at = |which: &str| connection.query_row(&of(which), [], |row| row.get::<_, Option<i64>>(0));
    Ok((at("min")?.unwrap_or_default(), at("max")?.unwrap_or_default()))
}
