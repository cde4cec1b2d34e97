//! Walks through an object of the file: each field is one line of reading, and what nobody read
//! is an unknown key.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::environment::WhenUnset;
use super::problem::{child, quoted};
use super::reader::{Fault, Item, Reader};

/// The longest duration that is told apart from "for ever", in seconds: 30 years. Longer ones
/// would overflow when they are added to a moment.
const LONGEST_SECONDS: f64 = 946_080_000.0;

/// An object of the file, or one that the file doesn't have: then every field is its default.
pub(super) struct Section<'a> {
    pub reader: &'a Reader<'a>,
    path: String,
    members: Option<&'a Map<String, Value>>,
    known: Vec<&'static str>,
    /// Keys that are no mistake, but that nobody should be pointed to.
    outdated: Vec<&'static str>,
    /// What unknown keys that people try are told.
    hints: Vec<(&'static str, &'static str)>,
    /// What follows when a variable in the value of a key isn't set.
    when_unset: fn(&str) -> WhenUnset,
    /// Other keys are no mistake here.
    open: bool,
    /// The section itself is a noted problem; nothing in it is missed.
    broken: bool,
}

impl<'a> Section<'a> {
    /// Reads an object, then warns about the keys in it that nobody asked for.
    pub(super) fn read<T>(
        reader: &'a Reader<'a>,
        path: String,
        members: Option<&'a Map<String, Value>>,
        broken: bool,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> T {
        let mut section = Self {
            reader,
            path,
            members,
            known: Vec::new(),
            outdated: Vec::new(),
            hints: Vec::new(),
            when_unset: |_| WhenUnset::Keep,
            open: false,
            broken,
        };
        let result = read(&mut section);
        section.warn_about_unknown_keys();
        result
    }

    fn warn_about_unknown_keys(&self) {
        if self.open {
            return;
        }
        let keys = self.members.into_iter().flat_map(|members| members.keys()).map(String::as_str);
        let read = |key: &str| self.known.contains(&key) || self.outdated.contains(&key);
        for key in keys.filter(|key| !key.starts_with('_') && !read(key)) {
            let hint = self.hints.iter().find(|(unknown, _)| *unknown == key);
            let message = match hint {
                Some((_, hint)) => format!("unknown key; {hint}"),
                None => format!("unknown key; the nearest known one is {}", self.nearest_known(key)),
            };
            self.warning(key, &message);
        }
    }

    fn nearest_known(&self, key: &str) -> &'static str {
        // The comparison's cost grows with the square of the length.
        let key: String = key.chars().take(100).collect();
        let similarity = |name: &&&str| strsim::jaro_winkler(name, &key);
        self.known.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b))).copied().unwrap_or_default()
    }

    /// The path of a key.
    pub(super) fn place(&self, key: &str) -> String {
        child(&self.path, key)
    }

    /// Notes a problem of a key, or of the whole section (`""`).
    pub(super) fn problem(&self, key: &str, found: &str, allowed: &str, fix: &str) {
        let place = if key.is_empty() { self.path.clone() } else { self.place(key) };
        self.reader.problem(&place, found, allowed, fix);
    }

    pub(super) fn warning(&self, key: &str, message: &str) {
        self.reader.warning(&self.place(key), message);
    }

    /// Other keys than those read are no mistake here.
    pub(super) fn allow_other_keys(&mut self) {
        self.open = true;
    }

    /// What to tell whoever writes an unknown key.
    pub(super) fn hint(&mut self, unknown: &'static str, hint: &'static str) {
        self.hints.push((unknown, hint));
    }

    /// What follows when a variable in the value of a key isn't set. Otherwise it is a warning.
    pub(super) fn when_unset(&mut self, rule: fn(&str) -> WhenUnset) {
        self.when_unset = rule;
    }

    /// As `raw`, for a key that nobody should be pointed to.
    pub(super) fn outdated(&mut self, key: &'static str) -> Option<&'a Value> {
        self.outdated.push(key);
        self.members.and_then(|members| members.get(key))
    }

    /// As `item`, for a key that nobody should be pointed to.
    pub(super) fn outdated_item(&mut self, key: &'static str) -> Option<Item<'a>> {
        let value = self.outdated(key)?;
        self.reader.item(self.place(key), value, (self.when_unset)(key)).ok()
    }

    /// The value of a key as it stands in the file. The key is known from now on.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.members.and_then(|members| members.get(key))
    }

    /// The value of a key, unless it is absent.
    pub(super) fn item(&mut self, key: &'static str) -> Option<Result<Item<'a>, Fault>> {
        let value = self.raw(key)?;
        Some(self.reader.item(self.place(key), value, (self.when_unset)(key)))
    }

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
                Ok(value) => (value, false),
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
        self.field(
            key,
            default,
            show,
            |item| {
                if item.value.is_null() { Ok(None) } else { parse(item).map(Some) }
            },
        )
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

    /// As `nullable`, where an empty text means null too.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        show: impl Fn(&T) -> String,
        parse: impl FnOnce(&Item<'a>) -> Result<T, Fault>,
    ) -> Option<T> {
        let show = |value: &Option<T>| value.as_ref().map_or("null".to_owned(), &show);
        self.field(key, None, show, |item| match item.value.as_ref() {
            Value::Null => Ok(None),
            Value::String(text) if text.trim().is_empty() => Ok(None),
            _ => parse(item).map(Some),
        })
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

    /// Notes a problem when a key is missing.
    pub(super) fn required(&mut self, key: &'static str, allowed: &str) -> bool {
        let there = self.raw(key).is_some();
        if !there && !self.broken {
            self.problem(key, "missing", allowed, "add it");
        }
        there
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
        self.field(
            key,
            default,
            |value| quoted(word(value)),
            |item| {
                let text = item.value.as_str();
                let found = words.iter().find(|(word, _)| Some(*word) == text);
                let all: Vec<String> = words.iter().map(|(word, _)| quoted(word)).collect();
                found.map(|(_, meaning)| *meaning).ok_or_else(|| item.wrong(&all.join(" or ")))
            },
        )
    }

    /// A path of a file or folder.
    pub(super) fn path(&mut self, key: &'static str, default: &str) -> PathBuf {
        self.field(key, default.to_owned(), |text| json!(text).to_string(), Item::filled_text).into()
    }

    /// An object within this one.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'a>) -> T) -> T {
        let (members, broken) = match self.raw(key) {
            None => (None, self.broken),
            Some(Value::Object(members)) => (Some(members), self.broken),
            Some(value) => {
                let fix = "write an object, or remove it for the defaults";
                self.problem(key, super::value::kind(value), "an object", fix);
                (None, true)
            }
        };
        Section::read(self.reader, self.place(key), members, broken, read)
    }

    /// An object within this one that may be absent or null.
    pub(super) fn optional_section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> Option<T> {
        let value = self.raw(key);
        if value.is_none_or(Value::is_null) {
            self.reader.effective(&self.place(key), "null".to_owned(), value.is_none());
            return None;
        }
        Some(self.section(key, read))
    }

    /// A list of objects; none when it is absent. Each object is read on its own.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'a>) -> T,
    ) -> Option<Vec<T>> {
        let item = self.item(key)?.ok()?;
        let items = item.or_report(item.list())?;
        if items.is_empty() {
            self.reader.effective(&item.path, "[]".to_owned(), false);
        }
        Some(items.into_iter().filter_map(|item| item.section(&mut read)).collect())
    }

    /// The members of an object whose keys are names.
    pub(super) fn named<T>(&mut self, mut read: impl FnMut(&str, &mut Section<'a>) -> T) -> Vec<T> {
        self.open = true;
        let members = self.members.into_iter().flatten();
        let named = members.filter(|(key, _)| !key.starts_with('_'));
        named
            .filter_map(|(key, value)| {
                let item = self.reader.item(child(&self.path, key), value, WhenUnset::Keep).ok()?;
                item.section(|section| read(key, section))
            })
            .collect()
    }
}

impl<'a> Item<'a> {
    /// Reads the value as an object.
    pub(super) fn section<T>(self, read: impl FnOnce(&mut Section<'a>) -> T) -> Option<T> {
        let Cow::Borrowed(Value::Object(members)) = self.value else {
            self.report(self.wrong("an object"), "write an object, or remove it");
            return None;
        };
        Some(Section::read(self.reader, self.path, Some(members), false, read))
    }
}

/// Seconds as a duration; what is longer than 30 years counts as 30 years.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_SECONDS))
}
