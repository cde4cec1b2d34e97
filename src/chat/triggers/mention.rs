//! Somebody says one of the bot's names.

use std::sync::Arc;

use super::literals::Literals;
use super::phrase::Phrase;
use super::{Found, Trigger, TriggerKind};

/// The priority of every mention.
const PRIORITY: u8 = 10;

/// Finds the bot's names as whole words, in any case.
#[derive(Debug)]
pub struct Mentions {
    /// All names at once, for the many messages that have none.
    literals: Literals,
    /// One by one, the longest first.
    names: Vec<(Arc<str>, Phrase)>,
}

impl Mentions {
    /// For these names; empty ones and repetitions don't count.
    pub fn new<'config>(names: impl IntoIterator<Item = &'config str>) -> Self {
        let mut folded: Vec<String> = folded(names).collect();
        folded.sort_by_key(|name| std::cmp::Reverse(name.chars().count()));
        let mut seen = std::collections::HashSet::new();
        folded.retain(|name| seen.insert(name.clone()));
        let literals = Literals::new(folded.iter().map(String::as_str));
        let names = folded.iter().map(|name| (name.as_str().into(), Phrase::new(name))).collect();
        Self { literals, names }
    }

    /// The longest name that the text mentions, and the text without it.
    pub fn find(&self, text: &str) -> Option<Found> {
        let contained = self.literals.contained_in(text).into_iter().map(|number| &self.names[number]);
        let (name, phrase) = contained.into_iter().find(|(_, phrase)| phrase.is_word_of(text))?;
        let cleaned = phrase.removed_from(text);
        let cleaned = cleaned.trim_matches([' ', ',', '.', ':', ';', '!', '?']);
        let cleaned = if cleaned.is_empty() { text } else { cleaned };
        Some(Found {
            trigger: Trigger::plain(TriggerKind::Mention, name.clone(), PRIORITY),
            cleaned: cleaned.to_owned(),
            limits: None,
        })
    }
}

/// The names as a mention of them is called, without empty ones.
pub fn folded<'config>(names: impl IntoIterator<Item = &'config str>) -> impl Iterator<Item = String> {
    names.into_iter().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONG: usize = 8_000;

    #[test]
    fn a_name_counts_as_a_whole_word_in_any_case() {
        let mentions = Mentions::new(["cynthia", "rothrock", "CynthiaRothbot", "Café", "c++", " "]);
        for (text, found) in [
            ("hey cynthia what's up", Some(("cynthia", "hey what's up"))),
            ("CYNTHIA!", Some(("cynthia", "CYNTHIA!"))),
            ("Cynthia, what's up?", Some(("cynthia", "what's up"))),
            ("what's up, cynthia?", Some(("cynthia", "what's up"))),
            ("cynthia: cynthia; cynthia go", Some(("cynthia", "go"))),
            ("cynthia?! really", Some(("cynthia", "really"))),
            ("@cynthia hi", Some(("cynthia", "@hi"))),
            ("cynthia's film", Some(("cynthia", "'s film"))),
            ("I like cynthia rothrock", Some(("rothrock", "I like cynthia"))),
            ("cynthia alias CynthiaRothbot, hi", Some(("cynthiarothbot", "cynthia alias hi"))),
            ("cynthiax", None),
            ("xcynthia", None),
            ("cynthia_x", None),
            ("cynthia2", None),
            ("écynthia", None),
            ("cynthia\u{301}", None),
            ("CAFÉ now", Some(("café", "now"))),
            ("cafés", None),
            ("is c++ good", Some(("c++", "is good"))),
            ("  a  cynthia   b  ", Some(("cynthia", "a b"))),
            ("nobody", None),
            ("", None),
        ] {
            let result = mentions.find(text);
            let result = result.as_ref().map(|found| (&*found.trigger.name, &*found.cleaned));
            assert_eq!(result, found, "{text}");
        }
    }

    #[test]
    fn without_names_nothing_is_a_mention() {
        assert_eq!(Mentions::new([]).find("hello"), None);
        assert_eq!(Mentions::new(["", "  "]).find("hello"), None);
    }

    #[test]
    fn ten_thousand_names_and_very_long_ones_are_all_heard() {
        let mut names: Vec<String> =
            (0..10_000).map(|number| format!("{number:05}{}", "é".repeat(25))).collect();
        names.push("x".repeat(200_000));
        let mentions = Mentions::new(names.iter().map(String::as_str));
        for name in [&names[0], &names[9_999], &names[10_000]] {
            let found = mentions.find(&format!("hey {}, hello", name.to_uppercase())).expect("a mention");
            assert_eq!((&*found.trigger.name, &*found.cleaned), (name.as_str(), "hey hello"));
        }
        assert_eq!(mentions.find(&"écoute ".repeat(LONG)), None);
    }

    #[test]
    fn a_mention_has_priority_10() {
        let found = Mentions::new(["Vera"]).find("vera").expect("a mention");
        assert_eq!((found.trigger.kind, found.trigger.priority), (TriggerKind::Mention, 10));
    }

    proptest! {
        #[test]
        fn the_quick_look_agrees_with_the_names(text in "[ a-cAkKſK.,_é\u{301}]{0,20}", names in prop::collection::vec("[a-cks]{1,3}", 1..4)) {
            let mentions = Mentions::new(names.iter().map(String::as_str));
            let is_one = names.iter().any(|name| Phrase::new(name).is_word_of(&text));
            prop_assert_eq!(mentions.find(&text).is_some(), is_one);
        }

        #[test]
        fn a_mention_never_leaves_nothing(text in "[ a.,!é]{0,20}") {
            if let Some(found) = Mentions::new(["a"]).find(&text) {
                prop_assert!(!found.cleaned.is_empty());
            }
        }
    }
}
