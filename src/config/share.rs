//! Shares as people write them: `"10 %"`, `"0.5 %"`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::feeds::guards;

/// The JSON Schema format of shares.
pub(super) const SHARE_FORMAT: &str = "share";
/// Text longer than this is cut in an error.
const MAX_SHOWN_CHARS: usize = 40;

/// A part of a whole, between `"0 %"` and `"100 %"`, with at most two digits after the point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Share(guards::Share);

/// Why text is no share. Holds the text, cut to a length that can be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a share; write a number from 0 to 100 and a percent sign, such as \"10 %\" or \"0.5 %\""
)]
pub struct ShareError(String);

impl Share {
    /// This many hundredths of a percent.
    pub(super) const fn hundredths(hundredths: u32) -> Self {
        Self(guards::Share::new(hundredths))
    }

    /// Reads text such as `10 %`, `50%` or `0.25 %`.
    pub fn parse(text: &str) -> Result<Self, ShareError> {
        let wrong = || ShareError(text.chars().take(MAX_SHOWN_CHARS).collect());
        let number = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_digits(whole, 3) || !is_digits(part, 2) {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let part: u32 = format!("{part:0<2}").parse().map_err(|_| wrong())?;
        match whole * 100 + part {
            hundredths if hundredths <= 10_000 => Ok(Self::hundredths(hundredths)),
            _ => Err(wrong()),
        }
    }

    /// The share as guards compare it.
    pub fn share(self) -> guards::Share {
        self.0
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": SHARE_FORMAT })
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShareVisitor;
        impl Visitor<'_> for ShareVisitor {
            type Value = Share;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share, such as \"10 %\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Share, E> {
                Share::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(ShareVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read() {
        for (text, hundredths) in [
            ("10 %", 1_000),
            ("0%", 0),
            ("100 %", 10_000),
            (" 0.5 %", 50),
            ("12.34 %", 1_234),
            ("0.05%", 5),
        ] {
            assert_eq!(
                Share::parse(text),
                Ok(Share::hundredths(hundredths)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in [
            "", "%", "10", "0.1", "-1 %", "101 %", "100.01 %", "1.234 %", "1. %", ".5 %", "1e1 %",
            "1000 %",
        ] {
            assert!(Share::parse(text).is_err(), "{text}");
        }
    }
}
