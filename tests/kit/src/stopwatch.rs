//! Time to which a busy machine adds nothing.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// However long they waited, no more than this is taken off: a machine can't excuse everything.
const MOST_TAKEN_OFF: Duration = Duration::from_secs(2);

/// Takes the time of what some processes do, and knows how long they were ready to go on meanwhile and
/// waited for a processor: "within 3 s" is the service's promise, and not the machine's.
///
/// Threads wait side by side, so of each process the one counts that waited longest. Where the system doesn't
/// tell (it takes Linux), nobody waited.
#[derive(Debug)]
pub struct Stopwatch {
    began: Instant,
    /// The folder of each process's threads, and how long each thread had waited at the start.
    waited: Vec<(PathBuf, HashMap<PathBuf, Duration>)>,
}

impl Stopwatch {
    /// Starts it for these processes and the one that it is used in.
    pub fn start(processes: impl IntoIterator<Item = u32>) -> Stopwatch {
        let processes = processes.into_iter().chain([std::process::id()]);
        let folders = processes.map(|process| PathBuf::from(format!("/proc/{process}/task")));
        let waited = folders.map(|folder| (folder.clone(), threads(&folder))).collect();
        Stopwatch { began: Instant::now(), waited }
    }

    /// The time from the start to a moment, as a clock has it.
    pub fn time(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.began)
    }

    /// The same, less what they have waited for a processor until now, two seconds at most. Ask soon behind the
    /// moment, and while the processes run: nobody knows how long one waited that has ended.
    pub fn fair_time(&self, moment: Instant) -> Duration {
        let since_start = |(folder, before): &(PathBuf, HashMap<PathBuf, Duration>)| {
            let of_thread = |(thread, now): (PathBuf, Duration)| {
                now.saturating_sub(before.get(&thread).copied().unwrap_or_default())
            };
            threads(folder).into_iter().map(of_thread).max().unwrap_or_default()
        };
        let waited: Duration = self.waited.iter().map(since_start).sum();
        self.time(moment).saturating_sub(waited.min(MOST_TAKEN_OFF))
    }
}

/// How long each thread in this folder has waited for a processor since it began.
fn threads(folder: &Path) -> HashMap<PathBuf, Duration> {
    let threads = fs::read_dir(folder).into_iter().flatten().flatten().map(|thread| thread.path());
    let waited = threads.filter_map(|thread| {
        // Nanoseconds on a processor, nanoseconds in its queue, and how often.
        let figures = fs::read_to_string(thread.join("schedstat")).ok()?;
        let waited = figures.split_whitespace().nth(1)?.parse().ok()?;
        Some((thread, Duration::from_nanos(waited)))
    });
    waited.collect()
}
