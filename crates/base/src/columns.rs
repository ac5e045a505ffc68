//! Column types, and the properties that JSON Schemas declare.
//!
//! Both typed objects and statements for engines are made from these, so that they agree. Pure.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::clock::Micros;
use crate::rfc3339;

/// The type of a column. It never changes once the column is in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// A point in time, in microseconds, UTC.
    Time,
    /// A whole number of 64 bits.
    Integer,
    /// A floating-point number of 64 bits.
    Double,
    /// True or false.
    Boolean,
    /// Any JSON value, as text.
    Json,
}

impl ColumnType {
    /// The stable word that stored records and statements use.
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

    /// Parses a word of [`Self::as_str`].
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

    /// The type of the column for a schema: one scalar type (apart from null) has a column of that
    /// type, anything else is JSON.
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

    /// The type that holds values of both: integers and doubles become doubles, text and times
    /// become text, other different types become JSON.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::Integer, Self::Double) | (Self::Double, Self::Integer) => Self::Double,
            (Self::Text, Self::Time) | (Self::Time, Self::Text) => Self::Text,
            _ => Self::Json,
        }
    }

    /// Whether a column of this type can hold a raw value that is not null.
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

/// The type for an `enum` of these values, in a schema without `type`.
fn of_values(values: &Value) -> ColumnType {
    let is_text = |value: &Value| value.is_string() || value.is_null();
    match values.as_array() {
        Some(values) if values.iter().all(is_text) => ColumnType::Text,
        _ => ColumnType::Json,
    }
}

/// Parses a raw value as a time.
pub fn time(raw: &str) -> Option<Micros> {
    let text: String = serde_json::from_str(raw).ok()?;
    rfc3339::parse(&text)
}

/// Parses a raw value as a whole number of 64 bits.
#[allow(
    clippy::cast_possible_truncation,
    reason = "whole numbers below 2^53 convert exactly"
)]
pub fn integer(raw: &str) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(number) = raw.parse() {
        return Some(number);
    }
    // Schemas count 1.0 and 1e3 as integers.
    let number = double(raw)?;
    (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64)
}

/// Parses a raw value as a double; `None` for a whole number that a double cannot hold exactly.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the comparison detects the loss"
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
    /// The key in the object.
    pub name: String,
    /// The type of its column.
    pub kind: ColumnType,
    /// The schema's `description`; empty if there is none.
    pub about: String,
}

/// The properties that a schema declares at its top level, in the order of its text.
pub fn declared(schema: &str) -> Result<Vec<Property>, serde_json::Error> {
    if serde_json::from_str::<bool>(schema).is_ok() {
        // `true` and `false` are schemas too: they allow anything, or nothing.
        return Ok(Vec::new());
    }
    let declared: Declared = serde_json::from_str(schema)?;
    let properties = declared.properties.0.into_iter();
    // No engine has a column without a name.
    let properties = properties.filter(|(name, _)| !name.is_empty());
    let columns = properties.map(|(name, schema)| Property {
        kind: ColumnType::of_schema(&schema),
        about: schema["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        name,
    });
    Ok(columns.collect())
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The part of a schema's top level that declares properties.
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
            (json!({"type": "string"}), ColumnType::Text),
            (json!({"type": ["null", "string"]}), ColumnType::Text),
            (
                json!({"type": "string", "format": "date-time"}),
                ColumnType::Time,
            ),
            (
                json!({"type": "string", "format": "email"}),
                ColumnType::Text,
            ),
            (json!({"type": "integer"}), ColumnType::Integer),
            (json!({"type": ["integer", "number"]}), ColumnType::Double),
            (json!({"type": "boolean"}), ColumnType::Boolean),
            (json!({"type": ["boolean", "string"]}), ColumnType::Json),
            (json!({"type": "array"}), ColumnType::Json),
            (json!({"enum": ["a", null]}), ColumnType::Text),
            (json!({"enum": ["a", 1]}), ColumnType::Json),
            (json!({}), ColumnType::Json),
            (json!(true), ColumnType::Json),
        ] {
            assert_eq!(ColumnType::of_schema(&schema), kind, "{schema}");
            assert_eq!(ColumnType::parse(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn values_fit_their_kind_or_not() {
        for (kind, fitting, others) in [
            (ColumnType::Text, &["\"a\"", "\"\""][..], &["1", "{}"][..]),
            (
                ColumnType::Time,
                &["\"2026-11-25T01:00:00+01:00\""],
                &["\"yesterday\"", "\"2026-11-25\"", "5"],
            ),
            (
                ColumnType::Integer,
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
                ColumnType::Double,
                &["1", "-1.5e3", "9007199254740992"],
                &["\"1\"", "true", "9007199254740993"],
            ),
            (ColumnType::Boolean, &["true", "false"], &["1", "\"true\""]),
            (ColumnType::Json, &["{}", "1", "\"a\""], &[]),
        ] {
            assert!(fitting.iter().all(|raw| kind.fits(raw)), "{kind}");
            assert!(!others.iter().any(|raw| kind.fits(raw)), "{kind}");
        }
    }
}
