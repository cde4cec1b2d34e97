//! Whether a call may be made, and the figures of the limit that keeps it from that.

use std::fmt;

use super::{Amount, Spend};
use crate::clock::Moment;
use crate::config::Spend as Settings;
use crate::names::Username;
use crate::outcome::Reason;

/// The limit that a call might exceed. Its text is for operators.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Denied {
    /// The name that the limit's being exceeded has.
    pub limit: Reason,
    /// What there is too little of.
    pub short: Short,
}

/// What there is too little of for a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Short {
    /// The most calls in a minute, and in how many seconds there may be another; none is never.
    CallsAMinute(u64, Option<u64>),
    /// The most calls in a day.
    CallsADay(u64),
    /// Tokens, of everybody or of the user.
    Tokens(Sum<u64>),
    /// Money, in the currency of the prices.
    Cost(Sum<f64>),
}

/// A day's sum, and what a call would add to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sum<Amount> {
    /// What the call may need, at most.
    pub needed: Amount,
    /// What is left today, calls under way counted with all that they may need.
    pub left: Amount,
    /// The most in a day.
    pub max: Amount,
}

impl Denied {
    fn new(limit: Reason, short: Short) -> Self {
        Self { limit, short }
    }
}

impl Spend {
    /// Whether nothing that is limited might be exceeded by a call.
    pub(super) fn may_spend(
        &self,
        now: Moment,
        settings: &Settings,
        user: Option<&Username>,
        amount: Amount,
    ) -> Result<(), Denied> {
        let (tokens, cost, spent) = (amount.tokens(), amount.cost, self.spent);
        if let Some(max) = settings.max_calls_per_minute.filter(|max| self.minute.calls(now) >= *max) {
            let short = Short::CallsAMinute(max, self.minute.frees_in(now, max));
            return Err(Denied::new(Reason::SpendCalls, short));
        }
        if let Some(max) = settings.max_calls_per_day.filter(|max| spent.calls >= *max) {
            return Err(Denied::new(Reason::SpendCalls, Short::CallsADay(max)));
        }
        if let Some(sum) = short_of_tokens(spent.tokens, tokens, settings.max_tokens_per_day) {
            return Err(Denied::new(Reason::SpendTokens, Short::Tokens(sum)));
        }
        let of_user = user.map(|user| self.users.of(user));
        let users_max = settings.max_tokens_per_user_per_day;
        if let Some(sum) = of_user.and_then(|of_user| short_of_tokens(of_user, tokens, users_max)) {
            return Err(Denied::new(Reason::SpendUser, Short::Tokens(sum)));
        }
        if let Some(max) = settings.max_cost_per_day.filter(|max| spent.cost + cost > *max) {
            let sum = Sum { needed: cost, left: (max - spent.cost).max(0.0), max };
            return Err(Denied::new(Reason::SpendCost, Short::Cost(sum)));
        }
        Ok(())
    }
}

fn short_of_tokens(spent: u64, needed: u64, max: Option<u64>) -> Option<Sum<u64>> {
    let max = max.filter(|max| spent.saturating_add(needed) > *max)?;
    Some(Sum { needed, left: max.saturating_sub(spent), max })
}

impl Denied {
    /// After how many seconds there is more, where that is known.
    pub fn retry_after(&self) -> Option<u64> {
        match self.short {
            Short::CallsAMinute(_, seconds) => seconds,
            Short::CallsADay(_) | Short::Tokens(_) | Short::Cost(_) => None,
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.short {
            Short::CallsAMinute(max, None) | Short::CallsADay(max @ 0) => {
                write!(formatter, "no calls are allowed ({max})")
            }
            Short::CallsAMinute(max, Some(seconds)) => {
                write!(formatter, "all calls of this minute ({max}) are made, again in {seconds} s")
            }
            Short::CallsADay(max) => {
                write!(formatter, "all calls of today ({max}) are made, again after midnight")
            }
            Short::Tokens(sum) => {
                let whose = if self.limit == Reason::SpendUser { "the user's " } else { "" };
                let Sum { needed, left, max } = sum;
                write!(formatter, "a call may need {needed} tokens, {left} of {whose}{max} are left today")?;
                formatter.write_str(outlook(needed <= max))
            }
            Short::Cost(Sum { needed, left, max }) => {
                let (needed, left) = (Money(needed), Money(left));
                write!(formatter, "a call may cost {needed}, {left} of {max} is left today")?;
                formatter.write_str(outlook(needed.0 <= max))
            }
        }
    }
}

/// More may be left before that: when a call under way needs less than it might have.
fn outlook(fits_in_a_day: bool) -> &'static str {
    if fits_in_a_day { ", all of it after midnight" } else { ": it fits into no day" }
}

/// A sum of money to a millionth, without a row of digits behind it.
struct Money(f64);

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        ((self.0 * 1e6).round() / 1e6).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_told_in_words() {
        let tokens = |needed, left| Short::Tokens(Sum { needed, left, max: 5_000 });
        for (limit, short, words) in [
            (
                Reason::SpendCalls,
                Short::CallsAMinute(5, Some(12)),
                "all calls of this minute (5) are made, again in 12 s",
            ),
            (Reason::SpendCalls, Short::CallsAMinute(0, None), "no calls are allowed (0)"),
            (
                Reason::SpendCalls,
                Short::CallsADay(9),
                "all calls of today (9) are made, again after midnight",
            ),
            (Reason::SpendCalls, Short::CallsADay(0), "no calls are allowed (0)"),
            (
                Reason::SpendTokens,
                tokens(1_200, 300),
                "a call may need 1200 tokens, 300 of 5000 are left today, all of it after midnight",
            ),
            (
                Reason::SpendUser,
                tokens(1_200, 300),
                "a call may need 1200 tokens, 300 of the user's 5000 are left today, all of it after midnight",
            ),
            (
                Reason::SpendTokens,
                tokens(5_001, 5_000),
                "a call may need 5001 tokens, 5000 of 5000 are left today: it fits into no day",
            ),
            (
                Reason::SpendCost,
                Short::Cost(Sum { needed: 0.01 + 0.02, left: 0.0000004, max: 0.5 }),
                "a call may cost 0.03, 0 of 0.5 is left today, all of it after midnight",
            ),
        ] {
            let denied = Denied::new(limit, short);
            assert_eq!(denied.to_string(), words);
            let wait = denied.retry_after().map(|seconds| format!("again in {seconds} s"));
            assert_eq!(wait.is_some(), words.contains("again in"), "{words}");
            assert!(words.ends_with(&wait.unwrap_or_default()), "{words}");
        }
    }
}
