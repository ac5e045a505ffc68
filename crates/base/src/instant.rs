//! Times as other systems write them: what is unambiguous is read, and nothing else.

use chrono::DateTime;

use crate::clock::{MICROS_PER_SECOND, Micros};
use crate::rfc3339;

/// The longest text that is looked at.
const MAX_CHARS: usize = 64;

/// Parses a time: RFC 3339 and its near relatives (a space instead of `T`, small letters, ` UTC`, offsets without a
/// colon), RFC 1123, or a number since 1970, whose size says whether it counts seconds, milliseconds, microseconds or
/// nanoseconds. `None` for anything else, such as a time without a zone.
pub fn parse(text: &str) -> Option<Micros> {
    let text = text.trim();
    if text.len() > MAX_CHARS || !text.is_ascii() {
        return None;
    }
    rfc3339::parse(text)
        .or_else(|| number(text))
        .or_else(|| rfc3339::parse(&normal(text, "")?))
        .or_else(|| rfc_1123(text))
}

/// The same, where a time without a zone is in UTC.
pub fn parse_in_utc(text: &str) -> Option<Micros> {
    parse(text).or_else(|| rfc3339::parse(&normal(text.trim(), "Z")?))
}

/// A number of seconds, or smaller units, since 1970.
fn number(text: &str) -> Option<Micros> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 19 || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    // How many microseconds one of them is: 1, or 10 to the power of 6 or 3, or for nanoseconds less.
    let (power, per_micro) = match number {
        0..100_000_000_000 => (6_usize, 1),
        100_000_000_000..100_000_000_000_000 => (3, 1),
        100_000_000_000_000..100_000_000_000_000_000 => (0, 1),
        _ => (0, 1000),
    };
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(power);
    let fraction = digits.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    let micros = number / per_micro * 10_i64.pow(u32::try_from(power).ok()?);
    Some(Micros(micros + fraction))
}

/// The strict form of a near relative of RFC 3339; `zone` is used if there is none.
fn normal(text: &str, zone: &str) -> Option<String> {
    const DATE_TIME: usize = "2026-11-20T17:00:00".len();
    let (date_time, rest) = text.split_at_checked(DATE_TIME)?;
    let mut strict = date_time.to_owned();
    if !matches!(strict.as_bytes()[10], b'T' | b't' | b' ') {
        return None;
    }
    strict.replace_range(10..11, "T");
    let end = rest
        .bytes()
        .position(|byte| !(byte.is_ascii_digit() || byte == b'.'));
    let (fraction, offset) = rest.split_at(end.unwrap_or(rest.len()));
    strict.push_str(fraction);
    match offset.trim_start() {
        "" => strict.push_str(zone),
        "Z" | "z" | "UTC" | "utc" | "GMT" => strict.push('Z'),
        offset => match offset.as_bytes() {
            [b'+' | b'-', _, _] => {
                strict.push_str(offset);
                strict.push_str(":00");
            }
            [b'+' | b'-', _, _, _, _] => {
                strict.push_str(&offset[..3]);
                strict.push(':');
                strict.push_str(&offset[3..]);
            }
            _ => strict.push_str(offset),
        },
    }
    Some(strict)
}

/// `Fri, 20 Nov 2026 17:00:00 GMT`.
fn rfc_1123(text: &str) -> Option<Micros> {
    let time = DateTime::parse_from_rfc2822(text).ok()?;
    time.timestamp().checked_mul(MICROS_PER_SECOND).map(Micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_is_unambiguous_is_read() {
        for (text, expected) in [
            ("2026-11-20T17:00:00Z", "2026-11-20T17:00:00.000000Z"),
            ("2026-11-20t17:00:00z", "2026-11-20T17:00:00.000000Z"),
            ("2026-11-20 17:00:00.5+02:00", "2026-11-20T15:00:00.500000Z"),
            ("2026-11-20 17:00:00 UTC", "2026-11-20T17:00:00.000000Z"),
            ("2026-11-20 17:00:00 +0200", "2026-11-20T15:00:00.000000Z"),
            ("2026-11-20T17:00:00-0700", "2026-11-21T00:00:00.000000Z"),
            (
                "2026-11-20T17:00:00.123+0000",
                "2026-11-20T17:00:00.123000Z",
            ),
            ("2026-11-20T17:00:00+01", "2026-11-20T16:00:00.000000Z"),
            (
                "Fri, 20 Nov 2026 17:00:00 GMT",
                "2026-11-20T17:00:00.000000Z",
            ),
            (
                "Fri, 20 Nov 2026 17:00:00 +0200",
                "2026-11-20T15:00:00.000000Z",
            ),
            ("1595926230", "2020-07-28T08:50:30.000000Z"),
            ("1595926230.0096", "2020-07-28T08:50:30.009600Z"),
            ("1595926230123", "2020-07-28T08:50:30.123000Z"),
            ("1595926230123.5", "2020-07-28T08:50:30.123500Z"),
            ("1595926230123456", "2020-07-28T08:50:30.123456Z"),
            ("1595926230123456789", "2020-07-28T08:50:30.123456Z"),
            (" 1595926230 ", "2020-07-28T08:50:30.000000Z"),
        ] {
            let read = parse(text).map(|time| time.to_string());
            assert_eq!(read.as_deref(), Some(expected), "{text}");
            assert_eq!(parse_in_utc(text), parse(text), "{text}");
        }
    }

    #[test]
    fn what_could_be_another_time_is_not_read() {
        for text in [
            "",
            "now",
            "20.11.2026",
            "11/20/2026 17:00",
            "2026-11-20",
            "2026-11-20T17:00",
            "2026-11-20T17:00:00",
            "2026-11-20 17:00:00.5",
            "2026-11-20T17:00:00 CET",
            "2026-11-20T25:00:00Z",
            "-1",
            "1e9",
            "1595926230.",
            "99999999999999999999",
            "2026-11-20T17:00:00Z\u{e9}",
        ] {
            let is_number = text == "1595926230.";
            assert_eq!(parse(text).is_some(), is_number, "{text}");
        }
        let naive = parse_in_utc("2026-11-20T17:00:00.123").map(|time| time.to_string());
        assert_eq!(naive.as_deref(), Some("2026-11-20T17:00:00.123000Z"));
        assert_eq!(parse_in_utc("2026-11-20"), None);
    }
}
