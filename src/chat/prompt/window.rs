//! How long a prompt may be, and what goes first when it is longer.

use super::failure::Failure;
use crate::config::Context;

/// What of a room's state a prompt holds besides what it must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// How many of the latest lines of chat, the message itself not counted.
    pub lines: usize,
    /// Whether it says what plays, and what comes next.
    pub has_media: bool,
    /// Whether it names the users who are there.
    pub has_users: bool,
}

/// Something that a prompt may go without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Goes line by line, the oldest first.
    Chat,
    Media,
    Users,
}

/// What goes first, by the operator's priorities; between equals the chat, and the names of users
/// last, since an operator's template must have asked for them.
pub(super) fn by_worth(settings: &Context, is_about_media: bool) -> Vec<Part> {
    let chat = (settings.chat_history_priority, Part::Chat);
    let media = (settings.video_priority, Part::Media);
    let mut parts = if is_about_media { vec![chat] } else { vec![chat, media] };
    parts.sort_by_key(|(priority, _)| *priority);
    parts.into_iter().map(|(_, part)| part).chain([Part::Users]).collect()
}

/// The most of a text that fits into so many characters. While it doesn't fit, one part after the
/// other goes; of the chat as little as will do. What is too long then is cut; but none of
/// `needed` is cut off, as far as it stands in the text.
pub(super) fn fit(
    limit: usize,
    all: Share,
    parts: &[Part],
    needed: &[&str],
    render: impl Fn(Share) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let render = |share| render(share).map(|text| tidy(&text));
    let (mut share, mut text) = (all, render(all)?);
    for part in parts {
        if fits(&text, limit) {
            break;
        }
        match part {
            Part::Chat => share.lines = fewer_lines(limit, share, &render)?,
            Part::Media => share.has_media = false,
            Part::Users => share.has_users = false,
        }
        text = render(share)?;
    }
    cut(&mut text, limit, needed);
    Ok(text)
}

/// How many lines of chat fit, of more than do; 0 when not even the rest does.
fn fewer_lines(
    limit: usize,
    share: Share,
    render: &impl Fn(Share) -> Result<String, Failure>,
) -> Result<usize, Failure> {
    let (mut fitting, mut too_many) = (0, share.lines);
    while fitting + 1 < too_many {
        let lines = fitting.midpoint(too_many);
        if fits(&render(Share { lines, ..share })?, limit) {
            fitting = lines;
        } else {
            too_many = lines;
        }
    }
    Ok(fitting)
}

/// At most one blank line at a time, and no white space at the ends.
pub(super) fn tidy(rendered: &str) -> String {
    let rendered = rendered.replace("\r\n", "\n");
    let mut text = String::with_capacity(rendered.len());
    let mut breaks = 0;
    for character in rendered.trim().chars() {
        breaks = if character == '\n' { breaks + 1 } else { 0 };
        if breaks <= 2 {
            text.push(character);
        }
    }
    text
}

fn cut(text: &mut String, limit: usize, needed: &[&str]) {
    let Some((end, _)) = text.char_indices().nth(limit) else { return };
    let needed = needed.iter().filter(|needed| !needed.is_empty());
    let ends = needed.filter_map(|needed| Some(text.rfind(needed)? + needed.len()));
    let end = ends.max().unwrap_or(end).max(end);
    text.truncate(end);
    text.truncate(text.trim_end().len());
}

fn fits(text: &str, limit: usize) -> bool {
    text.chars().nth(limit).is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ALL: Share = Share { lines: 5, has_media: true, has_users: true };

    /// Ten characters a line, twenty for the media, thirty for the users, two for the rest.
    fn rendered(share: Share) -> Result<String, Failure> {
        let media = if share.has_media { "m".repeat(20) } else { String::new() };
        let users = if share.has_users { "u".repeat(30) } else { String::new() };
        Ok(format!("<{}{media}{users}>", "0123456789".repeat(share.lines)))
    }

    /// What is left within a limit: lines, media, users.
    fn left(limit: usize, parts: &[Part]) -> (usize, bool, bool) {
        let text = fit(limit, ALL, parts, &[], rendered).expect("a text");
        (text.matches("0123456789").count(), text.contains('m'), text.contains('u'))
    }

    #[test]
    fn one_part_after_the_other_goes_and_of_the_chat_no_more_than_it_must() {
        use Part::{Chat, Media, Users};
        for (limit, parts, expected) in [
            (102, [Chat, Media, Users], (5, true, true)),
            (101, [Chat, Media, Users], (4, true, true)),
            (62, [Chat, Media, Users], (1, true, true)),
            (61, [Chat, Media, Users], (0, true, true)),
            (51, [Chat, Media, Users], (0, false, true)),
            (31, [Chat, Media, Users], (0, false, false)),
            (101, [Media, Chat, Users], (5, false, true)),
            (81, [Media, Chat, Users], (4, false, true)),
        ] {
            assert_eq!(left(limit, &parts), expected, "{limit} {parts:?}");
        }
    }

    #[test]
    fn the_operators_priorities_say_what_goes_first() {
        use Part::{Chat, Media, Users};
        let providers = |video: i64, chat: i64| json!([{"type": "video", "priority": video}, {"type": "chat_history", "priority": chat}]);
        let worth = |providers: Value, is_about_media| {
            let config = crate::config::testing::config(json!({"context": {"providers": providers}}));
            by_worth(&config.context, is_about_media)
        };
        assert_eq!(worth(json!([]), false), [Chat, Media, Users]);
        assert_eq!(worth(providers(5, 10), false), [Media, Chat, Users]);
        assert_eq!(worth(providers(7, 7), false), [Chat, Media, Users]);
        assert_eq!(worth(providers(5, 10), true), [Chat, Users], "what plays is the matter then");
    }

    #[test]
    fn a_rendered_text_is_tidied_as_the_original_does() {
        for (rendered, tidied) in [
            ("\n\n a\nb\n\nc\n\n\nd\n\n\n\n\ne \n\n", "a\nb\n\nc\n\nd\n\ne"),
            ("a\r\n\r\n\r\n\r\nb", "a\n\nb"),
            ("a\n \n \nb", "a\n \n \nb"),
            ("\n", ""),
        ] {
            assert_eq!(tidy(rendered), tidied, "{rendered:?}");
        }
    }

    #[test]
    fn a_cut_never_takes_what_is_needed() {
        for (text, limit, needed, expected) in [
            ("abcdef", 6, &[][..], "abcdef"),
            ("äbcdef", 3, &[], "äbc"),
            ("ab  cd", 3, &[], "ab"),
            ("ab question cd", 3, &["question", ""], "ab question"),
            ("ab question cd question e", 3, &["question"], "ab question cd question"),
            ("question abcdef", 11, &["question"], "question ab"),
        ] {
            let mut cut_text = text.to_owned();
            cut(&mut cut_text, limit, needed);
            assert_eq!(cut_text, expected, "{text}");
        }
    }
}
