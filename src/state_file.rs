//! Small files of our own in `state_dir` that outlive us, whole or not at all.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// More than that is not read: we never write so much.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// One such file.
#[derive(Debug, Clone)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The file of that name in a folder, which is made when something is written.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was written last; none when nothing was.
    ///
    /// # Errors
    /// When the file can't be read, or holds something else.
    pub fn read<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// What was written last; none when nothing was. A file that holds something else than we write is
    /// put out of the way under another name, for somebody to look at; an older one there is replaced.
    ///
    /// # Errors
    /// When the file can't be read, or holds something else: why, and where it is by now.
    pub fn read_or_set_aside<T: DeserializeOwned>(&self) -> Result<Option<T>, String> {
        let error = match self.read() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let aside = self.path.with_extension("broken");
        let is_broken = matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof);
        if is_broken && fs::rename(&self.path, &aside).is_ok() {
            return Err(format!("{error}; it was set aside as {}", aside.display()));
        }
        Err(error.to_string())
    }

    /// Replaces what was written. Whatever happens meanwhile, the file holds the old or the new text.
    ///
    /// # Errors
    /// When the folder or the file can't be written; the old text stays.
    pub fn write(&self, value: &impl Serialize) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        // The new name itself must survive a power cut too.
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_was_written_last_is_read_also_in_a_new_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = StateFile::new(&folder.path().join("a/b"), "spend.json");
        assert_eq!(file.read::<Value>().expect("no file is no error"), None);
        for value in [json!({"calls": 1}), json!({"calls": 2})] {
            file.write(&value).expect("written");
            assert_eq!(file.read::<Value>().expect("read"), Some(value));
        }
        let names: Vec<_> = fs::read_dir(folder.path().join("a/b")).expect("the folder").flatten().collect();
        assert_eq!(names.len(), 1, "nothing else is left behind");
    }

    #[test]
    fn a_file_that_holds_something_else_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = StateFile::new(folder.path(), "spend.json");
        for text in ["", "{", "\"text\""] {
            fs::write(file.path(), text).expect("written");
            assert!(file.read::<Vec<u8>>().is_err(), "{text}");
            let error = file.read_or_set_aside::<Vec<u8>>().expect_err("something else");
            assert!(error.ends_with("spend.broken"), "{error}");
            assert_eq!(fs::read_to_string(folder.path().join("spend.broken")).expect("read"), text);
            assert!(matches!(file.read::<Vec<u8>>(), Ok(None)));
        }
    }

    #[test]
    fn a_text_that_was_not_finished_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = StateFile::new(folder.path(), "spend.json");
        file.write(&json!([1])).expect("written");
        fs::write(folder.path().join("spend.new"), "[2").expect("written");
        assert_eq!(file.read::<Value>().expect("read"), Some(json!([1])));
        file.write(&json!([3])).expect("written");
        assert_eq!(file.read::<Value>().expect("read"), Some(json!([3])));
    }

    #[test]
    fn a_folder_that_can_not_be_written_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("taken"), "a file").expect("written");
        let file = StateFile::new(&folder.path().join("taken"), "spend.json");
        assert!(file.write(&json!(1)).is_err());
        assert!(file.read::<Value>().is_err());
    }
}
