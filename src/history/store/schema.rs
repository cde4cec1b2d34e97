//! What the history's file looks like, and how an older one becomes a present one.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::StoreError;

/// From nothing to the present: each is done once, in this order; the file remembers how many were
/// (`user_version`). Never change one that was in a release; add another.
const STEPS: [&str; 2] = [
    // Times of minutes are in seconds since 1970, those of changes in milliseconds; `ran` is in milliseconds.
    // The first change of the state since a start has an empty `state_before`.
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
    "CREATE INDEX providers_by_name ON providers (provider, at, number, status);",
];

/// What the latest change of each provider before a moment (`?1`, in milliseconds) led to. Goes from name to
/// name, and to the latest of each, so it takes as long as there are providers, not changes.
pub const LATEST_OF_PROVIDERS: &str = "
    WITH RECURSIVE names (name) AS (
        SELECT min(provider) FROM providers
        UNION ALL
        SELECT (SELECT min(provider) FROM providers WHERE provider > name) FROM names WHERE name IS NOT NULL
    ),
    latest (provider, status) AS (
        SELECT name, (SELECT status FROM providers WHERE provider = name AND at < ?1
                      ORDER BY at DESC, number DESC LIMIT 1)
        FROM names WHERE name IS NOT NULL
    )
    SELECT provider, status FROM latest WHERE status IS NOT NULL";

/// How many steps there are: what `user_version` says of a present file.
pub const VERSION: usize = STEPS.len();
/// Why there can be no history in a folder, a pipe, or the like.
pub const NO_FILE: &str = "something stands there that is no file";
/// Owner and group only, as for the other files of ours.
const FOLDER_MODE: u32 = 0o750;

/// Opens the file to write, made or brought up to date where needed; with `check` it is looked through for
/// damage first.
pub fn open(path: &Path, busy: Duration, check: bool) -> Result<Connection, StoreError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    }
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(std::io::Error::other(NO_FILE).into());
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
    let done = usize::try_from(version).ok().filter(|done| *done <= steps.len());
    let Some(done) = done else {
        return Err(StoreError::NotOurs(format!(
            "it is of version {version}, and this program knows {} at most",
            steps.len()
        )));
    };
    if (done == 0) != has_no_table(connection)? {
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

/// Whether nothing was made in it yet.
pub fn has_no_table(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

/// When the latest of the oldest twentieth of all was, in seconds; none where there is nothing. It counts what
/// there is, not time: a clock that was wrong once must not make nearly everything old.
pub fn end_of_the_oldest(connection: &Connection) -> Result<Option<i64>, rusqlite::Error> {
    let all = "SELECT at FROM minutes UNION ALL SELECT at FROM silences
               UNION ALL SELECT at / 1000 FROM transitions UNION ALL SELECT at / 1000 FROM providers";
    let sql =
        format!("SELECT at FROM ({all}) ORDER BY at LIMIT 1 OFFSET (SELECT count(*) / 20 FROM ({all}))");
    connection.query_row(&sql, [], |row| row.get(0)).optional()
}
