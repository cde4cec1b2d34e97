//! The file in trouble: broken, foreign, full, in the way, too old, too large.

use std::collections::BTreeMap;

use chrono::DateTime;
use rusqlite::OpenFlags;
use tempfile::TempDir;

use super::schema::bring_up_to_date;
use super::*;
use crate::health::{ProviderStatus, TokenCounts, Transition};
use crate::history::minute::Figures;
use crate::names::ProviderName;

/// A minute begins there.
const BEGIN: i64 = 1_800_000_000;
const DAY: i64 = 24 * 60 * 60;

fn at(second: i64) -> Moment {
    Moment { elapsed: Duration::ZERO, wall: DateTime::from_timestamp(second, 0).expect("a time") }
}

fn minute(at: i64, messages: u64) -> Entry {
    let figures = Figures {
        messages,
        silences: BTreeMap::from([("no_trigger".to_owned(), messages), ("spam".to_owned(), 1)]),
        tokens: TokenCounts { prompt: u64::MAX, completion: 0 },
        ..Figures::default()
    };
    Entry::Minute(Minute { at, part: 1, state: State::Healthy, figures })
}

fn change(at: i64) -> Entry {
    state_change(at, State::Healthy, State::Degraded, false)
}

fn state_change(at: i64, from: State, to: State, is_first: bool) -> Entry {
    let transition =
        Transition { from, to, reason: "test".to_owned(), held: Duration::ZERO, ends_start: is_first };
    Entry::News(News { number: 1, at: self::at(at), change: Change::State(transition) })
}

/// A provider gets another status.
fn provider_change(number: u64, at: i64, provider: &str, to: ProviderStatus) -> Entry {
    let change =
        Change::Provider { provider: ProviderName::new(provider), from: ProviderStatus::Unknown, to };
    Entry::News(News { number, at: self::at(at), change })
}

fn store(folder: &TempDir) -> Store {
    Store::new(folder.path().join("state/history.db"), Duration::from_secs(30 * 86_400), 50 << 20)
}

/// When the minutes were that stand in the file.
fn minutes(store: &Store) -> Vec<i64> {
    column(store, "SELECT at FROM minutes ORDER BY at")
}

