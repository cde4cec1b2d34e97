//! What the process takes of the machine, where the system tells it.

use std::fs;

use crate::bus::wire::Identity;
use crate::metrics::moment::Moment;

/// Processor time is told in hundredth parts of a second, on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// Where there is no `/proc`, only the start is told.
pub(super) fn tell(moment: &mut Moment, identity: &Identity) {
    moment.gauge("process_start_time_seconds", &[], identity.started.wall.timestamp_micros() as f64 / 1e6);
    let resident = fs::read_to_string("/proc/self/status").ok().and_then(|status| resident_bytes(&status));
    resident.into_iter().for_each(|bytes| moment.gauge("process_resident_memory_bytes", &[], bytes));
    let cpu = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_seconds(&stat));
    cpu.into_iter().for_each(|seconds| moment.fraction("process_cpu_seconds_total", seconds));
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them is the one that lists them.
        moment.count("process_open_fds", files.count().saturating_sub(1));
    }
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// The name in brackets may hold anything; behind it, user and system time are the 12th and 13th field.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((fields.next()?.ok()? + fields.next()?.ok()?) / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_read_as_they_are_written() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   12345 kB\nThreads:\t3\n"), Some(12_641_280.0));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
        let stat = "12 (a (b) c d) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 3 0 99 1 2";
        assert_eq!(cpu_seconds(stat), Some(1.75));
        for hostile in ["", ")", "1 (x", "1 (x) S 1 2 3 4 5 6 7 8 9 10 x 25"] {
            assert_eq!(cpu_seconds(hostile), None, "{hostile}");
        }
    }
}
