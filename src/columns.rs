//! Columns: what the streams of the lake look like as tables.
//!
//! Known to whoever writes typed objects and to whoever writes statements for engines, so that both say
//! the same. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::clock::Micros;
use crate::contract::time_of;

/// What a property of events is called as a column.
const PROPERTY_PREFIX: &str = "p_";
const RECEIVED_AT: &str = "When it was received";
const LSN: &str = "Its number in the log of its node: the order in which it was logged";

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

/// Where in a row a column's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A member of the row.
    Member(String),
    /// A member of its `properties`.
    Property(String),
    /// All members that no other column takes, and those of `extra`.
    Rest,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Where its values are.
    pub source: Source,
    /// What it means, for people; may be empty.
    pub about: String,
}

/// A stream as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The column that objects are sorted by.
    pub time: usize,
    /// The columns that single rows are looked up by.
    pub ids: Vec<usize>,
}

/// Why schemas make no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not a schema.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Two names that are one column.
    #[error(
        "the properties {0:?} and {1:?} differ only in case, and would be one column; give them one name"
    )]
    Case(String, String),
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
    fn or(self, other: Self) -> Self {
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
    time_of(&text)
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

impl Column {
    fn own(name: &str, kind: Kind, about: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            source: Source::Member(name.to_owned()),
            about: about.to_owned(),
        }
    }

    fn rest() -> Self {
        Self {
            name: "extra".to_owned(),
            kind: Kind::Json,
            source: Source::Rest,
            about: "What was sent beyond the other columns".to_owned(),
        }
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

impl Table {
    /// Events: the envelope, and a column for each property that the schemas of the types declare.
    pub fn events<'s>(schemas: impl Iterator<Item = &'s str>) -> Result<Self, TableError> {
        // By the name without its case, as engines see it.
        let mut properties: BTreeMap<String, Property> = BTreeMap::new();
        for schema in schemas {
            for property in declared(schema)? {
                let Some(known) = properties.get_mut(&property.name.to_lowercase()) else {
                    properties.insert(property.name.to_lowercase(), property);
                    continue;
                };
                if known.name != property.name {
                    let (one, other) = (known.name.clone(), property.name);
                    return Err(TableError::Case(one, other));
                }
                known.kind = known.kind.or(property.kind);
                if known.about.is_empty() {
                    known.about = property.about;
                }
            }
        }
        let mut columns = vec![
            Column::own(
                "event_id",
                Kind::Text,
                "A UUID in lower case; no two rows have the same",
            ),
            Column::own("user_id", Kind::Text, "Who did it; null for nobody"),
            Column::own(
                "user",
                Kind::Json,
                "The whole user, where the event held one",
            ),
            Column::own("event_type", Kind::Text, "What happened"),
            Column::own("source", Kind::Text, "Where it happened"),
            Column::own(
                "timestamp",
                Kind::Time,
                "When it happened, as the sender says",
            ),
            Column::own("received_at", Kind::Time, RECEIVED_AT),
            Column::own("lsn", Kind::Integer, LSN),
            Column::own(
                "properties",
                Kind::Json,
                "The event's properties, as they were sent",
            ),
        ];
        columns.extend(properties.into_values().map(|property| Column {
            name: format!("{PROPERTY_PREFIX}{}", property.name),
            kind: property.kind,
            source: Source::Property(property.name),
            about: property.about,
        }));
        columns.push(Column::rest());
        Ok(Self {
            columns,
            time: 5,
            ids: vec![0, 1],
        })
    }

    /// Entities: what their schema declares; `id` is the key that identifies them, if it is a column.
    pub fn entities(schema: Option<&str>, id: Option<&str>) -> Result<Self, serde_json::Error> {
        let declared = schema.map(declared).transpose()?.unwrap_or_default();
        let mut columns = vec![
            Column::own("received_at", Kind::Time, RECEIVED_AT),
            Column::own("lsn", Kind::Integer, LSN),
        ];
        let own = declared.iter();
        columns.extend(own.map(|own| Column::own(&own.name, own.kind, &own.about)));
        columns.push(Column::rest());
        let ids = columns
            .iter()
            .position(|column| Some(column.name.as_str()) == id);
        Ok(Self {
            columns,
            time: 0,
            ids: ids.into_iter().collect(),
        })
    }

    /// What was refused.
    pub fn quarantine() -> Self {
        let columns = [
            ("received_at", Kind::Time, RECEIVED_AT),
            ("lsn", Kind::Integer, LSN),
            (
                "reason",
                Kind::Text,
                "invalid_event, id_conflict, refused_request or invalid_record",
            ),
            ("stream", Kind::Text, "The stream that it was meant for"),
            ("endpoint", Kind::Text, "The path that took it, or the poll"),
            (
                "request_id",
                Kind::Text,
                "The request's id, or the run's name",
            ),
            ("client", Kind::Text, "The sender's address"),
            (
                "errors",
                Kind::Json,
                "The first 20 errors: pointer, code, detail",
            ),
            (
                "errors_total",
                Kind::Integer,
                "How many errors there were in all",
            ),
            ("raw", Kind::Text, "What was refused, perhaps cut"),
            (
                "raw_encoding",
                Kind::Text,
                "utf-8, or base64 for bytes that are no text",
            ),
            (
                "raw_bytes",
                Kind::Integer,
                "The whole length of what was refused",
            ),
            (
                "raw_xxh3",
                Kind::Text,
                "XXH3-128 of what was refused, whole",
            ),
        ];
        let columns = columns.map(|(name, kind, about)| Column::own(name, kind, about));
        Self {
            columns: columns.into(),
            time: 0,
            ids: Vec::new(),
        }
    }

    /// Names and kinds of the columns, by name.
    pub fn kinds(&self) -> BTreeMap<String, Kind> {
        let columns = self.columns.iter();
        columns
            .map(|column| (column.name.clone(), column.kind))
            .collect()
    }
}

/// The tables of all streams.
#[derive(Clone, Debug)]
pub struct Tables {
    streams: BTreeMap<String, Arc<Table>>,
    quarantine: Arc<Table>,
    /// Of streams that nobody has configured.
    unknown: Arc<Table>,
}

impl Tables {
    /// Of these streams, and of the quarantine.
    pub fn new(streams: impl Iterator<Item = (String, Table)>) -> Self {
        // Without a schema nothing can be wrong with it.
        let unknown = Table::entities(None, None).unwrap_or_else(|_| Table::quarantine());
        Self {
            streams: streams
                .map(|(name, table)| (name, Arc::new(table)))
                .collect(),
            quarantine: Arc::new(Table::quarantine()),
            unknown: Arc::new(unknown),
        }
    }

    /// The table of a partition, such as `events/dt=2026-11-20`: what is before the first `name=value` is
    /// the stream.
    pub fn of(&self, partition: &str) -> &Arc<Table> {
        let parts = partition.split('/').take_while(|part| !part.contains('='));
        let stream: Vec<&str> = parts.collect();
        match stream.as_slice() {
            ["quarantine", ..] => &self.quarantine,
            _ => self.streams.get(&stream.join("/")).unwrap_or(&self.unknown),
        }
    }

    /// The streams with their tables.
    pub fn streams(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.streams
            .iter()
            .map(|(name, table)| (name.as_str(), &**table))
    }
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

    #[test]
    fn a_property_of_two_types_has_one_column() {
        let purchase = r#"{"properties":{"amount":{"type":"number"},"note":{"type":"string"}}}"#;
        let refund = r#"{"properties":{"amount":{"type":"integer"},"note":{"type":"boolean"}}}"#;
        let table = Table::events([purchase, refund].into_iter()).unwrap();
        let kinds = table.kinds();
        assert_eq!(kinds["p_amount"], Kind::Double);
        assert_eq!(kinds["p_note"], Kind::Json);
        assert_eq!(table.columns[table.time].name, "timestamp");
        let names: Vec<_> = table
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names.last(), Some(&"extra"));
    }

    #[test]
    fn entities_have_the_columns_of_their_schema_in_its_order() {
        let schema = r#"{"properties":{"user_id":{"type":"string"},"age":{"type":"integer"}}}"#;
        let table = Table::entities(Some(schema), Some("user_id")).unwrap();
        let names: Vec<_> = table
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names, ["received_at", "lsn", "user_id", "age", "extra"]);
        assert_eq!(table.ids, [2]);
    }
}