fn column(store: &Store, sql: &str) -> Vec<i64> {
    let connection =
        Connection::open_with_flags(store.path(), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a file");
    let mut statement = connection.prepare(sql).expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

#[test]
fn a_minute_that_grew_replaces_what_was_written_of_it() {
    let folder = TempDir::new().expect("a folder");
    let mut store = store(&folder);
    store.write(at(BEGIN), &[minute(BEGIN, 1), change(BEGIN)]).expect("written");
    store.write(at(BEGIN), &[minute(BEGIN, 4), minute(BEGIN + 60, 2), change(BEGIN)]).expect("written");
    assert_eq!(column(&store, "SELECT messages FROM minutes ORDER BY at"), [4, 2]);
    assert_eq!(column(&store, "SELECT count FROM silences ORDER BY at, reason"), [4, 1, 2, 1]);
    assert_eq!(column(&store, "SELECT at FROM transitions"), [BEGIN * 1_000]);
    assert_eq!(column(&store, "SELECT prompt_tokens FROM minutes")[0], i64::MAX, "as much as it can hold");
}

#[test]
fn a_file_that_is_broken_or_not_ours_is_set_aside_with_all_that_belongs_to_it() {
    let other = |version: &str| {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("other.db");
        let connection = Connection::open(&path).expect("a database");
        connection
            .execute_batch(&format!("CREATE TABLE minutes (x); PRAGMA user_version = {version}"))
            .expect("made");
        drop(connection);
        fs::read(path).expect("a file")
    };
    for (name, bytes) in [
        ("garbage", b"this is no database at all, and long enough to be looked at".repeat(40)),
        ("another program's", other("0")),
        ("a newer version's", other("99")),
        ("a negative version", other("-1")),
    ] {
        let folder = TempDir::new().expect("a folder");
        let mut store = store(&folder);
        fs::create_dir_all(store.path().parent().expect("a parent")).expect("a folder");
        fs::write(store.path(), &bytes).expect("written");
        store.write(at(BEGIN), &[minute(BEGIN, 1)]).expect(name);
        assert_eq!(minutes(&store), [BEGIN], "{name}");
        let aside = fs::read(folder.path().join("state/history.db.broken")).expect("set aside");
        assert!(name != "garbage" || aside == bytes, "as it was");
    }
}

#[test]
fn what_breaks_while_it_is_in_use_is_set_aside_too() {
    let folder = TempDir::new().expect("a folder");
    let mut store = store(&folder);
    let many: Vec<Entry> = (0..2_000).map(|number| minute(BEGIN + number * 60, 1)).collect();
    store.write(at(BEGIN), &many).expect("written");
    drop(store);
    // Every page but the first, in which stands what the file is.
    let path = folder.path().join("state/history.db");
    let mut bytes = fs::read(&path).expect("a file");
    bytes[4_096..].fill(0xAA);
    fs::write(&path, bytes).expect("written");
    let mut store = self::store(&folder);
    store.write(at(BEGIN), &[minute(BEGIN, 1)]).expect("a new one");
    assert_eq!(minutes(&store), [BEGIN]);
    assert!(folder.path().join("state/history.db.broken").exists());
}

#[test]
fn a_full_disk_is_an_error_until_there_is_room_and_keeps_what_was_there() {
    let folder = TempDir::new().expect("a folder");
    let mut store = store(&folder);
    store.write(at(BEGIN), &[minute(BEGIN, 1)]).expect("written");
    let pages: i64 =
        store.connection().pragma_query_value(None, "page_count", |row| row.get(0)).expect("pages");
    store.connection().pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).expect("full");
    let many: Vec<Entry> = (1..2_000).map(|number| minute(BEGIN + number * 60, 1)).collect();
    let error = store.write(at(BEGIN), &many).expect_err("no room");
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(minutes(&store), [BEGIN], "all or none");
    assert!(!folder.path().join("state/history.db.broken").exists(), "it is not broken");
    store.write(at(BEGIN), &many).expect("there is room again");
    assert_eq!(minutes(&store).len(), 2_000);
}

#[test]
fn what_stands_in_the_way_is_an_error_and_gone_it_is_none() {
    let folder = TempDir::new().expect("a folder");
    let mut store = store(&folder);
    fs::create_dir_all(store.path()).expect("a folder where the file should be");
    assert!(store.write(at(BEGIN), &[minute(BEGIN, 1)]).is_err());
    assert!(store.path().is_dir(), "it is left alone");
    fs::remove_dir(store.path()).expect("gone");
    store.write(at(BEGIN), &[minute(BEGIN, 1)]).expect("written");
    let blocked = folder.path().join("blocked");
    fs::write(&blocked, "a file where a folder should be").expect("written");
    let mut store = Store::new(blocked.join("history.db"), Duration::from_secs(60), 1 << 20);
    assert!(store.write(at(BEGIN), &[]).is_err());
}

#[test]
fn a_file_that_was_taken_away_is_made_anew() {
    let folder = TempDir::new().expect("a folder");
    let mut store = store(&folder);
    store.write(at(BEGIN), &[minute(BEGIN, 1)]).expect("written");
    for ending in ["", "-wal", "-shm"] {
        fs::remove_file(beside(store.path(), ending)).expect("removed");
    }
    store.write(at(BEGIN), &[minute(BEGIN + 60, 1)]).expect("written");
    assert_eq!(minutes(&store), [BEGIN + 60]);
}

#[test]
fn what_is_older_than_the_retention_is_forgotten_now_and_then() {
    let folder = TempDir::new().expect("a folder");
    let mut store = store(&folder);
    let old: Vec<Entry> =
        (0..40).flat_map(|day| [minute(BEGIN + day * DAY, 1), change(BEGIN + day * DAY)]).collect();
    let begin = BEGIN + 39 * DAY - 3_600;
    store.write(at(begin), &old).expect("written");
    assert_eq!(minutes(&store).len(), 40, "the clock may be wrong");
    let now = Moment { elapsed: Duration::from_secs(3_600), ..at(begin + 3_600) };
    store.write(now, &[]).expect("forgotten");
    let kept: Vec<i64> = (9..40).map(|day| BEGIN + day * DAY).collect();
    assert_eq!(minutes(&store), kept);
    assert_eq!(column(&store, "SELECT at / 1000 FROM transitions ORDER BY at"), kept);
    assert_eq!(column(&store, "SELECT count(*) FROM silences"), [31 * 2]);
}

#[test]
fn how_a_provider_has_been_all_the_time_is_not_forgotten() {
    let folder = TempDir::new().expect("a folder");
    let mut store = store(&folder);
    let changes = [
        provider_change(1, BEGIN, "a", ProviderStatus::Failed),
        provider_change(2, BEGIN, "a", ProviderStatus::Ok),
        provider_change(3, BEGIN + DAY, "b", ProviderStatus::Failed),
        provider_change(4, BEGIN + 40 * DAY, "b", ProviderStatus::Ok),
        provider_change(5, BEGIN + 2 * DAY, "gone", ProviderStatus::Ok),
        provider_change(6, BEGIN + 3 * DAY, "gone", ProviderStatus::Unknown),
    ];
    let begin = BEGIN + 60 * DAY;
    store.write(at(begin), &changes).expect("written");
    let now = Moment { elapsed: Duration::from_secs(3_600), ..at(begin + 3_600) };
    store.write(now, &[]).expect("forgotten");
    assert_eq!(column(&store, "SELECT number FROM providers ORDER BY at"), [2, 3, 4]);
}

#[test]
fn what_is_too_large_loses_its_oldest_until_file_and_log_fit() {
    let folder = TempDir::new().expect("a folder");
    let most = 1 << 20;
    let mut store = Store::new(folder.path().join("history.db"), Duration::from_secs(3_650 * 86_400), most);
    let mut newest = BEGIN;
    for batch in 0..40 {
        let minutes: Vec<Entry> =
            (0..500).map(|number| minute(BEGIN + (batch * 500 + number) * 60, 1)).collect();
        store.write(at(BEGIN), &minutes).expect("written");
        newest = BEGIN + (batch * 500 + 499) * 60;
        assert!(size(store.path()) <= most, "{} bytes", size(store.path()));
    }
    let kept = minutes(&store);
    assert_eq!(kept.last(), Some(&newest));
    assert!(kept.len() > 5_000 && kept.len() < 20_000, "{} minutes", kept.len());
    assert!(kept[0] > BEGIN, "the oldest are gone");
}

#[test]
fn what_a_wrong_clock_wrote_far_ahead_makes_nothing_else_old() {
    let folder = TempDir::new().expect("a folder");
    let mut store = Store::new(folder.path().join("history.db"), Duration::from_secs(86_400), 1 << 20);
    store.write(at(BEGIN), &[minute(BEGIN + 40_000 * DAY, 1)]).expect("written");
    for batch in 0..40 {
        let minutes: Vec<Entry> =
            (0..500).map(|number| minute(BEGIN + (batch * 500 + number) * 60, 1)).collect();
        store.write(at(BEGIN), &minutes).expect("written");
    }
    assert!(minutes(&store).len() > 5_000, "{} minutes", minutes(&store).len());
}

#[test]
fn the_first_change_since_a_start_has_no_state_before_and_nothing_that_is_no_longer() {
    let folder = TempDir::new().expect("a folder");
    let mut store = store(&folder);
    let changes = [
        state_change(BEGIN, State::Failing, State::Healthy, true),
        state_change(BEGIN + 1, State::Failing, State::Degraded, true),
        state_change(BEGIN + 2, State::Failing, State::Healthy, false),
    ];
    store.write(at(BEGIN), &changes).expect("written");
    let mut statement = store
        .connection()
        .prepare("SELECT state_before, state, reason FROM transitions ORDER BY at")
        .expect("a query");
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]));
    let rows: Vec<[String; 3]> = rows.expect("rows").map(|row| row.expect("a row")).collect();
    let expected = [
        ["", "healthy", "for the first time since the start"],
        ["", "degraded", "test"],
        ["failing", "healthy", "test"],
    ];
    assert_eq!(rows, expected);
}

