//! Reading a file of lines that grows, and is rotated away meanwhile.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The longest line that is kept, in bytes; what is longer is cut there, and so is broken.
const LONGEST: usize = 1024 * 1024;

/// A file of lines, read up to somewhere.
pub(super) struct Tail {
    path: PathBuf,
    open: Option<Open>,
    /// The line that has no end yet.
    unfinished: Vec<u8>,
}

struct Open {
    file: BufReader<File>,
    identity: (u64, u64),
    position: u64,
}

impl Tail {
    /// A file, from its beginning.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { open: Some(Open::new(path)?), ..Self::waiting(path) })
    }

    /// A file that isn't there yet.
    pub fn waiting(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, unfinished: Vec::new() }
    }

    /// Hands over every whole line that has been written since the last time, without its end; goes
    /// over to the new file when the old one was rotated away.
    ///
    /// # Errors
    /// When reading fails, or what `take` says.
    pub fn read(&mut self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        // Looked at first, so that nothing is written to the old file after it was read to its end.
        let there = match std::fs::metadata(&self.path) {
            Ok(metadata) => Some((metadata.dev(), metadata.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.read_open(&mut take)?;
        let is_rotated = there.is_some() && self.open.as_ref().map(|open| open.identity) != there;
        if is_rotated {
            match Open::new(&self.path) {
                Ok(open) => self.open = Some(open),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
            self.unfinished.clear();
            self.read_open(&mut take)?;
        }
        Ok(())
    }

    fn read_open(&mut self, take: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.file.get_ref().metadata()?.len() < open.position {
            // It was emptied in place.
            open.position = open.file.seek(SeekFrom::Start(0))?;
            self.unfinished.clear();
        }
        loop {
            let buffer = open.file.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = LONGEST.saturating_sub(self.unfinished.len());
            self.unfinished.extend_from_slice(&part[..part.len().min(room)]);
            let consumed = part.len() + usize::from(end.is_some());
            open.file.consume(consumed);
            open.position += consumed as u64;
            if end.is_some() {
                if !self.unfinished.is_empty() {
                    take(&self.unfinished)?;
                }
                self.unfinished.clear();
            }
        }
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Self {
            identity: (metadata.dev(), metadata.ino()),
            file: BufReader::with_capacity(64 * 1024, file),
            position: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use tempfile::TempDir;

    use super::*;

    fn read(tail: &mut Tail) -> Vec<String> {
        let mut lines = Vec::new();
        tail.read(|line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        })
        .expect("read");
        lines
    }

    fn append(path: &Path, text: &str) {
        let file = File::options().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
    }

    #[test]
    fn whole_lines_are_read_once_and_empty_ones_not_at_all() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("log");
        append(&path, "one\n\ntwo\nthr");
        let mut tail = Tail::open(&path).expect("a file");
        assert_eq!(read(&mut tail), ["one", "two"]);
        assert!(read(&mut tail).is_empty());
        append(&path, "ee\nfour\n");
        assert_eq!(read(&mut tail), ["three", "four"]);
    }

    #[test]
    fn a_rotation_loses_no_line() {
        let folder = TempDir::new().expect("a folder");
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut tail = Tail::waiting(&path);
        assert!(read(&mut tail).is_empty());
        append(&path, "one\n");
        assert_eq!(read(&mut tail), ["one"]);
        append(&path, "two\n");
        fs::rename(&path, &old).expect("renamed");
        append(&old, "three\n");
        assert_eq!(read(&mut tail), ["two", "three"]);
        append(&old, "four\ncut");
        append(&path, "five\n");
        assert_eq!(read(&mut tail), ["four", "five"]);
        File::options().write(true).open(&path).and_then(|file| file.set_len(0)).expect("emptied");
        append(&path, "6\n");
        assert_eq!(read(&mut tail), ["6"]);
    }

    #[test]
    fn a_line_without_end_takes_bounded_room() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("log");
        append(&path, &"x".repeat(3 * LONGEST));
        append(&path, "\nshort\n");
        let mut tail = Tail::open(&path).expect("a file");
        let lines = read(&mut tail);
        assert_eq!((lines[0].len(), &*lines[1]), (LONGEST, "short"));
    }
}
