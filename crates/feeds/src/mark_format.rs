//! Formats of marks: how times, serial numbers and text are written in records and requests. Pure.
//!
//! What is written is never later than the mark: digits that a format has no place for are cut off.
//! So a request may ask for records again, which are recognised, and never skips any.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::format::{Item, StrftimeItems};
use chrono::{
    DateTime, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, TimeDelta, TimeZone as _, Utc,
};
use chrono_tz::Tz;

use super::watermark::Mark;
use lakehook_base::clock::Micros;
use lakehook_base::rfc3339;

/// A number from here on may be a time, if nobody says what it is: as seconds it is of 1973.
const FIRST_AMBIGUOUS: u128 = 100_000_000;
/// Years 1 to 9999, in microseconds.
const TIMES: std::ops::RangeInclusive<i128> = -62_135_596_800_000_000..=253_402_300_799_999_999;
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";
const NAIVE: &str = "%Y-%m-%dT%H:%M:%S";
const DATE: &str = "%Y-%m-%d";
/// Most digits of a number, and most of its exponent, that are read.
const MAX_DIGITS: usize = 36;

/// What to do about a number whose meaning nobody has declared.
pub const ASK_FOR_FORMAT: &str = "set watermark.format to \"serial\", or to the unit of a time: \
                                  \"s\", \"ms\", \"us\", \"ns\" or \"s-float\"";

/// How a mark is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkFormat {
    /// Not declared: RFC 3339, or a number that is too small for a time.
    Undeclared,
    /// RFC 3339.
    Rfc3339,
    /// A number in this unit since 1970.
    Epoch(Unit),
    /// A whole number that only grows, and is no time.
    Serial,
    /// Text that only grows, byte by byte.
    Text,
    /// A date in a time zone.
    Date(Tz),
    /// A date and a time without an offset, in a time zone.
    Naive(Tz),
    /// RFC 2822, or the date of HTTP.
    Rfc2822,
    /// `/Date(…)/` with milliseconds.
    DotNet,
    /// A strftime text.
    Pattern(Pattern),
}

/// Units of numbers since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Whole seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Units of 100 nanoseconds.
    Hundreds,
    /// Nanoseconds.
    Nanos,
    /// Seconds with a fraction.
    FloatSeconds,
}

/// A strftime text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    zone: Tz,
    parts: Parts,
}

/// What a pattern holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parts {
    Offset,
    Time,
    Date,
}

/// The words of formats that take no zone.
const WORDS: [(&str, MarkFormat); 11] = [
    ("rfc3339", MarkFormat::Rfc3339),
    ("s", MarkFormat::Epoch(Unit::Seconds)),
    ("ms", MarkFormat::Epoch(Unit::Millis)),
    ("us", MarkFormat::Epoch(Unit::Micros)),
    ("100ns", MarkFormat::Epoch(Unit::Hundreds)),
    ("ns", MarkFormat::Epoch(Unit::Nanos)),
    ("s-float", MarkFormat::Epoch(Unit::FloatSeconds)),
    ("serial", MarkFormat::Serial),
    ("text", MarkFormat::Text),
    ("rfc2822", MarkFormat::Rfc2822),
    ("dotnet", MarkFormat::DotNet),
];

/// A number that may be a time or a serial number, where no format is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguous(pub String);

