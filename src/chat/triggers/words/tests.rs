use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::super::testing::rules;
use super::super::super::trace::Untraced;
use super::*;
use crate::names::ProviderName;

fn words(triggers: Value) -> TriggerWords {
    TriggerWords::new(&rules(json!({"triggers": triggers})).config().triggers)
}

fn fired(words: &TriggerWords, text: &str) -> Option<(String, String)> {
    let found = words.find(text, || 0.5, &mut Untraced)?;
    Some((found.trigger.name.to_string(), found.cleaned))
}

#[test]
fn a_pattern_is_found_anywhere_in_any_case() {
    let words = words(json!([
        {"name": "popcorn", "patterns": ["popcorn", "Größe"]},
        {"name": "greek", "patterns": ["ΟΔΟΣ"]}
    ]));
    for (text, expected) in [
        ("I want POPCORN, now", Some(("popcorn", "I want now"))),
        ("popcorn", Some(("popcorn", "popcorn"))),
        ("two popcorns", Some(("popcorn", "two popcorns"))),
        ("welche GRÖßE? sag", Some(("popcorn", "welche sag"))),
        ("hey popcorn!", Some(("popcorn", "hey "))),
        ("I love popcorn", Some(("popcorn", "I love "))),
        ("popcorn  popcorn! ", Some(("popcorn", "popcorn  popcorn! "))),
        (", popcorn go", Some(("popcorn", ", go"))),
        ("η οδος μου", Some(("greek", "η μου"))),
        ("pop corn", None),
        ("", None),
    ] {
        let expected = expected.map(|(name, cleaned)| (name.to_owned(), cleaned.to_owned()));
        assert_eq!(fired(&words, text), expected, "{text}");
    }
}

#[test]
fn regular_expressions_are_found_as_they_are_written() {
    let words = words(json!([
        {"name": "plain", "regex": ["\\bfilm\\d+\\b"]},
        {"name": "looking", "regex": ["(?<!no )snacks"]}
    ]));
    for (text, expected) in [
        ("see film12 soon", Some(("plain", "see soon"))),
        ("see FILM12 soon", None),
        ("I want snacks", Some(("looking", "I want "))),
        ("snacks please", Some(("looking", " please"))),
        ("no snacks please", None),
        ("film1", Some(("plain", "film1"))),
    ] {
        let expected = expected.map(|(name, cleaned)| (name.to_owned(), cleaned.to_owned()));
        assert_eq!(fired(&words, text), expected, "{text}");
    }
}

#[test]
fn the_most_urgent_trigger_fires_and_equals_keep_their_order() {
    let words = words(json!([
        {"name": "low", "patterns": ["a"], "priority": 1},
        {"name": "first", "patterns": ["b"], "priority": 5},
        {"name": "second", "regex": ["b"], "priority": 5},
        {"name": "high", "patterns": ["c"], "priority": 10},
        {"name": "off", "patterns": ["a"], "priority": 10, "enabled": false}
    ]));
    for (text, name) in [("abc", "high"), ("ab", "first"), ("a", "low"), ("b a", "first")] {
        assert_eq!(fired(&words, text).map(|fired| fired.0).as_deref(), Some(name), "{text}");
    }
}

#[test]
fn a_chance_that_falls_wrong_goes_on_to_the_next_trigger() {
    let words = words(json!([
        {"name": "never", "patterns": ["a"], "priority": 10, "probability": 0},
        {"name": "half", "patterns": ["a", "aa"], "priority": 9, "probability": 0.5},
        {"name": "always", "patterns": ["a"], "priority": 8}
    ]));
    for (rolls, expected, used) in [
        (vec![0.0, 0.499], "half", 2),
        (vec![0.0, 0.5, 0.999_999], "always", 3),
        (vec![0.999_999, 0.999_999, 0.999_999], "always", 3),
    ] {
        let mut left = rolls.iter();
        let found =
            words.find("aaa", || *left.next().expect("no more than one roll a trigger"), &mut Untraced);
        assert_eq!(found.map(|found| found.trigger.name.to_string()).as_deref(), Some(expected));
        assert_eq!(rolls.len() - left.len(), used, "{rolls:?}");
    }
}

#[test]
fn a_fired_trigger_brings_what_the_operator_said_of_it() {
    let words = words(json!([{
        "name": "popcorn", "patterns": ["popcorn"], "context": "Snacks.", "response_style": "crunchy",
        "preferred_provider": "local", "priority": 7, "max_responses_per_hour": 3, "cooldown_seconds": 42
    }]));
    let found = words.find("popcorn please", || 0.0, &mut Untraced).expect("a trigger");
    assert_eq!(
        found.trigger,
        Trigger {
            kind: TriggerKind::TriggerWord,
            name: "popcorn".into(),
            priority: 7,
            context: "Snacks.".into(),
            preferred_provider: Some(ProviderName::new("local")),
            response_style: Some("crunchy".into()),
        }
    );
    let cooldown = std::time::Duration::from_secs(42);
    assert_eq!(found.limits, Some(OwnLimits { max_per_hour: 3, cooldown }));
}

#[test]
fn without_triggers_nothing_fires() {
    for triggers in [json!([]), json!([{"name": "empty", "patterns": [""]}])] {
        assert_eq!(fired(&words(triggers), "anything"), None);
    }
}

proptest! {
    #[test]
    fn the_automaton_finds_what_looking_one_by_one_finds(
        text in "[a-cA-Cé É]{0,12}",
        patterns in prop::collection::vec(prop::collection::vec("[a-cé]{1,3}", 1..3), 1..5),
    ) {
        let triggers: Vec<Value> = patterns
            .iter()
            .enumerate()
            .map(|(index, patterns)| json!({"name": index.to_string(), "patterns": patterns}))
            .collect();
        let lower = text.to_lowercase();
        let expected = patterns.iter().position(|patterns| patterns.iter().any(|pattern| lower.contains(pattern)));
        let found = words(json!(triggers)).find(&text, || 0.0, &mut Untraced);
        prop_assert_eq!(found.map(|found| found.trigger.name.to_string()), expected.map(|index| index.to_string()));
    }
}
