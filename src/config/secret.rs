//! Secrets: from the file, from the environment, or from a file of their own.

use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::reader::{Fault, Item, Reader};
use super::regular_file;
use super::section::Section;

/// The largest secret that is read from a file, in bytes. Keys and tokens are far smaller.
const LARGEST_SECRET: u64 = 64 * 1024;

/// How a secret is shown.
pub(super) const MASK: &str = "****";

const READABLE: &str = "a secret that can be read";
const MEND: &str = "mend it, or remove it";

/// What a bearer token may be.
const BEARABLE: &str = "visible ASCII characters without spaces";

fn is_bearable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What became of a secret.
pub(super) enum Secret {
    /// Nobody configured one.
    Absent,
    Known(SecretString),
    /// One is configured at this key, but isn't there, for this reason.
    Unavailable {
        key: &'static str,
        reason: String,
    },
}

impl<'a> Section<'a> {
    /// A secret that stands at `key`, or in the file that `file_key` names.
    pub(super) fn secret(&mut self, key: &'static str, file_key: &'static str) -> Secret {
        let inline = self.masked(key, Item::text);
        self.inline_or_of_file(key, inline, file_key)
    }

    fn inline_or_of_file(
        &mut self,
        key: &'static str,
        inline: Option<(String, Option<String>)>,
        file_key: &'static str,
    ) -> Secret {
        let unset = inline.as_ref().and_then(|(_, unset)| unset.clone());
        let inline = inline.map(|(text, _)| text);
        let Some(file) = self.optional_text(file_key) else {
            return match (inline, unset) {
                (_, Some(names)) => {
                    Secret::Unavailable { key, reason: format!("the variable {names} is not set") }
                }
                (Some(text), None) => Secret::Known(text.into()),
                (None, None) => Secret::Absent,
            };
        };
        if inline.is_some() {
            self.warning(key, &format!("{file_key} is there too and wins; remove one of them"));
        }
        match read_secret(self.reader, &file) {
            Ok(secret) => Secret::Known(secret),
            Err(reason) => Secret::Unavailable { key: file_key, reason },
        }
    }

    /// As `secret`, where one that is configured but not there is a problem.
    pub(super) fn required_secret(
        &mut self,
        key: &'static str,
        file_key: &'static str,
    ) -> Option<SecretString> {
        let secret = self.secret(key, file_key);
        self.needed(secret)
    }

    /// A token that others must bear to get in. An empty one would leave the door open, and one that no
    /// header can hold would keep everybody out, so both are problems.
    pub(super) fn bearer_token(&mut self, key: &'static str, file_key: &'static str) -> Option<SecretString> {
        let parse = |item: &Item<'a>| match item.filled_text()? {
            token if is_bearable(&token) => Ok((token, item.unset.clone())),
            _ => Err(item.wrong(BEARABLE)),
        };
        let inline = self.nullable(key, None, |_| MASK.to_owned(), parse);
        self.note_secret(inline.as_ref());
        let secret = self.inline_or_of_file(key, inline, file_key);
        let token = self.needed(secret)?;
        if self.reader.reads_secrets() && !is_bearable(token.expose_secret()) {
            self.problem(file_key, "a file with another text", BEARABLE, "write another token into it");
        }
        Some(token)
    }

    fn needed(&self, secret: Secret) -> Option<SecretString> {
        match secret {
            Secret::Absent => None,
            Secret::Known(secret) => Some(secret),
            Secret::Unavailable { key, reason } => {
                self.problem(key, &reason, READABLE, MEND);
                None
            }
        }
    }

    /// A secret that only stands in a file.
    pub(super) fn secret_file(&mut self, file_key: &'static str) -> Option<SecretString> {
        let file = self.optional_text(file_key)?;
        read_secret(self.reader, &file).map_err(|reason| self.problem(file_key, &reason, READABLE, MEND)).ok()
    }

    /// A text that is shown masked.
    pub(super) fn secret_text(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Item<'a>) -> Result<String, Fault>,
    ) -> Option<SecretString> {
        self.masked(key, parse).map(|(text, _)| text.into())
    }

    /// A masked text, and the names of the variables in it that aren't set.
    fn masked(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Item<'a>) -> Result<String, Fault>,
    ) -> Option<(String, Option<String>)> {
        let read = self.optional(key, |_| MASK.to_owned(), |item| Ok((parse(item)?, item.unset.clone())));
        self.note_secret(read.as_ref());
        read
    }

    /// Another secret is another config, though both are shown as the same mask.
    fn note_secret(&self, read: Option<&(String, Option<String>)>) {
        if let Some((text, _)) = read {
            self.reader.effective_secret(text);
        }
    }

    /// The path of a file that somebody else reads, such as a certificate.
    pub(super) fn file(&mut self, key: &'static str) -> Option<PathBuf> {
        let file = self.optional_text(key)?;
        if !self.reader.reads_secrets() {
            return Some(file.into());
        }
        let path = locate(self.reader, &file);
        if !path.is_file() {
            self.warning(key, "there is no such file now; what needs it will fail");
        }
        Some(path)
    }
}

/// Where a file is: as written, or among the credentials that systemd hands to the service.
fn locate(reader: &Reader<'_>, file: &str) -> PathBuf {
    let path = PathBuf::from(file);
    if path.is_absolute() || path.exists() {
        return path;
    }
    let credentials = reader.environment("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(file));
    credentials.filter(|credential| credential.exists()).unwrap_or(path)
}

/// Reads a secret, without the line break that editors put behind it.
fn read_secret(reader: &Reader<'_>, file: &str) -> Result<SecretString, String> {
    if !reader.reads_secrets() {
        return Ok(SecretString::default());
    }
    let path = locate(reader, file);
    let mut text = String::new();
    regular_file::open(&path)
        .and_then(|file| file.take(LARGEST_SECRET + 1).read_to_string(&mut text))
        .map_err(|error| format!("a file that can't be read ({error})"))?;
    if text.len() as u64 > LARGEST_SECRET {
        return Err(format!("a file larger than {LARGEST_SECRET} bytes"));
    }
    match text.trim_end_matches(['\n', '\r']) {
        "" => Err("an empty file".to_owned()),
        secret => {
            // The path of the file was noted last: another secret in the same file is a change.
            reader.effective_secret(secret);
            Ok(secret.into())
        }
    }
}
