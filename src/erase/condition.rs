//! Which rows are to be erased: those with one value in one field.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use memchr::memmem;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::json::{Members, text};

/// Members that do not fit their columns lie in the column of this name.
const EXTRA: &str = "extra";

/// `field=value`, where the field may be a path such as `properties.email`.
#[derive(Clone, PartialEq, Eq)]
pub struct RowCondition {
    path: Vec<String>,
    value: String,
}

impl std::fmt::Debug for RowCondition {
    /// The value is personal: it gets into no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=(hidden)", self.field())
    }
}

impl FromStr for RowCondition {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let Some((field, value)) = given.split_once('=') else {
            return Err("it must be FIELD=VALUE, such as user_id=u-1".to_owned());
        };
        let path: Vec<String> = field.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) || value.is_empty() {
            return Err("both the field and the value must be given: user_id=u-1".to_owned());
        }
        Ok(Self {
            path,
            value: value.to_owned(),
        })
    }
}

impl RowCondition {
    /// The field, with dots.
    pub fn field(&self) -> String {
        self.path.join(".")
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The columns that decide.
    pub fn columns(&self) -> [&str; 2] {
        [&self.path[0], EXTRA]
    }

    /// The column that must equal the value, where the field is a column.
    pub fn equals(&self) -> Option<(&str, &str)> {
        let is_column = self.path.len() == 1;
        is_column.then(|| (self.path[0].as_str(), self.value.as_str()))
    }

    /// Whether a line may match: it has the value, or an escape that may hide it.
    pub fn may_match(&self, line: &[u8]) -> bool {
        memmem::find(line, self.value.as_bytes()).is_some() || memchr::memchr(b'\\', line).is_some()
    }

    /// Whether a row has that value in that field.
    pub fn matches(&self, row: &Map<String, Value>) -> bool {
        values_at(&self.path, row).contains(&self.value)
    }

    /// Whether a row of the quarantine holds such an event, anywhere in what was refused. What cannot be parsed,
    /// or is not whole, is searched for the value as bytes.
    pub fn matches_refused(&self, row: &Map<String, Value>) -> bool {
        let of = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let raw = of("raw");
        let bytes = if of("raw_encoding") == "base64" {
            BASE64
                .decode(raw)
                .map_or(Cow::Borrowed(raw.as_bytes()), Cow::Owned)
        } else {
            Cow::Borrowed(raw.as_bytes())
        };
        let is_whole = row.get("raw_bytes").and_then(Value::as_u64) == Some(bytes.len() as u64);
        let parsed = std::str::from_utf8(&bytes).ok().filter(|_| is_whole);
        match parsed.and_then(|raw| self.is_within(raw.trim(), 0)) {
            Some(found) => found,
            None => self.is_in_bytes(&bytes),
        }
    }

    /// Whether an object within raw JSON has a member with the name of the field and the value; `None` if it is
    /// not JSON, or too deep.
    fn is_within(&self, raw: &str, depth: usize) -> Option<bool> {
        const MAX_DEPTH: usize = 100;
        if depth > MAX_DEPTH {
            return None;
        }
        match raw.as_bytes().first()? {
            b'{' => {
                let Members(members) = serde_json::from_str(raw).ok()?;
                let mut found = false;
                for (key, value) in members {
                    // A key or value that is no text may hide it.
                    let is_field = text(key)? == self.path[self.path.len() - 1].as_str();
                    found |= is_field && self.is_scalar(value)?;
                    found |= self.is_within(value, depth + 1)?;
                }
                Some(found)
            }
            b'[' => {
                let values: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
                let mut found = false;
                for value in values {
                    found |= self.is_within(value.get(), depth + 1)?;
                }
                Some(found)
            }
            _ => {
                let _valid: &RawValue = serde_json::from_str(raw).ok()?;
                Some(false)
            }
        }
    }

    fn is_scalar(&self, raw: &str) -> Option<bool> {
        Some(match raw.as_bytes().first()? {
            b'"' => text(raw)? == self.value.as_str(),
            b'{' | b'[' => false,
            _ => raw == self.value,
        })
    }

    /// As it is, or as JSON escapes it.
    fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        let escaped = Value::from(self.value.as_str()).to_string();
        let escaped = escaped.trim_matches('"');
        let ascii: String = self.value.chars().fold(String::new(), |mut all, char| {
            if char.is_ascii() {
                all.push(char);
            } else {
                let mut units = [0; 2];
                for unit in char.encode_utf16(&mut units) {
                    // Writing to memory cannot fail.
                    let _written = write!(all, "\\u{unit:04x}");
                }
            }
            all
        });
        [self.value.as_str(), escaped, &ascii]
            .iter()
            .any(|form| memmem::find(bytes, form.as_bytes()).is_some())
    }
}

/// What a row has in a field, as texts: in its own member, and under `extra`.
pub fn values_of(field: &str, row: &Map<String, Value>) -> Vec<String> {
    let path: Vec<String> = field.split('.').map(str::to_owned).collect();
    values_at(&path, row)
}

