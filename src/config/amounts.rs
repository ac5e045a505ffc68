//! Sizes and durations as people write them: `"8 MiB"`, `"300s"`, or a bare number.
//!
//! A number without a unit is bytes, or seconds. Fractions are refused: the next smaller unit says
//! the same exactly.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};
use validator::ValidateRange;

/// The JSON Schema format of sizes.
pub(super) const BYTE_SIZE_FORMAT: &str = "byte-size";
/// The JSON Schema format of durations.
pub(super) const SPAN_FORMAT: &str = "span";

/// The largest size that fits a signed 64-bit number, as file offsets do.
const MAX_BYTES: u64 = i64::MAX.cast_unsigned();
/// A hundred years: added to any time, the sum is still a time.
const MAX_SECONDS: u64 = 36_500 * SECONDS_PER_DAY;
const SECONDS_PER_DAY: u64 = 86_400;

/// Text longer than this is cut in an error.
const MAX_SHOWN_CHARS: usize = 40;

/// Units of bytes, in lower case; upper and lower case mean the same.
const SIZE_UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("b", 1),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
];

/// Units of time, in milliseconds. Lower case only: `M` might mean months.
const SPAN_UNITS: [(&str, u64); 6] = [
    ("", 1_000),
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", SECONDS_PER_DAY * 1_000),
];

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// A length of time, in whole milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// Why text is not an amount. Holds the text, cut to a length that can be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a size.
    #[error(
        "{0:?} is not a size; write a whole number and one of B, KiB, MiB, GiB, TiB (of 1024) or \
         kB, MB, GB, TB (of 1000), such as \"8 MiB\""
    )]
    Size(String),
    /// More bytes than a file can have.
    #[error("{0:?} is too large for a size; at most {max} bytes", max = MAX_BYTES)]
    SizeTooLarge(String),
    /// Not a duration.
    #[error(
        "{0:?} is not a duration; write a whole number and one of ms, s, m, h, d, such as \"300s\""
    )]
    Span(String),
    /// Longer than a hundred years.
    #[error("{0:?} is too long for a duration; at most \"36500d\"")]
    SpanTooLong(String),
}

/// Why text is no number with a unit, or that its value is too large.
enum Misfit {
    Form,
    TooLarge,
}

impl ByteSize {
    /// This many bytes; at most what a signed 64-bit number holds.
    pub const fn new(bytes: u64) -> Self {
        Self(if bytes < MAX_BYTES { bytes } else { MAX_BYTES })
    }

    /// This many MiB.
    pub const fn mib(mib: u64) -> Self {
        Self::new(mib.saturating_mul(1 << 20))
    }

    /// Reads text such as `8 MiB`, `64MB` or `1024`.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        match number_with_unit(&text.to_ascii_lowercase(), &SIZE_UNITS) {
            Ok(bytes) if bytes <= MAX_BYTES => Ok(Self(bytes)),
            Ok(_) | Err(Misfit::TooLarge) => Err(AmountError::SizeTooLarge(shown(text))),
            Err(Misfit::Form) => Err(AmountError::Size(shown(text))),
        }
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes, in the type by which memory is measured.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Span {
    /// A length of zero.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// This many seconds; at most a hundred years.
    pub const fn seconds(seconds: u64) -> Self {
        let at_most = if seconds < MAX_SECONDS {
            seconds
        } else {
            MAX_SECONDS
        };
        Self(Duration::from_secs(at_most))
    }

    /// This many milliseconds, up to a minute.
    pub const fn millis(milliseconds: u16) -> Self {
        Self(Duration::from_millis(milliseconds as u64))
    }

    /// This many days.
    pub const fn days(days: u64) -> Self {
        Self::seconds(days.saturating_mul(SECONDS_PER_DAY))
    }

    /// Reads text such as `500ms`, `300s`, `5m`, `24h`, `365d`, or seconds without a unit.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        match number_with_unit(text, &SPAN_UNITS) {
            Ok(milliseconds) if milliseconds <= MAX_SECONDS * 1_000 => {
                Ok(Self(Duration::from_millis(milliseconds)))
            }
            Ok(_) | Err(Misfit::TooLarge) => Err(AmountError::SpanTooLong(shown(text))),
            Err(Misfit::Form) => Err(AmountError::Span(shown(text))),
        }
    }

    /// The same length as a duration of the standard library.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Whether the length is zero.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl ValidateRange<Self> for Span {
    fn greater_than(&self, max: Self) -> Option<bool> {
        Some(*self > max)
    }

    fn less_than(&self, min: Self) -> Option<bool> {
        Some(*self < min)
    }
}

