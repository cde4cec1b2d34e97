//! CyTube's chat text is HTML; everything behind this file sees what a person would read.

use std::borrow::Cow;

/// What a person reads of a chat line: tags dropped (an image's title becomes a word of its own),
/// entities decoded once, white space collapsed. Takes linear time, whatever the input.
pub fn readable(html: &str) -> Cow<'_, str> {
    if !html.contains(['<', '&']) {
        return collapse(html);
    }
    let untagged = without_tags(html);
    let decoded = html_escape::decode_html_entities(&*untagged);
    Cow::Owned(collapse(&decoded).into_owned())
}

/// One space for each run of white space, also at the ends.
pub fn with_single_spaces(text: &str) -> String {
    let mut after_space = false;
    let single = |letter: char| {
        let is_space = letter.is_whitespace();
        let stays = !(is_space && after_space);
        after_space = is_space;
        stays.then_some(if is_space { ' ' } else { letter })
    };
    text.chars().filter_map(single).collect()
}

/// One space for each run of white space, none at the ends.
pub fn collapse(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    let mut after_space = false;
    let is_collapsed = trimmed.chars().all(|character| {
        let is_space = character.is_whitespace();
        let fine = !is_space || (character == ' ' && !after_space);
        after_space = is_space;
        fine
    });
    if is_collapsed {
        return Cow::Borrowed(trimmed);
    }
    let mut collapsed = String::with_capacity(trimmed.len());
    for word in trimmed.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    Cow::Owned(collapsed)
}

/// The text between the tags. What looks like the beginning of a tag and never ends is dropped to
/// the end, as browsers do.
fn without_tags(html: &str) -> Cow<'_, str> {
    if !html.contains('<') {
        return Cow::Borrowed(html);
    }
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        let tag = &rest[at..];
        if !begins_a_tag(tag) {
            text.push('<');
            rest = &tag[1..];
            continue;
        }
        let end = end_of_tag(tag);
        push_instead_of(&tag[..end], &mut text);
        rest = &tag[end..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Whether a `<` opens a tag, a closing tag or a comment; `<3` and `a < b` don't.
fn begins_a_tag(tag: &str) -> bool {
    let mut characters = tag.chars().skip(1);
    match characters.next() {
        Some('/') => characters.next().is_some_and(|second| second.is_ascii_alphabetic()),
        Some(first) => first.is_ascii_alphabetic() || first == '!' || first == '?',
        None => false,
    }
}

/// Where a tag ends: behind its `>`, one inside quotes not counted; the end of the text if it never
/// does.
fn end_of_tag(tag: &str) -> usize {
    if tag.starts_with("<!--") {
        return tag.find("-->").map_or(tag.len(), |at| at + 3);
    }
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// Writes what stands for a dropped tag: an image's title, a space for a line break, else nothing.
fn push_instead_of(tag: &str, text: &mut String) {
    let inner = tag[1..].trim_end_matches('>');
    let name_length = inner.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let (name, attributes) = inner.split_at(name_length);
    if name.eq_ignore_ascii_case("br") {
        text.push(' ');
    } else if name.eq_ignore_ascii_case("img")
        && let Some(title) = attribute(attributes, "title")
    {
        text.push(' ');
        text.push_str(title);
        text.push(' ');
    }
}

/// The value of an attribute as it is written, entities and all.
fn attribute<'tag>(mut attributes: &'tag str, wanted: &str) -> Option<&'tag str> {
    loop {
        attributes = attributes.trim_start_matches(|c: char| c.is_whitespace() || c == '/' || c == '=');
        if attributes.is_empty() {
            return None;
        }
        let name_end =
            attributes.find(|c: char| c.is_whitespace() || c == '=' || c == '/').unwrap_or(attributes.len());
        let (name, rest) = attributes.split_at(name_end);
        let Some(value) = rest.trim_start().strip_prefix('=') else {
            attributes = rest;
            continue;
        };
        let value = value.trim_start();
        let (value, rest) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let quoted = &value[1..];
                quoted.split_once(quote).unwrap_or((quoted, ""))
            }
            _ => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        attributes = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_person_reads_text_not_markup() {
        for (html, expected) in [
            ("hello", "hello"),
            ("  two \t words\n", "two words"),
            ("<strong>bold</strong>ly", "boldly"),
            ("a<br>b<BR/>c", "a b c"),
            ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
            ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
            ("&lt;img title=&quot;x&quot;&gt;", "<img title=\"x\">"),
            ("&#39;quoted&#x27; &eacute;", "'quoted' é"),
            ("a&nbsp;&nbsp;b", "a b"),
            ("I <3 you", "I <3 you"),
            ("a < b", "a < b"),
            ("hi<img class=\"channel-emote\" src=\"/x.png\" title=\":kick:\">you", "hi :kick: you"),
            ("<img title='a > b' src=x>", "a > b"),
            ("<img src=x title=word>", "word"),
            ("<img data-title=\"no\" alt=\"no\">", ""),
            ("<img title=\"Q &amp; A\">", "Q & A"),
            ("<a href=\"https://x.y/?a=1&amp;b=2\" target=\"_blank\">link</a>", "link"),
            ("a<!-- c > d -->b", "ab"),
            ("cut <img title=\"off", "cut off"),
            ("<b", ""),
            ("&unknown; & &#0;", "&unknown; & &#0;"),
            ("", ""),
        ] {
            assert_eq!(readable(html), expected, "{html}");
        }
    }

    #[test]
    fn single_spaces_stay_at_the_ends() {
        for (text, expected) in [("a \t b", "a b"), (" \n a  ", " a "), ("a", "a"), ("   ", " "), ("", "")] {
            assert_eq!(with_single_spaces(text), expected, "{text:?}");
        }
    }

    #[test]
    fn hostile_markup_takes_linear_time() {
        for piece in ["<a ", "<", "<!--", "<img title=\"", "&", "&#", "<img =", "<img a=b "] {
            let html = piece.repeat(300_000 / piece.len());
            for html in [format!("{html}>"), html] {
                assert!(readable(&html).len() <= html.len());
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_comes_out_collapsed(html in "[ -~\u{a0}\u{301}é<>&;#=\"'/!]{0,60}") {
            let text = readable(&html).into_owned();
            prop_assert_eq!(collapse(&text), &*text);
            let single = with_single_spaces(&html);
            prop_assert_eq!(collapse(&html), single.trim());
        }
    }
}
