use std::fs;
use std::sync::LazyLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config::testing::config;
use crate::outcome::Reason;

fn call(tokens: u64) -> Call<'static> {
    static PROVIDER: LazyLock<ProviderName> = LazyLock::new(|| ProviderName::new("one"));
    Call { provider: &PROVIDER, user: None, prompt_tokens: 0, max_tokens: tokens, price: None }
}

/// A folder of state, and services that live in it one after the other.
struct Life {
    folder: TempDir,
    limits: Value,
}

impl Life {
    fn new(limits: Value) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), limits }
    }

    fn config(&self) -> Config {
        config(json!({"spend": self.limits, "state_dir": self.folder.path()}))
    }

    fn open(&self) -> (SpendBook, tokio::task::JoinHandle<()>) {
        let (book, writer) = SpendBook::open(&self.config(), Clock::start());
        (book, tokio::spawn(writer.run()))
    }

    fn file(&self) -> Value {
        let text = fs::read_to_string(self.folder.path().join("spend.json")).expect("a file");
        serde_json::from_str(&text).expect("JSON")
    }
}

#[tokio::test]
async fn a_reservation_is_in_the_file_before_the_call_is_made() {
    let life = Life::new(json!({"max_calls_per_day": 100}));
    let (book, writer) = life.open();
    for number in 1..=3 {
        let open_call = book.reserve(call(10)).await.expect("within the limit");
        assert_eq!((&life.file()["calls"], &life.file()["tokens"]), (&json!(number), &json!(number * 10)));
        drop(open_call);
    }
    drop(book);
    writer.await.expect("an end");
}

#[tokio::test]
async fn the_last_end_is_in_the_file_when_the_writer_ends() {
    let life = Life::new(json!({"max_tokens_per_day": 1_000}));
    let (book, writer) = life.open();
    let open_call = book.reserve(call(100)).await.expect("within the limit");
    drop(book);
    open_call.settle(Usage::Known { prompt: 3, completion: 4 });
    writer.await.expect("an end");
    assert_eq!(life.file()["tokens"], 7);
    let (book, _writer) = life.open();
    assert!(book.reserve(call(994)).await.is_err_and(|denied| denied.limit == Reason::SpendTokens));
    assert!(book.reserve(call(993)).await.is_ok());
}

#[tokio::test]
async fn a_call_that_nobody_settles_stays_counted() {
    let life = Life::new(json!({"max_tokens_per_day": 100}));
    let (book, _writer) = life.open();
    drop(book.reserve(call(60)).await.expect("within the limit"));
    assert!(book.reserve(call(60)).await.is_err());
    assert_eq!(book.near(book.inner.clock.now(), None), None, "60 % of 100");
    drop(book.reserve(call(30)).await.expect("within the limit"));
    assert_eq!(book.near(book.inner.clock.now(), None).map(|near| near.percent), Some(90));
}

#[tokio::test]
async fn a_call_given_up_before_it_was_made_gives_its_tokens_back() {
    let life = Life::new(json!({"max_tokens_per_day": 100}));
    // Nobody writes, so the reservation waits for its patience.
    let (book, _writer) = SpendBook::open(&life.config(), Clock::start());
    let given_up = timeout(Duration::from_millis(1), book.reserve(call(100))).await;
    assert!(given_up.is_err());
    let sums = book.inner.save().0;
    assert_eq!(serde_json::to_value(sums).expect("plain data")["tokens"], 0);
}

#[tokio::test]
async fn a_disk_that_hangs_holds_a_call_up_for_a_second_only() {
    let life = Life::new(json!({"max_calls_per_day": 1}));
    let (book, _writer) = SpendBook::open(&life.config(), Clock::start());
    let began = std::time::Instant::now();
    assert!(book.reserve(call(1)).await.is_ok());
    assert!((PATIENCE..PATIENCE * 5).contains(&began.elapsed()));
    assert!(book.reserve(call(1)).await.is_err(), "in memory the limits hold all the same");
}

#[tokio::test]
async fn a_file_that_can_not_be_written_holds_no_call_up_and_the_limits_hold() {
    let life = Life::new(json!({"max_calls_per_day": 2}));
    fs::write(life.folder.path().join("state"), "a file where a folder should be").expect("written");
    let config = Config { state_dir: life.folder.path().join("state"), ..life.config() };
    let (book, writer) = SpendBook::open(&config, Clock::start());
    let _writer = tokio::spawn(writer.run());
    let began = std::time::Instant::now();
    assert!(book.reserve(call(1)).await.is_ok() && book.reserve(call(1)).await.is_ok());
    assert!(began.elapsed() < PATIENCE);
    assert!(book.reserve(call(1)).await.is_err());
}

