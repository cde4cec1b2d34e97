//! From an answer of a provider to lines that may be said in a room.

use regex::{Regex, RegexBuilder};

use crate::config::{Formatting, Pattern};

use self::split::Splitter;

mod clean;
mod command;
mod markup;
mod split;

pub use clean::speakable;
pub use command::without_command;
pub use markup::without_thoughts;

/// What formatting needs to know, with its patterns compiled.
#[derive(Debug)]
pub struct Formatter {
    artifacts: Vec<Pattern>,
    self_references: Option<[Regex; 2]>,
    splitter: Splitter,
}

impl Formatter {
    /// Compiles what `formatting` says, for a character of this name.
    pub fn new(formatting: &Formatting, character_name: &str) -> Self {
        Self {
            artifacts: if formatting.remove_llm_artifacts {
                formatting.artifact_patterns.clone()
            } else {
                Vec::new()
            },
            self_references: formatting
                .remove_self_references
                .then(|| self_references(character_name))
                .flatten(),
            splitter: Splitter::new(
                formatting.max_message_length,
                &clean::speakable(&formatting.continuation_indicator),
                formatting.max_emoji_per_message.filter(|_| formatting.enable_emoji_limiting),
            ),
        }
    }

    /// The lines to say, in order; none when nothing is left of the answer.
    ///
    /// `answer` is without its thoughts ([`without_thoughts`]); `is_cut` says that the token limit
    /// cut it off.
    pub fn lines(&self, answer: &str, is_cut: bool) -> Vec<String> {
        let answer = if is_cut { markup::up_to_last_sentence(answer) } else { answer };
        let mut text = markup::without_code_blocks(answer.trim());
        for artifact in &self.artifacts {
            text = artifact.remove_all(&text);
        }
        for reference in self.self_references.iter().flatten() {
            text = reference.replace_all(text.trim_start(), "").into_owned();
        }
        self.splitter.split(&clean::speakable(&text))
    }
}

/// "As NAME," and its like at the start, and "speaking as NAME" anywhere.
fn self_references(name: &str) -> Option<[Regex; 2]> {
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    let name = regex::escape(name);
    let at_start = format!(r"(?i)^(?:(?:(?:as|i\s+am|i['’]m)\s+)?{name}\s*[,:]\s*)+");
    let anywhere = format!(
        r"(?i)\b{{start-half}}(?:speaking\s+as|in\s+the\s+role\s+of|playing)\s+{name}\b{{end-half}},?\s*"
    );
    // However long the name is: the file that it stands in has a limit.
    let compile = |pattern: &str| RegexBuilder::new(pattern).size_limit(usize::MAX).build().ok();
    Some([compile(&at_start)?, compile(&anywhere)?])
}

#[cfg(test)]
mod tests;
