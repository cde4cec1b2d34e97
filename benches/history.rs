//! What the history costs: `cargo bench --bench history`.
//!
//! Thirty days are written minute by minute as the service would, each minute busy, and then read as the
//! dashboard does. Figures are printed; nothing here fails because a machine is slow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kryten_llm::clock::Clock;
use kryten_llm::health::{State, TokenCounts};
use kryten_llm::history::minute::{Figures, Latency, Minute};
use kryten_llm::history::store::{Entry, Store};
use kryten_llm::history::{Range, Reader};

const DAYS: i64 = 30;
const MINUTES: i64 = DAYS * 24 * 60;
const LOOKS: usize = 20;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.db");
    let now = Clock::start().now();
    let newest = now.wall.timestamp().div_euclid(60) * 60;
    let mut store = Store::new(path.clone(), Duration::from_secs(86_400 * 31), 50 << 20);
    let begun = Instant::now();
    for number in (0..MINUTES).rev() {
        store.write(now, &[minute(newest - number * 60)]).expect("written");
    }
    let each = begun.elapsed() / u32::try_from(MINUTES).unwrap_or(u32::MAX);
    let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    println!(
        "{MINUTES} minutes written one by one: {:.3} ms each; the file has {:.1} MiB (at most 50)",
        each.as_secs_f64() * 1e3,
        size as f64 / f64::from(1 << 20)
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let reader = Reader::new(path);
    for range in Range::ALL {
        let mut taken = Vec::new();
        let mut bytes = 0;
        for _ in 0..LOOKS {
            let asked = Instant::now();
            bytes = runtime.block_on(reader.document(now.wall, range)).expect("a history").len();
            taken.push(asked.elapsed());
        }
        taken.sort_unstable();
        println!(
            "{} read: median {:.1} ms, the worst of {LOOKS} {:.1} ms; {} KiB",
            range.as_str(),
            taken[LOOKS / 2].as_secs_f64() * 1e3,
            taken[LOOKS - 1].as_secs_f64() * 1e3,
            bytes / 1024
        );
    }
}

fn minute(at: i64) -> Entry {
    let reasons = ["no_trigger", "own", "listener", "user_cooldown", "spam"];
    let figures = Figures {
        ran: Duration::from_secs(60),
        messages: 40,
        replies: 3,
        errors: 0,
        silences: reasons.into_iter().map(|reason| (reason.to_owned(), 7)).collect::<BTreeMap<_, _>>(),
        latency: Some(Latency { replies: 3, p50: 900.0, p90: 1_400.0, p99: 2_000.0 }),
        tokens: TokenCounts { prompt: 3_000, completion: 200 },
    };
    Entry::Minute(Minute { at, part: 1, state: State::Healthy, figures })
}
