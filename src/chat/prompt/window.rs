//! How long a prompt may be, and what goes first when it is longer.

use super::failure::Failure;

/// What of a room's state a prompt holds besides what it must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// How many of the latest lines of chat, the message itself not counted.
    pub lines: usize,
}

/// The most of a text that fits into so many characters. While it doesn't fit, the oldest chat goes,
/// as little of it as will do. What is too long then is cut; but none of `needed` is cut off,
/// as far as it stands in the text.
pub(super) fn fit(
    limit: usize,
    all: Share,
    needed: &[&str],
    render: impl Fn(Share) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let render = |share| render(share).map(|text| tidy(&text));
    let mut text = render(all)?;
    if !fits(&text, limit) {
        text = with_fewer_lines(limit, all, &render)?;
    }
    cut(&mut text, limit, needed);
    Ok(text)
}

/// With as many lines of chat as fit, but fewer than all.
fn with_fewer_lines(
    limit: usize,
    all: Share,
    render: &impl Fn(Share) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let (mut fitting, mut too_many) = (0, all.lines);
    let mut text = render(Share { lines: 0 })?;
    while fitting + 1 < too_many {
        let lines = fitting.midpoint(too_many);
        let longer = render(Share { lines })?;
        if fits(&longer, limit) {
            (fitting, text) = (lines, longer);
        } else {
            too_many = lines;
        }
    }
    Ok(text)
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
    let ends = needed.iter().filter_map(|needed| Some(text.rfind(needed)? + needed.len()));
    let end = ends.max().unwrap_or(end).max(end);
    text.truncate(end);
    text.truncate(text.trim_end().len());
}

fn fits(text: &str, limit: usize) -> bool {
    text.chars().nth(limit).is_none()
}
