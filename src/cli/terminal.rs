//! Texts of others on a terminal.

use std::fmt::Write;

/// A text with everything escaped that a terminal would obey or hide, line breaks too.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_obeyed_or_hidden(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_obeyed_or_hidden(character: char) -> bool {
    let is_hidden = matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    character.is_control() || is_hidden
}

/// A document as JSON on several lines, in which the same characters are JSON's own escapes.
pub fn escaped_json(document: &serde_json::Value) -> String {
    let mut shown = String::new();
    for character in format!("{document:#}").chars() {
        if character == '\n' || !is_obeyed_or_hidden(character) {
            shown.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a text can't fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// The same, but line breaks stay.
pub fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_or_hide_is_escaped() {
        for (text, shown) in [
            ("plain é 🎬 שלום", "plain é 🎬 שלום"),
            ("\u{1b}]0;x\u{7}", "\\u{1b}]0;x\\u{7}"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("a\u{202e}b\u{200b}\u{9b}1m\u{feff}", "a\\u{202e}b\\u{200b}\\u{9b}1m\\u{feff}"),
        ] {
            assert_eq!(visible(text), shown);
        }
        let hostile = serde_json::json!({"a": "\u{1b}\u{9b}\u{202e}\u{e0001}\n é"});
        let json = escaped_json(&hostile);
        assert_eq!(json, "{\n  \"a\": \"\\u001b\\u009b\\u202e\\udb40\\udc01\\n é\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), hostile);
        assert_eq!(visible_lines("a\n\u{1b}\n\nb"), "a\n\\u{1b}\n\nb");
    }
}
