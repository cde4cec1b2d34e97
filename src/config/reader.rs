//! Collects everything that reading finds, and reads single values.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::ops::RangeBounds;
use std::sync::LazyLock;

use serde_json::Value;

use super::environment::{self, WhenUnset};
use super::problem::{Effective, Problem, Warning, child, quoted, shown};
use super::survey::{Field, Kind, Range, Survey};
use super::value;

/// What one loading shares: the environment, and the notes of all sections.
pub(super) struct Reader<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    notes: RefCell<Notes>,
    /// When there is one, nothing is read: what would be read is written down in it.
    survey: Option<RefCell<Survey>>,
    /// Whether secrets that stand in files of their own are read.
    reads_secrets: bool,
}

/// Everything that reading found. Nothing stops at the first problem.
#[derive(Default)]
pub(super) struct Notes {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Warning>,
    pub effective: Vec<Effective>,
}

/// Why a value can't be used.
pub(super) enum Fault {
    /// It is of the wrong kind or out of range.
    Wrong { found: String, allowed: String },
    /// A problem with it is noted already.
    Reported,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { environment, notes: RefCell::default(), survey: None, reads_secrets: true }
    }

    /// One that opens no file: every secret that stands in a file of its own is taken for an empty text.
    pub(super) fn without_secrets(environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { reads_secrets: false, ..Self::new(environment) }
    }

    pub(super) fn reads_secrets(&self) -> bool {
        self.reads_secrets
    }

    /// One that learns what there is to read; see [`super::survey`].
    pub(super) fn surveying() -> Self {
        Self { survey: Some(RefCell::default()), ..Self::new(&|_| None) }
    }

    pub(super) fn into_survey(self) -> (Vec<Field>, Notes) {
        (
            self.survey.map(|survey| survey.into_inner().into_fields()).unwrap_or_default(),
            self.notes.into_inner(),
        )
    }

    pub(super) fn is_surveying(&self) -> bool {
        self.survey.is_some()
    }

    /// Writes down what a field would be, in a survey; elsewhere nothing.
    pub(super) fn learn(&self, path: &str, learned: impl FnOnce(&mut Field)) {
        if let Some(survey) = &self.survey {
            learned(survey.borrow_mut().field(path));
        }
    }

    /// What stands for a value in a survey. It is of no use, but not null.
    pub(super) fn probe(&'a self, path: String) -> Item<'a> {
        self.learn(&path, |_| ());
        Item { reader: self, path, value: Cow::Owned(Value::Bool(false)), rule: WhenUnset::Keep, unset: None }
    }

    pub(super) fn into_notes(self) -> Notes {
        self.notes.into_inner()
    }

    pub(super) fn environment(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }

    pub(super) fn problem(&self, place: &str, found: &str, allowed: &str, fix: &str) {
        self.notes.borrow_mut().problems.push(Problem {
            place: place.to_owned(),
            found: found.to_owned(),
            allowed: allowed.to_owned(),
            fix: fix.to_owned(),
        });
    }

    pub(super) fn warning(&self, place: &str, message: &str) {
        let warning = Warning { place: place.to_owned(), message: message.to_owned() };
        self.notes.borrow_mut().warnings.push(warning);
    }

    pub(super) fn effective(&self, place: &str, value: String, is_default: bool) {
        let effective = Effective { place: place.to_owned(), value, is_default, secret: None };
        self.notes.borrow_mut().effective.push(effective);
    }

    /// The value that was noted last stands for this secret.
    pub(super) fn effective_secret(&self, secret: &str) {
        // Random for each process, so that it can't be used to guess.
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        if let Some(last) = self.notes.borrow_mut().effective.last_mut() {
            last.secret = Some(KEYS.hash_one(secret));
        }
    }

    /// Takes a value up: replaces the variables in it, and follows the rule when one isn't set.
    pub(super) fn item(&'a self, path: String, value: &'a Value, rule: WhenUnset) -> Result<Item<'a>, Fault> {
        let mut item = Item { reader: self, path, value: Cow::Borrowed(value), rule, unset: None };
        let Value::String(written) = value else { return Ok(item) };
        let unquoted = environment::unquoted(written);
        let substituted = environment::substitute(unquoted.as_ref().unwrap_or(written), self.environment);
        if !substituted.unset.is_empty() {
            let names: Vec<Cow<'_, str>> = substituted.unset.iter().map(|name| shown(name)).collect();
            item.unset = Some(names.join(", "));
        }
        if unquoted.is_some() {
            item.value = Cow::Owned(scalar(&substituted.text));
        } else if let Cow::Owned(text) = substituted.text {
            item.value = Cow::Owned(Value::String(text));
        }
        match (&item.unset, rule) {
            (None, _) | (_, WhenUnset::Tell) => Ok(item),
            (Some(names), WhenUnset::Keep) => {
                self.warning(
                    &item.path,
                    &format!("the variable {names} is not set; the text stays as it is"),
                );
                Ok(item)
            }
            (Some(_), WhenUnset::Refuse) => {
                let fix = "set the variable in the service's environment";
                item.report(item.wrong("variables that are set"), fix);
                Err(Fault::Reported)
            }
        }
    }
}

