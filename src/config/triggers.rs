//! `triggers`: words that may make the bot speak without being asked.

use std::time::Duration;

use serde_json::json;

use super::pattern::{Case, Pattern};
use super::problem::shown_list;
use super::reader::{Fault, Item};
use super::section::Section;
use crate::names::ProviderName;

/// One trigger.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Unique.
    pub name: String,
    /// Plain texts that are found in any case; none is empty.
    pub patterns: Vec<String>,
    /// Regular expressions, in the case in which they are written.
    pub regex: Vec<Pattern>,
    /// 0–1: how often it fires when it is found.
    pub probability: f64,
    pub cooldown: Duration,
    /// What the prompt says about it.
    pub context: String,
    /// Overrides the personality's.
    pub response_style: Option<String>,
    pub max_responses_per_hour: u32,
    /// 1–10; higher ones are tried first.
    pub priority: u8,
    pub enabled: bool,
    /// The provider that is asked first; it exists.
    pub preferred_provider: Option<ProviderName>,
}

/// Reads the triggers. `providers` are the names that exist.
pub(super) fn read(s: &mut Section<'_>, providers: &[&str]) -> Vec<Trigger> {
    if s.raw("triggers").is_none() {
        s.reader.effective("triggers", "[]".to_owned(), true);
    }
    let mut names: Vec<String> = Vec::new();
    let triggers = s.list("triggers", |s| {
        let trigger = trigger(s, providers);
        if !trigger.name.is_empty() && names.contains(&trigger.name) {
            s.problem("name", "a name that another trigger has", "a unique name", "rename one of them");
        }
        names.push(trigger.name.clone());
        trigger
    });
    triggers.unwrap_or_default()
}

fn trigger(s: &mut Section<'_>, providers: &[&str]) -> Trigger {
    Trigger {
        name: s.required_text("name", "\"popcorn\""),
        patterns: s.texts("patterns", &[]).into_iter().filter(|text| !text.trim().is_empty()).collect(),
        regex: patterns(s, "regex", &[], Case::Matters),
        probability: s.number("probability", 1.0, 0.0..=1.0),
        cooldown: s.whole_seconds("cooldown_seconds", 300, 0..),
        context: s.text("context", ""),
        response_style: s.optional_text("response_style"),
        max_responses_per_hour: s.integer("max_responses_per_hour", 10, 0..),
        priority: s.integer("priority", 5, 1..=10),
        enabled: s.boolean("enabled", true),
        preferred_provider: preferred_provider(s, providers),
    }
}

/// `preferred_provider`, or its old spelling `llm_provider`.
fn preferred_provider(s: &mut Section<'_>, providers: &[&str]) -> Option<ProviderName> {
    let preferred = s.optional_text("preferred_provider").map(|name| ("preferred_provider", name));
    let old = s.deprecated_text("llm_provider", "the old spelling of preferred_provider; rename it");
    s.no_effect("preferred_tier", &json!(null));
    let (key, name) = preferred.or(old.map(|name| ("llm_provider", name)))?;
    if !providers.contains(&name.as_str()) {
        s.warning(key, &format!("no provider has this name; known are {}", shown_list(providers)));
        return None;
    }
    Some(ProviderName::new(&name))
}

/// A list of regular expressions. Each that doesn't compile is noted at its own path.
pub(super) fn patterns(s: &mut Section<'_>, key: &'static str, default: &[&str], case: Case) -> Vec<Pattern> {
    let default = default.iter().filter_map(|source| Pattern::new(source, case).ok()).collect();
    let show =
        |patterns: &Vec<Pattern>| json!(patterns.iter().map(Pattern::as_str).collect::<Vec<_>>()).to_string();
    s.field(key, default, show, |item| {
        Ok(item.list()?.iter().filter_map(|item| item.or_report(pattern(item, case))).collect())
    })
}

fn pattern(item: &Item<'_>, case: Case) -> Result<Pattern, Fault> {
    Pattern::new(&item.text()?, case).map_err(|bad| Fault::Wrong {
        found: format!("a text that is no regular expression ({bad})"),
        allowed: "a regular expression".to_owned(),
    })
}
