//! Time to which a busy machine adds nothing.

use std::fs;
use std::time::{Duration, Instant};

/// Takes the time of what some processes do, and knows how long they were ready to go on meanwhile and
/// waited for a processor: "within 3 s" is the service's promise, and not the machine's.
///
/// Where the system doesn't tell that (it takes Linux), nobody waited.
#[derive(Debug)]
pub struct Stopwatch {
    began: Instant,
    processes: Vec<u32>,
    waited: Duration,
}

impl Stopwatch {
    /// Starts it for these processes and the thread that it is used on.
    pub fn start(processes: impl Into<Vec<u32>>) -> Stopwatch {
        let processes = processes.into();
        let waited = waited(&processes);
        Stopwatch { began: Instant::now(), processes, waited }
    }

    /// The time from the start to a moment, as a clock has it.
    pub fn time(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.began)
    }

    /// The same, less what they have waited for a processor until now: ask soon behind the moment, and
    /// while the processes run.
    pub fn fair_time(&self, moment: Instant) -> Duration {
        self.time(moment).saturating_sub(self.waited())
    }

    /// How long they have waited for a processor since the start.
    pub fn waited(&self) -> Duration {
        waited(&self.processes).saturating_sub(self.waited)
    }
}

/// How long all threads of these processes and this thread have waited for a processor since they began.
fn waited(processes: &[u32]) -> Duration {
    let folders = processes.iter().filter_map(|process| fs::read_dir(format!("/proc/{process}/task")).ok());
    let threads = folders.flatten().flatten().map(|thread| thread.path());
    // Nanoseconds on a processor, nanoseconds in its queue, and how often.
    let waited = threads.chain(["/proc/thread-self".into()]).filter_map(|thread| {
        let figures = fs::read_to_string(thread.join("schedstat")).ok()?;
        figures.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Duration::from_nanos(waited.sum())
}
