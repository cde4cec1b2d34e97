//! Whether a room has heard an answer before.

use std::collections::VecDeque;

use rapidfuzz::distance::indel::{Args, BatchComparator};

use crate::config::Validation as Settings;

/// Answers kept of a room: the most that `validation.repetition_history_size` may ask for.
const KEPT: usize = 50;

/// How much of an answer is compared, in characters: `validation.max_length` has no upper limit, and
/// comparing takes the time of both lengths multiplied.
const COMPARED: usize = 10_000;

/// An answer as it is compared: its first 10,000 characters, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording(Vec<char>);

impl Wording {
    /// The wording of a whole answer.
    pub fn new(answer: &str) -> Self {
        Self(answer.trim().to_lowercase().chars().take(COMPARED).collect())
    }
}

/// The last answers that were sent to one room.
#[derive(Debug, Default)]
pub struct SentAnswers(VecDeque<Wording>);

impl SentAnswers {
    /// Takes an answer that was sent.
    pub fn push(&mut self, answer: Wording) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(answer);
    }

    /// Whether an answer repeats one of the last `validation.repetition_history_size`.
    pub fn has(&self, settings: &Settings, answer: &Wording) -> bool {
        repeats(settings, answer, self.0.iter().rev().take(settings.repetition_history_size))
    }
}

/// Whether an answer equals one of `others` or is too much like it: twice the length of what both have
/// in common, in order, by the length of both. Never when repetitions are not checked.
///
/// Fifty answers of 2,000 characters take 2 to 4 milliseconds, those in other letters than Latin ones
/// the longest; the longest that are compared, 25 times as much.
pub fn repeats<'a>(
    settings: &Settings,
    answer: &Wording,
    others: impl IntoIterator<Item = &'a Wording>,
) -> bool {
    if !settings.check_repetition {
        return false;
    }
    let mut others = others.into_iter().peekable();
    if others.peek().is_none() {
        return false;
    }
    // What is less alike is given up early; below the threshold itself, which is lost to rounding else.
    let threshold = settings.repetition_threshold;
    let nearly = Args::default().score_cutoff((threshold - 1e-6).max(0.0));
    let comparator = BatchComparator::new(answer.0.iter().copied());
    let similarity = |other: &Wording| {
        comparator.normalized_similarity_with_args(other.0.iter().copied(), &nearly).unwrap_or(-1.0)
    };
    others.any(|other| other == answer || similarity(other) >= threshold)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::testing::config;

    fn settings(validation: Value) -> Settings {
        config(json!({"validation": validation})).validation
    }

    fn heard(validation: Value, sent: &[&str], answer: &str) -> bool {
        let settings = settings(validation);
        let mut answers = SentAnswers::default();
        for sent in sent {
            answers.push(Wording::new(sent));
        }
        answers.has(&settings, &Wording::new(answer))
    }

    #[test]
    fn an_answer_alike_to_one_of_the_last_is_a_repetition() {
        for (threshold, sent, answer, expected) in [
            (1.0, "A fine film", " a FINE film ", true),
            (1.0, "A fine film", "A fine film!", false),
            // Eight letters in common of ten and ten.
            (0.8, "abcdefghij", "abcdefghxy", true),
            (0.81, "abcdefghij", "abcdefghxy", false),
            // Three of four and six: 0.6.
            (0.6, "aébc", "xaéybz", true),
            (0.61, "aébc", "xaéybz", false),
            (0.9, "", "something", false),
            (0.0, "abc", "xyz", true),
        ] {
            let validation = json!({"repetition_threshold": threshold});
            assert_eq!(heard(validation, &[sent], answer), expected, "{threshold} {sent} {answer}");
        }
    }

    #[test]
    fn only_so_many_answers_are_remembered() {
        let validation = json!({"repetition_history_size": 2});
        assert!(heard(validation.clone(), &["first one", "second"], "first one"));
        assert!(!heard(validation, &["first one", "second", "3"], "first one"));
        assert!(!heard(json!({}), &[], "first one"));
    }

    #[test]
    fn only_the_beginning_of_a_very_long_answer_is_compared() {
        let long = |end: &str| "a film ".repeat(COMPARED / 7 + 1) + &end.repeat(1_000_000);
        assert!(heard(json!({"repetition_threshold": 1}), &[&long("x")], &long("y")));
        assert_eq!(Wording::new(&long("x")).0.len(), COMPARED);
    }

    #[test]
    fn no_more_answers_are_kept_than_may_be_asked_for() {
        let mut answers = SentAnswers::default();
        (0..1_000).for_each(|number| answers.push(Wording::new(&number.to_string())));
        assert_eq!(answers.0.len(), KEPT);
    }

    #[test]
    fn nothing_is_a_repetition_when_it_is_not_checked() {
        assert!(!heard(json!({"check_repetition": false}), &["same"], "same"));
    }

    /// Twice the longest common subsequence by both lengths, by the book.
    fn similarity(a: &[char], b: &[char]) -> f64 {
        let mut row = vec![0; b.len() + 1];
        for x in a {
            let mut diagonal = 0;
            for (index, y) in b.iter().enumerate() {
                let above = row[index + 1];
                row[index + 1] = if x == y { diagonal + 1 } else { above.max(row[index]) };
                diagonal = above;
            }
        }
        2.0 * f64::from(row[b.len()]) / (a.len() + b.len()) as f64
    }

    proptest! {
        #[test]
        fn similarity_is_that_of_the_longest_common_subsequence(a in "[a-cé]{1,80}", b in "[a-cé]{1,80}") {
            let (first, second): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            let expected = similarity(&first, &second);
            for (threshold, is_heard) in [((expected - 1e-6).max(0.0), true), ((expected + 1e-6).min(1.0), expected >= 1.0)] {
                let validation = json!({"repetition_threshold": threshold});
                prop_assert_eq!(heard(validation, &[&a], &b), is_heard);
            }
        }
    }
}