#[tokio::test]
async fn many_at_once_share_their_writes_and_none_goes_before_its_own() {
    let life = Life::new(json!({"max_calls_per_day": 50}));
    let (book, _writer) = life.open();
    let reservations = (0..80).map(|_| async {
        let open_call = book.reserve(call(1)).await.ok()?;
        let written = *book.writer.as_ref()?.written.borrow();
        Some((open_call, written))
    });
    let made: Vec<_> = futures_util::future::join_all(reservations).await.into_iter().flatten().collect();
    assert_eq!(made.len(), 50);
    assert!(made.iter().all(|(_, written)| *written == 50), "all were reserved before the first write began");
    assert_eq!(life.file()["calls"], 50);
}

#[tokio::test]
async fn without_limits_there_is_no_file() {
    let life = Life::new(json!({}));
    let (book, writer) = SpendBook::open(&life.config(), Clock::start());
    let _writer = tokio::spawn(writer.run());
    for _ in 0..1_000 {
        drop(book.reserve(call(u64::MAX)).await.expect("no limit"));
    }
    assert_eq!(book.near(book.inner.clock.now(), None), None);
    assert!(fs::read_dir(life.folder.path()).expect("the folder").next().is_none());
}

#[tokio::test]
async fn other_limits_hold_from_the_next_call_on_and_what_was_spent_stays() {
    let life = Life::new(json!({}));
    let (book, writer) = SpendBook::open(&life.config(), Clock::start());
    let _writer = tokio::spawn(writer.run());
    drop(book.reserve(call(10)).await.expect("no limit"));
    let limits = |limits: Value| config(json!({"spend": limits})).spend;
    book.adopt(&limits(json!({"max_calls_per_day": 2})));
    drop(book.reserve(call(10)).await.expect("one is left"));
    assert_eq!(book.reserve(call(10)).await.err().map(|denied| denied.limit), Some(Reason::SpendCalls));
    assert_eq!(life.file()["calls"], 2, "from now on it is written down, all of it");
    book.adopt(&limits(json!({"max_calls_per_day": 3})));
    assert!(book.reserve(call(10)).await.is_ok());
}

#[tokio::test]
async fn no_other_limits_change_a_sum_and_calls_under_way_are_settled_as_ever() {
    let life = Life::new(json!({"max_calls_per_day": 100, "max_tokens_per_user_per_day": 1_000}));
    let book = SpendBook::blank(&life.config(), Clock::start());
    let [bob, eve] = ["bob", "eve"].map(Username::new);
    for user in [&bob, &eve, &bob] {
        let open_call = book.reserve(Call { user: Some(user), ..call(10) }).await.expect("within the limit");
        open_call.settle(Usage::Known { prompt: 3, completion: 4 });
    }
    let under_way = book.reserve(Call { user: Some(&eve), ..call(100) }).await.expect("within the limit");
    let sums = || format!("{:?}", book.inner.lock().spend);
    let before = sums();
    for limits in [
        json!({}),
        json!({"max_calls_per_day": 1}),
        json!({"max_tokens_per_day": 1}),
        json!({"max_tokens_per_user_per_day": 1}),
    ] {
        book.adopt(&config(json!({"spend": limits})).spend);
        assert_eq!(sums(), before, "{limits}");
    }
    under_way.settle(Usage::Known { prompt: 5, completion: 6 });
    let spent = book.view().of_provider(book.inner.clock.now(), call(0).provider);
    assert_eq!((spent.calls, spent.prompt_tokens, spent.completion_tokens), (4, 14, 18));
}

#[tokio::test]
async fn a_file_that_is_no_book_is_set_aside_and_counting_begins_at_zero() {
    for text in ["", "{", "null", "[1]", "{\"calls\": -1}", "{\"calls\": 1e400}", "\u{0}\u{0}\u{0}"] {
        let life = Life::new(json!({"max_calls_per_day": 1}));
        fs::write(life.folder.path().join("spend.json"), text).expect("written");
        let (book, _writer) = life.open();
        let aside = life.folder.path().join("spend.broken");
        assert_eq!(fs::read_to_string(&aside).expect("set aside"), text);
        assert!(book.reserve(call(1)).await.is_ok());
        assert_eq!(life.file()["calls"], 1, "{text:?}");
    }
}

#[tokio::test]
async fn who_only_looks_goes_on_from_the_file_and_leaves_it_alone() {
    let life = Life::new(json!({"max_calls_per_day": 3}));
    let (book, _writer) = life.open();
    drop(book.reserve(call(1)).await.expect("within the limit"));
    drop(book.reserve(call(1)).await.expect("within the limit"));
    let before = life.file();
    let looking = SpendBook::open_to_look(&life.config(), Clock::start());
    assert!(looking.reserve(call(1)).await.is_ok());
    assert!(looking.reserve(call(1)).await.is_err());
    assert_eq!(life.file(), before);

    let broken = Life::new(json!({"max_calls_per_day": 1}));
    let path = broken.folder.path().join("spend.json");
    fs::write(&path, "{").expect("written");
    let looking = SpendBook::open_to_look(&broken.config(), Clock::start());
    assert!(looking.reserve(call(1)).await.is_ok() && looking.reserve(call(1)).await.is_err());
    assert_eq!(fs::read_to_string(path).expect("still there"), "{");
}
