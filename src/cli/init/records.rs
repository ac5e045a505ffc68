//! Where in a page the records are.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::facts::{escaped, plain};

/// Deeper values are not looked at.
const MAX_DEPTH: usize = 4;
/// Fewer objects side by side are parts of one record.
const MIN_MAP: usize = 2;
/// Names that lists of records usually have.
const USUAL: [&str; 21] = [
    "data",
    "items",
    "results",
    "records",
    "value",
    "values",
    "entries",
    "rows",
    "list",
    "content",
    "elements",
    "objects",
    "hits",
    "docs",
    "documents",
    "collection",
    "resources",
    "nodes",
    "result",
    "features",
    "entry",
];

/// How the records lie in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A list of objects.
    List,
    /// A list of values that are no objects.
    Scalars,
    /// An object of records, by name.
    Map,
    /// One record.
    Object,
    /// An empty list.
    Empty,
}

/// The records of a page.
#[derive(Debug)]
pub(super) struct Records<'a> {
    pub(super) form: Form,
    /// JSON Pointer to them; empty for the whole page.
    pub(super) pointer: String,
    /// Those that are objects.
    pub(super) objects: Vec<&'a Map<String, Value>>,
    /// How many there are.
    pub(super) count: usize,
    /// Other places where they might be.
    pub(super) others: Vec<String>,
}

struct Candidate<'a> {
    form: Form,
    pointer: String,
    value: &'a Value,
    score: usize,
}

/// Finds the records. `word` is the last word of the URL's path, like which lists are often named.
pub(super) fn find<'a>(body: &'a Value, word: &str) -> Records<'a> {
    let mut candidates = Vec::new();
    look(body, "", "", word, 0, &mut candidates);
    // The best first; among equals, the first in the page.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.score));
    let others = candidates.iter().skip(1);
    let others = others.filter(|other| matches!(other.form, Form::List | Form::Map));
    let others = others.take(3).map(|other| other.pointer.clone()).collect();
    let (form, pointer, value) = match candidates.into_iter().next() {
        Some(best) => (best.form, best.pointer, best.value),
        None => one_object(body),
    };
    let objects: Vec<_> = match (form, value) {
        (Form::Object, Value::Object(record)) => vec![record],
        (Form::Map, Value::Object(records)) => {
            records.values().filter_map(Value::as_object).collect()
        }
        (_, Value::Array(records)) => records.iter().filter_map(Value::as_object).collect(),
        _ => Vec::new(),
    };
    Records {
        form,
        pointer,
        count: value.as_array().map_or(objects.len(), Vec::len),
        objects,
        others,
    }
}

fn look<'a>(
    value: &'a Value,
    pointer: &str,
    key: &str,
    word: &str,
    depth: usize,
    candidates: &mut Vec<Candidate<'a>>,
) {
    if depth > MAX_DEPTH {
        return;
    }
    let form = form_of(value);
    if let Some((form, worth)) = form {
        let name = plain(key);
        let named = match name.as_str() {
            "" => 2000,
            name if name == plain(word) => 3000,
            name if USUAL.contains(&name) => 2000,
            _ => 0,
        };
        candidates.push(Candidate {
            form,
            pointer: pointer.to_owned(),
            value,
            score: worth + named + 100 * (MAX_DEPTH - depth),
        });
    }
    match value {
        // What is within a record is no list of records.
        Value::Object(members) if form.is_none() => {
            for (name, member) in members {
                let below = format!("{pointer}/{}", escaped(name));
                look(member, &below, name, word, depth + 1, candidates);
            }
        }
        // Pages such as [facts, records].
        Value::Array(items) if depth == 0 && items.iter().any(Value::is_array) => {
            for (index, item) in items.iter().enumerate() {
                look(item, &format!("/{index}"), "", word, 1, candidates);
            }
        }
        _ => {}
    }
}

/// What a value could be, and how well it fits.
fn form_of(value: &Value) -> Option<(Form, usize)> {
    match value {
        Value::Array(items) if items.is_empty() => Some((Form::Empty, 1000)),
        Value::Array(items) if items.iter().all(Value::is_object) => {
            Some((Form::List, 5000 + items.len().min(99)))
        }
        Value::Array(items) if !items.iter().any(|item| item.is_array() || item.is_object()) => {
            Some((Form::Scalars, 500))
        }
        Value::Object(members) if is_map(members) => {
            Some((Form::Map, 3000 + members.len().min(99)))
        }
        _ => None,
    }
}

/// Whether the members of an object are records of one kind: objects that share most of their keys.
fn is_map(members: &Map<String, Value>) -> bool {
    let objects: Vec<_> = members.values().filter_map(Value::as_object).collect();
    if members.len() < MIN_MAP || objects.len() < members.len() {
        return false;
    }
    let all: BTreeSet<&String> = objects.iter().flat_map(|object| object.keys()).collect();
    let shared = all
        .iter()
        .filter(|key| objects.iter().all(|object| object.contains_key(**key)));
    !all.is_empty() && 2 * shared.count() >= all.len()
}

/// The page is one record, or wraps one.
fn one_object(body: &Value) -> (Form, String, &Value) {
    let members = body.as_object();
    let mut within = members
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.is_object());
    match (within.next(), within.next()) {
        (Some((key, record)), None) if USUAL.contains(&plain(key).as_str()) => {
            (Form::Object, format!("/{}", escaped(key)), record)
        }
        _ => (Form::Object, String::new(), body),
    }
}
