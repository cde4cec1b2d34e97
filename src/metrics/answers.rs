//! What the providers' answers were like, summed up by model.

use std::collections::BTreeMap;

use crate::llm::{Answer, Tokens};
use crate::names::ProviderName;

/// A provider and a model of it.
pub type ByModel = (ProviderName, String);

/// All answers since the start. Grows with the models that were ever configured, not with traffic.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    models: BTreeMap<ByModel, ModelUse>,
    /// How long they were.
    pub lengths: Lengths,
}

/// The answers of one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelUse {
    /// How many there were.
    pub answers: u64,
    /// Their tokens, as far as the provider tells.
    pub tokens: Tokens,
    /// How many told their tokens.
    telling: u64,
}

impl ModelUse {
    /// The tokens of an answer that tells them, on average; 0 when none did.
    pub fn average_tokens(&self) -> f64 {
        if self.telling == 0 { 0.0 } else { self.tokens.total as f64 / self.telling as f64 }
    }
}

/// How many characters answers have; all 0 when there was none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lengths {
    /// The shortest.
    pub shortest: u64,
    /// The longest.
    pub longest: u64,
    sum: u64,
    count: u64,
}

impl Lengths {
    fn add(&mut self, length: u64) {
        self.shortest = if self.count == 0 { length } else { self.shortest.min(length) };
        self.longest = self.longest.max(length);
        self.sum = self.sum.saturating_add(length);
        self.count += 1;
    }

    /// On average.
    pub fn average(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }
}

impl Answers {
    /// Takes an answer in.
    pub fn add(&mut self, answer: &Answer) {
        let model = self.models.entry((answer.provider.clone(), answer.model.clone())).or_default();
        model.answers += 1;
        if let Some(tokens) = answer.tokens {
            model.tokens.add(tokens);
            model.telling += 1;
        }
        self.lengths.add(answer.text.chars().count() as u64);
    }

    /// By model; those that have not answered yet are in it when they are among `configured`.
    pub fn by_model(&self, configured: impl IntoIterator<Item = ByModel>) -> BTreeMap<ByModel, ModelUse> {
        let mut models = self.models.clone();
        configured.into_iter().for_each(|model| _ = models.entry(model).or_default());
        models
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(model: &str, text: &str, total: Option<u64>) -> Answer {
        Answer {
            provider: ProviderName::new("local"),
            model: model.to_owned(),
            text: text.to_owned(),
            tokens: total.map(|total| Tokens { prompt: total - 1, completion: 1, total }),
            cut_by_token_limit: false,
            latency: Duration::from_millis(5),
            reserving: Duration::ZERO,
        }
    }

    #[test]
    fn answers_add_up_by_model_and_silent_models_count_as_nothing() {
        let mut answers = Answers::default();
        for (model, total) in [("small", Some(10)), ("small", None), ("small", Some(20)), ("large", None)] {
            answers.add(&answer(model, "hello", total));
        }
        let of = |model: &str| (ProviderName::new("local"), model.to_owned());
        let models = answers.by_model([of("small"), of("new")]);
        let small = models[&of("small")];
        assert_eq!((small.answers, small.tokens.prompt, small.tokens.total), (3, 28, 30));
        assert_eq!(small.average_tokens(), 15.0, "of those that tell");
        assert_eq!(models[&of("large")].average_tokens(), 0.0);
        assert_eq!(models[&of("new")], ModelUse::default());
        assert_eq!(models.len(), 3);
    }

    #[test]
    fn lengths_are_in_characters_and_0_before_the_first_answer() {
        let mut answers = Answers::default();
        assert_eq!((answers.lengths, answers.lengths.average()), (Lengths::default(), 0.0));
        for text in ["ééé", "12345", "a"] {
            answers.add(&answer("small", text, None));
        }
        let lengths = answers.lengths;
        assert_eq!((lengths.shortest, lengths.longest, lengths.average()), (1, 5, 3.0));
    }

    #[test]
    fn a_provider_may_claim_any_number_of_tokens() {
        let mut answers = Answers::default();
        (0..3).for_each(|_| answers.add(&answer("small", "", Some(u64::MAX))));
        let models = answers.by_model([]);
        assert_eq!(models.values().next().map(|model| model.tokens.total), Some(u64::MAX));
    }
}
