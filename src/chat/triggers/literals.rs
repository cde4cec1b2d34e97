//! Many texts of the operator, looked for in chat at one go, in any case.

use std::borrow::Cow;

use aho_corasick::AhoCorasick;

/// Finds which of many texts a text contains. That costs the same whether they are ten or ten
/// thousand.
#[derive(Debug)]
pub struct Literals {
    /// As they are looked for; each once.
    folded: Vec<String>,
    /// None when they are too many for one: then each is looked for.
    automaton: Option<AhoCorasick>,
}

impl Literals {
    /// Takes the texts as they are written. Their numbers are their places in the list.
    pub fn new<'text>(texts: impl IntoIterator<Item = &'text str>) -> Self {
        let folded: Vec<String> = texts.into_iter().map(|text| folded(text).into_owned()).collect();
        let automaton = AhoCorasick::new(&folded).ok();
        Self { folded, automaton }
    }

    /// The numbers of those that the text contains anywhere, in order, each once.
    pub fn contained_in(&self, text: &str) -> Vec<usize> {
        if self.folded.is_empty() {
            return Vec::new();
        }
        let text = folded(text);
        let Some(automaton) = &self.automaton else {
            let contained = |(number, literal): (usize, &String)| text.contains(literal).then_some(number);
            return self.folded.iter().enumerate().filter_map(contained).collect();
        };
        let found = automaton.find_overlapping_iter(&*text).map(|found| found.pattern().as_usize());
        found.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }
}

/// Letters that are the same in another case become the same; some others do too.
pub fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.contains(|letter: char| letter.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    // Some letters have a capital in common, and a few only have one.
    let fold = |letter: char| letter.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    Cow::Owned(if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.chars().flat_map(fold).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;

    #[test]
    fn every_letter_folds_as_its_other_cases_do() {
        let cased: String = ('\0'..=char::MAX)
            .filter(|letter| {
                folded(&letter.to_string()) != letter.to_string()
                    || letter.to_uppercase().next() != Some(*letter)
            })
            .collect();
        assert!(cased.chars().count() > 2_500);
        for letter in cased.chars() {
            let any_case = Regex::new(&format!("(?i){letter}")).expect("a letter");
            for other in any_case.find_iter(&cased) {
                assert_eq!(folded(other.as_str()), folded(&letter.to_string()), "{letter}");
            }
        }
    }

    #[test]
    fn texts_are_found_anywhere_in_any_case() {
        let literals = Literals::new(["abc", "bc", "ΟΔΟΣ", "Größe", "d"]);
        for (text, expected) in [
            ("xABCx", vec![0, 1]),
            ("bc bc", vec![1]),
            ("οδος", vec![2]),
            ("GRÖSSE", vec![3]),
            ("GRÖẞE D", vec![3, 4]),
            ("", vec![]),
        ] {
            assert_eq!(literals.contained_in(text), expected, "{text}");
        }
        assert_eq!(Literals::new([]).contained_in("abc"), Vec::<usize>::new());
    }

    proptest! {
        #[test]
        fn without_an_automaton_the_same_is_found(text in "[a-cé ]{0,20}", texts in prop::collection::vec("[a-cé]{1,3}", 0..6)) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let literals = Literals::new(texts.iter().copied());
            let slow = Literals { automaton: None, ..Literals::new(texts) };
            prop_assert_eq!(literals.contained_in(&text), slow.contained_in(&text));
        }
    }
}
