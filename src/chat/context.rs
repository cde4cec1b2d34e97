//! What was said in a room lately.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::names::Username;

/// The most bytes kept of one line; CyTube's longest line takes fewer.
const LINE_BYTES: usize = 2_048;

/// A line of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Who said it, under the name in the room.
    pub user: Username,
    /// What was said, as a person reads it.
    pub text: Arc<str>,
    /// When it was said, as well as we know.
    pub time: DateTime<Utc>,
    /// Whether it is ours.
    pub is_own: bool,
}

impl Line {
    /// A line of the conversation; an overlong text is cut.
    pub fn new(user: &Username, text: &str, time: DateTime<Utc>, is_own: bool) -> Self {
        Self { user: user.clone(), text: up_to(text, LINE_BYTES).into(), time, is_own }
    }
}

/// The last lines of a room, oldest first.
#[derive(Debug, Default)]
pub struct Context {
    lines: VecDeque<Line>,
}

impl Context {
    /// Takes a line, and forgets the oldest when there are more than `limit`.
    pub fn push(&mut self, limit: usize, line: Line) {
        self.lines.push_back(line);
        while self.lines.len() > limit {
            self.lines.pop_front();
        }
    }

    /// The last `count` lines, oldest first.
    pub fn last(&self, count: usize) -> Vec<Line> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).cloned().collect()
    }

    /// How many lines there are.
    pub fn size(&self) -> usize {
        self.lines.len()
    }

    /// How many lines are a user's.
    pub fn lines_of(&self, user: &Username) -> usize {
        self.lines.iter().filter(|line| line.user == *user).count()
    }

    /// Erases a user's lines.
    pub fn forget(&mut self, user: &Username) {
        self.lines.retain(|line| line.user != *user);
    }
}

/// The text up to so many bytes, cut at the border of a character.
fn up_to(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(user: &str, text: &str) -> Line {
        Line::new(&Username::new(user), text, DateTime::UNIX_EPOCH, false)
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| &*line.text).collect()
    }

    #[test]
    fn the_last_lines_are_kept_oldest_first() {
        let mut context = Context::default();
        for text in ["a", "b", "c", "d"] {
            context.push(3, line("bob", text));
        }
        assert_eq!(texts(&context.last(10)), ["b", "c", "d"]);
        assert_eq!(texts(&context.last(2)), ["c", "d"]);
        assert!(context.last(0).is_empty());
    }

    #[test]
    fn a_smaller_limit_holds_from_the_next_line_on() {
        let mut context = Context::default();
        for text in ["a", "b", "c"] {
            context.push(3, line("bob", text));
        }
        context.push(1, line("bob", "d"));
        assert_eq!(texts(&context.last(10)), ["d"]);
        context.push(0, line("bob", "e"));
        assert!(context.last(10).is_empty());
    }

    #[test]
    fn huge_lines_are_cut_at_characters() {
        for (text, bytes) in [
            ("🎬".repeat(75_000), LINE_BYTES),
            (format!("x{}", "é".repeat(2_000)), LINE_BYTES - 1),
            ("short".to_owned(), 5),
        ] {
            assert_eq!(line("bob", &text).text.len(), bytes);
        }
    }
}