#[test]
fn at_a_start_nothing_is_known_of_the_providers() {
    use ProviderStatus::{Failed, Unknown};
    let good = ProviderStatus::Ok;
    let folder = TempDir::new().expect("a folder");
    let mut store = store(&folder);
    store.write(at(BEGIN), &[Entry::Start(at(BEGIN))]).expect("written");
    let before = [
        provider_change(1, BEGIN, "a", Failed),
        provider_change(2, BEGIN, "a", good),
        provider_change(3, BEGIN + 1, "b", good),
        provider_change(4, BEGIN + 2, "b", Failed),
        provider_change(5, BEGIN + 3, "c", Unknown),
        provider_change(6, BEGIN + 9 * DAY, "ahead", good),
        provider_change(7, BEGIN + 3_600, "b", good),
    ];
    store.write(at(BEGIN), &before).expect("written");
    let start = [Entry::Start(at(BEGIN + 60)), provider_change(1, BEGIN + 60, "a", good)];
    store.write(at(BEGIN + 60), &start).expect("written");
    let mut statement = store
        .connection()
        .prepare("SELECT provider, status_before, status FROM providers WHERE at = ?1 ORDER BY number")
        .expect("a query");
    let rows = statement.query_map([(BEGIN + 60) * 1_000], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]));
    let rows: Vec<[String; 3]> = rows.expect("rows").map(|row| row.expect("a row")).collect();
    let mut put_back = rows[..2].to_vec();
    put_back.sort();
    assert_eq!(put_back, [["a", "ok", "unknown"], ["b", "failed", "unknown"]]);
    assert_eq!(rows[2..], [["a", "unknown", "ok"]], "what happens then stands behind it");
}