fn values_at(path: &[String], row: &Map<String, Value>) -> Vec<String> {
    let Some((first, rest)) = path.split_first() else {
        return Vec::new();
    };
    let own = row.get(first);
    let extra = row.get(EXTRA).and_then(object_of);
    let extra = extra.as_deref().and_then(|extra| extra.get(first));
    let both = own.into_iter().chain(extra);
    both.filter_map(|value| value_at(rest, value)).collect()
}

fn value_at(path: &[String], value: &Value) -> Option<String> {
    match path.split_first() {
        Some((first, rest)) => value_at(rest, object_of(value)?.get(first)?),
        None => match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        },
    }
}

/// An object, or the object in a text of JSON, as columns have nested values.
fn object_of(value: &Value) -> Option<Cow<'_, Map<String, Value>>> {
    match value {
        Value::Object(object) => Some(Cow::Borrowed(object)),
        Value::String(text) => serde_json::from_str(text).ok().map(Cow::Owned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use serde_json::json;

    use super::*;

    fn condition(given: &str) -> RowCondition {
        given.parse().unwrap()
    }

    fn row(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn conditions_without_a_field_or_a_value_are_refused() {
        for given in ["user_id", "=u-1", "user_id=", "a..b=1", ".=1"] {
            assert!(given.parse::<RowCondition>().is_err(), "{given}");
        }
        let with_equals = condition("email=a=b");
        assert_eq!(
            (with_equals.field(), with_equals.value()),
            ("email".to_owned(), "a=b")
        );
        assert_eq!(format!("{with_equals:?}"), "email=(hidden)");
    }

    #[test]
    fn a_row_matches_by_its_member_however_it_lies_in_the_object() {
        let by_user = condition("user_id=u-1");
        assert!(by_user.matches(&row(json!({"user_id": "u-1"}))));
        assert!(!by_user.matches(&row(
            json!({"user_id": "u-10", "properties": {"user_id": "u-1"}})
        )));
        let by_number = condition("age=7");
        assert!(by_number.matches(&row(json!({"age": 7}))));
        // What does not fit its column is under `extra`; in columns that is a text.
        assert!(by_number.matches(&row(json!({"age": null, "extra": {"age": 7}}))));
        assert!(by_number.matches(&row(json!({"age": null, "extra": "{\"age\":7}"}))));
        let nested = condition("properties.email=a@b");
        assert!(nested.matches(&row(json!({"properties": {"email": "a@b"}}))));
        assert!(nested.matches(&row(json!({"properties": "{\"email\":\"a@b\"}"}))));
        assert!(!nested.matches(&row(json!({"email": "a@b"}))));
    }

    #[test]
    fn a_line_that_cannot_match_is_recognised_by_its_bytes() {
        let condition = condition("user_id=é1");
        assert!(condition.may_match("{\"user_id\":\"é1\"}".as_bytes()));
        assert!(condition.may_match(br#"{"user_id":"\u00e91"}"#));
        assert!(!condition.may_match(br#"{"user_id":"e1"}"#));
    }

    fn refused(raw: &[u8], encoding: &str, bytes: usize) -> Map<String, Value> {
        let raw = match encoding {
            "base64" => BASE64.encode(raw),
            _ => String::from_utf8(raw.to_vec()).unwrap(),
        };
        row(json!({"raw": raw, "raw_encoding": encoding, "raw_bytes": bytes}))
    }

    #[test]
    fn a_refused_body_matches_if_it_holds_such_an_event_or_may_hold_one() {
        let condition = condition("user_id=u-1");
        let utf8 = |raw: &str| refused(raw.as_bytes(), "utf-8", raw.len());
        for raw in [
            r#"{"user_id":"u-1"}"#,
            r#"{"events":[{"user_id":"u-2"},{"user_id":"\u0075-1"}]}"#,
            r#"{"user_id":{"name":"A","user_id":"u-1"}}"#,
            r#"{"user_id":"u-1","user_id":"u-2"}"#,
            // No JSON.
            r#"{"user_id":"u-1""#,
            "user=u-1&x=y",
        ] {
            assert!(condition.matches_refused(&utf8(raw)), "{raw}");
        }
        for raw in [
            r#"{"user_id":"u-2"}"#,
            r#"{"user_id":"u-10"}"#,
            r#"{"events":[{"note":"u-1","user_id":null}]}"#,
            "no JSON at all",
            "",
        ] {
            assert!(!condition.matches_refused(&utf8(raw)), "{raw}");
        }
        // Only a part was kept: it is searched.
        let cut = r#"{"events":[{"note":"u-1"#;
        assert!(condition.matches_refused(&refused(cut.as_bytes(), "utf-8", 9_000)));
        assert!(condition.matches_refused(&refused(b"\xff u-1", "base64", 5)));
        assert!(!condition.matches_refused(&refused(b"\xff u-2", "base64", 5)));
    }
}
