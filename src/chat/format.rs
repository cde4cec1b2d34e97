//! From an answer of a provider to lines that may be said in a room.

use fancy_regex::Regex as OperatorPattern;
use regex::Regex;

use self::split::Splitter;

mod clean;
mod command;
mod markup;
mod split;

pub use command::without_command;
pub use markup::without_thoughts;

/// What formatting needs to know, with its patterns compiled.
#[derive(Debug)]
pub struct Formatter {
    artifacts: Vec<OperatorPattern>,
    self_references: Option<[Regex; 2]>,
    splitter: Splitter,
}

/// What an operator may set; see `formatting` in the configuration.
pub struct Settings<'config> {
    /// The name that the character must not put before its words.
    pub character_name: &'config str,
    /// `remove_self_references`.
    pub removes_self_references: bool,
    /// `artifact_patterns`, none when `remove_llm_artifacts` is off.
    pub artifact_patterns: &'config [String],
    /// `max_message_length`, in UTF-16 units as CyTube counts: never more than as many characters.
    pub max_message_length: usize,
    /// `continuation_indicator`.
    pub continuation_indicator: &'config str,
    /// `max_emoji_per_message`, when the limit is enabled.
    pub max_emoji: Option<usize>,
}

impl Formatter {
    /// Compiles the patterns. One that doesn't compile is left out; the configuration has refused it
    /// before.
    pub fn new(settings: &Settings) -> Self {
        let artifacts = settings
            .artifact_patterns
            .iter()
            .filter_map(|pattern| OperatorPattern::new(&format!("(?i){pattern}")).ok())
            .collect();
        let self_references =
            settings.removes_self_references.then(|| self_references(settings.character_name)).flatten();
        let splitter = Splitter::new(
            settings.max_message_length,
            &clean::speakable(settings.continuation_indicator),
            settings.max_emoji,
        );
        Self { artifacts, self_references, splitter }
    }

    /// The lines to say, in order; none when nothing is left of the answer.
    ///
    /// `answer` is without its thoughts ([`without_thoughts`]); `is_cut` says that the token limit
    /// cut it off.
    pub fn lines(&self, answer: &str, is_cut: bool) -> Vec<String> {
        let answer = if is_cut { markup::up_to_last_sentence(answer) } else { answer };
        let mut text = markup::without_code_blocks(answer.trim());
        for artifact in &self.artifacts {
            // A pattern that runs into its backtracking limit leaves the text as it is.
            if let Ok(without) = artifact.try_replacen(&text, 0, "") {
                text = without.into_owned();
            }
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
    Some([Regex::new(&at_start).ok()?, Regex::new(&anywhere).ok()?])
}

#[cfg(test)]
mod tests;
