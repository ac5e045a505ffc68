//! What a page says besides its records: every scalar, with its place.

use serde_json::Value;

/// Deeper values are not looked at.
const MAX_DEPTH: usize = 5;
/// More values are not looked at.
const MAX_FACTS: usize = 1000;

/// A scalar of a page.
#[derive(Clone, Debug)]
pub(super) struct Fact<'a> {
    /// JSON Pointer to it.
    pub(super) pointer: String,
    /// Its key.
    pub(super) key: String,
    /// Its key as words are compared.
    pub(super) name: String,
    /// The key of the object around it, likewise.
    pub(super) around: String,
    /// The value.
    pub(super) value: &'a Value,
}

impl Fact<'_> {
    /// Whether its key is one of these.
    pub(super) fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }
}

/// The facts of a page; what is below `records` is none.
pub(super) fn facts<'a>(body: &'a Value, records: &str) -> Vec<Fact<'a>> {
    let mut facts = Vec::new();
    collect(body, String::new(), ("", ""), records, 0, &mut facts);
    facts
}

fn collect<'a>(
    value: &'a Value,
    pointer: String,
    (key, around): (&str, &str),
    records: &str,
    depth: usize,
    facts: &mut Vec<Fact<'a>>,
) {
    if pointer == records || depth > MAX_DEPTH || facts.len() >= MAX_FACTS {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let below = format!("{pointer}/{}", escaped(name));
                collect(member, below, (name, key), records, depth + 1, facts);
            }
        }
        // Pages such as [facts, records].
        Value::Array(items) if depth == 0 => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("/{index}"), ("", ""), records, 1, facts);
            }
        }
        Value::Array(_) => {}
        scalar => facts.push(Fact {
            name: plain(key),
            around: plain(around),
            key: key.to_owned(),
            pointer,
            value: scalar,
        }),
    }
}

/// A key as a part of a JSON Pointer.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A key as words are compared: small letters and digits only.
pub(super) fn plain(key: &str) -> String {
    let kept = key.chars().filter(char::is_ascii_alphanumeric);
    kept.map(|c| c.to_ascii_lowercase()).collect()
}
