//! Fields and sections of the Python original that do nothing here, and old spellings.

use std::ops::RangeBounds;

use serde_json::{Value, json};

use super::section::Section;
use super::value;

/// Said of each field that does nothing when it is set to more than its default.
const NO_EFFECT: &str = "has no effect here; remove it";

impl<'a> Section<'a> {
    /// A field of any kind that does nothing, and its default.
    pub(super) fn no_effect(&mut self, key: &'static str, default: &Value) {
        if self.outdated(key).is_some_and(|value| value != default) {
            self.warning(key, NO_EFFECT);
        }
    }

    /// A boolean that does nothing.
    pub(super) fn no_effect_flag(&mut self, key: &'static str, default: bool) {
        if let Some(item) = self.outdated_item(key)
            && item.or_report(item.boolean()).is_some_and(|flag| flag != default)
        {
            self.warning(key, NO_EFFECT);
        }
    }

    /// A whole number that does nothing but keep to its range.
    pub(super) fn no_effect_integer(
        &mut self,
        key: &'static str,
        default: i64,
        range: impl RangeBounds<i64>,
    ) {
        if let Some(item) = self.outdated_item(key)
            && item.or_report(item.integer(&range)).is_some_and(|number| number != default)
        {
            self.warning(key, NO_EFFECT);
        }
    }

    /// A text under an old name: a warning when it is there, null aside.
    pub(super) fn deprecated_text(&mut self, key: &'static str, message: &str) -> Option<String> {
        let item = self.outdated_item(key)?;
        if item.is_null() {
            return None;
        }
        self.warning(key, message);
        item.or_report(item.text()).filter(|text| !text.trim().is_empty())
    }
}

/// The top-level fields and sections that the original had and that do nothing here.
pub(super) fn read(s: &mut Section<'_>) {
    // The client library's own section, and its retries: every old file has them, none relies
    // on them, so they don't warn.
    s.outdated("service");
    if let Some(item) = s.outdated_item("retry_attempts") {
        item.or_report(item.integer(&(0..=10_u32)));
    }
    if let Some(item) = s.outdated_item("retry_delay") {
        item.or_report(item.number(&(0.1..)));
    }
    for key in ["routing", "retention", "confidence_drift", "compaction", "memory_commands", "self_service"] {
        let section = s.outdated(key);
        let enabled = section.and_then(|section| section.get("enabled"));
        if enabled.and_then(value::boolean) != Some(true) {
            continue;
        }
        let message = match key {
            "routing" => {
                "ROUTING DOES NOT EXIST HERE: OTHER PROVIDERS WILL BE ASKED than its tiers say; \
                 order them with default_provider_priority, and remove this section"
            }
            _ => "is enabled, but has no effect: there is no long-term memory here",
        };
        s.warning(key, message);
    }
}

/// `service_version`: the build's own version is announced.
pub(super) fn service_version(s: &mut Section<'_>) {
    let version = env!("CARGO_PKG_VERSION");
    if s.outdated("service_version").is_some_and(|value| *value != json!(version) && !value.is_null()) {
        s.warning("service_version", &format!("has no effect; the version announced is {version}"));
    }
}
