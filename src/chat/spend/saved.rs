//! What was spent, as it is written down for the next start.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{Spend, Spent};
use crate::clock::Moment;
use crate::names::Username;

/// The day's sums, calls under way included with all that they may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// The local day, as `2026-11-24`.
    day: String,
    calls: u64,
    tokens: u64,
    cost: f64,
    /// The calls of the last minute: until when each counts, in seconds since the epoch, and how many.
    minute: Vec<(i64, u64)>,
    /// Tokens by user.
    users: Vec<(String, u64)>,
}

impl Default for Saved {
    fn default() -> Self {
        Self { day: String::new(), calls: 0, tokens: 0, cost: 0.0, minute: Vec::new(), users: Vec::new() }
    }
}

impl Spend {
    /// What is to be written down.
    pub fn save(&self, now: Moment) -> Saved {
        let wall = now.wall.timestamp();
        let until = |seconds| wall.saturating_add_unsigned(seconds);
        let mut users: Vec<(String, u64)> =
            self.users.iter().map(|(user, tokens)| (user.as_str().to_owned(), tokens)).collect();
        users.sort_unstable();
        Saved {
            day: self.day.to_string(),
            calls: self.spent.calls,
            tokens: self.spent.tokens,
            // JSON knows no infinity.
            cost: self.spent.cost.min(f64::MAX),
            minute: self.minute.left(now).map(|(seconds, count)| (until(seconds), count)).collect(),
            users,
        }
    }

    /// Goes on from what was written down, if that was today. A call that was under way then counts
    /// with all that it might have used.
    pub fn restore(now: Moment, today: NaiveDate, users_bytes: usize, saved: &Saved) -> Self {
        let day = saved.day.parse().unwrap_or(today);
        let mut spend = Self::new(day);
        let cost = if saved.cost.is_finite() { saved.cost.max(0.0) } else { 0.0 };
        spend.spent = Spent { calls: saved.calls, tokens: saved.tokens, cost };
        for (user, tokens) in &saved.users {
            spend.users.change(&Username::new(user), 0, *tokens);
            spend.users.tidy(users_bytes);
        }
        let wall = now.wall.timestamp();
        for (until, count) in saved.minute.iter().filter(|(until, _)| *until > wall) {
            spend.minute.restore(now, until.abs_diff(wall), *count);
        }
        spend.turn_to(today);
        spend
    }
}
