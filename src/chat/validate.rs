//! Whether an answer is worth saying.

use std::collections::HashSet;

use crate::config::Config;
use crate::outcome::Reason;

/// The shortest word that tells what a question is about, in characters.
const TELLING_WORD: usize = 4;

/// Checks an answer before it is formatted; `question` is the message as it was written, `playing`
/// the title of what plays. Lengths are in characters. (Repetition is judged where lines are sent, in
/// their order: [`super::repetition`].)
///
/// # Errors
/// The reason for which it is rejected.
pub fn check(config: &Config, question: &str, playing: &str, answer: &str) -> Result<(), Reason> {
    let validation = &config.validation;
    let length = answer.trim().chars().count();
    if length < validation.min_length {
        return Err(Reason::RejectedShort);
    }
    if length > validation.max_length {
        return Err(Reason::RejectedLong);
    }
    if validation.inappropriate_patterns.iter().any(|pattern| pattern.is_match(answer)) {
        return Err(Reason::RejectedInappropriate);
    }
    if validation.check_relevance && relevance(question, playing, answer) < validation.relevance_threshold {
        return Err(Reason::RejectedRelevance);
    }
    Ok(())
}

/// Which share of the question's words the answer contains, or of the title's, whichever is larger; 1
/// when the question has no telling word.
fn relevance(question: &str, playing: &str, answer: &str) -> f64 {
    let answer = answer.to_lowercase();
    let of_title = share(playing, &answer).unwrap_or_default();
    share(question, &answer).map_or(1.0, |of_question| of_question.max(of_title))
}

/// Which share of a text's words of 4 or more letters the answer contains, in any case; `None` when
/// there is no such word.
fn share(text: &str, answer: &str) -> Option<f64> {
    let text = text.to_lowercase();
    let words: HashSet<&str> = text
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| word.chars().count() >= TELLING_WORD)
        .collect();
    let contained = words.iter().filter(|word| answer.contains(**word)).count();
    (!words.is_empty()).then(|| contained as f64 / words.len() as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::testing::config;

    fn verdict(validation: Value, question: &str, answer: &str) -> Result<(), Reason> {
        check(&config(json!({"validation": validation})), question, "The Big Boss", answer)
    }

    #[test]
    fn an_answer_has_a_length_in_characters() {
        let limits = || json!({"min_length": 3, "max_length": 100});
        for (answer, expected) in [
            ("éé".to_owned(), Err(Reason::RejectedShort)),
            (" éé\n ".to_owned(), Err(Reason::RejectedShort)),
            ("ééé".to_owned(), Ok(())),
            ("é".repeat(100), Ok(())),
            ("é".repeat(101), Err(Reason::RejectedLong)),
        ] {
            assert_eq!(verdict(limits(), "", &answer), expected, "{answer}");
        }
    }

    #[test]
    fn inappropriate_answers_are_rejected_when_they_are_checked() {
        for (is_checked, expected) in [(true, Err(Reason::RejectedInappropriate)), (false, Ok(()))] {
            let validation =
                json!({"check_inappropriate": is_checked, "inappropriate_patterns": ["\\bfoo\\b"]});
            assert_eq!(verdict(validation, "", "this is FOO, really"), expected);
        }
    }

    #[test]
    fn an_answer_has_to_do_with_the_question_when_that_is_checked() {
        for (question, answer, expected) in [
            ("what about Enter the Dragon?", "The dragon enters at dawn", Ok(())),
            ("what about the Dragon?", "a dragon, of course", Err(Reason::RejectedRelevance)),
            ("Dragon dragon DRAGON what", "a dragon, of course", Ok(())),
            ("what about that weird scene?", "my boss, of course", Ok(())),
            ("what about that weird scene?", "a big one, I think", Err(Reason::RejectedRelevance)),
            ("who is he", "nobody of note", Ok(())),
            ("", "nobody of note", Ok(())),
        ] {
            let validation = json!({"check_relevance": true, "relevance_threshold": 0.5});
            assert_eq!(verdict(validation, question, answer), expected, "{question}");
        }
        assert_eq!(verdict(json!({}), "what about the dragon?", "nobody of note"), Ok(()));
    }
}
