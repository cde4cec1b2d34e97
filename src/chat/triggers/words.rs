//! Words that may make the bot speak without being asked.

use std::collections::HashMap;
use std::sync::Arc;

use regex::RegexSet;

use super::literals::{Literals, folded};
use super::phrase::Phrase;
use super::{Found, OwnLimits, Trigger, TriggerKind};
use crate::chat::html::with_single_spaces;
use crate::chat::trace::Trace;
use crate::config::{self, Pattern};
use crate::outcome::Reason;

/// All enabled triggers, the most urgent first. Looking for them costs the same whether there are
/// ten or a thousand: plain patterns are one automaton, plain regular expressions another. Those
/// with look-around or back-references are tried one by one.
#[derive(Debug)]
pub struct TriggerWords {
    triggers: Vec<Word>,
    patterns: Literals,
    /// For each pattern of the automaton, where it stands in the triggers.
    owners_of_patterns: Vec<Vec<Place>>,
    regexes: RegexSet,
    owners_of_regexes: Vec<Place>,
    backtracking: Vec<Place>,
}

#[derive(Debug)]
struct Word {
    trigger: Trigger,
    limits: OwnLimits,
    probability: f64,
    patterns: Vec<Phrase>,
    regexes: Vec<Pattern>,
}

/// A pattern of a trigger. Their order is the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    trigger: usize,
    /// Behind the plain patterns come the regular expressions.
    is_regex: bool,
    index: usize,
}

impl TriggerWords {
    /// Compiles the triggers that are enabled.
    pub fn new(triggers: &[config::Trigger]) -> Self {
        let mut enabled: Vec<&config::Trigger> = triggers.iter().filter(|trigger| trigger.enabled).collect();
        enabled.sort_by_key(|trigger| std::cmp::Reverse(trigger.priority));
        let words: Vec<Word> = enabled.into_iter().map(Word::new).collect();

        let mut owners_of_patterns: Vec<Vec<Place>> = Vec::new();
        let mut sources: Vec<String> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut plain: Vec<(&str, Place)> = Vec::new();
        let mut backtracking = Vec::new();
        for (trigger, word) in words.iter().enumerate() {
            for (index, pattern) in word.patterns.iter().enumerate() {
                let folded = folded(pattern.as_str()).into_owned();
                let id = *known.entry(folded.clone()).or_insert_with(|| {
                    sources.push(folded);
                    owners_of_patterns.push(Vec::new());
                    sources.len() - 1
                });
                owners_of_patterns[id].push(Place { trigger, is_regex: false, index });
            }
            for (index, regex) in word.regexes.iter().enumerate() {
                let place = Place { trigger, is_regex: true, index };
                match regex::Regex::new(regex.as_str()) {
                    Ok(_) => plain.push((regex.as_str(), place)),
                    Err(_) => backtracking.push(place),
                }
            }
        }
        let patterns = Literals::new(sources.iter().map(String::as_str));
        let (regexes, owners_of_regexes) = match RegexSet::new(plain.iter().map(|(source, _)| source)) {
            Ok(set) => (set, plain.iter().map(|(_, place)| *place).collect()),
            // Too many for one automaton.
            Err(_) => {
                backtracking.extend(plain.iter().map(|(_, place)| *place));
                (RegexSet::empty(), Vec::new())
            }
        };
        Self { patterns, owners_of_patterns, regexes, owners_of_regexes, backtracking, triggers: words }
    }

    /// The first trigger, by priority, that is found in the text and whose chance falls right.
    /// `roll` gives numbers in [0, 1).
    pub fn find(&self, text: &str, mut roll: impl FnMut() -> f64, trace: &mut impl Trace) -> Option<Found> {
        let mut found = self.found_in(text);
        found.sort_unstable();
        found.dedup_by_key(|place| place.trigger);
        found
            .into_iter()
            .map(|place| (place, &self.triggers[place.trigger]))
            .find(|(_, word)| {
                let rolled = roll();
                let fires = rolled < word.probability;
                trace.note(Reason::NoTrigger, fires, || {
                    let Word { trigger, probability, .. } = word;
                    format!("the trigger \"{}\" fires below {probability}: {rolled:.3}", trigger.name)
                });
                fires
            })
            .map(|(place, word)| word.fired(place, text))
    }

    /// Every pattern that is found; those of one trigger may be many.
    fn found_in(&self, text: &str) -> Vec<Place> {
        let mut found = Vec::new();
        for number in self.patterns.contained_in(text) {
            found.extend_from_slice(&self.owners_of_patterns[number]);
        }
        if !self.owners_of_regexes.is_empty() {
            found.extend(self.regexes.matches(text).into_iter().map(|id| self.owners_of_regexes[id]));
        }
        let matches = |place: &&Place| self.triggers[place.trigger].regexes[place.index].is_match(text);
        found.extend(self.backtracking.iter().filter(matches));
        found
    }
}

impl Word {
    fn new(trigger: &config::Trigger) -> Self {
        Self {
            trigger: Trigger {
                kind: TriggerKind::TriggerWord,
                name: trigger.name.as_str().into(),
                priority: trigger.priority,
                context: trigger.context.as_str().into(),
                preferred_provider: trigger.preferred_provider.clone(),
                response_style: trigger.response_style.as_deref().map(Arc::from),
            },
            limits: OwnLimits { max_per_hour: trigger.max_responses_per_hour, cooldown: trigger.cooldown },
            probability: trigger.probability,
            patterns: trigger.patterns.iter().map(|pattern| Phrase::new(pattern)).collect(),
            regexes: trigger.regex.clone(),
        }
    }

    fn fired(&self, place: Place, text: &str) -> Found {
        let cleaned = if place.is_regex {
            with_single_spaces(&self.regexes[place.index].remove_all(text))
        } else {
            self.patterns[place.index].removed_from(text)
        };
        let cleaned = if cleaned.trim().is_empty() { text.to_owned() } else { cleaned };
        Found { trigger: self.trigger.clone(), cleaned, limits: Some(self.limits) }
    }
}

#[cfg(test)]
mod tests;
