//! How long to wait before another try.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use rand::{Rng, RngExt};

use super::failure::{Failure, Kind};
use crate::config::RetryStrategy;

/// The longest wait that a provider can ask for; longer ones fit no deadline anyway.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The wait before the next try, after `tries` failed ones (at least 1): what the provider asked
/// for; else `rate_limit_delay` after a 429; else `initial_delay × multiplier^n`, capped, of
/// which chance takes a part, so that many replies don't come back all at once.
pub fn delay(strategy: &RetryStrategy, tries: u32, failure: &Failure, random: &mut impl Rng) -> Duration {
    if let Some(asked) = failure.retry_after {
        return asked;
    }
    if failure.kind == Kind::RateLimited {
        return strategy.rate_limit_delay;
    }
    let exponent = i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX);
    let grown = strategy.initial_delay.as_secs_f64() * strategy.multiplier.powi(exponent);
    let ceiling =
        Duration::try_from_secs_f64(grown).map_or(strategy.max_delay, |grown| grown.min(strategy.max_delay));
    ceiling.mul_f64(random.random::<f64>())
}

/// Reads `Retry-After`: seconds, or a date in any of HTTP's three forms, compared with the wall
/// clock. A date in the past is no wait; nonsense is `None`.
pub fn retry_after(header: &str, wall: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        let valid = seconds.is_finite() && seconds >= 0.0;
        return valid.then(|| Duration::try_from_secs_f64(seconds).map_or(LONGEST, |wait| wait.min(LONGEST)));
    }
    let older_forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let date = DateTime::parse_from_rfc2822(header).map(|date| date.to_utc()).ok().or_else(|| {
        older_forms.iter().find_map(|form| Some(NaiveDateTime::parse_from_str(header, form).ok()?.and_utc()))
    })?;
    Some(date.signed_duration_since(wall).to_std().unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn strategy() -> RetryStrategy {
        RetryStrategy {
            initial_delay: Duration::from_secs(1),
            multiplier: 2.0,
            max_delay: Duration::from_secs(5),
            rate_limit_delay: Duration::from_secs(60),
        }
    }

    #[test]
    fn the_delay_grows_to_its_cap_and_chance_takes_a_part_of_it() {
        let mut random = StdRng::seed_from_u64(1);
        let failure = Failure::new(Kind::Server, "");
        for (tries, ceiling) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (11, 5.0), (u32::MAX, 5.0)] {
            let delays: Vec<f64> = (0..1000)
                .map(|_| delay(&strategy(), tries, &failure, &mut random).as_secs_f64() / ceiling)
                .collect();
            assert!(delays.iter().all(|part| (0.0..1.0).contains(part)), "{tries}");
            let mean = delays.iter().sum::<f64>() / 1000.0;
            assert!((0.45..0.55).contains(&mean), "{tries}: {mean}");
        }
    }

    #[test]
    fn what_the_provider_asks_for_wins_and_a_bare_429_waits_its_own_time() {
        let mut random = StdRng::seed_from_u64(1);
        let asked = Some(Duration::from_secs(7));
        for (kind, retry_after, expected) in [
            (Kind::RateLimited, asked, 7),
            (Kind::Server, asked, 7),
            (Kind::RateLimited, Some(Duration::ZERO), 0),
            (Kind::RateLimited, None, 60),
        ] {
            let failure = Failure { retry_after, ..Failure::new(kind, "") };
            let expected = Duration::from_secs(expected);
            assert_eq!(delay(&strategy(), 1, &failure, &mut random), expected, "{failure}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_in_three_forms() {
        let wall = Utc.with_ymd_and_hms(1994, 11, 6, 8, 49, 7).unwrap();
        for (header, milliseconds) in [
            ("30", Some(30_000)),
            (" 1.5 ", Some(1_500)),
            ("0", Some(0)),
            ("-1", None),
            ("inf", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
            ("1e300", Some(LONGEST.as_millis())),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30_000)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(30_000)),
            ("Sun Nov  6 08:49:37 1994", Some(30_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST.as_millis())),
        ] {
            let wait = retry_after(header, wall).map(|wait| wait.as_millis());
            assert_eq!(wait, milliseconds, "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in ".*", number in any::<f64>()) {
            let wall = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
            for header in [header, number.to_string()] {
                prop_assert!(retry_after(&header, wall).is_none_or(|wait| wait <= LONGEST));
            }
        }
    }
}
