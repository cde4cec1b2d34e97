//! What loading has to say: problems that stop it, warnings that don't, and what is in force.

use std::borrow::Cow;
use std::fmt;

/// One reason why the configuration can't be used. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a JSON path such as `triggers[0].regex[1]`, or line and column of broken syntax.
    pub place: String,
    /// What stands there: its kind, and the value only where it is a number that is no secret.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}; allowed: {}; {}", self.place, self.found, self.allowed, self.fix)
    }
}

/// Something that the service can run with, but that an operator should know. One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where: a JSON path.
    pub place: String,
    /// What is odd, and what follows from it.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

/// One value in force, as `check-config` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The JSON path.
    pub place: String,
    /// The value as JSON, or `****` for a secret.
    pub value: String,
    /// Whether the file leaves it to the default.
    pub is_default: bool,
    /// Tells one secret from another within this process, and nobody anything about it.
    pub(super) secret: Option<u64>,
}

impl Effective {
    /// Whether the same is in force at another time.
    pub fn is_same(&self, other: &Self) -> bool {
        self.value == other.value && self.secret == other.secret
    }
}

/// Appends a key to a path. A key that isn't a plain word is quoted, so that a path stays one
/// line and says where one key ends and the next begins.
pub(super) fn child(path: &str, key: &str) -> String {
    match (shown(key), path.is_empty()) {
        (Cow::Borrowed(key), true) => key.to_owned(),
        (Cow::Borrowed(key), false) => format!("{path}.{key}"),
        (Cow::Owned(quoted), _) => format!("{path}[{quoted}]"),
    }
}

/// A name as it stands in a message: as it is when it is a plain word, else quoted.
pub(super) fn shown(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_plain = !name.is_empty() && name.len() <= SHOWN_CHARACTERS && name.chars().all(plain);
    if is_plain { Cow::Borrowed(name) } else { Cow::Owned(quoted(name)) }
}

/// Names in a message.
pub(super) fn shown_list(names: &[&str]) -> String {
    names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ")
}

/// The longest text that a message repeats, in characters.
const SHOWN_CHARACTERS: usize = 100;

/// A text as a JSON string on one line, shortened when it is long.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    // JSON itself escapes only some of the characters that a terminal may act on.
    let json = serde_json::Value::String(shown).to_string();
    json.chars().flat_map(escape_control).collect()
}

fn escape_control(character: char) -> Vec<char> {
    if character.is_control() {
        format!("\\u{:04x}", u32::from(character)).chars().collect()
    } else {
        vec![character]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_readable_whatever_the_key() {
        assert_eq!(child("", "nats"), "nats");
        assert_eq!(child("nats", "servers"), "nats.servers");
        assert_eq!(child("llm_providers", "gpt-4.1"), r#"llm_providers["gpt-4.1"]"#);
        assert_eq!(child("", "two\nlines"), r#"["two\nlines"]"#);
        assert_eq!(child("", "\u{9b}\u{7f}"), r#"["\u009b\u007f"]"#);
        assert_eq!(child("a", ""), r#"a[""]"#);
        assert!(child("a", &"é.".repeat(1000)).chars().count() < 120);
    }
}
