//! How a section reads its fields: one line each, with the default and the range.

use std::fmt::Display;
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::problem::quoted;
use super::reader::{Fault, Item};
use super::section::Section;

/// The longest duration that is told apart from "for ever", in seconds: 30 years. Longer ones
/// would overflow when they are added to a moment.
const LONGEST_SECONDS: f64 = 946_080_000.0;

impl<'a> Section<'a> {
    /// Reads one field: the default when it is absent, a noted problem when it is wrong.
    pub(super) fn field<T>(
        &mut self,
        key: &'static str,
        default: T,
        show: impl Fn(&T) -> String,
        parse: impl FnOnce(&Item<'a>) -> Result<T, Fault>,
    ) -> T {
        let (value, is_default) = match self.item(key) {
            None => (default, true),
            Some(Err(_)) => (default, false),
            Some(Ok(item)) => match parse(&item) {
                Ok(value) if !self.reader.is_surveying() => (value, false),
                Ok(_) => (default, true),
                Err(fault) => {
                    let shown = show(&default);
                    item.report(fault, &format!("change it, or remove it for the default ({shown})"));
                    (default, false)
                }
            },
        };
        self.reader.effective(&self.place(key), show(&value), is_default);
        value
    }

    /// As `field`, where null is a value too.
    pub(super) fn nullable<T>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        show: impl Fn(&T) -> String,
        parse: impl FnOnce(&Item<'a>) -> Result<T, Fault>,
    ) -> Option<T> {
        let show = |value: &Option<T>| value.as_ref().map_or("null".to_owned(), &show);
        self.field(key, default, show, |item| if item.is_null() { Ok(None) } else { parse(item).map(Some) })
    }

    pub(super) fn integer<T>(&mut self, key: &'static str, default: T, range: impl RangeBounds<T>) -> T
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        self.field(key, default, T::to_string, |item| item.integer(&range))
    }

    pub(super) fn optional_integer<T>(&mut self, key: &'static str, range: impl RangeBounds<T>) -> Option<T>
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        self.nullable(key, None, T::to_string, |item| item.integer(&range))
    }

    pub(super) fn number(&mut self, key: &'static str, default: f64, range: impl RangeBounds<f64>) -> f64 {
        self.field(key, default, f64::to_string, |item| item.number(&range))
    }

    pub(super) fn optional_number(&mut self, key: &'static str, range: impl RangeBounds<f64>) -> Option<f64> {
        self.nullable(key, None, f64::to_string, |item| item.number(&range))
    }

    /// Seconds, with fractions.
    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        default: f64,
        range: impl RangeBounds<f64>,
    ) -> Duration {
        duration(self.number(key, default, range))
    }

    /// Whole seconds.
    pub(super) fn whole_seconds(
        &mut self,
        key: &'static str,
        default: u64,
        range: impl RangeBounds<u64>,
    ) -> Duration {
        duration(self.integer(key, default, range) as f64)
    }

    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.field(key, default, bool::to_string, Item::boolean)
    }

    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.field(key, default.to_owned(), |text| json!(text).to_string(), Item::text)
    }

    /// A text of at most so many characters.
    pub(super) fn text_up_to(&mut self, key: &'static str, default: &str, longest: usize) -> String {
        self.reader.learn(&self.place(key), |field| field.longest = Some(longest));
        let text = self.text(key, default);
        if text.chars().count() > longest {
            let allowed = format!("at most {longest} characters");
            self.problem(key, "a text that is too long", &allowed, "shorten it");
        }
        text
    }

    /// As `nullable`, where an empty text means null too.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        show: impl Fn(&T) -> String,
        parse: impl FnOnce(&Item<'a>) -> Result<T, Fault>,
    ) -> Option<T> {
        let show = |value: &Option<T>| value.as_ref().map_or("null".to_owned(), &show);
        self.field(
            key,
            None,
            show,
            |item| {
                if item.is_null_or_empty() { Ok(None) } else { parse(item).map(Some) }
            },
        )
    }

    pub(super) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        self.optional(key, |text| json!(text).to_string(), Item::text)
    }

    /// A text that must be there and say something.
    pub(super) fn required_text(&mut self, key: &'static str, example: &str) -> String {
        let show = |text: &String| json!(text).to_string();
        self.required_field(key, &format!("a text such as {example}"), show, Item::filled_text)
    }

    /// A field that must be there.
    pub(super) fn required_field<T: Default>(
        &mut self,
        key: &'static str,
        allowed: &str,
        show: impl Fn(&T) -> String,
        parse: impl FnOnce(&Item<'a>) -> Result<T, Fault>,
    ) -> T {
        if !self.required(key, allowed) {
            return T::default();
        }
        let Some(Ok(item)) = self.item(key) else { return T::default() };
        let value = parse(&item).map_err(|fault| item.report(fault, "change it")).unwrap_or_default();
        self.reader.effective(&item.path, show(&value), false);
        value
    }

    pub(super) fn texts(&mut self, key: &'static str, default: &[&str]) -> Vec<String> {
        let default = default.iter().map(|text| (*text).to_owned()).collect();
        self.field(key, default, |texts: &Vec<String>| json!(texts).to_string(), Item::texts)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        default: T,
        words: &[(&str, T)],
    ) -> T {
        let word =
            |value: &T| words.iter().find(|(_, meaning)| meaning == value).map_or("", |(word, _)| word);
        self.field(key, default, |value| quoted(word(value)), |item| item.word(words))
    }

    /// A path of a file or folder.
    pub(super) fn path(&mut self, key: &'static str, default: &str) -> PathBuf {
        self.field(key, default.to_owned(), |text| json!(text).to_string(), Item::filled_text).into()
    }
}

/// Seconds as a duration; what is longer than 30 years counts as 30 years.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_SECONDS))
}
