//! How a poll reads for each record of another one, its parent: which keys of a parent it uses, and
//! where they go. Pure.

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::definition;
use super::template::{Filler, Values};
use lakehook_contract::entity::FieldPath;

/// How a poll reads for each record of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Each {
    /// The other poll.
    pub of: String,
    /// Whether that takes snapshots.
    pub is_snapshot: bool,
    /// Placeholders, and where in a parent's record their values are.
    set: Vec<(String, FieldPath)>,
    /// Members that are added to each record: their names as JSON, and which placeholder they hold.
    add: Vec<(String, usize)>,
    /// Statuses that mean that a parent has no records.
    pub missing: Vec<u16>,
}

/// The keys of one parent, in the order of the placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent(pub(super) Vec<Filler>);

impl Each {
    /// Reads the settings; `of` is the mode of the other poll.
    pub fn new(each: &definition::Each) -> Self {
        let set = each.set.iter();
        let set: Vec<(String, FieldPath)> = set
            .map(|(name, path)| (name.clone(), FieldPath::new(path)))
            .collect();
        let add = each.add.iter().filter_map(|(member, name)| {
            let index = set.iter().position(|(own, _)| own == name)?;
            Some((Value::from(member.as_str()).to_string(), index))
        });
        Self {
            of: each.of.clone(),
            is_snapshot: each.of_snapshot,
            add: add.collect(),
            missing: each.missing.clone(),
            set,
        }
    }

    /// Sets the placeholders of a parent.
    pub(super) fn fill(&self, parent: &Parent, values: &mut Values) {
        for ((name, _), value) in self.set.iter().zip(&parent.0) {
            values.set(name, value.clone());
        }
    }

    /// The members that each record of a parent gets, with their values.
    pub(super) fn added(&self, parent: &Parent) -> Vec<(String, String)> {
        let value = |index: usize| match &parent.0[index] {
            Filler::Text(text) => Value::from(text.as_str()).to_string(),
            other => other.text().to_owned(),
        };
        let add = self.add.iter();
        add.map(|(member, index)| (member.clone(), value(*index)))
            .collect()
    }

    /// A parent in words.
    pub(super) fn shown(&self, parent: &Parent) -> String {
        let keys = self.set.iter().zip(&parent.0);
        let keys: Vec<String> = keys
            .map(|((name, _), value)| format!("{name} = {}", value.text()))
            .collect();
        format!("{} with {}", self.of, keys.join(", "))
    }

    /// The keys in a row of the lake; `None` if one of them is not there.
    pub(super) fn parent(&self, row: &Map<String, Value>) -> Result<Option<Parent>, String> {
        let mut keys = Vec::with_capacity(self.set.len());
        for (name, path) in &self.set {
            match find(row, path.keys()) {
                Some(Value::String(text)) if !text.is_empty() => keys.push(Filler::Text(text)),
                Some(Value::Number(number)) if !number.is_f64() => {
                    keys.push(Filler::Number(number.to_string()));
                }
                Some(Value::Number(number)) => {
                    return Err(format!(
                        "a record of {} has the number {number} for each.set.{name}; expected text or a whole \
                         number of at most 64 bits",
                        self.of
                    ));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(Parent(keys)))
    }
}

/// The value at a path of a row: of a column, or of what has none.
fn find(row: &Map<String, Value>, path: &[String]) -> Option<Value> {
    let (first, rest) = path.split_first()?;
    let own = row.get(first).filter(|value| !value.is_null());
    let mut value = match own {
        Some(value) => value.clone(),
        None => opened(row.get("extra")?.clone())?.get(first)?.clone(),
    };
    for key in rest {
        value = opened(value)?.get(key)?.clone();
    }
    Some(value)
}

/// An object, which may be text in a column.
fn opened(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(members) => Some(members),
        Value::String(text) => serde_json::from_str(&text).ok(),
        _ => None,
    }
}

impl Parent {
    /// Hash of the parents up to this one, after those of `chain`.
    pub(super) fn after(&self, chain: u64) -> u64 {
        xxh3_64_with_seed(format!("{:?}", self.0).as_bytes(), chain)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn each(path: &str) -> Each {
        Each::new(&definition::Each {
            of: "users".to_owned(),
            of_snapshot: true,
            set: BTreeMap::from([("id".to_owned(), path.to_owned())]),
            add: BTreeMap::from([("user".to_owned(), "id".to_owned())]),
            missing: Vec::new(),
        })
    }

    #[allow(clippy::needless_pass_by_value, reason = "rows are written in place")]
    fn key(path: &str, row: Value) -> Option<String> {
        let row = row.as_object().unwrap();
        let parent = each(path).parent(row).unwrap()?;
        Some(parent.0[0].text().to_owned())
    }

    #[test]
    fn keys_are_found_in_columns_in_what_has_none_and_in_text() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            key("id", json!({"id": 18_446_744_073_709_551_615_u64})),
            some("18446744073709551615")
        );
        assert_eq!(key("/a/b", json!({"a": {"b": "x"}})), some("x"));
        assert_eq!(key("/a/b", json!({"a": "{\"b\":\"x\"}"})), some("x"));
        assert_eq!(
            key("id", json!({"id": null, "extra": {"id": "x"}})),
            some("x")
        );
        assert_eq!(
            key("/a/b", json!({"extra": "{\"a\":{\"b\":7}}"})),
            some("7")
        );
        for none in [
            json!({}),
            json!({"id": null}),
            json!({"id": ""}),
            json!({"id": [1]}),
        ] {
            assert_eq!(key("id", none), None);
        }
        let float = json!({"id": 1.5});
        assert!(each("id").parent(float.as_object().unwrap()).is_err());
    }

    #[test]
    fn members_are_json() {
        let each = each("id");
        assert_eq!(
            each.added(&Parent(vec!["a\"b".into()])),
            [("\"user\"".to_owned(), r#""a\"b""#.to_owned())]
        );
        let number = Parent(vec![Filler::Number("7".to_owned())]);
        assert_eq!(
            each.added(&number),
            [("\"user\"".to_owned(), "7".to_owned())]
        );
        assert_eq!(each.shown(&number), "users with id = 7");
    }
}
