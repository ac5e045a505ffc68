//! Dates and decimals, which columns hold exactly.

use std::fmt::{self, Write as _};

use chrono::{Datelike as _, NaiveDate};

/// Days from 0001-01-01 (which chrono counts as day 1) to 1970-01-01.
const EPOCH_DAYS_FROM_CE: i32 = 719_163;
/// Most digits of a decimal, in every engine.
const MAX_PRECISION: u8 = 38;
/// Most digits of a decimal that is stored in 64 bits.
const MAX_NARROW_DIGITS: u8 = 18;

/// The days from 1970-01-01 to a date such as `2026-11-20`: four digits of year, two of month and day.
pub fn date(text: &str) -> Option<i32> {
    let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |value, digit| {
            digit
                .is_ascii_digit()
                .then(|| value * 10 + u32::from(digit - b'0'))
        })
    };
    let year = i32::try_from(number(&bytes[..4])?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&bytes[5..7])?, number(&bytes[8..])?)?;
    // Engines count years from 1.
    (year > 0).then(|| date.num_days_from_ce() - EPOCH_DAYS_FROM_CE)
}

/// The date that many days after 1970-01-01; empty if no calendar has it.
pub fn date_text(days: i32) -> String {
    let date = days
        .checked_add(EPOCH_DAYS_FROM_CE)
        .and_then(NaiveDate::from_num_days_from_ce_opt);
    date.map_or_else(String::new, |date| date.format("%Y-%m-%d").to_string())
}

/// The size of a decimal: how many digits it has, and how many of them after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    precision: u8,
    scale: u8,
}

impl Decimal {
    /// A decimal of that many digits, of which `scale` are after the point; `None` if no engine has it.
    pub fn new(precision: u8, scale: u8) -> Option<Self> {
        let fits = (1..=MAX_PRECISION).contains(&precision) && scale <= precision;
        fits.then_some(Self { precision, scale })
    }

    /// Reads text such as `decimal(12,2)`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix("decimal(")?.strip_suffix(')')?;
        let (precision, scale) = inner.split_once(',')?;
        Self::new(precision.trim().parse().ok()?, scale.trim().parse().ok()?)
    }

    /// How many digits it has.
    #[inline]
    pub fn precision(self) -> u8 {
        self.precision
    }

    /// How many of its digits are after the point.
    #[inline]
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// Whether it has more digits than 64 bits hold.
    #[inline]
    pub fn is_wide(self) -> bool {
        self.precision > MAX_NARROW_DIGITS
    }

    /// The decimal that holds the values of both; `None` if none is large enough.
    pub(super) fn or(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let whole = (self.precision - self.scale).max(other.precision - other.scale);
        Self::new(whole.checked_add(scale)?, scale)
    }

    /// A number in JSON's form, counted in units of the last digit. `None` if that would change its value, or
    /// if it has too many digits.
    pub fn units(self, number: &str) -> Option<i128> {
        let (mantissa, exponent) = match number.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (number, 0),
        };
        let digits = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(part) {
            return None;
        }
        // How many digits stay after the last one that counts, or must be left out.
        let shift = i64::from(exponent) + i64::from(self.scale) - i64::try_from(part.len()).ok()?;
        let mut units: i128 = 0;
        let all = whole.bytes().chain(part.bytes());
        let count = i64::try_from(whole.len() + part.len()).ok()?;
        for (index, digit) in (0_i64..).zip(all) {
            let digit = i128::from(digit - b'0');
            if index >= count + shift {
                // No unit is that small.
                if digit != 0 {
                    return None;
                }
                continue;
            }
            units = units.checked_mul(10)?.checked_add(digit)?;
        }
        if units != 0 {
            for _ in 0..shift.max(0) {
                units = units.checked_mul(10)?;
            }
        }
        let fits = units < 10_i128.pow(u32::from(self.precision));
        let units = if mantissa.starts_with('-') {
            -units
        } else {
            units
        };
        fits.then_some(units)
    }

    /// The text of that many units, with all digits after the point.
    pub fn text(self, units: i128) -> String {
        let mut digits = units.unsigned_abs().to_string();
        let scale = usize::from(self.scale);
        while digits.len() <= scale {
            digits.insert(0, '0');
        }
        let mut out = String::new();
        if units < 0 {
            out.push('-');
        }
        let (whole, part) = digits.split_at(digits.len() - scale);
        out.push_str(whole);
        if !part.is_empty() {
            let _memory_takes_it = write!(out, ".{part}");
        }
        out
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decimal({},{})", self.precision, self.scale)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_strict_and_come_back() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("2026-11-20", 20_777),
            ("0001-01-01", -719_162),
            ("9999-12-31", 2_932_896),
            ("2024-02-29", 19_782),
        ] {
            assert_eq!(date(text), Some(days), "{text}");
            assert_eq!(date_text(days), text);
        }
        for text in [
            "2026-02-29",
            "2026-1-1",
            "2026-01-01 ",
            "20260101",
            "2026/01/01",
            "0000-01-01",
            "+026-01-01",
            "",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn decimals_are_exact_or_nothing() {
        let money = Decimal::new(5, 2).unwrap();
        for (text, units) in [
            ("12.5", Some(1250)),
            ("-0.01", Some(-1)),
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("999.99", Some(99_999)),
            ("1000", None),
            ("1e2", Some(10_000)),
            ("1E+2", Some(10_000)),
            ("1250e-2", Some(1250)),
            ("1255e-3", None),
            ("12.500", Some(1250)),
            ("12.501", None),
            ("0e999999", Some(0)),
            ("1e999999999", None),
            ("1e-999999999", None),
            ("1e99999999999", None),
            ("0001.5", Some(150)),
            ("", None),
            (".5", None),
            ("--1", None),
            ("1.2.3", None),
            ("NaN", None),
        ] {
            assert_eq!(money.units(text), units, "{text}");
        }
        assert_eq!(money.text(-1), "-0.01");
        assert_eq!(money.text(100_000), "1000.00");
        let whole = Decimal::new(38, 0).unwrap();
        let largest = "9".repeat(38);
        assert_eq!(whole.text(whole.units(&largest).unwrap()), largest);
        assert_eq!(whole.units(&"9".repeat(39)), None);
        let small = Decimal::new(38, 38).unwrap();
        assert_eq!(small.text(small.units("0.1").unwrap()).len(), 40);
    }

    #[test]
    fn sizes_are_read_and_joined() {
        let size = Decimal::parse("decimal(12, 2)").unwrap();
        assert_eq!(size.to_string(), "decimal(12,2)");
        for text in [
            "decimal",
            "decimal(0,0)",
            "decimal(39,2)",
            "decimal(2,3)",
            "decimal(2)",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        let other = Decimal::new(9, 4).unwrap();
        assert_eq!(size.or(other), Decimal::new(14, 4));
        let widest = Decimal::new(38, 0).unwrap();
        assert_eq!(widest.or(other), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(units in -99_999_999_999_i128..=99_999_999_999, scale in 0_u8..=11) {
            let size = Decimal::new(11, scale).unwrap();
            prop_assert_eq!(size.units(&size.text(units)), Some(units));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _none = (date(&text), Decimal::new(9, 3).unwrap().units(&text), Decimal::parse(&text));
        }
    }
}
