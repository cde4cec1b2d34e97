//! How far the spend limits are used up, for people and dashboards.

use chrono::NaiveDate;

use super::{Spend, Spent};
use crate::clock::Moment;
use crate::config::Spend as Settings;

/// A spend limit, and how far it is used up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InUse {
    /// Its key in `spend`.
    pub name: &'static str,
    /// How much is used; calls under way count with all that they may use. Of a limit for each user what
    /// the user has used who used most.
    pub used: f64,
    /// The limit.
    pub most: f64,
}

impl Spend {
    /// What is used of each limit that is set, in the order of the configuration.
    pub fn limits(&self, now: Moment, today: NaiveDate, settings: &Settings) -> Vec<InUse> {
        let is_today = !self.is_over(today);
        let spent = if is_today { self.spent } else { Spent::default() };
        let of_user = if is_today { self.users.most() } else { 0 };
        let calls = self.minute.calls(now);
        let whole = |name, used: u64, most: Option<u64>| Some((name, used as f64, most? as f64));
        let cost = settings.max_cost_per_day.map(|most| ("max_cost_per_day", spent.cost, most));
        let limits = [
            whole("max_calls_per_minute", calls, settings.max_calls_per_minute),
            whole("max_calls_per_day", spent.calls, settings.max_calls_per_day),
            whole("max_tokens_per_day", spent.tokens, settings.max_tokens_per_day),
            whole("max_tokens_per_user_per_day", of_user, settings.max_tokens_per_user_per_day),
            cost,
        ];
        limits.into_iter().flatten().map(|(name, used, most)| InUse { name, used, most }).collect()
    }

    /// What was spent on this local day, calls under way included with all that they may cost.
    pub fn cost(&self, today: NaiveDate) -> f64 {
        if self.is_over(today) { 0.0 } else { self.spent.cost }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::spend::Call;
    use crate::chat::testing::at;
    use crate::config::Price;
    use crate::config::testing::config;
    use crate::names::{ProviderName, Username};

    fn settings(spend: Value) -> Settings {
        config(json!({ "spend": spend })).spend
    }

    #[test]
    fn each_limit_that_is_set_is_told_with_what_is_used_of_it_today() {
        let (today, tomorrow) =
            (NaiveDate::default(), NaiveDate::default().succ_opt().expect("there is one"));
        let all = settings(json!({
            "max_calls_per_minute": 10, "max_calls_per_day": 20, "max_tokens_per_day": 3_000,
            "max_tokens_per_user_per_day": 2_000, "max_cost_per_day": 5.0
        }));
        let mut spend = Spend::new(today);
        let provider = ProviderName::new("local");
        for (user, prompt_tokens) in [("bob", 300), ("eve", 700), ("bob", 100)] {
            let user = Username::new(user);
            let price = Some(Price { input_per_million: 1_000.0, output_per_million: 0.0 });
            let call = Call { provider: &provider, user: Some(&user), prompt_tokens, max_tokens: 50, price };
            spend.reserve(at(1.0), today, &all, 1 << 20, call).expect("allowed");
        }
        let told = |spend: &Spend, day, settings: &Settings| -> Vec<(&str, f64, f64)> {
            let limits = spend.limits(at(2.0), day, settings);
            limits.into_iter().map(|limit| (limit.name, limit.used, limit.most)).collect()
        };
        let expected = [
            ("max_calls_per_minute", 3.0, 10.0),
            ("max_calls_per_day", 3.0, 20.0),
            ("max_tokens_per_day", 1_250.0, 3_000.0),
            ("max_tokens_per_user_per_day", 750.0, 2_000.0),
        ];
        assert_eq!(told(&spend, today, &all)[..4], expected);
        assert!((spend.cost(today) - 1.1).abs() < 1e-9);
        assert_eq!(told(&spend, today, &settings(json!({}))), []);
        let used: Vec<f64> = told(&spend, tomorrow, &all).iter().map(|(_, used, _)| *used).collect();
        assert_eq!(used, [3.0, 0.0, 0.0, 0.0, 0.0], "a minute knows no day");
        assert_eq!(spend.cost(tomorrow), 0.0);
    }
}
