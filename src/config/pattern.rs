//! An operator's regular expression, compiled once.

use std::ops::Range;

/// How many steps back a search may take before it counts as no match. A pattern with nested
/// repetition would else hold a room's answer for seconds.
const BACKTRACKING_LIMIT: usize = 100_000;

/// Whether upper and lower case are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// As the pattern says.
    Matters,
    /// Any case matches.
    Ignored,
}

/// A regular expression in the dialect of the Python original as far as look-around and
/// back-references go. Plain ones run in linear time; the others have a backtracking limit, and
/// a search that hits it finds nothing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pattern(Engine);

#[derive(Debug, Clone)]
enum Engine {
    Plain(regex::Regex),
    Backtracking(fancy_regex::Regex),
}

/// Why a text is no regular expression, on one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(String);

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When neither engine understands it.
    pub fn new(source: &str, case: Case) -> Result<Self, BadPattern> {
        let ignore_case = case == Case::Ignored;
        let plain = regex::RegexBuilder::new(source).case_insensitive(ignore_case).build();
        let unsupported = match plain {
            Ok(regex) => return Ok(Self(Engine::Plain(regex))),
            Err(error) => one_line(&error.to_string()),
        };
        fancy_regex::RegexBuilder::new(source)
            .case_insensitive(ignore_case)
            .backtrack_limit(BACKTRACKING_LIMIT)
            .build()
            .map(|regex| Self(Engine::Backtracking(regex)))
            .map_err(|error| {
                // The plain engine explains better, but for what only the other one can do.
                let other_dialect = unsupported.contains("not supported");
                BadPattern(if other_dialect { one_line(&error.to_string()) } else { unsupported })
            })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Engine::Plain(regex) => regex.as_str(),
            Engine::Backtracking(regex) => regex.as_str(),
        }
    }

    /// Whether it is found anywhere in the text.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.0 {
            Engine::Plain(regex) => regex.is_match(text),
            Engine::Backtracking(regex) => regex.is_match(text).unwrap_or(false),
        }
    }

    /// Where it is found first, in bytes.
    pub fn find(&self, text: &str) -> Option<Range<usize>> {
        match &self.0 {
            Engine::Plain(regex) => regex.find(text).map(|found| found.range()),
            Engine::Backtracking(regex) => regex.find(text).ok().flatten().map(|found| found.range()),
        }
    }

    /// The text without anything that it finds. What comes after a search that hits the
    /// backtracking limit stays.
    pub fn remove_all(&self, text: &str) -> String {
        let found: Vec<Range<usize>> = match &self.0 {
            Engine::Plain(regex) => regex.find_iter(text).map(|found| found.range()).collect(),
            Engine::Backtracking(regex) => {
                regex.find_iter(text).map_while(Result::ok).map(|found| found.range()).collect()
            }
        };
        let mut left = String::with_capacity(text.len());
        let mut from = 0;
        for range in found {
            left.push_str(&text[from..range.start]);
            from = range.end;
        }
        left.push_str(&text[from..]);
        left
    }
}

/// The engines draw their errors over several lines; what went wrong stands in the last.
fn one_line(message: &str) -> String {
    let last = message.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or(message);
    last.strip_prefix("error: ").unwrap_or(last).replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(source: &str) -> Pattern {
        Pattern::new(source, Case::Ignored).unwrap()
    }

    #[test]
    fn look_around_and_back_references_work_as_in_python() {
        assert!(pattern(r"^Well(?=,)").is_match("well, yes"));
        assert!(!pattern(r"^Well(?=,)").is_match("well yes"));
        assert!(pattern(r"\b(\w+) \1\b").is_match("the the"));
        assert!(pattern(r"(?P<word>\w+) (?P=word)").is_match("the the"));
        assert!(pattern(r"end\Z").is_match("the end"));
        assert_eq!(pattern(r"(?<!no )popcorn").find("no popcorn, popcorn"), Some(12..19));
    }

    #[test]
    fn case_counts_only_where_it_should() {
        assert!(!Pattern::new("Vera", Case::Matters).unwrap().is_match("vera"));
        assert!(pattern("Vera").is_match("vera"));
        assert!(pattern("Vera(?=!)").is_match("VERA!"));
    }

    #[test]
    fn removing_takes_every_occurrence_and_nothing_else() {
        assert_eq!(pattern("a+").remove_all("banana"), "bnn");
        assert_eq!(pattern(r"é(?=x)").remove_all("éxéyéx"), "xéyx");
        assert_eq!(pattern("").remove_all("as it was"), "as it was");
    }

    #[test]
    fn a_search_that_backtracks_for_ever_finds_nothing() {
        let hostile = pattern(r"^(?:(a+)+)+(?=b)\1$");
        let text = "a".repeat(60);
        assert!(!hostile.is_match(&text));
        assert_eq!(hostile.find(&text), None);
        assert_eq!(hostile.remove_all(&text), text);
    }

    #[test]
    fn what_is_wrong_with_a_pattern_fits_on_one_line() {
        for source in ["(", "[a", "*", r"\", "(?P<n>", "(?<=a+)b\n(", "(?\u{7f})", r"\8"] {
            let bad = Pattern::new(source, Case::Matters).unwrap_err().to_string();
            assert!(!bad.is_empty() && !bad.contains(char::is_control), "{source}: {bad}");
        }
        let why = |source| Pattern::new(source, Case::Matters).unwrap_err().to_string();
        assert_eq!(why("[z-a]"), "invalid character class range, the start must be <= the end");
        assert_eq!(why("(a"), "unclosed group");
        assert!(why("(?=a)(").contains("parenthesis"), "{}", why("(?=a)("));
    }
}
