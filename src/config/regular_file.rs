//! Opening files that an operator named.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// Opens a file for reading without ever waiting for a writer.
///
/// # Errors
/// When it can't be opened, and when it is no regular file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    // Opening a pipe would wait for a writer, perhaps for ever.
    check(&path.metadata()?)?;
    let file = File::open(path)?;
    // Another may have taken its place meanwhile.
    check(&file.metadata()?)?;
    Ok(file)
}

fn check(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::other("it is no regular file")) }
}
