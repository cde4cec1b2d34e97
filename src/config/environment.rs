//! `${NAME}` in the configuration: where it may stand, and what replaces it.

use std::borrow::Cow;

/// What follows when a variable isn't set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenUnset {
    /// The configuration can't be used: where to connect, and who may see us, isn't guessed.
    Refuse,
    /// Whoever reads the value decides, and says so.
    Tell,
    /// A warning; the text stays as it is.
    Keep,
}

/// Stands for the `$` of a variable that was quoted by us. It may stand in JSON, has one byte,
/// and nobody types it.
const UNQUOTED: char = '\u{7f}';

/// The text of a value, and whether its quotes are ours.
pub(super) fn unquoted(text: &str) -> Option<String> {
    let variable = text.strip_prefix(UNQUOTED)?;
    Some(format!("${variable}"))
}

/// A text with its variables replaced.
pub(super) struct Substituted<'a> {
    pub text: Cow<'a, str>,
    /// The names that aren't set; they stand in the text as they were.
    pub unset: Vec<&'a str>,
}

/// Replaces each `${NAME}`. What a variable holds isn't looked through again.
pub(super) fn substitute<'a>(text: &'a str, environment: &dyn Fn(&str) -> Option<String>) -> Substituted<'a> {
    let mut replaced = String::new();
    let mut unset = Vec::new();
    let mut rest = text;
    while let Some((before, name, after)) = next_variable(rest) {
        replaced.push_str(before);
        match environment(name) {
            Some(value) => replaced.push_str(&value),
            None => {
                unset.push(name);
                replaced.push_str(&rest[before.len()..rest.len() - after.len()]);
            }
        }
        rest = after;
    }
    if rest.len() == text.len() {
        return Substituted { text: Cow::Borrowed(text), unset };
    }
    replaced.push_str(rest);
    Substituted { text: Cow::Owned(replaced), unset }
}

/// Splits at the first `${NAME}`: what is before it, the name, what is behind it.
fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let start = from + text[from..].find("${")?;
        let end = start + text[start..].find('}')?;
        // In `${ ${A}` the second opening counts.
        let start = text[..end].rfind("${").unwrap_or(start);
        if end > start + 2 {
            return Some((&text[..start], &text[start + 2..end], &text[end + 1..]));
        }
        from = end;
    }
}

/// The text of a file with each unquoted `${NAME}` put into quotes, so that it is JSON.
pub(super) struct QuotedVariables<'a> {
    pub text: Cow<'a, str>,
    /// Where quotes were added: line and column of each in the new text, both from 1.
    added: Vec<(usize, usize)>,
}

impl QuotedVariables<'_> {
    /// The column of the original text that a column of the new one comes from.
    pub(super) fn original_column(&self, line: usize, column: usize) -> usize {
        let before = self.added.iter().filter(|added| added.0 == line && added.1 < column).count();
        column.saturating_sub(before)
    }
}

/// Puts each `${NAME}` that stands outside a string into quotes, and marks it.
pub(super) fn quote_variables(text: &str) -> QuotedVariables<'_> {
    let mut quoted = String::new();
    let mut added = Vec::new();
    let (mut line, mut column) = (1, 0);
    let (mut in_string, mut escaped) = (false, false);
    let mut copied = 0;
    let mut closes_at = None;
    for (at, byte) in text.bytes().enumerate() {
        column += 1;
        if !in_string
            && byte == b'$'
            && let Some(length) = unquoted_variable(&text[at..])
        {
            quoted.push_str(&text[copied..at]);
            quoted.extend(['"', UNQUOTED]);
            copied = at + 1;
            added.push((line, column));
            column += 1;
            closes_at = Some(at + length - 1);
        }
        if closes_at == Some(at) {
            quoted.push_str(&text[copied..=at]);
            quoted.push('"');
            copied = at + 1;
            column += 1;
            added.push((line, column));
        }
        match byte {
            b'\n' => (line, column) = (line + 1, 0),
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
    if added.is_empty() {
        return QuotedVariables { text: Cow::Borrowed(text), added };
    }
    quoted.push_str(&text[copied..]);
    QuotedVariables { text: Cow::Owned(quoted), added }
}

/// The length in bytes of the `${NAME}` that the text begins with. Unquoted, a name is a plain
/// one, so that a forgotten quote stays a syntax error where it is.
fn unquoted_variable(text: &str) -> Option<usize> {
    let name = text.strip_prefix("${")?;
    let length = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    (length > 0 && name[length..].starts_with('}')).then_some(length + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.org".into()),
            "QUOTE" => Some("\"${HOST}\\".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_wherever_they_stand_in_a_text() {
        for (text, expected, unset) in [
            ("plain", "plain", vec![]),
            ("${HOST}", "example.org", vec![]),
            ("a ${HOST} b ${HOST}", "a example.org b example.org", vec![]),
            ("${EMPTY}", "", vec![]),
            ("${QUOTE}", "\"${HOST}\\", vec![]),
            ("${NOPE}-${HOST}", "${NOPE}-example.org", vec!["NOPE"]),
            ("${}${HOST}", "${}example.org", vec![]),
            ("${ ${HOST}", "${ example.org", vec![]),
            ("${HOST", "${HOST", vec![]),
            ("é${NOPE}é", "é${NOPE}é", vec!["NOPE"]),
        ] {
            let result = substitute(text, &environment);
            assert_eq!(result.text, expected, "{text}");
            assert_eq!(result.unset, unset, "{text}");
        }
    }

    #[test]
    fn only_unquoted_variables_get_quotes() {
        for (text, expected) in [
            (r#"{"a": ${PORT}}"#, "{\"a\": \"\u{7f}{PORT}\"}"),
            (r#"{"a": "${PORT}"}"#, r#"{"a": "${PORT}"}"#),
            (r#"{"a": "\"${PORT}", "b":${B}}"#, "{\"a\": \"\\\"${PORT}\", \"b\":\"\u{7f}{B}\"}"),
            ("[${A},${B}]", "[\"\u{7f}{A}\",\"\u{7f}{B}\"]"),
            ("${", "${"),
            ("${A", "${A"),
            ("${a b}", "${a b}"),
        ] {
            assert_eq!(quote_variables(text).text, expected, "{text}");
        }
    }

    #[test]
    fn added_quotes_do_not_shift_the_columns() {
        let quoted = quote_variables("\n[${A}, ${B} x]");
        assert_eq!(quoted.text.lines().nth(1).unwrap().find('x'), Some(16), "0-based, in the new text");
        assert_eq!(quoted.original_column(2, 17), 13);
        assert_eq!(quoted.original_column(2, 1), 1);
        assert_eq!(quoted.original_column(1, 17), 17);
    }
}
