//! Reading the templates' folder: what is in it, and nothing outside of it.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chat::prompt::{Failure, Files};

/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 256 * 1024;
/// The most files that are read.
const MOST_FILES: usize = 256;
/// How deep folders may lie in each other.
const DEEPEST: usize = 8;

/// By what a file's change is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            // The status changes with the text, and can't be set back like the time of writing.
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The files of a folder, by their paths inside it.
#[derive(Debug, Default, PartialEq)]
pub struct Listing {
    /// Those that may be read.
    pub stamps: BTreeMap<String, Stamp>,
    /// What is wrong with others.
    pub failures: Vec<Failure>,
}

/// What a folder holds. One that isn't there holds nothing.
///
/// # Errors
/// When the folder itself can't be read.
pub fn list(folder: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    match folder.canonicalize() {
        Ok(root) => list_into(&root, &root, 0, &mut listing)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(listing)
}

fn list_into(root: &Path, folder: &Path, depth: usize, listing: &mut Listing) -> io::Result<()> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    paths.sort();
    for path in paths {
        let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) else { continue };
        if is_hidden {
            continue;
        }
        if let Err(what) = list_one(root, &path, name, depth, listing) {
            listing.failures.push(Failure::of_file(name, what));
        }
    }
    Ok(())
}

fn list_one(root: &Path, path: &Path, name: &str, depth: usize, listing: &mut Listing) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("can't be read: {error}");
    let target = path.canonicalize().map_err(unreadable)?;
    if !target.starts_with(root) {
        return Err("is a link that leads out of the templates' folder".to_owned());
    }
    let metadata = fs::metadata(&target).map_err(unreadable)?;
    if metadata.is_dir() {
        if depth == DEEPEST {
            return Err(format!("lies more than {DEEPEST} folders deep"));
        }
        return list_into(root, path, depth + 1, listing).map_err(unreadable);
    }
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    if metadata.len() > LARGEST_FILE {
        return Err(format!("is larger than {LARGEST_FILE} bytes"));
    }
    if listing.stamps.len() == MOST_FILES {
        return Err(format!("is one of more than {MOST_FILES} files"));
    }
    listing.stamps.insert(name.to_owned(), Stamp::of(&metadata));
    Ok(())
}

/// The texts of listed files; what can't be read becomes a failure.
pub fn read<'name>(folder: &Path, names: impl Iterator<Item = &'name String>) -> (Files, Vec<Failure>) {
    let mut files = Files::new();
    let mut failures = Vec::new();
    for name in names {
        match read_one(&folder.join(name)) {
            Ok(text) => _ = files.insert(name.clone(), text),
            Err(failure) => failures.push(Failure { file: name.clone(), ..failure }),
        }
    }
    (files, failures)
}

fn read_one(path: &Path) -> Result<Arc<str>, Failure> {
    let failure = |what: String| Failure::of_file("", what);
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut bytes));
    read.map_err(|error| failure(format!("can't be read: {error}")))?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Failure { line: Some(line), ..failure("has bytes that are no UTF-8".to_owned()) }
    })?;
    Ok(text.into())
}

#[cfg(test)]
mod tests;
