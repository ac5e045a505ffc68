//! Column types, and the properties that JSON Schemas declare.
//!
//! Both typed objects and statements for engines are made from these, so that they agree. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::clock::Micros;
use crate::json::text;
use crate::rfc3339;

mod exact;

pub use exact::{Decimal, date, date_text};

/// The keyword of a schema that says which type the column of a property has.
pub const TYPE_KEYWORD: &str = "x-lakehook-type";

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
    /// A day of the calendar, without a time.
    Date,
    /// A number with a fixed number of digits after the point, exact.
    Decimal(Decimal),
    /// Any JSON value, as text.
    Json,
}

/// A value in the form that typed objects hold; texts stay where they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellValue {
    /// No value.
    Null,
    /// The text itself.
    Text,
    /// A whole number, the microseconds of a time, or the units of a decimal of at most 18 digits.
    Whole(i64),
    /// The units of a larger decimal.
    Wide(i128),
    /// The days of a date since 1970-01-01.
    Days(i32),
    /// A floating-point number.
    Double(f64),
    /// True or false.
    Boolean(bool),
}

/// What a schema's `format: date` means for the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    /// The column holds dates.
    Typed,
    /// The column holds text, as it did before there were dates: no value is refused for not being one.
    AsText,
}

impl ColumnType {
    /// Parses the stable word of a type, as it is displayed and stored: `text`, `decimal(12,2)`.
    pub fn parse(word: &str) -> Option<Self> {
        if let Some(size) = Decimal::parse(word) {
            return Some(Self::Decimal(size));
        }
        let all = [
            Self::Text,
            Self::Time,
            Self::Integer,
            Self::Double,
            Self::Boolean,
            Self::Date,
            Self::Json,
        ];
        all.into_iter().find(|kind| kind.to_string() == word)
    }

    /// The type of the column for a schema: what [`TYPE_KEYWORD`] says; otherwise one scalar type (apart from
    /// null) has a column of that type, and anything else is JSON.
    pub fn of_schema(schema: &Value, dates: Dates) -> Self {
        if let Some(kind) = schema[TYPE_KEYWORD].as_str().and_then(Self::parse) {
            return kind;
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => return of_values(&schema["enum"]),
        };
        let types: Vec<&str> = types.into_iter().filter(|name| *name != "null").collect();
        match types.as_slice() {
            ["string"] if schema["format"] == "date-time" => Self::Time,
            ["string"] if schema["format"] == "date" && dates == Dates::Typed => Self::Date,
            ["string"] => Self::Text,
            ["integer"] => Self::Integer,
            ["number"] | ["integer", "number"] | ["number", "integer"] => Self::Double,
            ["boolean"] => Self::Boolean,
            _ => Self::Json,
        }
    }

    /// The type that holds values of both: integers and doubles become doubles, text, times and dates
    /// become text, decimals a larger decimal, other different types become JSON.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::Integer, Self::Double) | (Self::Double, Self::Integer) => Self::Double,
            (Self::Text | Self::Time | Self::Date, Self::Text | Self::Time | Self::Date) => {
                Self::Text
            }
            (Self::Decimal(one), Self::Decimal(other)) => {
                one.or(other).map_or(Self::Json, Self::Decimal)
            }
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
            Self::Date => day(raw).is_some(),
            Self::Decimal(size) => units(raw, size).is_some(),
        }
    }

    /// What its values are in JSON, in words.
    pub fn in_json(self) -> &'static str {
        match self {
            Self::Text | Self::Time | Self::Date => "text",
            Self::Integer | Self::Double | Self::Decimal(_) => "a number",
            Self::Boolean => "true or false",
            Self::Json => "any value",
        }
    }

    /// Whether a schema that only says that a value is text or a number allows values that do not fit.
    pub fn is_narrow(self) -> bool {
        matches!(
            self,
            Self::Integer | Self::Time | Self::Date | Self::Decimal(_)
        )
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
    rfc3339::parse(&text(raw)?)
}

/// Parses a raw value as a date, in days since 1970-01-01.
pub fn day(raw: &str) -> Option<i32> {
    date(&text(raw)?)
}

