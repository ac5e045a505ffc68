//! Parses RFC 3339 timestamps strictly.
//!
//! It is stricter than chrono where the engines that read the lake are: it requires an upper-case
//! `T` and `Z`, four digits of year and one to nine digits of fraction, if there is one, and allows
//! no leap second.

use chrono::{Datelike as _, NaiveDate};

use crate::clock::{MICROS_PER_SECOND, Micros};

/// Days from 0001-01-01 (which chrono counts as day 1) to 1970-01-01.
const EPOCH_DAYS_FROM_CE: i32 = 719_163;

/// Parses a timestamp; digits below a microsecond are cut off. `None` if `text` is not a strict
/// timestamp.
pub fn parse(text: &str) -> Option<Micros> {
    let (date_time, rest) = text
        .as_bytes()
        .split_at_checked("2026-11-20T17:00:00".len())?;
    let separators = [4, 7, 10, 13, 16].map(|at: usize| date_time[at]);
    if separators != *b"--T::" {
        return None;
    }
    let year = number(&date_time[..4])?;
    let (month, day) = (number(&date_time[5..7])?, number(&date_time[8..10])?);
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let time = seconds(
        &date_time[11..13],
        &date_time[14..16],
        Some(&date_time[17..19]),
    )?;

    let (fraction_micros, zone) = fraction(rest)?;
    let offset = offset_seconds(zone)?;
    let days = i64::from(date.num_days_from_ce() - EPOCH_DAYS_FROM_CE);
    let seconds = days * 86_400 + time - offset;
    Some(Micros(seconds * MICROS_PER_SECOND + fraction_micros))
}

/// The value of decimal digits; `None` if there is anything else.
fn number(digits: &[u8]) -> Option<u32> {
    let mut value = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u32::from(digit - b'0');
    }
    Some(value)
}

/// Seconds since midnight; 0 seconds within the minute if `second` is `None`.
fn seconds(hour: &[u8], minute: &[u8], second: Option<&[u8]>) -> Option<i64> {
    let (hour, minute, second) = (
        number(hour)?,
        number(minute)?,
        number(second.unwrap_or(b""))?,
    );
    let in_range = hour < 24 && minute < 60 && second < 60;
    in_range.then(|| i64::from(hour * 3600 + minute * 60 + second))
}

/// The microseconds of an optional fraction, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let (mut micros, mut length) = (0, 0);
    while let Some(digit @ b'0'..=b'9') = rest.get(length) {
        if length < 6 {
            micros = micros * 10 + i64::from(digit - b'0');
        }
        length += 1;
    }
    let missing = match length {
        1..=5 => 6 - length as u32,
        6..=9 => 0,
        _ => return None,
    };
    Some((micros * 10_i64.pow(missing), &rest[length..]))
}

/// Seconds east of UTC of `Z` or `+hh:mm`.
fn offset_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let east = seconds(&[*h1, *h2], &[*m1, *m2], None)?;
            Some(if *sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str) -> Option<String> {
        parse(text).map(|time| time.to_string())
    }

    #[test]
    fn times_are_normalised_to_utc_and_six_digits() {
        for (text, expected) in [
            ("2026-11-20T17:00:00Z", "2026-11-20T17:00:00.000000Z"),
            ("2026-11-20T17:00:00.5Z", "2026-11-20T17:00:00.500000Z"),
            (
                "2026-11-20T17:00:00.123456789Z",
                "2026-11-20T17:00:00.123456Z",
            ),
            ("2026-11-20T01:00:00+02:30", "2026-11-19T22:30:00.000000Z"),
            ("2026-12-31T23:30:00-00:30", "2027-01-01T00:00:00.000000Z"),
            ("2024-02-29T00:00:00-00:00", "2024-02-29T00:00:00.000000Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
            ("2026-11-20T17:00:00+23:59", "2026-11-19T17:01:00.000000Z"),
        ] {
            assert_eq!(normal(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_strict_time_is_none() {
        for text in [
            "",
            "2026-11-20",
            "2026-11-20T17:00:00",
            "2026-11-20 17:00:00Z",
            "2026-11-20t17:00:00Z",
            "2026-11-20T17:00:00z",
            "2026-11-20T17:00:60Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T17:60:00Z",
            "2026-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-11-20T17:00:00.Z",
            "2026-11-20T17:00:00.1234567890Z",
            "2026-11-20T17:00:00,5Z",
            "2026-11-20T17:00:00+24:00",
            "2026-11-20T17:00:00+0200",
            "2026-11-20T17:00:00+02",
            "2026-11-20T17:00:00+02:60",
            "2026-11-20T17:00:00 Z",
            " 2026-11-20T17:00:00Z",
            "2026-11-20T17:00:00Z ",
            "+2026-11-20T17:00:00Z",
            "12026-11-20T17:00:00Z",
            "26-11-20T17:00:00Z",
            "2026-11-20T17:00Z",
            "2026-11-2\u{660}T17:00:00Z",
            "1795200000",
        ] {
            assert_eq!(normal(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_what_chrono_parses(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])") {
            let expected = DateTime::parse_from_rfc3339(&text).ok().map(|t| t.timestamp_micros());
            let ours = parse(&text).map(|time| time.0);
            // Ours takes fewer offsets and years than chrono in no case here.
            prop_assert_eq!(ours, expected);
        }

        #[test]
        fn what_is_not_quite_a_time_is_no_more_than_chrono_takes(text in "[0-9TZ:. +-]{0,40}") {
            if let Some(time) = parse(&text) {
                let expected = DateTime::parse_from_rfc3339(&text).map(|t| t.timestamp_micros());
                prop_assert_eq!(Ok(time.0), expected);
            }
        }
    }
}
