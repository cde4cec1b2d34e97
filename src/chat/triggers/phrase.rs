//! A text of the operator, found in chat in any case.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

use crate::chat::html::with_single_spaces;

/// A name or a trigger's pattern. It is compiled when it is first needed: of a thousand triggers
/// few ever fire.
#[derive(Debug)]
pub struct Phrase {
    text: String,
    /// The phrase as a whole word, with the mark and the spaces behind it, which go with it.
    with_tail: OnceLock<Option<Regex>>,
}

impl Phrase {
    /// Takes the phrase as written.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), with_tail: OnceLock::new() }
    }

    /// The phrase as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it stands in a text as a whole word.
    pub fn is_word_of(&self, text: &str) -> bool {
        self.with_tail().is_some_and(|phrase| phrase.is_match(text))
    }

    /// The text without it wherever it is a whole word, each with one mark and the spaces behind it,
    /// and with single spaces; one may be left at an end.
    pub fn removed_from(&self, text: &str) -> String {
        let Some(phrase) = self.with_tail() else { return text.to_owned() };
        with_single_spaces(&phrase.replace_all(text, ""))
    }

    fn with_tail(&self) -> Option<&Regex> {
        let compile = || {
            let escaped = regex::escape(&self.text);
            let pattern = format!(r"(?i)\b{{start-half}}{escaped}\b{{end-half}}[,.:;!?]?\s*");
            // Never too large: what stands in a message, or may, is bounded by its length.
            RegexBuilder::new(&pattern).size_limit(usize::MAX).build().ok()
        };
        self.with_tail.get_or_init(compile).as_ref()
    }
}
