//! One value, as a rule converts it.

use std::borrow::Cow;

use super::definition::{Case, ColumnRule};
use super::formats::{Formats, Wanted};
use crate::raw::push_raw;
use lakehook_base::columns::{self, ColumnType, Decimal};
use lakehook_base::json::{push_json, text};
use lakehook_base::secret::HmacKey;

/// What is made of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// A value.
    Value,
    /// Null, which it was before.
    Null,
    /// Null, by the rule.
    Nulled,
}

/// The conversion of one column's values.
#[derive(Debug)]
pub(super) struct Conversion {
    trim: bool,
    nulls: Vec<String>,
    case: Option<Case>,
    to: To,
    hash: Option<HmacKey>,
}

/// The type that values are converted to.
#[derive(Debug)]
enum To {
    /// That which they have.
    Same,
    Text,
    Integer(Digits, bool),
    Double(Digits),
    Decimal(Digits, Decimal),
    Boolean,
    Moment(Formats),
}

/// How numbers are written.
#[derive(Debug)]
struct Digits {
    strip: Vec<String>,
    thousands: Option<char>,
}

impl Conversion {
    /// Compiles the conversion of a rule; an error is about its formats.
    pub(super) fn new(rule: &ColumnRule) -> Result<Self, String> {
        let digits = || Digits {
            strip: rule.strip.clone(),
            thousands: rule.thousands.as_ref().and_then(|text| text.chars().next()),
        };
        let to = match rule.kind {
            None | Some(ColumnType::Json) => To::Same,
            Some(ColumnType::Text) => To::Text,
            Some(ColumnType::Integer) => To::Integer(digits(), rule.whole),
            Some(ColumnType::Double) => To::Double(digits()),
            Some(ColumnType::Decimal(size)) => To::Decimal(digits(), size),
            Some(ColumnType::Boolean) => To::Boolean,
            Some(ColumnType::Date) => To::Moment(Formats::new(Wanted::Date, &rule.formats)?),
            Some(ColumnType::Time) => To::Moment(Formats::new(Wanted::Time, &rule.formats)?),
        };
        Ok(Self {
            trim: rule.trim,
            nulls: rule.nulls.clone(),
            case: rule.case,
            to,
            hash: rule.hash.as_ref().map(HmacKey::new),
        })
    }

    /// Appends the value as JSON; `None` if the rule cannot take it, and nothing is appended.
    pub(super) fn write(&self, raw: &str, out: &mut Vec<u8>) -> Option<Made> {
        if raw == "null" {
            out.extend_from_slice(b"null");
            return Some(Made::Null);
        }
        let string = text(raw);
        let is_text = string.is_some();
        if raw.starts_with('"') && !is_text {
            // Its escapes make no text.
            return None;
        }
        let is_scalar = !raw.starts_with(['{', '[']);
        let mut value = string.unwrap_or(Cow::Borrowed(raw));
        if is_text && self.trim {
            value = match value {
                Cow::Borrowed(value) => Cow::Borrowed(value.trim()),
                Cow::Owned(value) => Cow::Owned(value.trim().to_owned()),
            };
        }
        if is_scalar && self.nulls.iter().any(|null| **null == *value) {
            out.extend_from_slice(b"null");
            return Some(Made::Nulled);
        }
        let value = match self.case.filter(|_| is_text) {
            Some(Case::Lower) => Cow::Owned(value.to_lowercase()),
            Some(Case::Upper) => Cow::Owned(value.to_uppercase()),
            None => value,
        };
        if !is_scalar && (self.hash.is_some() || !matches!(self.to, To::Same)) {
            return None;
        }
        if let Some(key) = &self.hash {
            push_json(out, &key.hex(value.as_bytes()));
        } else if self.push(raw, &value, is_text, out).is_none() {
            return None;
        }
        Some(Made::Value)
    }

