//! What the fields are, learned from the very code that reads them.
//!
//! A survey runs the reading over nothing: every section, list and map is entered as if the file
//! had one, and each field tells what it would take instead of taking it. So there is no second
//! list of fields that could grow old.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};

use serde_json::{Number, Value};

use super::Config;
use super::reader::Reader;
use super::section::Section;

/// What stands for any name in the path of a map's entries.
pub(super) const ANY_NAME: &str = "NAME";

/// Every field, in the order in which they are read; a section stands before what is in it.
pub(super) fn survey() -> Vec<Field> {
    let reader = Reader::surveying();
    Section::read(&reader, String::new(), None, false, Config::read);
    let (mut fields, notes) = reader.into_survey();
    for field in &mut fields {
        let known = notes.effective.iter().find(|effective| effective.place == field.path);
        let default = known.and_then(|known| serde_json::from_str(&known.value).ok());
        field.default = default.filter(|_| !field.is_required);
    }
    fields
}

/// One field, section, list or map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    /// Its path; `[]` stands for any index, [`ANY_NAME`] for any name.
    pub path: String,
    /// What it may be, besides null. Of several kinds none has the same JSON type as another.
    pub kinds: Vec<Kind>,
    pub is_nullable: bool,
    /// An empty text counts as null.
    pub may_be_empty: bool,
    pub is_required: bool,
    /// A list or map with at least one entry.
    pub is_never_empty: bool,
    /// Other keys in it are no mistake.
    pub is_open: bool,
    /// It has no effect, or another name by now.
    pub is_outdated: bool,
    /// Words that mean something; others are no mistake.
    pub words: Vec<String>,
    /// The longest text, in characters.
    pub longest: Option<usize>,
    pub default: Option<Value>,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Integer(Range),
    Number(Range),
    Boolean,
    Text,
    /// With more than white space.
    FilledText,
    /// One of these.
    Word(Vec<String>),
    List,
    Section,
    /// A section for each name.
    Map,
    /// An object of texts.
    Texts,
    /// An object of anything.
    Object,
}

/// The ends of a range, both inclusive.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Range {
    pub least: Option<Number>,
    pub most: Option<Number>,
    /// The ends of what we can handle, where they are within those of JSON's numbers.
    pub handled: Option<(Number, Number)>,
}

impl Range {
    /// A range of whole numbers.
    pub(super) fn whole<T: TryFrom<i128> + Display>(range: &impl RangeBounds<T>) -> Self {
        let largest = [u64::MAX.into(), i64::MAX.into(), u32::MAX.into(), u16::MAX.into(), u8::MAX.into()];
        let smallest = [i64::MIN.into(), 0];
        let handled = |ends: &[i128]| ends.iter().find(|end| T::try_from(**end).is_ok()).and_then(number);
        Self { handled: handled(&smallest).zip(handled(&largest)), ..Self::of(range) }
    }

    /// A range of any numbers.
    pub(super) fn of<T: Display>(range: &impl RangeBounds<T>) -> Self {
        let end = |bound: Bound<&T>| match bound {
            Bound::Included(end) => number(end),
            Bound::Excluded(_) | Bound::Unbounded => None,
        };
        Self { least: end(range.start_bound()), most: end(range.end_bound()), handled: None }
    }
}

fn number(number: &impl Display) -> Option<Number> {
    number.to_string().parse().ok()
}

/// What was learned so far.
#[derive(Debug, Default)]
pub(super) struct Survey {
    fields: Vec<Field>,
}

impl Survey {
    /// The field at a path, new or known.
    pub(super) fn field(&mut self, path: &str) -> &mut Field {
        let at = self.fields.iter().position(|field| field.path == path).unwrap_or_else(|| {
            self.fields.push(Field::new(path));
            self.fields.len() - 1
        });
        &mut self.fields[at]
    }

    pub(super) fn into_fields(self) -> Vec<Field> {
        self.fields
    }
}

impl Field {
    fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            kinds: Vec::new(),
            is_nullable: false,
            may_be_empty: false,
            is_required: false,
            is_never_empty: false,
            is_open: false,
            is_outdated: false,
            words: Vec::new(),
            longest: None,
            default: None,
        }
    }

    /// It may be of this kind too.
    pub(super) fn takes(&mut self, kind: Kind) {
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
    }

    /// Its last key; of an entry of a list or map that of the list or map.
    pub(super) fn key(&self) -> &str {
        let path = self.path.trim_end_matches("[]");
        let key = path.rsplit_once('.').map_or(path, |(_, key)| key);
        // One that isn't a plain word.
        key.strip_prefix("[\"").and_then(|key| key.strip_suffix("\"]")).unwrap_or(key)
    }

    /// The path of the section, list or map that it stands in; empty for the file itself.
    pub(super) fn parent(&self) -> &str {
        match self.path.strip_suffix("[]") {
            Some(list) => list,
            None => self.path.rsplit_once('.').map_or("", |(parent, _)| parent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(path: &str) -> Field {
        let fields = survey();
        fields.into_iter().find(|field| field.path == path).unwrap_or_else(|| panic!("no {path}"))
    }

    #[test]
    fn a_field_is_known_by_the_line_that_reads_it() {
        let port = field("metrics.port");
        let range = Range {
            least: Some(0.into()),
            most: Some(65_535.into()),
            handled: Some((0.into(), 65_535.into())),
        };
        assert_eq!(port.kinds, [Kind::Integer(range)]);
        assert_eq!((port.default, port.is_nullable, port.is_required), (Some(28286.into()), false, false));
        assert_eq!(field("logging.format").kinds, [Kind::Word(vec!["text".into(), "json".into()])]);
        assert!(field("nats.password").is_nullable);
    }

    #[test]
    fn lists_maps_and_optional_sections_are_entered() {
        for (path, kind) in [
            ("channels", Kind::List),
            ("channels[]", Kind::Section),
            ("channels[].domain", Kind::FilledText),
            ("llm_providers", Kind::Map),
            ("llm_providers.NAME", Kind::Section),
            ("llm_providers.NAME.price", Kind::Section),
            ("triggers[].regex[]", Kind::Text),
            ("context.providers[].enabled", Kind::Boolean),
        ] {
            assert_eq!(field(path).kinds, [kind], "{path}");
        }
        assert!(field("channels").is_never_empty && field("llm_providers").is_never_empty);
        assert_eq!(field("spam_detection.mention_spam_window").kinds.len(), 2);
    }

    #[test]
    fn a_path_says_where_a_field_stands() {
        for (path, key, parent) in [
            ("nats", "nats", ""),
            ("[\"$schema\"]", "$schema", ""),
            ("triggers[]", "triggers", "triggers"),
            ("triggers[].regex", "regex", "triggers[]"),
            ("llm_providers.NAME", "NAME", "llm_providers"),
        ] {
            let field = Field::new(path);
            assert_eq!((field.key(), field.parent()), (key, parent), "{path}");
        }
    }
}
