//! Walks through an object of the file: each field is one line of reading, and what nobody read
//! is an unknown key.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::environment::WhenUnset;
use super::problem::child;
use super::reader::{Fault, Item, Reader};
use super::survey::{ANY_NAME, Kind};

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
        section.reader.learn(&section.path, |field| field.takes(Kind::Section));
        let result = read(&mut section);
        section.warn_about_unknown_keys();
        section.reader.learn(&section.path, |field| field.is_open = section.open);
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

    pub(super) fn problem(&self, key: &str, found: &str, allowed: &str, fix: &str) {
        self.reader.problem(&self.place(key), found, allowed, fix);
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
        self.reader.learn(&self.place(key), |field| field.is_outdated = true);
        self.members.and_then(|members| members.get(key))
    }

    /// As `item`, for a key that nobody should be pointed to.
    pub(super) fn outdated_item(&mut self, key: &'static str) -> Option<Item<'a>> {
        let value = self.outdated(key);
        if self.reader.is_surveying() {
            return Some(self.reader.probe(self.place(key)));
        }
        let value = value?;
        self.reader.item(self.place(key), value, (self.when_unset)(key)).ok()
    }

    /// The value of a key as it stands in the file. The key is known from now on.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.reader.learn(&self.place(key), |_| ());
        self.members.and_then(|members| members.get(key))
    }

    /// The value of a key, unless it is absent.
    pub(super) fn item(&mut self, key: &'static str) -> Option<Result<Item<'a>, Fault>> {
        let value = self.raw(key);
        if self.reader.is_surveying() {
            return Some(Ok(self.reader.probe(self.place(key))));
        }
        let value = value?;
        Some(self.reader.item(self.place(key), value, (self.when_unset)(key)))
    }

    /// Notes a problem when a key is missing.
    pub(super) fn required(&mut self, key: &'static str, allowed: &str) -> bool {
        let there = self.raw(key).is_some() || self.reader.is_surveying();
        self.reader.learn(&self.place(key), |field| field.is_required = true);
        if !there && !self.broken {
            self.problem(key, "missing", allowed, "add it");
        }
        there
    }

    /// Tells a survey of words that mean something, where others are no mistake.
    pub(super) fn known_words(&self, key: &str, words: &[&str]) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.reader.learn(&self.place(key), |field| field.words = words);
    }

    /// Tells a survey that a list or map has at least one entry.
    pub(super) fn never_empty(&self, key: &str) {
        self.reader.learn(&self.place(key), |field| field.is_never_empty = true);
    }

    /// An object within this one, or something else at the same key.
    pub(super) fn section_or<T>(
        &mut self,
        key: &'static str,
        section: impl FnOnce(&mut Section<'a>) -> T,
        otherwise: impl FnOnce(&mut Section<'a>) -> T,
    ) -> T {
        let is_object = self.raw(key).is_some_and(Value::is_object);
        if self.reader.is_surveying() {
            self.section(key, section);
        } else if is_object {
            return self.section(key, section);
        }
        otherwise(self)
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
        self.reader.learn(&self.place(key), |field| field.is_nullable = true);
        if value.is_none_or(Value::is_null) {
            self.reader.effective(&self.place(key), "null".to_owned(), value.is_none());
            if !self.reader.is_surveying() {
                return None;
            }
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
        self.reader.learn(&self.path, |field| field.kinds = vec![Kind::Map]);
        if self.reader.is_surveying() {
            let path = child(&self.path, ANY_NAME);
            return vec![Section::read(self.reader, path, None, false, |section| read(ANY_NAME, section))];
        }
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
        if self.reader.is_surveying() {
            return Some(Section::read(self.reader, self.path, None, false, read));
        }
        let Cow::Borrowed(Value::Object(members)) = self.value else {
            self.report(self.wrong("an object"), "write an object, or remove it");
            return None;
        };
        Some(Section::read(self.reader, self.path, Some(members), false, read))
    }
}
