//! What a provider's headers say of its own rate limits. Nothing is decided by it, it is only shown.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// No account may ask for more; a larger number means something else.
const MOST: u64 = 1_000_000_000_000;

/// No limit counts over a longer time.
const LONGEST: TimeDelta = TimeDelta::days(366);

/// How much of the provider's limits is left, as far as it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls that may still be made.
    pub remaining_requests: Option<u64>,
    /// Tokens that may still be used.
    pub remaining_tokens: Option<u64>,
    /// By when both are full again.
    pub resets_at: Option<DateTime<Utc>>,
}

impl RateLimit {
    /// Reads the headers of OpenAI's or Anthropic's kind; `header` gives one by its name in lower
    /// case. `None` when nothing in them makes sense.
    pub fn of<'a>(header: impl Fn(&str) -> Option<&'a str>, wall: DateTime<Utc>) -> Option<Self> {
        let either = |names: [&str; 2]| names.into_iter().find_map(&header);
        let remaining = |names| either(names).and_then(number);
        let reset = |names| either(names).and_then(|value| moment(value, wall));
        let limit = Self {
            remaining_requests: remaining([
                "x-ratelimit-remaining-requests",
                "anthropic-ratelimit-requests-remaining",
            ]),
            remaining_tokens: remaining([
                "x-ratelimit-remaining-tokens",
                "anthropic-ratelimit-tokens-remaining",
            ]),
            resets_at: Option::max(
                reset(["x-ratelimit-reset-requests", "anthropic-ratelimit-requests-reset"]),
                reset(["x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset"]),
            ),
        };
        let says_something = limit.remaining_requests.is_some()
            || limit.remaining_tokens.is_some()
            || limit.resets_at.is_some();
        says_something.then_some(limit)
    }
}

fn number(value: &str) -> Option<u64> {
    value.trim().parse().ok().filter(|number| *number <= MOST)
}

/// A time from now ("6m0s"), or a date as RFC 3339 has it.
fn moment(value: &str, wall: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let value = value.trim();
    let moment = match DateTime::parse_from_rfc3339(value) {
        Ok(date) => date.to_utc(),
        Err(_) => wall.checked_add_signed(TimeDelta::from_std(duration(value)?).ok()?)?,
    };
    let is_plausible = moment.signed_duration_since(wall).abs() <= LONGEST;
    is_plausible.then_some(moment)
}

/// Numbers with units, as Go writes a duration ("1h2m3.5s", "20ms"); a bare number is seconds.
fn duration(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut total = Duration::ZERO;
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = after;
    }
    (!value.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn wall() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 24, 12, 0, 0).unwrap()
    }

    fn read(headers: &[(&str, &str)]) -> Option<RateLimit> {
        let header = |wanted: &str| headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        RateLimit::of(header, wall())
    }

    #[test]
    fn both_dialects_are_read() {
        let in_seconds = |seconds| Some(wall() + TimeDelta::seconds(seconds));
        for (headers, requests, tokens, resets_at) in [
            (
                &[
                    ("x-ratelimit-remaining-requests", "59"),
                    ("x-ratelimit-remaining-tokens", "149984"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ][..],
                Some(59),
                Some(149_984),
                in_seconds(360),
            ),
            (
                &[
                    ("anthropic-ratelimit-requests-remaining", "0"),
                    ("anthropic-ratelimit-requests-reset", "2026-11-24T12:00:30Z"),
                    ("anthropic-ratelimit-tokens-remaining", "80000"),
                    ("anthropic-ratelimit-tokens-reset", "2026-11-24T13:00:10+01:00"),
                ][..],
                Some(0),
                Some(80_000),
                in_seconds(30),
            ),
            (&[("x-ratelimit-remaining-requests", " 7 ")][..], Some(7), None, None),
            (&[("x-ratelimit-reset-tokens", "12")][..], None, None, in_seconds(12)),
        ] {
            let expected = RateLimit { remaining_requests: requests, remaining_tokens: tokens, resets_at };
            assert_eq!(read(headers), Some(expected), "{headers:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_as_if_it_were_not_there() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("x-ratelimit-remaining", "7"), ("content-type", "1s")]), None);
        for value in ["", "-1", "1.5", "many", "1000000000001", "99999999999999999999999"] {
            assert_eq!(read(&[("x-ratelimit-remaining-requests", value)]), None, "{value}");
        }
        for value in [
            "",
            "s",
            "soon",
            "-1s",
            "1",
            "1y",
            "1s2",
            "..s",
            "NaN",
            "inf",
            "1e300",
            "400d",
            "9999999999999999h",
            "2028-11-24T12:00:00Z",
            "1970-01-01T00:00:00Z",
            "2026-11-24",
        ] {
            let expected = if value == "1" { Some(wall() + TimeDelta::seconds(1)) } else { None };
            let found = read(&[("x-ratelimit-reset-requests", value)]).and_then(|limit| limit.resets_at);
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn a_duration_is_the_sum_of_its_parts() {
        for (value, milliseconds) in [
            ("1s", 1_000),
            ("6m0s", 360_000),
            ("20ms", 20),
            ("1h2m3.5s", 3_723_500),
            ("0", 0),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(value).map(|time| time.as_millis()), Some(milliseconds), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in ".*", number in any::<f64>(), unit in "[a-z]{0,2}") {
            for value in [value, format!("{number}{unit}")] {
                let _ = RateLimit::of(|_| Some(&value), wall());
            }
        }
    }
}
