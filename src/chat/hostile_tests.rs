//! Texts of 64 KB that are made to cost much: each costs as good as nothing, wherever it goes.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::plan::Decision;
use super::repetition::{SentAnswers, Wording};
use super::testing::{OneRoom, at, message, rules};
use super::{format, html, prompt, validate};

const LONG: usize = 64 * 1024;
/// Several times what linear work takes unoptimised; what looks at every pair of characters takes far
/// longer.
const AT_MOST: Duration = Duration::from_secs(1);
/// A busy machine may be slow once.
const TRIES: usize = 3;

/// How long this thread has been at work, where the system tells; what others do doesn't count.
fn worked() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = told.split_whitespace().next().and_then(|first| first.parse().ok());
    nanoseconds.map_or_else(|| BEGIN.elapsed(), Duration::from_nanos)
}

/// The texts: a beginning, and what comes again and again.
fn hostile_texts() -> Vec<(String, String)> {
    let again = [
        ("👩", "\u{200d}"),
        ("👩", "\u{fe0f}\u{200d}"),
        ("", "👩\u{200d}"),
        ("👩", "\u{1f3fd}"),
        ("🏴", "\u{e0067}"),
        ("", "🇩"),
        ("e", "\u{301}"),
        ("", "\u{1100}"),
        ("", "\u{ac00}\u{11a8}"),
        ("", "\u{915}\u{94d}"),
        ("\u{915}", "\u{94d}"),
        ("", "\u{d4e}"),
        ("", "<"),
        ("", "<a "),
        ("", "<!--"),
        ("", "&"),
        ("", "&#"),
        ("", "("),
        ("", "/\u{200b}!\u{200d}"),
        ("", "/ "),
        ("", ".\u{301}"),
        (".", "\u{301}"),
        ("", "$."),
        ("", "```"),
        ("", "``` "),
        ("", "<think>"),
        ("", "</think>"),
        ("", "<think></think>"),
        ("", "Vera, "),
        ("", "As Vera: "),
        ("", "speaking as "),
        ("speaking", " "),
        ("", "playing Vera "),
        ("", ". "),
        ("", "?\" "),
        ("", "Vera"),
        ("", "\\\""),
        ("", "x"),
        ("", " "),
        ("é", "word "),
    ];
    again
        .into_iter()
        .map(|(start, piece)| {
            (format!("{start}{piece}…"), start.to_owned() + &piece.repeat(LONG / piece.len()))
        })
        .collect()
}

/// Does it to every text, within the time for each.
fn each_is_cheap(mut work: impl FnMut(&str)) {
    for (name, text) in hostile_texts() {
        let mut takes = || {
            let before = worked();
            work(&text);
            worked() - before
        };
        let fastest = (0..TRIES).map(|_| takes()).find(|took| *took < AT_MOST);
        assert!(fastest.is_some(), "{name:?} never takes less than {AT_MOST:?}");
    }
}

#[test]
fn hostile_texts_of_64_kb_cost_nothing_to_read() {
    each_is_cheap(|text| {
        html::readable(text);
    });
}

#[test]
fn hostile_texts_of_64_kb_cost_nothing_to_quote() {
    each_is_cheap(|text| {
        prompt::quote::quoted(text);
    });
}

fn everything() -> Value {
    json!({
        "formatting": {"enable_emoji_limiting": true, "max_emoji_per_message": 3, "max_message_length": 100},
        "validation": {"max_length": 1_000_000, "check_relevance": true, "relevance_threshold": 0},
        "triggers": [{"name": "words", "patterns": ["ver", "e", "a"], "regex": ["(?<!x)zz"], "probability": 0.5}]
    })
}

#[test]
fn hostile_texts_of_64_kb_cost_nothing_to_decide_on() {
    let mut room = OneRoom::new(everything());
    let mut seconds = 0.0;
    each_is_cheap(|text| {
        for text in [text.to_owned(), format!("{text} Vera"), format!("Vera {text}")] {
            seconds += 1.0;
            let now = at(seconds);
            if let Decision::Reply(plan) = room.hears(now, &message(now, "bob", &text)) {
                room.decider.settle(plan.ticket, None);
            }
        }
    });
}

#[test]
fn hostile_texts_of_64_kb_cost_nothing_to_say() {
    let rules = rules(everything());
    each_is_cheap(|text| {
        let answer = format::without_thoughts(text);
        let _ = validate::check(rules.config(), text, text, &answer);
        for line in rules.formatter.lines(text, true).iter().chain(&rules.formatter.lines(text, false)) {
            assert!(line.encode_utf16().count() <= 100);
        }
    });
}

#[test]
fn hostile_texts_of_64_kb_cost_nothing_to_compare_with_what_was_said() {
    let settings = rules(everything()).config().validation.clone();
    let mut sent = SentAnswers::default();
    (0..20).for_each(|number| sent.push(Wording::new(&format!("{number}{}", "xyz é".repeat(LONG / 6)))));
    each_is_cheap(|text| {
        sent.has(&settings, &Wording::new(text));
    });
}
