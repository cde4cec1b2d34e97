//! The file under the response log: opened anew when it was rotated away, whole lines only.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Owner and group only: it holds what people said.
const MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// A file that lines are appended to.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
}

impl LogFile {
    /// Nothing is opened or created yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends whole lines. Creates the file and its folder when they are missing, and follows a
    /// rotation.
    ///
    /// # Errors
    /// When the lines could not be written; part of them may have been. The next try begins a new
    /// line.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let result = self.current().and_then(|file| file.write_all(lines));
        if result.is_err() {
            self.open = None;
        }
        result
    }

    /// Makes sure that what was written is on the disk.
    ///
    /// # Errors
    /// When the system doesn't know.
    pub fn sync(&mut self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |open| open.file.sync_data())
    }

    fn current(&mut self) -> io::Result<&mut File> {
        let there = std::fs::metadata(&self.path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let is_current = |open: &Open| there == Some(open.identity);
        let open = match self.open.take().filter(is_current) {
            Some(open) => open,
            None => open(&self.path)?,
        };
        Ok(&mut self.open.insert(open).file)
    }
}

fn open(path: &Path) -> io::Result<Open> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).mode(MODE);
    let file = match options.clone().create_new(true).open(path) {
        Ok(file) => {
            // Whatever the umask says.
            file.set_permissions(Permissions::from_mode(MODE))?;
            file
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut file = options.create(true).open(path)?;
            if ends_in_the_middle(path) {
                file.write_all(b"\n")?;
            }
            file
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    Ok(Open { file, identity: (metadata.dev(), metadata.ino()) })
}

/// Whether the last line has no end: it was cut off by a full disk or a crash.
fn ends_in_the_middle(path: &Path) -> bool {
    let last = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last[0])
    };
    // An empty file has no last byte, and what can't be read is left as it is.
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) && last().is_ok_and(|last| last != b'\n')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn log() -> (TempDir, LogFile) {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("logs/deep/responses.jsonl");
        (folder, LogFile::new(path))
    }

    fn text(log: &LogFile) -> String {
        fs::read_to_string(log.path()).expect("a file")
    }

    #[test]
    fn the_file_and_its_folder_are_created_for_owner_and_group_only() {
        let (folder, mut log) = log();
        log.append(b"one\n").expect("written");
        log.append(b"two\n").expect("written");
        assert_eq!(text(&log), "one\ntwo\n");
        let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode(log.path()), 0o640);
        assert_eq!(mode(&folder.path().join("logs")) & 0o007, 0);
    }

    #[test]
    fn a_file_that_is_there_is_continued_and_keeps_its_mode() {
        let (_folder, mut log) = log();
        fs::create_dir_all(log.path().parent().expect("a parent")).expect("a folder");
        fs::write(log.path(), "zero\n").expect("a file");
        fs::set_permissions(log.path(), Permissions::from_mode(0o600)).expect("a mode");
        log.append(b"one\n").expect("written");
        assert_eq!(text(&log), "zero\none\n");
        assert_eq!(fs::metadata(log.path()).expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn after_a_rotation_of_any_kind_the_lines_go_to_the_new_file() {
        let (folder, mut log) = log();
        let rotated = folder.path().join("rotated");
        log.append(b"one\n").expect("written");
        fs::rename(log.path(), &rotated).expect("renamed");
        log.append(b"two\n").expect("written");
        assert_eq!(
            (fs::read_to_string(&rotated).expect("a file").as_str(), &*text(&log)),
            ("one\n", "two\n")
        );
        fs::rename(log.path(), &rotated).expect("renamed");
        fs::write(log.path(), "").expect("a file");
        log.append(b"three\n").expect("written");
        assert_eq!(text(&log), "three\n");
        File::options().write(true).open(log.path()).and_then(|file| file.set_len(0)).expect("truncated");
        log.append(b"four\n").expect("written");
        assert_eq!(text(&log), "four\n");
        fs::remove_dir_all(log.path().parent().expect("a parent")).expect("no folder");
        log.append(b"five\n").expect("written");
        assert_eq!(text(&log), "five\n");
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_swallow_the_next() {
        let (_folder, mut log) = log();
        fs::create_dir_all(log.path().parent().expect("a parent")).expect("a folder");
        fs::write(log.path(), "one\n{\"cut").expect("a file");
        log.append(b"two\n").expect("written");
        assert_eq!(text(&log), "one\n{\"cut\ntwo\n");
    }

    #[test]
    fn what_can_not_be_written_is_an_error_until_it_can() {
        let (folder, _) = log();
        let blocked = folder.path().join("blocked");
        fs::write(&blocked, "a file where a folder should be").expect("a file");
        let mut log = LogFile::new(blocked.join("responses.jsonl"));
        assert!(log.append(b"one\n").is_err());
        fs::remove_file(&blocked).expect("no file");
        log.append(b"two\n").expect("written");
        assert_eq!(text(&log), "two\n");
        let mut full = LogFile::new("/dev/full".into());
        assert!(full.append(b"one\n").is_err());
    }
}