/// What an unquoted variable's value is: a number, a boolean or null if it reads so, else a text.
fn scalar(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) => value,
        _ => Value::String(text.to_owned()),
    }
}

/// A value at its path, with its variables replaced.
pub(super) struct Item<'a> {
    pub reader: &'a Reader<'a>,
    pub path: String,
    pub value: Cow<'a, Value>,
    /// For what is within it.
    rule: WhenUnset,
    /// The names of the variables that aren't set.
    pub unset: Option<String>,
}

impl<'a> Item<'a> {
    /// The fault of a value of the wrong kind.
    pub(super) fn wrong(&self, allowed: &str) -> Fault {
        let found = match &self.unset {
            Some(names) => format!("a text with the variable {names}, which is not set"),
            None => value::kind(&self.value).to_owned(),
        };
        Fault::Wrong { found, allowed: allowed.to_owned() }
    }

    /// In a survey: writes down that the value may be of this kind, and ends reading it.
    fn surveyed(&self, kind: impl FnOnce() -> Kind) -> Result<(), Fault> {
        self.reader.learn(&self.path, |field| field.takes(kind()));
        if self.reader.is_surveying() { Err(Fault::Reported) } else { Ok(()) }
    }

    /// Whether it is null, where it may be.
    pub(super) fn is_null(&self) -> bool {
        self.reader.learn(&self.path, |field| field.is_nullable = true);
        self.value.is_null()
    }

    /// Whether it is null or an empty text, where it may be.
    pub(super) fn is_null_or_empty(&self) -> bool {
        self.reader.learn(&self.path, |field| field.may_be_empty = true);
        self.is_null() || self.value.as_str().is_some_and(|text| text.trim().is_empty())
    }

    /// Notes a fault.
    pub(super) fn report(&self, fault: Fault, fix: &str) {
        if let Fault::Wrong { found, allowed } = fault {
            self.reader.problem(&self.path, &found, &allowed, fix);
        }
    }