    fn push(&self, raw: &str, value: &str, is_text: bool, out: &mut Vec<u8>) -> Option<()> {
        match &self.to {
            To::Same if is_text => push_json(out, value),
            To::Same => push_raw(out, raw),
            To::Text => push_json(out, value),
            To::Integer(digits, whole) => {
                let number = digits.number(value, is_text)?;
                let number: i64 = if *whole {
                    let units = Decimal::new(38, 0)?.units(&number)?;
                    i64::try_from(units).ok()?
                } else {
                    number.parse().ok()?
                };
                out.extend_from_slice(number.to_string().as_bytes());
            }
            To::Double(digits) => {
                let number = digits.number(value, is_text)?;
                columns::double(&number).filter(|number| number.is_finite())?;
                out.extend_from_slice(number.as_bytes());
            }
            To::Decimal(digits, size) => {
                let units = size.units(&digits.number(value, is_text)?)?;
                out.extend_from_slice(size.text(units).as_bytes());
            }
            To::Boolean => {
                let is_true = match value.to_ascii_lowercase().as_str() {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return None,
                };
                push_json(out, &is_true);
            }
            To::Moment(formats) => push_json(out, &formats.read(value)?),
        }
        Some(())
    }

    /// What is expected, for people.
    pub(super) fn expected(&self) -> String {
        match &self.to {
            To::Same | To::Text => "text, a number, true or false".to_owned(),
            To::Integer(digits, true) => format!("a whole number of 64 bits{digits}"),
            To::Integer(digits, false) => {
                format!(
                    "a whole number of 64 bits without a point{digits}; `whole` also takes 21.0"
                )
            }
            To::Double(digits) => format!("a number that a double holds{digits}"),
            To::Decimal(digits, size) => format!("a number that fits {size} exactly{digits}"),
            To::Boolean => "true, false, 1 or 0".to_owned(),
            To::Moment(formats) => formats.expected(),
        }
    }
}

impl Digits {
    /// The number in JSON's form; `None` if the text is no number.
    fn number<'v>(&self, value: &'v str, is_text: bool) -> Option<Cow<'v, str>> {
        if !is_text {
            return value
                .starts_with(|c: char| c == '-' || c.is_ascii_digit())
                .then_some(Cow::Borrowed(value));
        }
        let mut value = Cow::Borrowed(value);
        for strip in self.strip.iter().filter(|strip| !strip.is_empty()) {
            if value.contains(strip.as_str()) {
                value = Cow::Owned(value.replace(strip.as_str(), ""));
            }
        }
        let trimmed = value.trim();
        let (sign, digits) = match trimmed.strip_prefix('-') {
            Some(digits) => ("-", digits.trim_start()),
            None => ("", trimmed.strip_prefix('+').unwrap_or(trimmed)),
        };
        let whole_end = digits.find(['.', 'e', 'E']).unwrap_or(digits.len());
        let (whole, rest) = digits.split_at(whole_end);
        let whole = self.without_thousands(whole)?;
        let whole = match whole.trim_start_matches('0') {
            "" if whole.is_empty() && !rest.starts_with('.') => return None,
            "" => "0",
            whole => whole,
        };
        let number = format!("{sign}{whole}{rest}");
        let is_number = serde_json::from_str::<serde_json::Number>(&number).is_ok();
        is_number.then_some(Cow::Owned(number))
    }

    /// Digits without the separators between their groups; `None` if a group has not three digits.
    fn without_thousands<'w>(&self, whole: &'w str) -> Option<Cow<'w, str>> {
        let Some(separator) = self.thousands.filter(|c| whole.contains(*c)) else {
            let is_plain = whole.bytes().all(|byte| byte.is_ascii_digit());
            return is_plain.then_some(Cow::Borrowed(whole));
        };
        let mut groups = whole.split(separator);
        let first = groups
            .next()
            .filter(|group| (1..=3).contains(&group.len()))?;
        let mut joined = first.to_owned();
        for group in groups {
            if group.len() != 3 {
                return None;
            }
            joined.push_str(group);
        }
        is_digits(&joined).then_some(Cow::Owned(joined))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl std::fmt::Display for Digits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.thousands {
            Some(separator) => write!(f, ", with {separator:?} between groups of three digits"),
            None => Ok(()),
        }
    }
}
