//! The unit file, as systemd itself judges it and as the binary needs it.

use std::time::Duration;

use kryten_llm::cli::exit;
use kryten_llm::shutdown::LAST_MOMENT;
use kryten_testkit::{Context as _, Result};
use tempfile::TempDir;

use crate::{BINARY, UNIT, has, run, setting};

/// The longest `graceful_shutdown_timeout_seconds` that a config may have.
const LONGEST_DRAIN: Duration = Duration::from_secs(120);
/// The stages of a stop that may take a last moment behind the deadline.
const LAST_MOMENTS: u32 = 5;

/// The unit with the built binary in it, since systemd looks whether it is there.
fn unit() -> Result<(TempDir, String)> {
    let folder = TempDir::new().context("making a folder for the unit")?;
    let path = folder.path().join("kryten-llm.service");
    std::fs::write(&path, UNIT.replace("/usr/bin/kryten-llm", BINARY)).context("writing the unit")?;
    let path = path.display().to_string();
    Ok((folder, path))
}

#[test]
fn systemd_has_nothing_to_say_against_the_unit() -> Result {
    if has("systemd-analyze", "systemd-analyze verify") {
        let (_folder, unit) = unit()?;
        let complaint = run("bash", &["-c", "systemd-analyze verify --man=no \"$0\" 2>&1", &unit])?;
        assert_eq!(complaint, "");
    }
    Ok(())
}

#[test]
fn the_unit_exposes_no_more_than_one_point_two() -> Result {
    if has("systemd-analyze", "systemd-analyze security") {
        let (_folder, unit) = unit()?;
        run("systemd-analyze", &["security", "--offline=true", "--threshold=12", "--no-pager", &unit])?;
    }
    Ok(())
}

#[test]
fn a_unit_that_exposes_more_is_noticed() -> Result {
    if has("systemd-analyze", "systemd-analyze security") {
        let (_folder, unit) = unit()?;
        let text = std::fs::read_to_string(&unit).context("reading the unit")?;
        std::fs::write(&unit, text.replace("SystemCallFilter=", "#")).context("writing the unit")?;
        let judged =
            run("systemd-analyze", &["security", "--offline=true", "--threshold=12", "--no-pager", &unit]);
        assert!(judged.is_err(), "without a system-call filter it was still good enough");
    }
    Ok(())
}

#[test]
fn the_stop_has_more_time_than_the_longest_drain() {
    let stop: u64 = setting("TimeoutStopSec").parse().unwrap_or_default();
    assert!(Duration::from_secs(stop) >= LONGEST_DRAIN + LAST_MOMENTS * LAST_MOMENT, "{stop} s");
}

#[test]
fn it_is_started_again_after_all_ends_but_those_that_do_not_mend_themselves() {
    assert_eq!(setting("Restart"), "always");
    let never = [exit::USAGE, exit::REFUSED, exit::CONFIG].map(|code| code.to_string()).join(" ");
    assert_eq!(setting("RestartPreventExitStatus"), never);
}
