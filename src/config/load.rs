//! From a file's bytes to a configuration, or to everything that is wrong with it.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::environment::{QuotedVariables, quote_variables};
use super::problem::Problem;
use super::reader::Reader;
use super::regular_file;
use super::section::Section;
use super::{Config, Loaded, value};

/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 8 * 1024 * 1024;

/// What the process's environment says of a variable.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A configuration as it was parsed, its variables not yet replaced. `Debug` shows nothing of it:
/// secrets may stand anywhere in it.
#[derive(Clone, Default, PartialEq)]
pub struct Written(pub Map<String, Value>);

impl fmt::Debug for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Written").finish_non_exhaustive()
    }
}

/// Why a configuration file can't be used. Its text has one line for each reason.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file isn't there, isn't ours to read, or is no regular file.
    #[error("{}: the file can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// It was read, and this is wrong with it; at least one.
    #[error("{}", problems.iter().map(|problem| format!("{}: {problem}", path.display())).collect::<Vec<_>>().join("\n"))]
    Invalid { path: PathBuf, problems: Vec<Problem> },
}

/// Loads a configuration file, with the process's environment.
///
/// # Errors
/// When the file can't be read, and when anything in it can't be used.
pub fn load_file(path: &Path) -> Result<Loaded, LoadError> {
    let invalid = |problems| LoadError::Invalid { path: path.to_owned(), problems };
    let bytes = read_file(path).map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        invalid(vec![Problem {
            place: format!("line {line}"),
            found: "bytes that are no UTF-8".to_owned(),
            allowed: "JSON in UTF-8".to_owned(),
            fix: "save the file as UTF-8".to_owned(),
        }])
    })?;
    load(text, &of_process).map_err(invalid)
}

/// The environment of this process.
pub fn of_process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    regular_file::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(std::io::Error::other(format!("it is larger than {LARGEST_FILE} bytes")));
    }
    Ok(bytes)
}

/// Loads a configuration from its text. Secrets that stand in files of their own are read too.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(text: &str, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    let quoted = quote_variables(text.trim_start_matches('\u{feff}'));
    match serde_json::from_str(&quoted.text).map_err(|error| vec![syntax(&error, &quoted)])? {
        Value::Object(members) => read(Written(members), Reader::new(environment)),
        root => Err(vec![Problem {
            place: "line 1".to_owned(),
            found: value::kind(&root).to_owned(),
            allowed: "an object".to_owned(),
            fix: "write the whole configuration as {…}".to_owned(),
        }]),
    }
}

/// Loads what was parsed before and changed since; see [`Loaded::written`]. No file is opened: secrets
/// that stand in files of their own are missing from the result.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn read_changed(written: Written, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    read(written, Reader::without_secrets(environment))
}

fn read(written: Written, reader: Reader<'_>) -> Result<Loaded, Vec<Problem>> {
    let config = Section::read(&reader, String::new(), Some(&written.0), false, Config::read);
    let notes = reader.into_notes();
    if notes.problems.is_empty() {
        Ok(Loaded { config, warnings: notes.warnings, effective: notes.effective, written })
    } else {
        Err(notes.problems)
    }
}

/// What is wrong with the syntax, at the place in the text as it was written.
fn syntax(error: &serde_json::Error, quoted: &QuotedVariables<'_>) -> Problem {
    let message = error.to_string();
    let found = message.rsplit_once(" at line ").map_or(message.as_str(), |(found, _)| found);
    let (line, column) = (error.line(), quoted.original_column(error.line(), error.column()));
    Problem {
        place: format!("line {line}, column {column}"),
        found: found.to_owned(),
        allowed: "JSON".to_owned(),
        fix: "mend the syntax there, or just before".to_owned(),
    }
}
