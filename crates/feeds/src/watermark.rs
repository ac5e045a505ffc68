//! The watermark of an appending run: the highest value that was read. Pure.

use std::fmt;
use std::time::Duration;

use chrono::DateTime;

use lakehook_base::clock::Micros;

/// A watermark value: a time or a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A time with microseconds.
    Time(Micros),
    /// A number, such as seconds since 1970 or a serial number.
    Number(i64),
}

impl Mark {
    /// Reads a time (RFC 3339) or a whole number.
    pub fn parse_text(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Some(Self::Number(number));
        }
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Self::Time(Micros(time.timestamp_micros())))
    }

    /// Reads a JSON value: a number, or text as in [`Self::parse_text`].
    pub fn parse_json(raw: &str) -> Option<Self> {
        if raw.starts_with('"') {
            let text: String = serde_json::from_str(raw).ok()?;
            return Self::parse_text(&text);
        }
        raw.parse().ok().map(Self::Number)
    }

    /// The later of two values; if their kinds differ, `self`.
    #[must_use]
    pub fn later(self, seen: Self) -> Self {
        match (self, seen) {
            (Self::Time(a), Self::Time(b)) => Self::Time(a.max(b)),
            (Self::Number(a), Self::Number(b)) => Self::Number(a.max(b)),
            (known, _) => known,
        }
    }

    /// The later of two optional values.
    pub fn latest(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.later(b)),
            (a, b) => a.or(b),
        }
    }

    /// The value, but at most `now`: a record from the future must not hide those that come before
    /// it.
    #[must_use]
    pub fn not_after(self, now: Micros) -> Self {
        match self {
            Self::Time(time) => Self::Time(time.min(now)),
            Self::Number(number) => Self::Number(number.min(same_unit(now, number))),
        }
    }

    /// The value reduced by `lag`; numbers are reduced by its seconds.
    #[must_use]
    pub fn minus(self, lag: Duration) -> Self {
        match self {
            Self::Time(time) => Self::Time(time.minus(lag)),
            Self::Number(number) => {
                let seconds = i64::try_from(lag.as_secs()).unwrap_or(i64::MAX);
                Self::Number(number.saturating_sub(seconds))
            }
        }
    }
}

/// `now` in the unit of a number that may be a time: seconds, milliseconds or microseconds since
/// 1970, judged by its size. Any other number is a serial number, which no time bounds.
fn same_unit(now: Micros, number: i64) -> i64 {
    let seconds = now.0 / 1_000_000;
    // A number is near if it is within a factor of ten of now.
    let is_near =
        |unit: i64| number > seconds / 10 * unit && number / 10 < seconds.saturating_mul(unit);
    let unit = [1, 1_000, 1_000_000]
        .into_iter()
        .find(|&unit| is_near(unit));
    unit.map_or(i64::MAX, |unit| seconds.saturating_mul(unit))
}

impl fmt::Display for Mark {
    /// Formats the value as a parameter of a request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn times_and_numbers_are_read_and_written() {
        let time = Mark::parse_json("\"2026-11-25T01:00:00+01:00\"").unwrap();
        assert_eq!(time.to_string(), "2026-11-25T00:00:00.000000Z");
        assert_eq!(Mark::parse_text(&time.to_string()), Some(time));
        assert_eq!(Mark::parse_json("17"), Some(Mark::Number(17)));
        assert_eq!(Mark::parse_json("\"17\""), Some(Mark::Number(17)));
        for none in ["null", "1.5", "\"yesterday\"", "{}", "true"] {
            assert_eq!(Mark::parse_json(none), None, "{none}");
        }
    }

    #[test]
    fn the_later_one_counts_and_none_is_of_the_future() {
        let (a, b) = (Mark::Number(3), Mark::Number(5));
        assert_eq!((a.later(b), b.later(a)), (b, b));
        let late = Mark::Time(Micros(900));
        assert_eq!(late.not_after(Micros(500)), Mark::Time(Micros(500)));
        assert_eq!(a.later(late), a);
        let now = Micros(1_795_000_000_000_000);
        for (number, capped) in [
            (7, 7),
            (1_795_000_009, 1_795_000_000),
            (1_700_000_000, 1_700_000_000),
            (1_795_000_000_001, 1_795_000_000_000),
            (1_795_000_000_000_001, 1_795_000_000_000_000),
            (i64::MAX, i64::MAX),
        ] {
            assert_eq!(Mark::Number(number).not_after(now), Mark::Number(capped));
        }
        assert_eq!(b.minus(Duration::from_secs(2)), a);
        let lag = Duration::from_micros(400);
        assert_eq!(late.minus(lag), Mark::Time(Micros(500)));
    }
}