#[test]
fn the_latest_of_the_providers_is_found_without_reading_what_was_before() {
    let folder = TempDir::new().expect("a folder");
    let mut store = store(&folder);
    store.write(at(BEGIN), &[minute(BEGIN, 1)]).expect("written");
    let explain = format!("EXPLAIN QUERY PLAN {LATEST_OF_PROVIDERS}");
    let mut statement = store.connection().prepare(&explain).expect("a plan");
    let steps = statement.query_map([BEGIN], |row| row.get::<_, String>(3)).expect("steps");
    let plan: Vec<String> = steps.map(|step| step.expect("a step")).collect();
    let of_table: Vec<&String> = plan.iter().filter(|step| step.contains(" providers")).collect();
    assert!(!of_table.is_empty(), "{plan:#?}");
    for step in of_table {
        assert!(step.starts_with("SEARCH") && step.contains("providers_by_name"), "{plan:#?}");
    }
}

#[test]
fn a_file_that_is_being_read_loses_nothing_for_it() {
    let folder = TempDir::new().expect("a folder");
    let mut store =
        Store::new(folder.path().join("history.db"), Duration::from_secs(3_650 * 86_400), 1 << 20);
    store.write(at(BEGIN), &[minute(BEGIN, 1)]).expect("written");
    let reader = Connection::open(store.path()).expect("a file");
    reader.execute_batch("BEGIN; SELECT count(*) FROM minutes").expect("a look that lasts");
    store.connection().busy_timeout(Duration::ZERO).expect("no patience");
    // The same minutes again and again: the log grows, what it is about does not.
    let many: Vec<Entry> = (0..2_000).map(|number| minute(BEGIN + number * 60, 1)).collect();
    for _ in 0..12 {
        store.write(at(BEGIN), &many).expect("written");
    }
    assert_eq!(minutes(&store).len(), 2_000);
    drop(reader);
    store.write(at(BEGIN), &[]).expect("written");
    assert!(size(store.path()) <= 1 << 20);
    assert_eq!(minutes(&store).len(), 2_000);
}

#[test]
fn an_older_file_is_brought_up_to_date_step_by_step_and_keeps_what_it_holds() {
    let mut connection = Connection::open_in_memory().expect("a database");
    let first = "CREATE TABLE kept (x INTEGER); INSERT INTO kept VALUES (7)";
    bring_up_to_date(&mut connection, &[first]).expect("version 1");
    bring_up_to_date(&mut connection, &[first]).expect("nothing to do");
    let steps = [first, "ALTER TABLE kept ADD COLUMN y INTEGER DEFAULT 1", "UPDATE kept SET y = x + y"];
    bring_up_to_date(&mut connection, &steps).expect("version 3");
    let kept: (i64, i64) = connection
        .query_row("SELECT x, y FROM kept", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("a row");
    assert_eq!(kept, (7, 8));
    assert!(bring_up_to_date(&mut connection, &[first]).is_err(), "a newer one is not ours to touch");
}
