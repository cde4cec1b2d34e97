//! How the story looks on the screen.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use kryten_testkit::Message;

/// As wide as the subjects of the story.
const SUBJECT_WIDTH: usize = 40;

/// Prints what happens, each line with the seconds since the story began.
#[derive(Debug, Clone, Copy)]
pub struct Teller {
    began: Instant,
    colour: bool,
}

impl Teller {
    /// A story that began at `began`. Colour is for terminals.
    pub fn new(began: Instant) -> Teller {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Teller { began, colour }
    }

    /// What is about to happen.
    pub fn chapter(&self, text: &str) {
        self.print(&format!("\n{}", self.painted("1", text)));
    }

    /// What the bus brought, in words.
    pub fn saw(&self, message: &Message, words: &str) {
        self.note(message.at, &message.subject, words);
    }

    /// What came at `at` from somewhere.
    pub fn note(&self, at: Instant, source: &str, words: &str) {
        let source = format!("{source:SUBJECT_WIDTH$}");
        self.line(at, &format!("{}{words}", self.painted("2", &source)));
    }

    /// Something that happened at `at`.
    pub fn line(&self, at: Instant, words: &str) {
        let seconds = at.saturating_duration_since(self.began).as_secs_f64();
        self.print(&format!("{} {words}", self.painted("36", &format!("{seconds:7.2} s "))));
    }

    /// A health state in its colour.
    pub fn health(&self, state: &str) -> String {
        let code = match state {
            "healthy" => "32",
            "degraded" => "33",
            _ => "31",
        };
        self.painted(code, state)
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A closed pipe is no reason to panic.
    fn print(&self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}
