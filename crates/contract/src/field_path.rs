//! The path to a value in a record, and how the value is found.

use std::cmp::Ordering;

use serde_json::value::RawValue;

use super::pointer::{self, segment};
use lakehook_base::json::{Members, between_quotes, text};

/// The path to a value in a record: the keys that lead to it, and the indices within lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// Reads a JSON Pointer (RFC 6901), which begins with a slash, or the name of a key.
    pub fn new(text: &str) -> Self {
        Self(pointer::parse(text).unwrap_or_else(|| vec![text.to_owned()]))
    }

    /// The path to a member of the record.
    pub(super) fn of_key(key: &str) -> Self {
        Self(vec![key.to_owned()])
    }

    /// The keys, outermost first.
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// The path as a JSON Pointer.
    pub(super) fn pointer(&self) -> String {
        self.0.iter().map(|key| segment(key)).collect()
    }

    /// The raw value at the path.
    pub(super) fn find<'a>(&self, members: &[(&'a str, &'a str)]) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        rest.iter()
            .try_fold(member(members, first)?, |value, key| inner(value, key))
    }
}

/// The value of a member.
fn member<'a>(members: &[(&'a str, &'a str)], key: &str) -> Option<&'a str> {
    let mut members = members.iter();
    let own = members.find(|(raw, _)| is_key(raw, key));
    Some(own?.1)
}

/// Whether a raw key says this. Escapes only make a key longer.
fn is_key(raw: &str, key: &str) -> bool {
    match raw.len().cmp(&(key.len() + 2)) {
        Ordering::Less => false,
        Ordering::Equal if !key.contains('\\') => between_quotes(raw) == key,
        _ => raw.contains('\\') && text(raw).is_some_and(|own| *own == *key),
    }
}

/// The value of a key within a raw object, or of an index within a raw list.
fn inner<'a>(value: &'a str, key: &str) -> Option<&'a str> {
    if value.starts_with('[') {
        let is_index = key == "0" || !key.starts_with('0');
        let index: usize = key.parse().ok().filter(|_| is_index)?;
        let list: Vec<&RawValue> = serde_json::from_str(value).ok()?;
        return list.get(index).map(|own| own.get());
    }
    let Members(members) = serde_json::from_str(value).ok()?;
    member(&members, key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_path_leads_through_objects_and_lists() {
        let record = r#"{"a":{"b/c":5,"l":[{"v":"x"},null,[7]]},"~":"x","":1,"l":[1],"\u00e9\\n\"":8,"\\n":9,"\n":10,"b\u0062":11}"#;
        let Members(members) = serde_json::from_str(record).unwrap();
        let find = |path: &str| FieldPath::new(path).find(&members);
        for (path, found) in [
            ("/a/b~1c", Some("5")),
            ("~", Some("\"x\"")),
            ("/a/l/0/v", Some("\"x\"")),
            ("/a/l/1", Some("null")),
            ("/a/l/2/0", Some("7")),
            ("/l/0", Some("1")),
            ("/l/00", None),
            ("/l/-1", None),
            ("/l/1", None),
            ("/l/x", None),
            ("/a/d", None),
            ("/a/b~1c/d", None),
            ("é\\n\"", Some("8")),
            ("\\n", Some("9")),
            ("\n", Some("10")),
            ("\\u0062", None),
        ] {
            assert_eq!(find(path), found, "{path}");
        }
    }
}
