//! From a provider's answer to lines for the room, or to the reason why there are none.

use crate::outcome::Reason;

use super::plan::ReplyPlan;
use super::{fallback, format, validate};

/// Checks and formats an answer. `is_cut` says that the token limit cut it off.
///
/// # Errors
/// Why nothing is to be said: the answer is rejected, or nothing is left of it.
pub fn lines(plan: &ReplyPlan, answer: &str, is_cut: bool) -> Result<Vec<String>, Reason> {
    let answer = format::without_thoughts(answer);
    let playing = plan.scene.current_media.as_ref().map_or("", |media| &media.title);
    validate::check(plan.config(), &plan.original, playing, &answer)?;
    let lines = plan.rules.formatter.lines(&answer, is_cut);
    if lines.is_empty() { Err(Reason::Empty) } else { Ok(lines) }
}

/// The lines of a message to say when every provider failed; none when that is not wanted, or nothing is
/// left of it. `chance` is in [0, 1).
pub fn fallback_lines(plan: &ReplyPlan, chance: f64) -> Vec<String> {
    let message = fallback::draw(&plan.config().error_handling, chance);
    message.map(|message| plan.rules.formatter.lines(message, false)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::OneRoom;
    use super::*;

    fn said(answer: &str, is_cut: bool) -> Result<Vec<String>, Reason> {
        lines(&OneRoom::new(json!({})).reply(1.0, "bob", "vera, hello there"), answer, is_cut)
    }

    #[test]
    fn an_answer_is_checked_without_its_thoughts_and_then_formatted() {
        for (answer, is_cut, expected) in [
            ("<think>Let me see.</think>Vera: a fine evening", false, Ok("a fine evening")),
            ("<think>a long thought, and then</think>no", false, Err(Reason::RejectedShort)),
            ("Ten characters. And then", true, Ok("Ten characters.")),
            ("```\nnothing but code\n```", false, Err(Reason::Empty)),
            ("   \n \t           ", false, Err(Reason::RejectedShort)),
            ("/clear everything", false, Ok("clear everything")),
        ] {
            let expected = expected.map(|line| vec![line.to_owned()]);
            assert_eq!(said(answer, is_cut), expected, "{answer}");
        }
        assert_eq!(said(&"x".repeat(1_000_000), false), Err(Reason::RejectedLong));
    }

    #[test]
    fn a_fallback_message_is_formatted_like_an_answer() {
        for (message, is_wanted, expected) in [
            ("I am lost for words.", true, vec!["I am lost for words."]),
            ("/kick everyone\nVera: now", true, vec!["kick everyone Vera: now"]),
            ("\u{200b}/", true, vec![]),
            ("I am lost for words.", false, vec![]),
        ] {
            let over = json!({
                "error_handling": {"enable_fallback_responses": is_wanted, "fallback_messages": [message]}
            });
            let plan = OneRoom::new(over).reply(1.0, "bob", "vera, hello there");
            assert_eq!(fallback_lines(&plan, 0.0), expected, "{message:?}");
        }
    }
}
