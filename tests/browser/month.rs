//! A made-up month: what a bot in a room of film evenings might have written down.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use kryten_llm::clock::Moment;
use kryten_llm::health::{Change, News, ProviderStatus, State, TokenCounts, Transition};
use kryten_llm::history::minute::{Figures, Latency, Minute};
use kryten_llm::history::store::{Entry, Store};
use kryten_llm::names::ProviderName;
use kryten_testkit::{Context as _, Result};

const DAY: i64 = 24 * 60;
const MONTH: i64 = 30 * DAY;

/// What goes wrong, and when: so many minutes before the end of the month, and for so many.
const TROUBLE: [(i64, i64, Trouble); 6] = [
    (23 * DAY + 5 * 60, 95, Trouble::Provider),
    (17 * DAY, 9 * 60, Trouble::Off),
    (11 * DAY + 2 * 60, 140, Trouble::Provider),
    (4 * DAY + 7 * 60, 50, Trouble::Link),
    (9 * 60, 55, Trouble::Provider),
    (35, 4, Trouble::Provider),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The first provider fails, the second answers late.
    Provider,
    /// The daemon is cut off.
    Link,
    /// The daemon doesn't run.
    Off,
}

impl Trouble {
    fn state(self) -> Option<(State, &'static str)> {
        match self {
            Self::Provider => Some((State::Degraded, "error rate 14.3 % over 5 minutes")),
            Self::Link => Some((State::Failing, "NATS disconnected")),
            Self::Off => None,
        }
    }
}

/// Writes the month that ends at `end` to a history's file, of a daemon with the providers `first` and
/// `second`.
pub fn write(file: &Path, end: DateTime<Utc>) -> Result {
    write_minutes(file, end, |_, _| true)
}

/// The same with less to read, for busy machines: before the last day only each tenth minute is written, which is
/// one in each step that the page is told of.
pub fn write_thinly(file: &Path, end: DateTime<Utc>) -> Result {
    write_minutes(file, end, |ago, began| ago <= DAY || began.timestamp().div_euclid(60) % 10 == 0)
}

fn write_minutes(file: &Path, end: DateTime<Utc>, is_written: impl Fn(i64, DateTime<Utc>) -> bool) -> Result {
    let ago = (1..=MONTH).rev().filter(|ago| is_written(*ago, end - TimeDelta::minutes(*ago)));
    let mut entries: Vec<Entry> = ago.filter_map(|ago| minute(end, ago)).collect();
    // Half an hour after the beginning, so that it is within the month that is shown.
    let begin = |name| (MONTH - 30, provider(name, ProviderStatus::Unknown, ProviderStatus::Ok));
    let mut changes = vec![begin("first"), begin("second")];
    for (ago, lasts, trouble) in TROUBLE {
        if let Some((worse, reason)) = trouble.state() {
            changes.push((ago, state(State::Healthy, worse, reason.to_owned())));
            changes.push((ago - lasts, state(worse, State::Healthy, format!("no longer: {reason}"))));
        }
        if trouble == Trouble::Provider {
            changes.push((ago, provider("first", ProviderStatus::Ok, ProviderStatus::Failed)));
            changes.push((ago - lasts, provider("first", ProviderStatus::Failed, ProviderStatus::Ok)));
        }
    }
    entries.extend(changes.into_iter().zip(1..).map(|((ago, change), number)| {
        let at = Moment { elapsed: Duration::ZERO, wall: end - TimeDelta::minutes(ago) };
        Entry::News(News { number, at, change })
    }));
    write_down(file, end, &entries)
}

/// Writes one minute to a history's file, an hour before `end`, of a daemon that was healthy.
pub fn write_a_minute(file: &Path, end: DateTime<Utc>) -> Result {
    let at = (end - TimeDelta::hours(1)).timestamp().div_euclid(60) * 60;
    let minute = Minute { at, part: 0, state: State::Healthy, figures: Figures::default() };
    write_down(file, end, &[Entry::Minute(minute)])
}

fn write_down(file: &Path, end: DateTime<Utc>, entries: &[Entry]) -> Result {
    Store::new(file.to_owned(), Duration::from_secs(31 * 86_400), 64 << 20)
        .write(Moment { elapsed: Duration::ZERO, wall: end }, entries)
        .context("writing a made-up history")
}

fn state(from: State, to: State, reason: String) -> Change {
    Change::State(Transition { from, to, reason, held: Duration::ZERO, ends_start: false })
}

fn provider(name: &str, from: ProviderStatus, to: ProviderStatus) -> Change {
    Change::Provider { provider: ProviderName::new(name), from, to }
}

/// The minute that was so many ago; none while the daemon did not run.
fn minute(end: DateTime<Utc>, ago: i64) -> Option<Entry> {
    let began = end - TimeDelta::minutes(ago);
    let trouble = TROUBLE.into_iter().find(|(begins, lasts, _)| (begins - lasts..=*begins).contains(&ago));
    let trouble = trouble.map(|(_, _, trouble)| trouble);
    if trouble == Some(Trouble::Off) {
        return None;
    }
    let state = trouble.and_then(Trouble::state).map_or(State::Healthy, |(state, _)| state);
    let figures = match trouble {
        Some(Trouble::Link) => Figures { ran: Duration::from_secs(60), ..Figures::default() },
        trouble => figures(began, trouble.is_some(), &mut Dice(began.timestamp().unsigned_abs())),
    };
    let at = began.timestamp().div_euclid(60) * 60;
    Some(Entry::Minute(Minute { at, part: 0, state, figures }))
}

fn figures(at: DateTime<Utc>, is_troubled: bool, dice: &mut Dice) -> Figures {
    // Most is said in the evening.
    let busy =
        [6, 4, 2, 1, 1, 1, 1, 2, 3, 3, 4, 4, 5, 5, 5, 6, 7, 9, 12, 16, 18, 18, 15, 10][at.hour() as usize];
    let messages = dice.below(busy + 1);
    let is_asked = |dice: &mut Dice| dice.below(10) == 0;
    let asked = (0..messages).filter(|_| is_asked(dice)).count() as u64;
    let [held_back, errors] = match is_troubled {
        true => [0, asked.min(dice.below(2))],
        false => [asked.min(dice.below(2)), u64::from(asked > 0 && dice.below(200) == 0).min(asked)],
    };
    let replies = asked.saturating_sub(held_back + errors);
    let reason = ["user_hour", "global_minute", "rejected_repetition", "spam"][dice.below(4) as usize];
    let silences = [("no_trigger", messages - asked), (reason, held_back), ("exhausted", errors)];
    let silences = silences.into_iter().filter(|(_, count)| *count > 0);
    let typical = if is_troubled { 4_200.0 } else { 900.0 } + dice.below(600) as f64;
    let latency = Latency { replies, p50: typical, p90: typical * 1.6, p99: typical * 2.3 };
    Figures {
        ran: Duration::from_secs(60),
        messages,
        replies,
        errors,
        silences: silences.map(|(reason, count)| (reason.to_owned(), count)).collect::<BTreeMap<_, _>>(),
        latency: (replies > 0).then_some(latency),
        tokens: TokenCounts {
            prompt: replies * (700 + dice.below(500)),
            completion: replies * (40 + dice.below(60)),
        },
    }
}

/// Numbers that the seed alone decides.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64: neighbouring minutes have nothing in common.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}
