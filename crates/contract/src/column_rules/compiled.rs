//! The rules of a stream, compiled, and a record as it passes through them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::definition::{ColumnRule, RuleError};
use super::values::{Conversion, Made};
use crate::faults::{Errors, Faults as _};
use crate::field_path::FieldPath;
use crate::pointer::segment;
use crate::raw::push_raw;
use crate::strict::unescaped;
use lakehook_base::columns::ColumnType;
use lakehook_base::json::{between_quotes, push_json};

/// Indices of the columns that rules have made null in a record.
pub type Nulled = Vec<u32>;

/// The rules of one stream.
#[derive(Debug, Default)]
pub struct ColumnRules {
    rules: Vec<Rule>,
    /// The rules that a member feeds, by its key.
    by_source: HashMap<String, Vec<usize>>,
    /// The rules that a value within a member feeds, and where it is.
    nested: Vec<(usize, FieldPath)>,
    /// The rules by the names of their columns.
    by_column: HashMap<String, usize>,
    /// Whether each rule only says that a column holds decimals.
    are_plain_decimals: bool,
    hash: u64,
}

#[derive(Debug)]
struct Rule {
    column: String,
    /// The key with its quotes and a colon.
    head: Vec<u8>,
    kind: Option<ColumnType>,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Drop,
    Constant(Vec<u8>),
    Convert(Box<Conversion>),
}

impl ColumnRules {
    /// Compiles rules, or returns everything that is wrong with them.
    pub fn new(rules: &BTreeMap<String, ColumnRule>) -> Result<Self, Vec<RuleError>> {
        let mut errors: Vec<RuleError> = rules
            .iter()
            .flat_map(|(column, rule)| rule.errors(column))
            .collect();
        let mut own = Self {
            // The keys of hashes are part of it as hashes only.
            hash: xxh3_64(described(rules).as_bytes()),
            are_plain_decimals: rules.values().all(ColumnRule::is_plain_decimal),
            ..Self::default()
        };
        let mut folded = BTreeSet::new();
        for (column, rule) in rules {
            if !folded.insert(column.to_lowercase()) {
                errors.push(RuleError {
                    column: column.clone(),
                    key: "from",
                    rule: "another column differs only in case, and engines ignore that".to_owned(),
                });
            }
            match Rule::new(column, rule) {
                Ok(rule) => own.add(rule, rules),
                Err(what) => errors.push(RuleError {
                    column: column.clone(),
                    key: "formats",
                    rule: what,
                }),
            }
        }
        if errors.is_empty() {
            Ok(own)
        } else {
            Err(errors)
        }
    }

    fn add(&mut self, rule: Rule, rules: &BTreeMap<String, ColumnRule>) {
        let index = self.rules.len();
        if !matches!(rule.action, Action::Constant(_)) {
            let source = rules[&rule.column].source(&rule.column);
            match source.keys() {
                [key] => self.by_source.entry(key.clone()).or_default().push(index),
                _ => self.nested.push((index, source)),
            }
        }
        if !matches!(rule.action, Action::Drop) {
            self.by_column.insert(rule.column.clone(), index);
        }
        self.rules.push(rule);
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether each rule, if there is one, only says that a column holds decimals.
    pub(crate) fn are_plain_decimals(&self) -> bool {
        self.is_empty() || self.are_plain_decimals
    }

    /// Hash of all rules, to detect changes; 0 if there is none.
    pub fn hash(&self) -> u64 {
        if self.is_empty() { 0 } else { self.hash }
    }

    /// The name of the column with this index.
    pub fn column(&self, index: u32) -> &str {
        let rule = self.rules.get(index as usize);
        rule.map_or("", |rule| rule.column.as_str())
    }

    /// The members that rules read.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.by_source.keys().map(String::as_str)
    }

