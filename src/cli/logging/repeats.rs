//! Which of many equal warnings are told, and how many were not. Pure: the time is an argument.
//!
//! The first five of a minute are told, and then one line says how many more there were.

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

/// Equal ones that are told before the rest is counted.
const TOLD: u64 = 5;
/// How long they are counted together, from the first one on.
const WINDOW: Duration = Duration::from_secs(60);
/// Different warnings that are told apart in one window. What comes beyond them is told apart by its
/// sentence alone, of which there are as many as the program has.
const KINDS: usize = 256;

/// A sentence of the program: where it stands in the code.
pub(super) type Sentence = usize;

/// The books on the warnings of the last minute.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    windows: HashMap<(Sentence, String), Window>,
    /// When the first of the windows ends.
    next_end: Option<Duration>,
    ended: Vec<Summary>,
}

#[derive(Debug)]
struct Window {
    began: Duration,
    seen: u64,
    line: String,
    is_error: bool,
}

/// What was not told of one warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// The warning, as it was told.
    pub line: String,
    /// How many more there were.
    pub more: u64,
    /// In how long.
    pub within: Duration,
    /// Whether it was an error.
    pub is_error: bool,
}

impl Repeats {
    /// Whether this one is told. `texts` are those of its fields that make it another warning than
    /// one of the same sentence; `line` shows it whole.
    pub(super) fn is_told(
        &mut self,
        now: Duration,
        sentence: Sentence,
        texts: String,
        line: impl FnOnce() -> String,
        is_error: bool,
    ) -> bool {
        self.end_windows(now);
        let mut key = (sentence, texts);
        if self.windows.len() >= KINDS && !self.windows.contains_key(&key) {
            key.1 = String::new();
        }
        let window =
            self.windows.entry(key).or_insert_with(|| Window { began: now, seen: 0, line: line(), is_error });
        window.seen += 1;
        let end = window.began + WINDOW;
        self.next_end = Some(self.next_end.map_or(end, |next| next.min(end)));
        window.seen <= TOLD
    }

    /// When there is something to say, if anything was not told so far.
    pub(super) fn due(&self) -> Option<Duration> {
        let ends =
            self.windows.values().filter(|window| window.seen > TOLD).map(|window| window.began + WINDOW);
        if self.ended.is_empty() { ends.min() } else { Some(Duration::ZERO) }
    }

    /// What was not told in the windows that are over.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<Summary> {
        self.end_windows(now);
        mem::take(&mut self.ended)
    }

    /// What was not told at all: nothing more will come.
    pub(super) fn take_all(&mut self, now: Duration) -> Vec<Summary> {
        self.ended.extend(self.windows.drain().filter_map(|(_, window)| window.summary(now)));
        self.next_end = None;
        mem::take(&mut self.ended)
    }

    fn end_windows(&mut self, now: Duration) {
        if self.next_end.is_some_and(|end| end <= now) {
            let over = self.windows.extract_if(|_, window| window.began + WINDOW <= now);
            self.ended.extend(over.filter_map(|(_, window)| window.summary(now)));
            self.next_end = self.windows.values().map(|window| window.began + WINDOW).min();
        }
    }
}

impl Window {
    fn summary(self, now: Duration) -> Option<Summary> {
        let more = self.seen.saturating_sub(TOLD);
        let within = now.saturating_sub(self.began).min(WINDOW);
        (more > 0).then_some(Summary { line: self.line, more, within, is_error: self.is_error })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(repeats: &mut Repeats, seconds: u64, sentence: usize, texts: &str) -> bool {
        let line = || format!("{sentence} {texts}");
        repeats.is_told(Duration::from_secs(seconds), sentence, texts.to_owned(), line, false)
    }

    fn summary(line: &str, more: u64, within: u64) -> Summary {
        Summary { line: line.to_owned(), more, within: Duration::from_secs(within), is_error: false }
    }

    #[test]
    fn five_are_told_and_a_minute_after_the_first_the_rest_is_summed_up() {
        let mut repeats = Repeats::default();
        let told = (0..20).filter(|second| at(&mut repeats, *second, 1, "room a")).count();
        assert_eq!(told, 5);
        assert_eq!(repeats.due(), Some(Duration::from_secs(60)));
        assert_eq!(repeats.take_due(Duration::from_secs(59)), []);
        assert_eq!(repeats.take_due(Duration::from_secs(60)), [summary("1 room a", 15, 60)]);
        assert_eq!(repeats.due(), None);
        assert!(at(&mut repeats, 61, 1, "room a"), "it is news again");
    }

    #[test]
    fn another_text_and_another_sentence_are_other_warnings() {
        let mut repeats = Repeats::default();
        (0..9).for_each(|_| _ = at(&mut repeats, 0, 1, "room a"));
        assert!(!at(&mut repeats, 0, 1, "room a"));
        assert!(at(&mut repeats, 0, 1, "room b"));
        assert!(at(&mut repeats, 0, 2, "room a"));
    }

    #[test]
    fn what_is_left_is_told_at_the_end_with_the_time_it_took() {
        let mut repeats = Repeats::default();
        (0..7).for_each(|second| _ = at(&mut repeats, second, 1, ""));
        (0..5).for_each(|second| _ = at(&mut repeats, second, 2, ""));
        assert_eq!(repeats.take_all(Duration::from_secs(10)), [summary("1 ", 2, 10)]);
        assert_eq!(repeats.take_all(Duration::from_secs(99)), []);
    }

    #[test]
    fn a_flood_of_different_texts_ends_up_as_one_warning_and_costs_no_more_memory() {
        let mut repeats = Repeats::default();
        let told = (0..10_000).filter(|number| at(&mut repeats, 0, 1, &number.to_string())).count();
        assert_eq!(told, KINDS + 5, "each different one, then five of the sentence alone");
        assert_eq!(repeats.windows.len(), KINDS + 1);
        assert!(at(&mut repeats, 0, 2, "another sentence is heard all the same"));
    }

    proptest! {
        #[test]
        fn all_that_happened_is_told_or_summed_up_within_a_minute(
            events in prop::collection::vec((0..40_000_u64, 0..4_usize, 0..400_u32), 0..600),
        ) {
            let mut repeats = Repeats::default();
            let (mut now, mut told, mut summed_up) = (Duration::ZERO, 0_u64, 0_u64);
            let mut silent_since: Option<Duration> = None;
            for (pause, sentence, text) in &events {
                // Whoever tells the summaries is woken when they are due.
                let next = now + Duration::from_millis(*pause / 20);
                while let Some(due) = repeats.due().filter(|due| *due <= next) {
                    summed_up += repeats.take_due(now.max(due)).iter().map(|summary| summary.more).sum::<u64>();
                    silent_since = None;
                }
                now = next;
                if repeats.is_told(now, *sentence, text.to_string(), String::new, false) {
                    told += 1;
                } else {
                    let since = *silent_since.get_or_insert(now);
                    prop_assert!(repeats.due().is_some_and(|due| due <= since.max(now) + WINDOW));
                }
                prop_assert!(repeats.windows.len() <= KINDS + 4);
            }
            summed_up += repeats.take_all(now).iter().map(|summary| summary.more).sum::<u64>();
            prop_assert_eq!(told + summed_up, events.len() as u64);
        }
    }
}
