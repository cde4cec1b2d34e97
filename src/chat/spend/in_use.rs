//! How far the limits on what the providers cost are used up.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone};

use super::{Spend, Spent, percent, percent_of_cost};
use crate::clock::Moment;
use crate::config::Spend as Settings;

/// A limit that is configured, and how far it is used up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpendInUse {
    /// The limit's key in the configuration.
    pub name: &'static str,
    /// What counts, calls under way included: calls, tokens, or money in the currency of the prices.
    pub used: f64,
    /// The most.
    pub max: f64,
    /// Whether so much is used up that unasked replies stop.
    pub soft: bool,
    /// How long until something of it is free again, if nothing else is spent: until another call can be
    /// made where the calls of a minute are limited, else until the day ends. None when nothing of it is
    /// used, or when it is never free.
    pub frees_in: Option<Duration>,
}

impl Spend {
    /// What was spent on this local day, calls under way included with all that they may cost.
    pub fn cost(&self, today: NaiveDate) -> f64 {
        if self.is_over(today) { 0.0 } else { self.spent.cost }
    }

    /// The limits that are configured; of the users' sums the largest. The local day of now ends in
    /// `day_left`.
    pub fn in_use(
        &self,
        now: Moment,
        today: NaiveDate,
        day_left: Duration,
        settings: &Settings,
    ) -> Vec<SpendInUse> {
        let is_today = !self.is_over(today);
        let spent = if is_today { self.spent } else { Spent::default() };
        let of_user = if is_today { self.users.most() } else { 0 };
        let is_soft = |percent: u64| percent >= u64::from(settings.soft_percent);
        let counted = |name, used: u64, max: Option<u64>, frees_in: Option<Duration>| {
            let soft = is_soft(percent(used, max)?);
            let frees_in = frees_in.filter(|_| used > 0 && max > Some(0));
            Some(SpendInUse { name, used: used as f64, max: max? as f64, soft, frees_in })
        };
        let midnight = Some(day_left);
        let calls = self.minute.calls(now);
        let next_call =
            settings.max_calls_per_minute.and_then(|max| self.minute.frees_in(now, max.min(calls)));
        let counted = [
            counted(
                "max_calls_per_minute",
                calls,
                settings.max_calls_per_minute,
                next_call.map(Duration::from_secs),
            ),
            counted("max_calls_per_day", spent.calls, settings.max_calls_per_day, midnight),
            counted("max_tokens_per_day", spent.tokens, settings.max_tokens_per_day, midnight),
            counted("max_tokens_per_user_per_day", of_user, settings.max_tokens_per_user_per_day, midnight),
        ];
        let cost = settings.max_cost_per_day.map(|max| {
            let soft = is_soft(percent_of_cost(spent.cost, max));
            let frees_in = midnight.filter(|_| spent.cost > 0.0 && max > 0.0);
            SpendInUse { name: "max_cost_per_day", used: spent.cost, max, soft, frees_in }
        });
        counted.into_iter().flatten().chain(cost).collect()
    }
}

/// How long it is until the next day begins. Where clocks are put forward at midnight, that day has no
/// midnight: then it begins with the hour after.
pub fn day_left<Zone: TimeZone>(now: &DateTime<Zone>) -> Duration {
    let next = now.date_naive().checked_add_days(Days::new(1));
    let hours = [0, 1].into_iter().filter_map(|hour| NaiveTime::from_hms_opt(hour, 0, 0));
    let begins = |day: NaiveDate| {
        hours.filter_map(|hour| now.timezone().from_local_datetime(&day.and_time(hour)).earliest()).next()
    };
    let left = next.and_then(begins).map(|begin| begin.signed_duration_since(now));
    left.and_then(|left| left.to_std().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use chrono::FixedOffset;

    use super::super::{Call, Usage};
    use super::*;
    use crate::chat::testing::at;
    use crate::config::Price;
    use crate::config::testing::config;
    use crate::names::{ProviderName, Username};

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_day_ends_at_the_midnight_of_its_own_zone() {
        for (now, seconds) in [
            ("2026-11-30T00:00:00+01:00", 86_400),
            ("2026-11-30T23:59:59+01:00", 1),
            ("2026-12-31T20:30:00-08:00", 12_600),
        ] {
            let now: DateTime<FixedOffset> = now.parse().expect("a time");
            assert_eq!(day_left(&now).as_secs(), seconds, "{now}");
        }
        let last = DateTime::<chrono::Utc>::MAX_UTC;
        assert_eq!(day_left(&last), Duration::ZERO, "there is no day after it");
    }

    #[test]
    fn each_limit_that_is_configured_says_how_far_it_is_used_up_today() {
        let settings = config(json!({"spend": {
            "max_calls_per_minute": 5, "max_tokens_per_day": 1_000, "max_tokens_per_user_per_day": 100,
            "max_cost_per_day": 0.5, "soft_percent": 50,
        }}))
        .spend;
        let day = |day| NaiveDate::from_ymd_opt(2026, 11, day).expect("a day");
        let mut spend = Spend::new(day(24));
        let price = Some(Price { input_per_million: 1_000.0, output_per_million: 2_000.0 });
        for (user, completion) in [("bob", 50), ("eve", 10)] {
            let (provider, user) = (ProviderName::new("one"), Username::new(user));
            let call =
                Call { provider: &provider, user: Some(&user), prompt_tokens: 10, max_tokens: 50, price };
            let ticket = spend.reserve(at(1.0), day(24), &settings, 1 << 20, call).expect("within limits");
            spend.settle(ticket, Usage::Known { prompt: 10, completion });
        }
        let in_use = |second, today: NaiveDate| {
            let frees_in = |limit: &SpendInUse| limit.frees_in.map(|wait| wait.as_secs());
            let row = |limit: SpendInUse| {
                (limit.name, (limit.used * 100.0).round(), limit.max, limit.soft, frees_in(&limit))
            };
            spend.in_use(at(second), today, HOUR, &settings).into_iter().map(row).collect::<Vec<_>>()
        };
        assert_eq!(
            in_use(2.0, day(24)),
            [
                ("max_calls_per_minute", 200.0, 5.0, false, Some(60)),
                ("max_tokens_per_day", 8_000.0, 1_000.0, false, Some(3_600)),
                ("max_tokens_per_user_per_day", 6_000.0, 100.0, true, Some(3_600)),
                ("max_cost_per_day", 14.0, 0.5, false, Some(3_600)),
            ]
        );
        let is_unused = |(_, used, _, _, frees_in): &(_, f64, _, _, _)| (*used, *frees_in) == (0.0, None);
        assert!(in_use(70.0, day(25)).iter().all(is_unused), "a new day");
        assert_eq!(spend.in_use(at(2.0), day(24), HOUR, &config(json!({})).spend), []);
    }
}