    /// The types that rules give to columns.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, ColumnType)> {
        let typed = self.rules.iter();
        typed.filter_map(|rule| Some((rule.column.as_str(), rule.kind?)))
    }

    /// Appends the record that the rules make of these members to `out`. A value that a rule cannot take is an
    /// error at the place where it was sent.
    pub(crate) fn apply(
        &self,
        members: &[(&str, &str)],
        out: &mut Vec<u8>,
        errors: &mut Errors,
    ) -> Nulled {
        let mut nulled = Nulled::new();
        let mut is_made = vec![false; self.rules.len()];
        // Members that have the name of a column which is made of another one.
        let mut others = Vec::new();
        out.push(b'{');
        for (raw_key, raw) in members {
            let key = unescaped(between_quotes(raw_key));
            let Some(indices) = self.by_source.get(&*key) else {
                match self.by_column.get(&*key) {
                    Some(index) => others.push((*index, *raw_key, *raw)),
                    None => push_member(out, raw_key.as_bytes(), raw),
                }
                continue;
            };
            for index in indices {
                is_made[*index] = true;
                let place = || segment(&key);
                self.make(*index, (*raw, &place), (&mut *out, &mut nulled), errors);
            }
        }
        for (index, path) in &self.nested {
            if let Some(raw) = path.find(members) {
                is_made[*index] = true;
                let place = || path.pointer();
                self.make(*index, (raw, &place), (&mut *out, &mut nulled), errors);
            }
        }
        for (index, raw_key, raw) in others {
            match &self.rules[index].action {
                Action::Constant(_) => {}
                _ if is_made[index] => {
                    let key = unescaped(between_quotes(raw_key));
                    let column = &self.rules[index].column;
                    errors.add("column_rule", || segment(&key), || {
                        format!("no member of this name, since column {column} is made of another one")
                    });
                }
                _ => push_member(out, raw_key.as_bytes(), raw),
            }
        }
        for rule in &self.rules {
            if let Action::Constant(value) = &rule.action {
                out.extend_from_slice(&rule.head);
                out.extend_from_slice(value);
                out.push(b',');
            }
        }
        if out.last() == Some(&b',') {
            out.pop();
        }
        out.push(b'}');
        nulled
    }

    /// Makes a column of a value that was sent at a place.
    fn make(
        &self,
        index: usize,
        (raw, place): (&str, &dyn Fn() -> String),
        (out, nulled): (&mut Vec<u8>, &mut Nulled),
        errors: &mut Errors,
    ) {
        let rule = &self.rules[index];
        match rule.write(raw, out) {
            Some(Made::Nulled) => nulled.push(u32::try_from(index).unwrap_or(u32::MAX)),
            Some(_) => {}
            None => errors.add("column_rule", place, || rule.expected()),
        }
    }
}

/// The rules as text that differs if any of them differs.
fn described(rules: &BTreeMap<String, ColumnRule>) -> String {
    let keys = rules.values().map(|rule| {
        let key = rule.hash.as_ref();
        key.map(|key| xxh3_64(key.expose().as_bytes()))
    });
    format!("{rules:?} {:?}", keys.collect::<Vec<_>>())
}

/// Appends a member and a comma.
fn push_member(out: &mut Vec<u8>, raw_key: &[u8], raw: &str) {
    out.extend_from_slice(raw_key);
    out.push(b':');
    push_raw(out, raw);
    out.push(b',');
}

/// The type that a rule gives its column without naming it.
fn implied(rule: &ColumnRule) -> Option<ColumnType> {
    match &rule.value {
        Some(Value::String(_)) => Some(ColumnType::Text),
        Some(Value::Bool(_)) => Some(ColumnType::Boolean),
        Some(Value::Number(number)) if number.is_i64() => Some(ColumnType::Integer),
        Some(Value::Number(_)) => Some(ColumnType::Double),
        _ => rule.hash.as_ref().map(|_| ColumnType::Text),
    }
}

impl Rule {
    fn new(column: &str, rule: &ColumnRule) -> Result<Self, String> {
        let mut head = Vec::new();
        push_json(&mut head, column);
        head.push(b':');
        let action = if rule.drop {
            Action::Drop
        } else if let Some(value) = &rule.value {
            let mut text = Vec::new();
            push_json(&mut text, value);
            Action::Constant(text)
        } else {
            Action::Convert(Box::new(Conversion::new(rule)?))
        };
        Ok(Self {
            column: column.to_owned(),
            head,
            kind: rule.kind.or_else(|| implied(rule)),
            action,
        })
    }

    /// Appends the column and a comma; `None` if the rule cannot take the value.
    fn write(&self, raw: &str, out: &mut Vec<u8>) -> Option<Made> {
        let Action::Convert(conversion) = &self.action else {
            return Some(Made::Value);
        };
        out.extend_from_slice(&self.head);
        let made = conversion.write(raw, out);
        if made.is_none() {
            // The record is refused; this keeps the text well formed.
            out.extend_from_slice(b"null");
        }
        out.push(b',');
        made
    }

    fn expected(&self) -> String {
        let expected = match &self.action {
            Action::Convert(conversion) => conversion.expected(),
            Action::Drop | Action::Constant(_) => String::new(),
        };
        format!("{expected}, for the column {}", self.column)
    }
}

#[cfg(test)]
#[path = "compiled_tests.rs"]
mod tests;
