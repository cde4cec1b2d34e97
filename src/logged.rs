//! What is logged, for unit tests that look at it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Runs something and returns what it logged, a line each.
pub fn logged(run: impl FnOnce()) -> Vec<Value> {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("the log").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, run);
    let bytes = log.0.lock().expect("the log").clone();
    let lines = String::from_utf8(bytes).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}