/// Parses a raw number, or a number in text, as units of a decimal's last digit.
pub fn units(raw: &str, size: Decimal) -> Option<i128> {
    match text(raw) {
        Some(number) => size.units(&number),
        None => size.units(raw),
    }
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

/// Types of columns that are given, whatever a schema says.
pub type Kinds = BTreeMap<String, ColumnType>;

/// The columns of entities: the properties that the schema declares, in its order, and then those columns whose
/// type is given and which the schema does not declare.
pub fn of_entities(
    schema: Option<&str>,
    given: &Kinds,
) -> Result<Vec<Property>, serde_json::Error> {
    let declared = schema.map(|schema| declared(schema, Dates::Typed));
    let mut columns = declared.transpose()?.unwrap_or_default();
    for column in &mut columns {
        column.kind = given.get(&column.name).copied().unwrap_or(column.kind);
    }
    for (name, kind) in given {
        if !columns.iter().any(|column| column.name == *name) {
            columns.push(Property {
                name: name.clone(),
                kind: *kind,
                about: String::new(),
            });
        }
    }
    Ok(columns)
}

/// The columns of a schema that hold dates only because of its `format`, and which have been text so far: they
/// stay text.
pub fn kept_as_text(schema: &str, text: &[String]) -> Result<Kinds, serde_json::Error> {
    let typed = declared(schema, Dates::Typed)?.into_iter();
    let before = declared(schema, Dates::AsText)?;
    let by_format = typed.filter(|own| {
        let other = before.iter().find(|other| other.name == own.name);
        own.kind == ColumnType::Date && other.is_some_and(|other| other.kind == ColumnType::Text)
    });
    let lower = |name: &str| name.to_lowercase();
    let kept = by_format.filter(|own| text.iter().any(|name| lower(name) == lower(&own.name)));
    Ok(kept.map(|own| (own.name, ColumnType::Text)).collect())
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
pub fn declared(schema: &str, dates: Dates) -> Result<Vec<Property>, serde_json::Error> {
    if serde_json::from_str::<bool>(schema).is_ok() {
        // `true` and `false` are schemas too: they allow anything, or nothing.
        return Ok(Vec::new());
    }
    let declared: Declared = serde_json::from_str(schema)?;
    let properties = declared.properties.0.into_iter();
    // No engine has a column without a name.
    let properties = properties.filter(|(name, _)| !name.is_empty());
    let columns = properties.map(|(name, schema)| Property {
        kind: ColumnType::of_schema(&schema, dates),
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
        match self {
            Self::Text => f.write_str("text"),
            Self::Time => f.write_str("time"),
            Self::Integer => f.write_str("integer"),
            Self::Double => f.write_str("double"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::Decimal(size) => size.fmt(f),
            Self::Json => f.write_str("json"),
        }
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
            (
                json!({"type": ["string", "null"], "format": "date"}),
                ColumnType::Date,
            ),
            (
                json!({"type": "string", "format": "date", "x-lakehook-type": "text"}),
                ColumnType::Text,
            ),
            (
                json!({"type": "number", "x-lakehook-type": "decimal(12,2)"}),
                ColumnType::Decimal(Decimal::new(12, 2).unwrap()),
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
            assert_eq!(
                ColumnType::of_schema(&schema, Dates::Typed),
                kind,
                "{schema}"
            );
            assert_eq!(ColumnType::parse(&kind.to_string()), Some(kind));
        }
    }

    #[test]
    fn dates_may_stay_text() {
        let schema = json!({"type": "string", "format": "date"});
        let as_text = ColumnType::of_schema(&schema, Dates::AsText);
        assert_eq!(as_text, ColumnType::Text);
        let whole = r#"{"properties":{"a":{"type":"string","format":"date"},"b":{"format":"date","type":"string"},
            "c":{"type":"integer"},"d":{"type":"string","x-lakehook-type":"date"}}}"#;
        let text = ["B", "c", "d"].map(str::to_owned);
        let kept = kept_as_text(whole, &text).unwrap();
        assert_eq!(kept, Kinds::from([("b".to_owned(), ColumnType::Text)]));
        let columns = of_entities(Some(whole), &kept).unwrap();
        let kinds: Vec<_> = columns.iter().map(|own| own.kind).collect();
        let (date, text) = (ColumnType::Date, ColumnType::Text);
        assert_eq!(kinds, [date, text, ColumnType::Integer, date]);
    }

    #[test]
    fn types_are_joined() {
        let decimal =
            |precision, scale| ColumnType::Decimal(Decimal::new(precision, scale).unwrap());
        for (one, other, joined) in [
            (ColumnType::Date, ColumnType::Time, ColumnType::Text),
            (ColumnType::Date, ColumnType::Text, ColumnType::Text),
            (ColumnType::Date, ColumnType::Integer, ColumnType::Json),
            (decimal(5, 2), decimal(6, 1), decimal(7, 2)),
            (decimal(5, 2), ColumnType::Double, ColumnType::Json),
        ] {
            assert_eq!(one.or(other), joined);
            assert_eq!(other.or(one), joined);
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
            (
                ColumnType::Date,
                &["\"2026-11-20\""],
                &["\"2026-11-31\"", "20261120", "\"2026-11-20T00:00:00Z\""],
            ),
            (
                ColumnType::Decimal(Decimal::new(5, 2).unwrap()),
                &["1", "-1.5", "1.25e2", "\"12.50\""],
                &["1.005", "1000", "\"\"", "\"1,5\"", "true", "[]"],
            ),
            (ColumnType::Json, &["{}", "1", "\"a\""], &[]),
        ] {
            assert!(fitting.iter().all(|raw| kind.fits(raw)), "{kind}");
            assert!(!others.iter().any(|raw| kind.fits(raw)), "{kind}");
        }
    }
}
