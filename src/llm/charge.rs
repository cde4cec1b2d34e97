//! What a call has cost, as far as its end tells.

use super::failure::Failure;
use super::{Completion, Tokens};
use crate::chat::spend::Usage;

/// No model reads or writes so much in one call: a provider that claims more is wrong.
const MOST_TOKENS: u64 = 10_000_000;

/// What is to be settled for a call that ended like this.
pub fn usage(result: &Result<Completion, Failure>) -> Usage {
    match result {
        Ok(Completion { tokens: Some(tokens), .. }) => told(tokens),
        Ok(Completion { tokens: None, .. }) => Usage::Unknown,
        Err(failure) if failure.not_sent || failure.status.is_some_and(|status| status < 500) => {
            Usage::Nothing
        }
        Err(_) => Usage::Unknown,
    }
}

/// Some count their thoughts in the total only. A figure that is missing reads as 0, which no call
/// with an answer has.
fn told(tokens: &Tokens) -> Usage {
    let Tokens { prompt, completion, total } = *tokens;
    let with_thoughts = completion.max(total.saturating_sub(prompt));
    let is_plausible = prompt > 0 && completion > 0 && prompt <= MOST_TOKENS && with_thoughts <= MOST_TOKENS;
    if is_plausible { Usage::Known { prompt, completion: with_thoughts } } else { Usage::Unknown }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::failure::Kind;
    use super::super::openai;
    use super::*;

    fn answered(usage: Value) -> Usage {
        let body = json!({"choices": [{"message": {"content": "hello"}}], "usage": usage});
        super::usage(&openai::completion(&body.to_string()))
    }

    #[test]
    fn figures_that_can_be_true_count_and_others_are_unknown() {
        let known = |prompt, completion| Usage::Known { prompt, completion };
        for (usage, expected) in [
            (json!({"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}), known(30, 4)),
            (json!({"prompt_tokens": 30, "completion_tokens": 4}), known(30, 4)),
            (json!({"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 500}), known(30, 470)),
            (json!({"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 1}), known(30, 4)),
            (json!({"total_tokens": 34}), Usage::Unknown),
            (json!({"prompt_tokens": 30}), Usage::Unknown),
            (json!({"prompt_tokens": 30, "completion_tokens": -4}), Usage::Unknown),
            (json!({"prompt_tokens": 30, "completion_tokens": "4"}), Usage::Unknown),
            (json!({"prompt_tokens": 30, "completion_tokens": 1e308}), Usage::Unknown),
            (json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX}), Usage::Unknown),
            (json!({"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": u64::MAX}), Usage::Unknown),
            (json!({"prompt_tokens": 0, "completion_tokens": 0}), Usage::Unknown),
            (json!("free"), Usage::Unknown),
            (json!(null), Usage::Unknown),
        ] {
            assert_eq!(answered(usage.clone()), expected, "{usage}");
        }
    }

    #[test]
    fn only_what_was_refused_or_never_arrived_costs_nothing() {
        let status = |status| Failure::of_status(status, None, "");
        for (failure, expected) in [
            (status(302), Usage::Nothing),
            (status(400), Usage::Nothing),
            (status(401), Usage::Nothing),
            (status(408), Usage::Nothing),
            (status(429), Usage::Nothing),
            (status(500), Usage::Unknown),
            (status(504), Usage::Unknown),
            (Failure::not_sent("refused"), Usage::Nothing),
            (Failure::new(Kind::Connection, "reset"), Usage::Unknown),
            (Failure::new(Kind::Timeout, ""), Usage::Unknown),
            (Failure::new(Kind::UnusableBody, ""), Usage::Unknown),
            (Failure::new(Kind::ReasoningAteTokens, ""), Usage::Unknown),
            (Failure::new(Kind::ContentRefused, "a filter held it back"), Usage::Unknown),
        ] {
            assert_eq!(usage(&Err(failure.clone())), expected, "{failure}");
        }
    }
}
