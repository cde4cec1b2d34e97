//! Texts within their bounds: a part that is missing shows.

use std::borrow::Cow;

/// The longest text kept of a condition, and shown for a component, in bytes.
const MESSAGE_BYTES: usize = 256;
/// Between texts of a list.
const SEPARATOR: &str = "; ";
/// Ends a text of which a part is missing.
const CUT: &str = "…";

/// A text as it is kept and shown: bounded, and on one line.
pub fn message(text: &str) -> String {
    shortened(text, MESSAGE_BYTES).replace(char::is_control, " ")
}

/// Texts one behind the other, as what is wrong with a component: as many as have room, and how many more there
/// are.
pub fn listed(lead: &str, texts: &[impl AsRef<str>]) -> String {
    let length: usize = texts.iter().map(|text| SEPARATOR.len() + text.as_ref().len()).sum();
    let fits_whole = lead.len() + length.saturating_sub(SEPARATOR.len()) <= MESSAGE_BYTES;
    let mut list = lead.to_owned();
    for (position, text) in texts.iter().enumerate() {
        let (text, separator) = (text.as_ref(), if position == 0 { "" } else { SEPARATOR });
        let more = and_more(texts.len() - position - 1);
        let room = MESSAGE_BYTES.checked_sub(list.len() + separator.len() + more.len());
        match position {
            _ if fits_whole || room.is_some_and(|room| text.len() <= room) => list = list + separator + text,
            0 => return list + &shortened(text, room.unwrap_or_default()) + &more,
            _ => return list + &and_more(texts.len() - position),
        }
    }
    list
}

fn and_more(count: usize) -> String {
    if count == 0 { String::new() } else { format!("{SEPARATOR}and {count} more") }
}

/// A text of at most so many bytes; one that was cut shows it.
pub fn shortened(text: &str, bytes: usize) -> Cow<'_, str> {
    if text.len() <= bytes {
        return Cow::Borrowed(text);
    }
    match bytes.checked_sub(CUT.len()) {
        Some(left) => Cow::Owned(format!("{}{CUT}", cut(text, left))),
        None => Cow::Borrowed(""),
    }
}

/// The beginning of a text: whole characters, at most so many bytes.
pub fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_ends_with_a_sign_within_its_bytes() {
        for (text, bytes, expected) in [
            ("plain", 5, "plain"),
            ("longer", 5, "lo…"),
            ("aéb…", 6, "aé…"),
            ("aéb…", 5, "a…"),
            ("😀😀", 6, "…"),
            ("longer", 3, "…"),
            ("longer", 2, ""),
            ("", 0, ""),
        ] {
            assert_eq!(shortened(text, bytes), expected, "{text} {bytes}");
        }
    }

    #[test]
    fn a_list_says_how_many_it_has_no_room_for_and_breaks_none_in_two() {
        let texts = |number: usize, bytes: usize| vec!["x".repeat(bytes); number];
        assert_eq!(listed("", &texts(0, 0)), "");
        assert_eq!(listed("of: ", &["a", "b"]), "of: a; b");
        for (lead, number, bytes, shown) in [
            // All of it: 2 × 127 and a separator; 43 × 4 and 42 separators.
            ("", 2, 127, 2),
            ("", 43, 4, 43),
            ("", 2, 128, 1),
            ("lead: ", 2, 124, 2),
            ("lead: ", 2, 125, 1),
            ("", 64, 256, 1),
            ("", 64, 100, 2),
            ("", 100, 1, 81),
            ("", 1_000, 0, 122),
        ] {
            let list = listed(lead, &texts(number, bytes));
            assert!(list.len() <= MESSAGE_BYTES, "{number} × {bytes}: {} bytes", list.len());
            assert!(list.starts_with(lead), "{list}");
            let mut parts: Vec<&str> = list[lead.len()..].split(SEPARATOR).collect();
            if shown < number {
                assert_eq!(parts.pop(), Some(&*format!("and {} more", number - shown)), "{list}");
            }
            assert_eq!(parts.len(), shown, "{list}");
            assert!(parts[0].len() == bytes || parts[0].ends_with('…'), "{list}");
            assert!(parts[1..].iter().all(|part| part.len() == bytes), "{list}");
        }
        let one = listed("", &texts(1, 300));
        assert!(one.len() == MESSAGE_BYTES && one.ends_with("x…"), "{one}");
    }

    #[test]
    fn a_text_is_cut_at_a_whole_character() {
        for (text, bytes, expected) in [
            ("plain", 5, "plain"),
            ("plain", 4, "plai"),
            ("aé", 3, "aé"),
            ("aé", 2, "a"),
            ("😀", 3, ""),
            ("", 0, ""),
            ("x", 0, ""),
        ] {
            assert_eq!(cut(text, bytes), expected, "{text} {bytes}");
        }
    }
}
