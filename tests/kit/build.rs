//! Builds the clock that a story can step: a library that is put before the system's.

use std::path::Path;
use std::process::Command;

fn main() {
    let source = "clock/step.rs";
    println!("cargo::rerun-if-changed={source}");
    let wanted = |name: &str| std::env::var(name).expect("cargo says it to every build script");
    let library = Path::new(&wanted("OUT_DIR")).join("libclockstep.so");
    println!("cargo::rustc-env=CLOCK_STEP_LIBRARY={}", library.display());
    if wanted("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    let built = Command::new(wanted("RUSTC"))
        .args(["--crate-name=clockstep", "--crate-type=cdylib", "--edition=2024", "-O"])
        .args(["--target", &wanted("TARGET"), "-o"])
        .arg(&library)
        .arg(source)
        .status();
    assert!(built.is_ok_and(|status| status.success()), "{source} can't be built");
}
