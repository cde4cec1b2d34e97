//! No line of ours may begin as a command of the room or of another bot.

use std::sync::LazyLock;

use regex::Regex;

/// White space, invisible characters and marks without a letter to sit on.
static IGNORED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[\s\p{Z}\p{Cc}\p{Cf}\p{M}\p{Default_Ignorable_Code_Point}\u{2800}]+")
        .expect("a pattern of ours compiles")
});

/// The text behind everything that would make a command of it: leading `/` and `!`, and a leading
/// `.` or `$` with a letter behind it, however often and whatever lies between. None is left.
pub fn without_command(text: &str) -> &str {
    let mut rest = text.trim_end();
    loop {
        rest = after_ignored(rest);
        let mut characters = rest.chars();
        let makes_a_command = match characters.next() {
            Some('/' | '!') => true,
            Some('.' | '$') => has_letter_in_front(characters.as_str()),
            _ => false,
        };
        if !makes_a_command {
            return rest;
        }
        rest = characters.as_str();
    }
}

/// Whether a letter comes next; some marks without a letter to sit on count as letters themselves.
fn has_letter_in_front(text: &str) -> bool {
    let rest = after_ignored(text);
    let (ignored, _) = text.split_at(text.len() - rest.len());
    ignored.contains(char::is_alphabetic) || rest.starts_with(char::is_alphabetic)
}

fn after_ignored(text: &str) -> &str {
    match IGNORED.find(text) {
        Some(ignored) => &text[ignored.end()..],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_begins_as_a_command() {
        for (text, left) in [
            ("hello", "hello"),
            ("/kick bob", "kick bob"),
            ("//!/ kick", "kick"),
            (" \u{200b}/\u{200b} \u{202e}!kick", "kick"),
            (".help", "help"),
            (". help", "help"),
            ("$roll", "roll"),
            ("/!$/roll", "$/roll"),
            ("\u{301}/\u{301}kick", "kick"),
            (".\u{301}\u{200d}kick", "kick"),
            ("\u{3164}/kick", "kick"),
            ("\u{fe0f}/kick", "kick"),
            ("\u{2800}.é", "é"),
            ("$\u{1171d}0", "0"),
            ("$5 please", "$5 please"),
            (".5", ".5"),
            ("...well", "...well"),
            ("/...well", "...well"),
            ("!?", "?"),
            ("/", ""),
            ("! / !", ""),
            ("mid/way !", "mid/way !"),
        ] {
            assert_eq!(without_command(text), left, "{text:?}");
        }
    }
}
