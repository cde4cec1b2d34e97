//! Shell scripts in the daemon's place.

use std::path::PathBuf;
use std::process::Command;

use kryten_testkit::{Context as _, Result};
use tempfile::TempDir;

/// A script to be started in the daemon's place, and the folder that it lies in. A child writes it:
/// a file that this process had open for writing could still be open in some other test's child,
/// and then it can't be run.
pub fn script(body: &str) -> Result<(TempDir, PathBuf)> {
    let folder = TempDir::new().context("making a folder")?;
    let path = folder.path().join("daemon");
    let write = r##"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod +x "$2""##;
    let status = Command::new("/bin/sh").args(["-c", write, "sh", body]).arg(&path).status();
    assert!(status.context("writing a script")?.success());
    Ok((folder, path))
}
