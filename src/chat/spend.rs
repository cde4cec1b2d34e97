//! What the providers may cost: calls, tokens and money, by day, for all and for each user.
//!
//! A call is counted before it is made, with all the tokens that it may use; when it is over, its
//! tokens and its cost are set to what it did use. So a limit holds whatever the providers do.

use std::collections::HashMap;
use std::fmt;

use chrono::{NaiveDate, TimeDelta};

use crate::clock::Moment;
use crate::config::{Price, Spend as Settings};
use crate::names::{ProviderName, Username};
use crate::outcome::Reason;

use self::minute::Minute;
use self::providers::Providers;
use self::users::UserTokens;

mod denied;
mod in_use;
mod minute;
mod providers;
mod saved;
mod users;

pub use denied::{Denied, Short, Sum};
pub use in_use::{SpendInUse, day_left};
pub use providers::ProviderSpent;
pub use saved::Saved;

/// How many letters and spaces of plain English make a token, at least.
const CHARACTERS_A_TOKEN: usize = 3;

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Call<'call> {
    /// Who is called.
    pub provider: &'call ProviderName,
    /// For whom; `None` when nobody asked.
    pub user: Option<&'call Username>,
    /// What the prompt takes, as well as we know: [`estimated_tokens`].
    pub prompt_tokens: u64,
    /// The most that the answer may take.
    pub max_tokens: u64,
    /// The provider's price; `None` is free.
    pub price: Option<Price>,
}

/// What a call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// What the provider says.
    Known {
        /// Tokens of the prompt.
        prompt: u64,
        /// Tokens of the answer.
        completion: u64,
    },
    /// It may have been charged, but nobody says how much (a time-out, an answer without figures):
    /// what was reserved counts.
    Unknown,
    /// No tokens: the call was refused or never arrived. It counts as a call all the same.
    Nothing,
}

/// A limit of which so much is used up that unasked replies stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    /// The name that its being exceeded has.
    pub limit: Reason,
    /// How much of it is used up, in percent.
    pub percent: u64,
}

impl fmt::Display for Near {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} % of {} is used up", self.percent, self.limit.as_str())
    }
}

/// By which a call's end finds what was reserved for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpendTicket(u64);

/// What was spent today.
#[derive(Debug)]
pub struct Spend {
    day: NaiveDate,
    spent: Spent,
    users: UserTokens,
    providers: Providers,
    minute: Minute,
    open: HashMap<SpendTicket, Reserved>,
    last_ticket: u64,
}

/// A day's sums.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Spent {
    calls: u64,
    tokens: u64,
    cost: f64,
}

/// What is counted for a call under way.
#[derive(Debug)]
struct Reserved {
    day: NaiveDate,
    user: Option<Username>,
    provider: ProviderName,
    amount: Amount,
    price: Option<Price>,
}

/// What a call may use, or has used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Amount {
    prompt: u64,
    completion: u64,
    cost: f64,
}

impl Amount {
    fn new(price: Option<Price>, prompt: u64, completion: u64) -> Self {
        let cost = price.map_or(0.0, |price| {
            (prompt as f64 * price.input_per_million + completion as f64 * price.output_per_million) / 1e6
        });
        Self { prompt, completion, cost }
    }