impl MarkFormat {
    /// Reads the name of a format, or a strftime text, with the time zone of times without one.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, String> {
        if let Some((_, format)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(format.clone());
        }
        match text {
            "date" => Ok(Self::Date(zone)),
            "naive" => Ok(Self::Naive(zone)),
            _ if text.contains('%') => Pattern::new(text, zone).map(Self::Pattern),
            _ => {
                let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
                Err(format!(
                    "must be one of {}, date, naive, or a strftime text such as \"%d/%m/%Y %H:%M\"",
                    words.join(", ")
                ))
            }
        }
    }

    /// Whether its marks are times.
    pub fn is_time(&self) -> bool {
        !matches!(self, Self::Undeclared | Self::Serial | Self::Text)
    }

    /// Whether a time zone means something to it.
    pub fn takes_zone(&self) -> bool {
        match self {
            Self::Date(_) | Self::Naive(_) => true,
            Self::Pattern(pattern) => pattern.parts != Parts::Offset,
            _ => false,
        }
    }

    /// What a record must hold, in words.
    pub fn expected(&self) -> String {
        match self {
            Self::Undeclared => "a time (RFC 3339, with an offset) or a whole number".to_owned(),
            Self::Rfc3339 => "a time (RFC 3339, with an offset)".to_owned(),
            Self::Epoch(unit) => format!("a time as {} since 1970", unit.name()),
            Self::Serial => "a whole number".to_owned(),
            Self::Text => "text that is not empty".to_owned(),
            Self::Date(_) => "a date such as 2026-01-31".to_owned(),
            Self::Naive(_) => "a time without an offset, such as 2026-01-31T08:00:00".to_owned(),
            Self::Rfc2822 => "a time (RFC 2822)".to_owned(),
            Self::DotNet => "a time such as /Date(1700000000000)/".to_owned(),
            Self::Pattern(pattern) => format!("a time of the form {:?}", pattern.text),
        }
    }

    /// Reads a raw JSON value; `None` if it is not of this format.
    pub fn read(&self, raw: &str) -> Result<Option<Mark>, Ambiguous> {
        if let Some(inner) = raw
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        {
            let text = if inner.contains('\\') {
                match serde_json::from_str::<String>(raw) {
                    Ok(text) => Cow::Owned(text),
                    Err(_) => return Ok(None),
                }
            } else {
                Cow::Borrowed(inner)
            };
            return self.read_text(&text);
        }
        match self {
            Self::Undeclared | Self::Epoch(_) | Self::Serial => self.read_text(raw),
            _ => Ok(None),
        }
    }

    fn read_text(&self, text: &str) -> Result<Option<Mark>, Ambiguous> {
        Ok(match self {
            Self::Undeclared => match text.parse::<i128>() {
                Ok(number) if number.unsigned_abs() < FIRST_AMBIGUOUS => Some(Mark::Serial(number)),
                Ok(_) => return Err(Ambiguous(text.to_owned())),
                Err(_) => rfc3339_time(text),
            },
            Self::Rfc3339 => rfc3339_time(text),
            Self::Epoch(unit) => epoch(text, *unit),
            Self::Serial => text.parse().ok().map(Mark::Serial),
            Self::Text => (!text.is_empty()).then(|| Mark::Text(text.to_owned())),
            Self::Date(zone) => {
                let date = NaiveDate::parse_from_str(text, DATE).ok();
                date.and_then(|date| local(date.and_time(NaiveTime::MIN), *zone))
            }
            Self::Naive(zone) => {
                let with = |form: &str| NaiveDateTime::parse_from_str(text, form).ok();
                let naive = with("%Y-%m-%dT%H:%M:%S%.f").or_else(|| with("%Y-%m-%d %H:%M:%S%.f"));
                naive.and_then(|naive| local(naive, *zone))
            }
            Self::Rfc2822 => DateTime::parse_from_rfc2822(text)
                .ok()
                .map(|time| of_utc(&time)),
            Self::DotNet => dot_net(text),
            Self::Pattern(pattern) => pattern.read(text),
        })
    }

    /// Reads what a person writes in the configuration or on the command line: this format, or
    /// RFC 3339 or a date for times.
    pub fn read_given(&self, text: &str) -> Option<Mark> {
        let own = self.read_text(text).ok().flatten();
        let midnight = || {
            let date = NaiveDate::parse_from_str(text, DATE).ok()?;
            Some(of_utc(&date.and_time(NaiveTime::MIN).and_utc()))
        };
        let is_time = self.is_time();
        own.or_else(|| is_time.then(|| rfc3339_time(text)).flatten())
            .or_else(|| is_time.then(midnight).flatten())
    }

    /// Reads a mark that was remembered by [`Mark`]'s `Display`, perhaps under another format.
    pub fn read_remembered(&self, text: &str) -> Option<Mark> {
        match self {
            Self::Text => Some(Mark::Text(text.to_owned())),
            Self::Undeclared => {
                let number = text.parse().ok().map(Mark::Serial);
                number.or_else(|| rfc3339_time(text))
            }
            Self::Serial => text.parse().ok().map(Mark::Serial),
            _ => rfc3339_time(text).or_else(|| self.read_text(text).ok().flatten()),
        }
    }

    /// Writes a mark for a request. A mark of another kind is written as it is remembered.
    pub fn write(&self, mark: &Mark) -> String {
        let Mark::Time(time) = mark else {
            return mark.to_string();
        };
        let utc = time.to_utc();
        let form = |form: &str| utc.map(|utc| utc.format(form).to_string());
        let written = match self {
            Self::Undeclared | Self::Rfc3339 | Self::Serial | Self::Text => None,
            Self::Epoch(unit) => Some(unit.write(*time)),
            Self::Date(zone) => utc.map(|utc| utc.with_timezone(zone).format(DATE).to_string()),
            Self::Naive(zone) => utc.map(|utc| unfolded(utc, *zone).format(NAIVE).to_string()),
            Self::Rfc2822 => form(HTTP_DATE),
            Self::DotNet => Some(format!("/Date({})/", time.0.div_euclid(1_000))),
            Self::Pattern(pattern) => utc.and_then(|utc| pattern.write(utc)),
        };
        written.unwrap_or_else(|| mark.to_string())
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "whole seconds",
            Self::Millis => "milliseconds",
            Self::Micros => "microseconds",
            Self::Hundreds => "units of 100 nanoseconds",
            Self::Nanos => "nanoseconds",
            Self::FloatSeconds => "seconds",
        }
    }

    /// Power of ten by which a number becomes microseconds.
    fn scale(self) -> i32 {
        match self {
            Self::Seconds | Self::FloatSeconds => 6,
            Self::Millis => 3,
            Self::Micros => 0,
            Self::Hundreds => -1,
            Self::Nanos => -3,
        }
    }

    fn write(self, time: Micros) -> String {
        let micros = time.0;
        match self {
            Self::Seconds => micros.div_euclid(1_000_000).to_string(),
            Self::Millis => micros.div_euclid(1_000).to_string(),
            Self::Micros => micros.to_string(),
            Self::Hundreds => (i128::from(micros) * 10).to_string(),
            Self::Nanos => (i128::from(micros) * 1_000).to_string(),
            Self::FloatSeconds => {
                let sign = if micros < 0 { "-" } else { "" };
                let size = micros.unsigned_abs();
                format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000)
            }
        }
    }
}

