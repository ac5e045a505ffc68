//! Rates of requests as people write them: `10`, `"10/s"`, `"100/m"`, `"1000/h"`, `"1/10s"`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::amounts::Span;

/// The JSON Schema format of rates.
pub(super) const RATE_FORMAT: &str = "rate";
/// Most requests per second.
const MAX_PER_SECOND: u32 = 1_000;
const LONGEST: Duration = Duration::from_secs(86_400);

/// The most requests within a time; the default is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    requests: u32,
    within: Duration,
}

impl Rate {
    /// Reads text such as `10/s`, `1/10s`, or a number per second. The error says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{:?} is no rate; write a number of requests and a time, such as \"10/s\", \"100/m\", \
                 \"1000/h\" or \"1/10s\", at most {MAX_PER_SECOND}/s",
                text.chars().take(40).collect::<String>()
            )
        };
        let (requests, unit) = text.split_once('/').unwrap_or((text, "s"));
        let digits = requests.trim();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let requests: u32 = digits
            .parse()
            .ok()
            .filter(|_| is_number)
            .ok_or_else(wrong)?;
        let unit = unit.trim();
        let span = if unit.starts_with(|c: char| c.is_ascii_digit()) {
            unit.to_owned()
        } else if unit.is_empty() {
            return Err(wrong());
        } else {
            format!("1{unit}")
        };
        let within = Span::parse(&span).map_err(|_| wrong())?.duration();
        let per_second = f64::from(requests) / within.as_secs_f64();
        let is_sound =
            !within.is_zero() && within <= LONGEST && per_second <= f64::from(MAX_PER_SECOND);
        if !is_sound || (requests == 0 && text.contains('/')) {
            return Err(wrong());
        }
        if requests == 0 {
            return Ok(Self::default());
        }
        Ok(Self { requests, within })
    }

    /// The time from one request to the next; zero if there is no limit.
    pub fn pace(self) -> Duration {
        self.within.checked_div(self.requests).unwrap_or_default()
    }
}

impl JsonSchema for Rate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": RATE_FORMAT,
            "minimum": 0,
            "maximum": MAX_PER_SECOND,
        })
    }
}

struct RateVisitor;

impl Visitor<'_> for RateVisitor {
    type Value = Rate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Rate, E> {
        Rate::parse(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Rate, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Rate, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RateVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_times_between_two_requests() {
        for (text, millis) in [
            ("0", 0),
            ("10", 100),
            ("10/s", 100),
            ("100/m", 600),
            ("1000/h", 3_600),
            ("1/10s", 10_000),
            ("2 / 5m", 150_000),
            ("1/d", 86_400_000),
            ("1000/s", 1),
        ] {
            let pace = Rate::parse(text).map(Rate::pace);
            assert_eq!(pace, Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in [
            "",
            "/s",
            "10/",
            "ten/s",
            "1.5/s",
            "-1/s",
            "0/s",
            "1001/s",
            "2000/s",
            "1/0s",
            "1/2d",
            "1/x",
            "5/1ms",
            "99999999999/s",
        ] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }
}
