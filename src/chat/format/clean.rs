//! No control, zero-width or bidi-override characters, no line breaks, one space at a time.

use std::sync::LazyLock;

use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

/// What a reader can't see: controls, format characters, fillers, the blank braille cell.
static INVISIBLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u{2800}]--\s]")
        .expect("a pattern of ours compiles")
});
static EMOJI: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\p{Extended_Pictographic}\u{1F1E6}-\u{1F1FF}]|^[0-9#*]\u{FE0F}?\u{20E3}")
        .expect("a pattern of ours compiles")
});
static PICTURE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\p{Extended_Pictographic}").expect("a pattern of ours compiles"));

const JOINER: char = '\u{200D}';
const EMOJI_STYLE: char = '\u{FE0F}';
const BLACK_FLAG: char = '\u{1F3F4}';
const TAGS: std::ops::RangeInclusive<char> = '\u{E0020}'..='\u{E007F}';

/// The text as it may be said: visible characters, single spaces, none at the ends. Joiners stay
/// inside emoji, where they make one picture of several.
pub fn speakable(text: &str) -> String {
    let mut spoken = String::with_capacity(text.len());
    for cluster in text.graphemes(true) {
        if cluster.chars().all(char::is_whitespace) {
            spoken.push(' ');
        } else if is_emoji(cluster) {
            push_emoji(cluster, &mut spoken);
        } else {
            spoken.push_str(&INVISIBLE.replace_all(cluster, ""));
        }
    }
    spoken.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a grapheme cluster is shown as a picture.
pub fn is_emoji(cluster: &str) -> bool {
    !cluster.is_ascii() && EMOJI.is_match(cluster)
}

fn push_emoji(cluster: &str, spoken: &mut String) {
    let is_flag = cluster.starts_with(BLACK_FLAG);
    let mut characters = cluster.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let stays = match character {
            // One cluster may hold any number of joiners: only the next character is looked at.
            JOINER => at > 0 && characters.peek().is_some_and(|(_, next)| is_one(&PICTURE, *next)),
            EMOJI_STYLE => at > 0,
            _ if TAGS.contains(&character) => is_flag,
            _ => !is_one(&INVISIBLE, character),
        };
        if stays {
            spoken.push(character);
        }
    }
}

fn is_one(kind: &Regex, character: char) -> bool {
    kind.is_match(character.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_seen_is_said() {
        for (text, spoken) in [
            ("a\r\nb\n\nc\td", "a b c d"),
            ("  a \u{a0} b\u{3000}c\u{2028}d ", "a b c d"),
            ("a\u{0}\u{7}\u{1b}[31mb", "a[31mb"),
            ("a\u{200b}\u{200c}\u{200d}\u{feff}\u{2060}\u{ad}b", "ab"),
            ("a\u{202e}b\u{2066}c\u{200f}", "abc"),
            ("a\u{3164}\u{115f}\u{34f}\u{2800}b", "ab"),
            ("a\u{e0041}\u{e0042}b", "ab"),
            ("e\u{301} שלום", "e\u{301} שלום"),
            ("👩\u{200d}👩\u{200d}👧", "👩\u{200d}👩\u{200d}👧"),
            ("❤\u{fe0f}\u{200d}🔥", "❤\u{fe0f}\u{200d}🔥"),
            (
                "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
                "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            ),
            ("🎬\u{e0041}", "🎬"),
            ("🎬\u{200d}\u{200d}", "🎬"),
            ("🎬\u{200d}\u{200d}🎬", "🎬🎬"),
            ("🎬\u{200d}a", "🎬a"),
            ("1\u{fe0f}\u{20e3}", "1\u{fe0f}\u{20e3}"),
            ("a\u{fe0f}b", "ab"),
            ("\u{200b}\u{202e}", ""),
        ] {
            assert_eq!(speakable(text), spoken, "{text:?}");
        }
    }
}