impl Pattern {
    fn new(text: &str, zone: Tz) -> Result<Self, String> {
        if StrftimeItems::new(text).any(|item| item == Item::Error) {
            return Err(format!(
                "{text:?} holds a directive that strftime does not have"
            ));
        }
        let sample = DateTime::from_timestamp(1_795_613_655, 0).unwrap_or_default();
        let all = [Parts::Offset, Parts::Time, Parts::Date];
        let read_back = all.into_iter().find(|parts| {
            let pattern = Self {
                text: text.to_owned(),
                zone,
                parts: *parts,
            };
            let written = pattern.write(sample);
            written.is_some_and(|text| pattern.read(&text).is_some())
        });
        let parts = read_back.ok_or_else(|| {
            format!("{text:?} says no time that can be read back; it needs year, month and day")
        })?;
        Ok(Self {
            text: text.to_owned(),
            zone,
            parts,
        })
    }

    fn read(&self, text: &str) -> Option<Mark> {
        match self.parts {
            Parts::Offset => DateTime::parse_from_str(text, &self.text)
                .ok()
                .map(|time| of_utc(&time)),
            Parts::Time => {
                let naive = NaiveDateTime::parse_from_str(text, &self.text).ok()?;
                local(naive, self.zone)
            }
            Parts::Date => {
                let date = NaiveDate::parse_from_str(text, &self.text).ok()?;
                local(date.and_time(NaiveTime::MIN), self.zone)
            }
        }
    }

