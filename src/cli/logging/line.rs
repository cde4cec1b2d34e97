//! One line an event, whatever stands in it; under systemd with its priority for the journal.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Writes events to standard error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    /// Whether each line begins with its priority, as the journal reads it.
    pub priorities: bool,
}

/// One event's line.
pub(super) struct Line {
    priority: Option<u8>,
}

impl<'writer> MakeWriter<'writer> for Lines {
    type Writer = Line;

    fn make_writer(&'writer self) -> Line {
        Line { priority: None }
    }

    fn make_writer_for(&'writer self, metadata: &Metadata<'_>) -> Line {
        Line { priority: self.priorities.then(|| priority(*metadata.level())) }
    }
}

impl Write for Line {
    /// Gets a whole event at once.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(&line(self.priority, event))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// A line break in an event would let whoever wrote its text write lines of their own.
fn line(priority: Option<u8>, event: &[u8]) -> Vec<u8> {
    let mut line = priority.map(|priority| format!("<{priority}>").into_bytes()).unwrap_or_default();
    for byte in event.strip_suffix(b"\n").unwrap_or(event) {
        match byte {
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            byte => line.push(*byte),
        }
    }
    line.push(b'\n');
    line
}

/// As syslog counts them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Whether standard error is the very stream that systemd connected to the journal: `JOURNAL_STREAM`
/// is inherited also by programs whose output goes elsewhere.
pub(super) fn goes_to_journal() -> bool {
    let file = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    file.and_then(|file| file.metadata()).is_ok_and(|own| is_stream(&stream, own.dev(), own.ino()))
}

/// Whether this is what `JOURNAL_STREAM` says: device and inode, with a colon between them.
fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    let numbers = stream.split_once(':').map(|(device, inode)| (device.parse(), inode.parse()));
    numbers == Some((Ok(device), Ok(inode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_stands_in_it() {
        let table: [(Option<u8>, &str, &str); 4] = [
            (None, "INFO fine\n", "INFO fine\n"),
            (Some(4), "WARN fine\n", "<4>WARN fine\n"),
            (Some(6), "INFO a\n<0>forged\r\n", "<6>INFO a\\n<0>forged\\r\n"),
            (None, "", "\n"),
        ];
        for (priority, event, expected) in table {
            assert_eq!(String::from_utf8_lossy(&line(priority, event.as_bytes())), expected);
        }
    }

    #[test]
    fn the_stream_is_the_journals_when_both_numbers_are() {
        assert!(is_stream("8:1234", 8, 1234));
        for stream in ["", "8", "8:", ":", "8:1235", "9:1234", "8:1234:5", "a:b"] {
            assert!(!is_stream(stream, 8, 1234), "{stream}");
        }
    }
}
