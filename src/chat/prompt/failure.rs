//! What is wrong with a template, for the operator to read.

use std::error::Error as _;
use std::fmt;

use minijinja::{Error, ErrorKind};

/// The longest text kept of an error, in characters.
const CHARACTERS: usize = 200;

/// Something in a template that doesn't work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The file, by its path inside the templates' folder.
    pub file: String,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// Whether it fails whatever is said in the room.
    pub is_the_templates_own: bool,
}

impl Failure {
    /// A file that can't even be looked at.
    pub fn of_file(file: &str, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, what: what.into(), is_the_templates_own: true }
    }

    /// What the engine says of a template, or of one that it includes: the innermost error is the
    /// one to mend.
    pub(super) fn of(template: &str, error: &Error) -> Self {
        let mut innermost = error;
        while let Some(source) = innermost.source().and_then(|source| source.downcast_ref::<Error>()) {
            innermost = source;
        }
        let kind = innermost.kind();
        let detail = innermost.detail().map(|detail| format!("{kind}: {detail}"));
        let what: String = detail.unwrap_or_else(|| kind.to_string()).chars().take(CHARACTERS).collect();
        Self {
            file: innermost.name().unwrap_or(template).to_owned(),
            line: innermost.line(),
            what: what.replace(char::is_control, " "),
            is_the_templates_own: matches!(
                kind,
                ErrorKind::SyntaxError
                    | ErrorKind::BadEscape
                    | ErrorKind::TemplateNotFound
                    | ErrorKind::UnknownFilter
                    | ErrorKind::UnknownTest
                    | ErrorKind::UnknownFunction
                    | ErrorKind::UnknownBlock
                    | ErrorKind::OutOfFuel
            ),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(formatter, " line {line}")?;
        }
        write!(formatter, ": {}", self.what)
    }
}