    /// `None` if a directive says what the parts do not have.
    fn write(&self, utc: DateTime<Utc>) -> Option<String> {
        let mut text = String::new();
        let written = if self.parts == Parts::Time {
            write!(text, "{}", unfolded(utc, self.zone).format(&self.text))
        } else {
            write!(text, "{}", utc.with_timezone(&self.zone).format(&self.text))
        };
        written.ok().map(|()| text)
    }
}

fn of_utc<Z: chrono::TimeZone>(time: &DateTime<Z>) -> Mark {
    Mark::Time(Micros(time.timestamp_micros()))
}

fn rfc3339_time(text: &str) -> Option<Mark> {
    if let Some(time) = rfc3339::parse(text) {
        return Some(Mark::Time(time));
    }
    let time = DateTime::parse_from_rfc3339(text);
    // Some APIs write the offset without a colon.
    let time = time.or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"));
    time.ok().map(|time| of_utc(&time))
}

fn epoch(text: &str, unit: Unit) -> Option<Mark> {
    let micros = scaled(text, unit.scale())?;
    let micros = Some(micros).filter(|micros| TIMES.contains(micros))?;
    i64::try_from(micros)
        .ok()
        .map(|micros| Mark::Time(Micros(micros)))
}

/// A decimal number times a power of ten, rounded down.
fn scaled(text: &str, power: i32) -> Option<i128> {
    let (is_negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (number, exponent) = match rest.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    if whole.is_empty() || digits.len() > MAX_DIGITS || !digits.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let digits: i128 = digits.parse().ok()?;
    let digits = if is_negative { -digits } else { digits };
    let fraction = i32::try_from(fraction.len()).ok()?;
    let power = power.checked_add(exponent)?.checked_sub(fraction)?;
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    match factor {
        Some(factor) if power >= 0 => digits.checked_mul(factor),
        Some(factor) => Some(digits.div_euclid(factor)),
        // So small that nothing is left of it.
        None if power < 0 => Some(if digits < 0 { -1 } else { 0 }),
        None => None,
    }
}

/// The time that a clock in a zone shows; the earlier one, where it shows it twice or never.
fn local(naive: NaiveDateTime, zone: Tz) -> Option<Mark> {
    if let Some(time) = zone.from_local_datetime(&naive).earliest() {
        return Some(of_utc(&time));
    }
    // The clock was set forward over it. With the offset that held afterwards, it is earlier.
    let after = naive.checked_add_signed(TimeDelta::hours(3))?;
    let offset = zone.offset_from_local_datetime(&after).earliest()?;
    let utc = naive.checked_sub_offset(offset.fix())?;
    Some(of_utc(&utc.and_utc()))
}

/// What a clock in a zone shows. Within an hour that it shows twice, a time before that hour: what
/// the second one brings has the same texts as the first one.
fn unfolded(utc: DateTime<Utc>, zone: Tz) -> NaiveDateTime {
    let naive = utc.with_timezone(&zone).naive_local();
    let shown = zone.from_local_datetime(&naive);
    match (shown.earliest(), shown.latest()) {
        (Some(first), Some(second)) => naive - (second - first),
        _ => naive,
    }
}

fn dot_net(text: &str) -> Option<Mark> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    // An offset says where the clock was; the milliseconds are of UTC all the same.
    let sign = inner.get(1..)?.find(['+', '-']).map(|at| at + 1);
    let millis = sign.map_or(inner, |at| &inner[..at]);
    epoch(millis, Unit::Millis)
}

#[cfg(test)]
#[path = "mark_format_tests.rs"]
mod tests;
