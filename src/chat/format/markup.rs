//! What a provider puts round the words that are meant for the room.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

static CODE_BLOCK: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?s)```.*?(?:```|\z)"));
static THOUGHT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?is)<think(?:ing)?>.*?</think(?:ing)?>"));
static THOUGHT_TO_ITS_END: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?is)\A.*</think(?:ing)?>"));
static THOUGHT_WITHOUT_END: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?is)<think(?:ing)?>.*\z"));

fn pattern(pattern: &'static str) -> Regex {
    Regex::new(pattern).expect("a pattern of ours compiles")
}

/// The answer without what a model thought aloud: `<think>…</think>`, one whose beginning is
/// missing, and one that never ends.
pub fn without_thoughts(answer: &str) -> Cow<'_, str> {
    if !answer.contains('<') {
        return Cow::Borrowed(answer);
    }
    let text = THOUGHT.replace_all(answer, "");
    let text = THOUGHT_TO_ITS_END.replace(&text, "");
    Cow::Owned(THOUGHT_WITHOUT_END.replace(&text, "").into_owned())
}

/// The text without fenced code, closed or not.
pub fn without_code_blocks(text: &str) -> String {
    CODE_BLOCK.replace_all(text, " ").into_owned()
}

/// The text up to its last sentence, or all of it when it has none.
pub fn up_to_last_sentence(text: &str) -> &str {
    match sentence_ends(text).last() {
        Some(end) => &text[..end],
        None => text,
    }
}

/// Where sentences end: behind their closing marks, before white space or the end of the text.
pub fn sentence_ends(text: &str) -> impl Iterator<Item = usize> {
    let mut marks_end = None;
    let mut characters = text.char_indices();
    let mut is_wide = false;
    std::iter::from_fn(move || {
        loop {
            let Some((at, character)) = characters.next() else {
                return marks_end.take();
            };
            let ended = marks_end;
            match character {
                '.' | '!' | '?' | '…' => (marks_end, is_wide) = (Some(at + character.len_utf8()), false),
                '。' | '！' | '？' => (marks_end, is_wide) = (Some(at + character.len_utf8()), true),
                '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '」' | '*' if marks_end.is_some() => {
                    marks_end = Some(at + character.len_utf8());
                }
                _ => {
                    marks_end = None;
                    if ended.is_some() && (character.is_whitespace() || is_wide) {
                        return ended;
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_not_said() {
        for (answer, said) in [
            ("plain", "plain"),
            ("<think>hm</think>yes", "yes"),
            ("<THINK>\nhm\n</THINK>yes", "yes"),
            ("hm, so\n</think>yes", "yes"),
            ("<think>a<think>b</think>c</think>yes", "yes"),
            ("<think>a</think>yes<think>b</think>!", "yes!"),
            ("yes <think>never ends", "yes "),
            ("a < b", "a < b"),
        ] {
            assert_eq!(without_thoughts(answer), said, "{answer}");
        }
    }

    #[test]
    fn fenced_code_goes_closed_or_not() {
        for (text, left) in [
            ("a ```rust\nfn x() {}\n``` b", "a   b"),
            ("a ```never closed", "a  "),
            ("```a``` b ```c```", "  b  "),
            ("`inline` stays", "`inline` stays"),
        ] {
            assert_eq!(without_code_blocks(text), left, "{text}");
        }
    }

    #[test]
    fn a_cut_answer_ends_at_its_last_sentence() {
        for (text, left) in [
            ("One. Two! Thr", "One. Two!"),
            ("One. Two!", "One. Two!"),
            ("no sentence at all", "no sentence at all"),
            ("Pi is 3.14 and", "Pi is 3.14 and"),
            ("He said \"go.\" Then he", "He said \"go.\""),
            ("What?! No", "What?!"),
            ("Hm… well", "Hm…"),
            ("好。然后", "好。"),
            ("", ""),
        ] {
            assert_eq!(up_to_last_sentence(text), left, "{text}");
        }
    }
}
