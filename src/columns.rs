//! Columns: what kinds of values they hold, and what schemas declare.
//!
//! Known to whoever writes typed objects and to whoever writes statements for engines, so that both say
//! the same. Pure.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::clock::Micros;
use crate::rfc3339;

/// What a column holds. It never changes once the column is in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A point in time, in microseconds, UTC.
    Time,
    /// A whole number of 64 bits.
    Integer,
    /// A double.
    Double,
    /// True or false.
    Boolean,
    /// Any JSON value, as text.
    Json,
}

impl Kind {
    /// A stable word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Time => "time",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Json => "json",
        }
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::Text,
            Self::Time,
            Self::Integer,
            Self::Double,
            Self::Boolean,
            Self::Json,
        ];
        all.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What a schema declares: one scalar type (or null) is that, anything else is JSON.
    pub fn of_schema(schema: &Value) -> Self {
        let types: Vec<&str> = match &schema["type"] {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => return of_values(&schema["enum"]),
        };
        let types: Vec<&str> = types.into_iter().filter(|name| *name != "null").collect();
        match types.as_slice() {
            ["string"] if schema["format"] == "date-time" => Self::Time,
            ["string"] => Self::Text,
            ["integer"] => Self::Integer,
            ["number"] | ["integer", "number"] | ["number", "integer"] => Self::Double,
            ["boolean"] => Self::Boolean,
            _ => Self::Json,
        }
    }

    /// One column for two properties of the same name: numbers are doubles, other differences are JSON.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::Integer, Self::Double) | (Self::Double, Self::Integer) => Self::Double,
            (Self::Text, Self::Time) | (Self::Time, Self::Text) => Self::Text,
            _ => Self::Json,
        }
    }

    /// Whether a raw value that is not null can be in such a column.
    pub fn fits(self, raw: &str) -> bool {
        match self {
            Self::Json => true,
            Self::Text => raw.starts_with('"'),
            Self::Time => time(raw).is_some(),
            Self::Integer => integer(raw).is_some(),
            Self::Double => double(raw).is_some(),
            Self::Boolean => matches!(raw, "true" | "false"),
        }
    }
}

/// Of a list of values without a type.
fn of_values(values: &Value) -> Kind {
    let is_text = |value: &Value| value.is_string() || value.is_null();
    match values.as_array() {
        Some(values) if values.iter().all(is_text) => Kind::Text,
        _ => Kind::Json,
    }
}

/// A raw value as a time.
pub fn time(raw: &str) -> Option<Micros> {
    let text: String = serde_json::from_str(raw).ok()?;
    rfc3339::parse(&text)
}

/// A raw value as a whole number of 64 bits.
#[allow(
    clippy::cast_possible_truncation,
    reason = "only of whole numbers within the range of exact ones"
)]
pub fn integer(raw: &str) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(number) = raw.parse() {
        return Some(number);
    }
    // 1.0 and 1e3 are whole numbers to a schema.
    let number = double(raw)?;
    (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64)
}

/// A raw value as a double. A whole number whose digits a double cannot hold is none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the very loss that is looked for"
)]
pub fn double(raw: &str) -> Option<f64> {
    let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let number: f64 = raw.parse().ok().filter(|_| is_number)?;
    match raw.parse::<i128>() {
        Ok(whole) if whole as f64 as i128 != whole => None,
        _ => Some(number),
    }
}

/// A property that a schema declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Its description.
    pub about: String,
}

/// The properties that a schema declares at its top level, in the order of its text.
pub fn declared(schema: &str) -> Result<Vec<Property>, serde_json::Error> {
    if serde_json::from_str::<bool>(schema).is_ok() {
        // A schema too: of anything, or of nothing.
        return Ok(Vec::new());
    }
    let declared: Declared = serde_json::from_str(schema)?;
    let properties = declared.properties.0.into_iter();
    // No engine has a column without a name.
    let properties = properties.filter(|(name, _)| !name.is_empty());
    let columns = properties.map(|(name, schema)| Property {
        kind: Kind::of_schema(&schema),
        about: schema["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        name,
    });
    Ok(columns.collect())
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a schema declares at its top level.
#[derive(serde::Deserialize)]
struct Declared {
    #[serde(default)]
    properties: Properties,
}

/// The members of an object, in the order of its text.
#[derive(Default)]
struct Properties(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PropertiesVisitor;
        impl<'de> Visitor<'de> for PropertiesVisitor {
            type Value = Properties;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of properties")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties, A::Error> {
                let mut properties = Vec::new();
                while let Some(property) = map.next_entry()? {
                    properties.push(property);
                }
                Ok(Properties(properties))
            }
        }
        deserializer.deserialize_map(PropertiesVisitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas_decide_about_kinds() {
        for (schema, kind) in [
            (json!({"type": "string"}), Kind::Text),
            (json!({"type": ["null", "string"]}), Kind::Text),
            (json!({"type": "string", "format": "date-time"}), Kind::Time),
            (json!({"type": "string", "format": "email"}), Kind::Text),
            (json!({"type": "integer"}), Kind::Integer),
            (json!({"type": ["integer", "number"]}), Kind::Double),
            (json!({"type": "boolean"}), Kind::Boolean),
            (json!({"type": ["boolean", "string"]}), Kind::Json),
            (json!({"type": "array"}), Kind::Json),
            (json!({"enum": ["a", null]}), Kind::Text),
            (json!({"enum": ["a", 1]}), Kind::Json),
            (json!({}), Kind::Json),
            (json!(true), Kind::Json),
        ] {
            assert_eq!(Kind::of_schema(&schema), kind, "{schema}");
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn values_fit_their_kind_or_not() {
        for (kind, fitting, others) in [
            (Kind::Text, &["\"a\"", "\"\""][..], &["1", "{}"][..]),
            (
                Kind::Time,
                &["\"2026-11-25T01:00:00+01:00\""],
                &["\"yesterday\"", "\"2026-11-25\"", "5"],
            ),
            (
                Kind::Integer,
                &[
                    "0",
                    "-9223372036854775808",
                    "9223372036854775807",
                    "1.0",
                    "1e3",
                ],
                &["9223372036854775808", "1.5", "\"1\"", "1e300", "true"],
            ),
            (
                Kind::Double,
                &["1", "-1.5e3", "9007199254740992"],
                &["\"1\"", "true", "9007199254740993"],
            ),
            (Kind::Boolean, &["true", "false"], &["1", "\"true\""]),
            (Kind::Json, &["{}", "1", "\"a\""], &[]),
        ] {
            assert!(fitting.iter().all(|raw| kind.fits(raw)), "{kind}");
            assert!(!others.iter().any(|raw| kind.fits(raw)), "{kind}");
        }
    }
}