impl Serialize for ByteSize {
    /// Writes the size as an error shows it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    /// Writes the duration as an error shows it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

/// The value of digits and a unit, in the smallest of the units.
fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Result<u64, Misfit> {
    let text = text.trim();
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let starts_with_digit = digits.starts_with(|c: char| c.is_ascii_digit());
    let unit = unit.trim_start();
    let scale = units.iter().find(|(name, _)| *name == unit);
    let Some((_, scale)) = scale.filter(|_| starts_with_digit) else {
        return Err(Misfit::Form);
    };
    // Only digits are left, so nothing but the size can fail.
    let number: u64 = digits
        .replace('_', "")
        .parse()
        .map_err(|_| Misfit::TooLarge)?;
    number.checked_mul(*scale).ok_or(Misfit::TooLarge)
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

impl fmt::Display for ByteSize {
    /// Writes the size in the largest unit of 1024 that expresses it exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (1_u64 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
        ];
        let exact = units
            .iter()
            .find(|(scale, _)| self.0 >= *scale && self.0.is_multiple_of(*scale));
        match exact {
            Some((scale, unit)) => write!(f, "{} {unit}", self.0 / scale),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": BYTE_SIZE_FORMAT,
            "minimum": 0,
            "maximum": MAX_BYTES,
        })
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": SPAN_FORMAT,
            "minimum": 0,
            "maximum": MAX_SECONDS,
        })
    }
}

/// Takes text or a number, which is read as text without a unit.
struct Amount<T>(fn(&str) -> Result<T, AmountError>);

impl<T> Visitor<'_> for Amount<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number with a unit")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Amount(Self::parse))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Amount(Self::parse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("1_024", 1024),
            ("8 MiB", 8 << 20),
            ("8mib", 8 << 20),
            (" 2 KiB ", 2048),
            ("10 GiB", 10 << 30),
            ("64MB", 64_000_000),
            ("1 kB", 1000),
            ("3 GB", 3_000_000_000),
            ("5 B", 5),
        ] {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("500ms", 500),
            ("300", 300_000),
            ("300s", 300_000),
            ("5 m", 300_000),
            ("24h", 86_400_000),
            ("365d", 365 * 86_400_000),
        ] {
            let expected = Span(Duration::from_millis(milliseconds));
            assert_eq!(Span::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            "MiB",
            "8 M",
            "1.5 GiB",
            "-1",
            "8 MiB MiB",
            "_",
            "８ MiB",
        ] {
            let error = ByteSize::parse(text);
            assert!(matches!(error, Err(AmountError::Size(_))), "{text}");
        }
        for text in ["", "s", "5 min", "1h30m", "0.5h", "-1s", "5M"] {
            let error = Span::parse(text);
            assert!(matches!(error, Err(AmountError::Span(_))), "{text}");
        }
        for text in ["99999999999999999999", "9223372036854775808", "8388608 TiB"] {
            let error = ByteSize::parse(text);
            assert!(matches!(error, Err(AmountError::SizeTooLarge(_))), "{text}");
        }
        for text in ["99999999999999999999d", "36501d"] {
            let error = Span::parse(text);
            assert!(matches!(error, Err(AmountError::SpanTooLong(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_a_size_displays_is_that_size(bytes in 0..=MAX_BYTES, shift in 0..40_u32) {
            let size = ByteSize(bytes >> shift << shift);
            prop_assert_eq!(ByteSize::parse(&size.to_string()), Ok(size));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            _ = (ByteSize::parse(&text), Span::parse(&text));
        }
    }
}
