//! Where the real nats-server is.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::error::{Context, Error, Result};

static BINARY: OnceCell<PathBuf> = OnceCell::const_new();

/// The path of a nats-server; fetched the first time when the machine has none.
pub(super) async fn nats_server() -> Result<&'static Path> {
    BINARY.get_or_try_init(find).await.map(PathBuf::as_path)
}

async fn find() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/nats-server.sh");
    let what = format!("running {}", script.display());
    let output = Command::new(&script).stdin(Stdio::null()).output().await.context(&what)?;
    if !output.status.success() {
        return Err(Error::new(format!("{what}: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