    fn tokens(self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

impl Spend {
    /// Nothing was spent yet on this local day.
    pub fn new(today: NaiveDate) -> Self {
        Self {
            day: today,
            spent: Spent::default(),
            users: UserTokens::default(),
            providers: Providers::default(),
            minute: Minute::default(),
            open: HashMap::new(),
            last_ticket: 0,
        }
    }

    /// Counts a call that is about to be made on this local day. `users_bytes` is what the users'
    /// sums may take.
    ///
    /// # Errors
    /// With the limit that the call might exceed. Then it must not be made, and is not counted.
    pub fn reserve(
        &mut self,
        now: Moment,
        today: NaiveDate,
        settings: &Settings,
        users_bytes: usize,
        call: Call,
    ) -> Result<SpendTicket, Denied> {
        self.turn_to(today);
        let amount = Amount::new(call.price, call.prompt_tokens, call.max_tokens);
        self.may_spend(now, settings, call.user, amount)?;

        let spent = self.spent;
        self.minute.count(now);
        self.spent = Spent {
            calls: spent.calls.saturating_add(1),
            tokens: spent.tokens.saturating_add(amount.tokens()),
            cost: spent.cost + amount.cost,
        };
        let user = call.user.filter(|_| settings.max_tokens_per_user_per_day.is_some()).cloned();
        if let Some(user) = &user {
            self.users.change(user, 0, amount.tokens());
            self.users.tidy(users_bytes);
        }
        self.providers.add(call.provider, amount);
        self.last_ticket += 1;
        let ticket = SpendTicket(self.last_ticket);
        let provider = call.provider.clone();
        self.open.insert(ticket, Reserved { day: self.day, user, provider, amount, price: call.price });
        Ok(ticket)
    }

    /// Takes the end of a call, exactly once: what was reserved for it becomes what it used.
    pub fn settle(&mut self, ticket: SpendTicket, usage: Usage) {
        let Some(reserved) = self.open.remove(&ticket).filter(|reserved| reserved.day == self.day) else {
            return;
        };
        let before = reserved.amount;
        let used = match usage {
            Usage::Known { prompt, completion } => Amount::new(reserved.price, prompt, completion),
            Usage::Unknown => before,
            Usage::Nothing => Amount::default(),
        };
        let spent = &mut self.spent;
        spent.tokens = spent.tokens.saturating_sub(before.tokens()).saturating_add(used.tokens());
        spent.cost = (spent.cost - before.cost).max(0.0) + used.cost;
        self.providers.change(&reserved.provider, before, used);
        if let Some(user) = &reserved.user {
            self.users.change(user, before.tokens(), used.tokens());
        }
    }

    /// What a provider was used for on this local day.
    pub fn of_provider(&self, today: NaiveDate, provider: &ProviderName) -> ProviderSpent {
        if self.is_over(today) { ProviderSpent::default() } else { self.providers.of(provider) }
    }

    /// The limit of which `spend.soft_percent` or more is used up, if there is one: the fullest of
    /// those for all, and of the user's.
    pub fn near(
        &self,
        now: Moment,
        today: NaiveDate,
        settings: &Settings,
        user: Option<&Username>,
    ) -> Option<Near> {
        let is_today = !self.is_over(today);
        let spent = if is_today { self.spent } else { Spent::default() };
        let of_user = user.filter(|_| is_today).map_or(0, |user| self.users.of(user));
        let users_limit = settings.max_tokens_per_user_per_day.filter(|_| user.is_some());
        let shares = [
            (Reason::SpendCalls, percent(self.minute.calls(now), settings.max_calls_per_minute)),
            (Reason::SpendCalls, percent(spent.calls, settings.max_calls_per_day)),
            (Reason::SpendTokens, percent(spent.tokens, settings.max_tokens_per_day)),
            (Reason::SpendUser, percent(of_user, users_limit)),
            (Reason::SpendCost, settings.max_cost_per_day.map(|most| percent_of_cost(spent.cost, most))),
        ];
        shares
            .into_iter()
            .filter_map(|(limit, percent)| Some(Near { limit, percent: percent? }))
            .filter(|near| near.percent >= u64::from(settings.soft_percent))
            .max_by_key(|near| near.percent)
    }

    /// Begins a new day, if it is one.
    fn turn_to(&mut self, today: NaiveDate) {
        if self.is_over(today) {
            self.day = today;
            self.spent = Spent::default();
            self.users = UserTokens::default();
            self.providers = Providers::default();
        }
    }

    /// Whether our day is over. A clock that goes back by a day begins no new one; one that goes back
    /// by more was wrong before.
    fn is_over(&self, today: NaiveDate) -> bool {
        today > self.day || self.day - today > TimeDelta::days(1)
    }
}

/// How many tokens a text takes, rather too many than too few: digits, marks and anything beyond
/// ASCII take more of them than words do.
pub fn estimated_tokens(text: &str) -> u64 {
    let is_of_words = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b' ';
    let of_words = text.bytes().filter(is_of_words).count();
    let others = text.bytes().filter(|byte| !byte.is_ascii()).count();
    let marks = text.len() - of_words - others;
    (of_words.div_ceil(CHARACTERS_A_TOKEN) + marks + others.div_ceil(2)) as u64
}

fn percent(spent: u64, most: Option<u64>) -> Option<u64> {
    // A limit of nothing is used up from the beginning.
    most.map(|most| (u128::from(spent) * 100).checked_div(most.into()).unwrap_or(100))
        .map(|percent| u64::try_from(percent).unwrap_or(u64::MAX))
}

fn percent_of_cost(spent: f64, most: f64) -> u64 {
    // The cast saturates.
    if most > 0.0 { (spent * 100.0 / most) as u64 } else { 100 }
}

/// A sum of money from a file.
fn plausible(cost: f64) -> f64 {
    if cost.is_finite() { cost.max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests;
