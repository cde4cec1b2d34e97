//! Cutting a text into lines that fit the room, with no word lost.

use unicode_segmentation::UnicodeSegmentation;

use super::clean::is_emoji;
use super::command::without_command;
use super::markup::sentence_ends;

/// Cuts texts for one limit.
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    indicator: String,
    max_emoji: Option<usize>,
}

impl Splitter {
    /// An indicator that would take more than half of the limit is left out.
    pub fn new(limit: usize, indicator: &str, max_emoji: Option<usize>) -> Self {
        // Cleaning has trimmed the indicator; the space before it belongs to it.
        let indicator = if indicator.is_empty() { String::new() } else { format!(" {indicator}") };
        let indicator = if length(&indicator) > limit / 2 { String::new() } else { indicator };
        Self { limit, indicator, max_emoji }
    }

    /// The lines, each within the limit, none empty, all but the last ending in the indicator.
    /// `text` has single spaces and none at its ends.
    pub fn split(&self, text: &str) -> Vec<String> {
        let mut lines: Vec<String> =
            self.pieces(text).into_iter().map(|piece| self.speakable(piece)).collect();
        lines.retain(|line| !line.is_empty());
        let last = lines.len().saturating_sub(1);
        for line in &mut lines[..last] {
            line.push_str(&self.indicator);
            // The indicator may have made a command of a lone mark.
            *line = without_command(line).to_owned();
        }
        lines
    }

    /// Cuts at sentence ends, else at words, else at grapheme borders.
    fn pieces<'text>(&self, text: &'text str) -> Vec<&'text str> {
        let mut pieces = Vec::new();
        let mut rest = without_command(text);
        while beyond(rest, self.limit).is_some() {
            let (piece, after) = rest.split_at(self.cut(rest));
            pieces.push(piece);
            rest = without_command(after);
        }
        pieces.push(rest);
        pieces
    }

    /// Where to cut a text that is too long; never 0.
    fn cut(&self, text: &str) -> usize {
        let room = self.limit - length(&self.indicator);
        let mut fits = 0;
        let mut used = 0;
        // One cluster may be as long as the text: no more is looked at than can matter.
        let begin = beyond(text, self.limit).map_or(text, |end| &text[..end]);
        for (at, cluster) in begin.grapheme_indices(true) {
            used += length(cluster);
            if used > room {
                break;
            }
            fits = at + cluster.len();
        }
        if fits == 0 {
            // One cluster longer than a line: nothing but its characters can be kept apart.
            return text.char_indices().nth(room / 2).map_or(text.len(), |(at, _)| at).max(1);
        }
        let is_word_end = text[fits..].starts_with(' ');
        let whole_words = if is_word_end { Some(fits) } else { text[..fits].rfind(' ') };
        let whole_sentences = sentence_ends(&text[..fits]).filter(|end| *end < fits || is_word_end).last();
        whole_sentences.or(whole_words).unwrap_or(fits)
    }

    /// A piece without a command at its start and without the emoji over the limit.
    fn speakable(&self, piece: &str) -> String {
        let Some(max_emoji) = self.max_emoji else {
            return without_command(piece).to_owned();
        };
        let mut seen = 0;
        let kept: String = piece
            .graphemes(true)
            .filter(|cluster| {
                seen += usize::from(is_emoji(cluster));
                !is_emoji(cluster) || seen <= max_emoji
            })
            .collect();
        without_command(&kept.split_whitespace().collect::<Vec<_>>().join(" ")).to_owned()
    }
}

/// Where a text's first character beyond the limit ends; none if the text is within it. Looks no
/// further than that.
fn beyond(text: &str, limit: usize) -> Option<usize> {
    let mut used = 0;
    text.char_indices()
        .find(|(_, character)| {
            used += character.len_utf16();
            used > limit
        })
        .map(|(at, character)| at + character.len_utf8())
}

/// Length as CyTube measures it, in UTF-16 units: never less than the number of characters.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}