    /// The value, or a note of its fault.
    pub(super) fn or_report<T>(&self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.report(fault, "change it or remove it")).ok()
    }

    pub(super) fn integer<T>(&self, range: &impl RangeBounds<T>) -> Result<T, Fault>
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        self.surveyed(|| Kind::Integer(Range::whole(range)))?;
        let allowed = format!("a whole number, {}", value::range_in_words(range));
        let Some(integer) = value::integer(&self.value) else {
            return Err(match value::number(&self.value) {
                Some(number) => Fault::Wrong { found: format!("the number {number}"), allowed },
                None => self.wrong(&allowed),
            });
        };
        match T::try_from(integer) {
            Ok(value) if range.contains(&value) => Ok(value),
            Err(_) if integer > i128::from(u32::MAX) => {
                Err(Fault::Wrong { found: "a number too large to handle".to_owned(), allowed })
            }
            _ => Err(Fault::Wrong { found: format!("the number {integer}"), allowed }),
        }
    }

    pub(super) fn number(&self, range: &impl RangeBounds<f64>) -> Result<f64, Fault> {
        self.surveyed(|| Kind::Number(Range::of(range)))?;
        let allowed = format!("a number, {}", value::range_in_words(range));
        match value::number(&self.value) {
            Some(number) if range.contains(&number) => Ok(number),
            Some(number) => Err(Fault::Wrong { found: format!("the number {number}"), allowed }),
            None => Err(self.wrong(&allowed)),
        }
    }

    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        self.surveyed(|| Kind::Boolean)?;
        value::boolean(&self.value).ok_or_else(|| self.wrong("true or false"))
    }

    pub(super) fn text(&self) -> Result<String, Fault> {
        self.surveyed(|| Kind::Text)?;
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.wrong("a text"))
    }

    /// One of a few words; its meaning.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Fault> {
        self.surveyed(|| Kind::Word(words.iter().map(|(word, _)| (*word).to_owned()).collect()))?;
        let text = self.value.as_str();
        let found = words.iter().find(|(word, _)| Some(*word) == text);
        let all: Vec<String> = words.iter().map(|(word, _)| quoted(word)).collect();
        found.map(|(_, meaning)| *meaning).ok_or_else(|| self.wrong(&all.join(" or ")))
    }

    /// A text that says something; white space round it doesn't count.
    pub(super) fn filled_text(&self) -> Result<String, Fault> {
        self.surveyed(|| Kind::FilledText)?;
        match self.value.as_str().map(str::trim) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(self.wrong("a text that is not empty")),
        }
    }

    /// The items of a list; those with a noted fault are left out.
    pub(super) fn list(&self) -> Result<Vec<Item<'a>>, Fault> {
        if self.surveyed(|| Kind::List).is_err() {
            return Ok(vec![self.reader.probe(format!("{}[]", self.path))]);
        }
        let Cow::Borrowed(Value::Array(values)) = self.value else { return Err(self.wrong("a list")) };
        let item =
            |(index, value)| self.reader.item(format!("{}[{index}]", self.path), value, self.rule).ok();
        Ok(values.iter().enumerate().filter_map(item).collect())
    }

    /// An object's members; those whose key is a comment are left out.
    pub(super) fn members(&self, kind: Kind, allowed: &str) -> Result<Vec<&str>, Fault> {
        self.surveyed(|| kind)?;
        let Value::Object(members) = self.value.as_ref() else { return Err(self.wrong(allowed)) };
        Ok(members.keys().map(String::as_str).filter(|name| !name.starts_with('_')).collect())
    }

    /// A member of an object, unless there is a noted fault with it.
    pub(super) fn member(&self, key: &str) -> Option<Item<'a>> {
        let Cow::Borrowed(Value::Object(members)) = self.value else { return None };
        self.reader.item(child(&self.path, key), members.get(key)?, self.rule).ok()
    }

    /// The value with the variables in everything within it replaced, and without comments.
    pub(super) fn substituted(&self) -> Value {
        match self.value.as_ref() {
            Value::Object(members) => {
                let names = members.keys().filter(|name| !name.starts_with('_'));
                let member = |name: &String| Some((name.clone(), self.member(name)?.substituted()));
                Value::Object(names.filter_map(member).collect())
            }
            Value::Array(_) => self.list().into_iter().flatten().map(|item| item.substituted()).collect(),
            scalar => scalar.clone(),
        }
    }

    /// A list of texts. Each that is none is noted at its own path.
    pub(super) fn texts(&self) -> Result<Vec<String>, Fault> {
        Ok(self.list()?.iter().filter_map(|item| item.or_report(item.text())).collect())
    }
}
