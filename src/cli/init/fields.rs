//! What the fields of records say: which one identifies a record, which one grows, and of what type each is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::facts::{escaped, plain};
use crate::rfc3339;

type Record = Map<String, Value>;

/// More properties are not listed in a schema.
const MAX_PROPERTIES: usize = 300;
/// Names of fields that identify a record, the most usual first.
const IDS: [&str; 11] = [
    "id", "uuid", "guid", "uid", "objectid", "recordid", "gid", "key", "sku", "code", "number",
];
/// As many of them come before a field that is named like the stream, such as `user_id` of `users`.
const BEFORE_OWN: usize = 3;
/// Names of fields that grow, the best first. The last three say when a record was made.
const MARKS: [&str; 20] = [
    "updatedat",
    "updated",
    "lastupdated",
    "updatedon",
    "updatedtime",
    "updatetime",
    "updatedate",
    "modifiedat",
    "modified",
    "lastmodified",
    "lastmodifieddate",
    "systemmodstamp",
    "modifiedon",
    "datemodified",
    "dateupdated",
    "changedat",
    "timestamp",
    "createdat",
    "created",
    "createdtime",
];

/// A field that grows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Its name, or a JSON Pointer to it.
    pub(super) field: String,
    /// How its values are written, if that is not RFC 3339.
    pub(super) format: Option<&'static str>,
    /// Whether it changes with each change of a record.
    pub(super) follows_changes: bool,
}

/// The field that identifies a record: every record has it, and no two have the same value.
pub(super) fn id(records: &[&Record], word: &str) -> Option<String> {
    let first = records.first()?;
    let singular = plain(word.strip_suffix('s').unwrap_or(word));
    let rank = |key: &str| {
        let name = plain(key);
        if name == format!("{singular}id") || name == format!("{singular}uuid") {
            return Some(BEFORE_OWN);
        }
        let usual = IDS.iter().position(|usual| *usual == name)?;
        Some(usual + usize::from(usual >= BEFORE_OWN))
    };
    let keys = first.keys().filter_map(|key| Some((rank(key)?, key)));
    let mut keys: Vec<_> = keys.collect();
    keys.sort();
    let identifies = |key: &str| {
        let values = records.iter().map(|record| match record.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        });
        let different: Option<BTreeSet<_>> = values.collect();
        different.is_some_and(|different| different.len() == records.len())
    };
    let found = keys.into_iter().find(|(_, key)| identifies(key));
    found.map(|(_, key)| named(key))
}

/// A key as the configuration names a field.
fn named(key: &str) -> String {
    if key.starts_with('/') {
        format!("/{}", escaped(key))
    } else {
        key.to_owned()
    }
}

/// The field that grows, if there is one.
pub(super) fn mark(records: &[&Record]) -> Option<Mark> {
    let first = records.first()?;
    let rank = |key: &str| MARKS.iter().position(|usual| *usual == plain(key));
    let keys = first.keys().filter_map(|key| Some((rank(key)?, key)));
    let mut keys: Vec<_> = keys.collect();
    keys.sort();
    keys.into_iter().find_map(|(_, key)| {
        let formats = records.iter().map(|record| format_of(record.get(key)?));
        let formats: BTreeSet<_> = formats.collect::<Option<_>>()?;
        let format = formats.first().filter(|_| formats.len() == 1)?;
        Some(Mark {
            field: named(key),
            format: Some(*format).filter(|format| *format != "rfc3339"),
            follows_changes: !plain(key).starts_with("created"),
        })
    })
}

/// How a time is written; `None` if it is none.
fn format_of(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(text) if rfc3339::parse(text).is_some() => Some("rfc3339"),
        Value::String(text) if text.len() == 10 && is_date(text) => Some("date"),
        Value::Number(number) => match number.as_i64()? {
            1_000_000_000..10_000_000_000 => Some("s"),
            1_000_000_000_000..10_000_000_000_000 => Some("ms"),
            1_000_000_000_000_000..10_000_000_000_000_000 => Some("us"),
            _ => None,
        },
        _ => None,
    }
}

fn is_date(text: &str) -> bool {
    rfc3339::parse(&format!("{text}T00:00:00Z")).is_some()
}

/// A JSON Schema that every one of these records fulfils, with a type for each property.
pub(super) fn schema(records: &[&Record]) -> Value {
    let mut values: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (key, value) in records.iter().flat_map(|record| record.iter()) {
        values.entry(key).or_default().push(value);
    }
    let properties = values.into_iter().take(MAX_PROPERTIES);
    let properties = properties.map(|(key, values)| (key.to_owned(), property(&values)));
    let properties: Map<String, Value> = properties.collect();
    let comment = format!(
        "Proposed by lakehook init poll from {} records. Edit it: say what is required, and which bounds hold.",
        records.len()
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": comment,
        "type": "object",
        "properties": properties,
    })
}

fn property(values: &[&Value]) -> Value {
    let mut types: BTreeSet<&str> = values.iter().map(|value| type_of(value)).collect();
    if types.contains("number") {
        types.remove("integer");
    }
    // It may be null in records that were not seen.
    let is_new = types.insert("null");
    if !is_new && types.len() == 1 {
        return json!({ "$comment": "null in every record that was seen" });
    }
    let mut property = json!({ "type": types });
    let is_time = |value: &&Value| {
        value
            .as_str()
            .is_none_or(|text| rfc3339::parse(text).is_some())
    };
    if types.contains("string") && values.iter().all(is_time) {
        property["format"] = "date-time".into();
    }
    property
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
