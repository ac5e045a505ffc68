//! `[poll.NAME.each]`: polls that read for each record of another one; their keys and their rules.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use validator::Validate;

use crate::poll::definition::{self, Definition, RecordId};
use crate::poll::template::NAMES;

/// `[poll.NAME.each]`: the other poll, its parent, for each of whose records it reads.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Each {
    /// The name of the other poll.
    pub of: String,
    /// Placeholders of requests, and where in a parent's record their values are.
    pub set: BTreeMap<String, String>,
    /// Members that are added to each record, and the placeholders whose values they get.
    pub add: BTreeMap<String, String>,
    /// Statuses that mean that a parent has no records.
    pub missing: Vec<u16>,
}

/// What identifies a record: one key or pointer, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdKeys(Vec<String>);

impl IdKeys {
    /// One key or pointer.
    pub fn one(key: &str) -> Self {
        Self(vec![key.to_owned()])
    }

    pub(in super::super) fn definition(&self) -> RecordId {
        RecordId(self.0.clone())
    }

    /// The keys.
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// Whether it is a list without entries, or one of them is empty.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(String::is_empty)
    }
}

impl JsonSchema for IdKeys {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "IdKeys".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

impl<'de> Deserialize<'de> for IdKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = IdKeys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key or a list of keys")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<IdKeys, E> {
                Ok(IdKeys(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<IdKeys, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = list.next_element()? {
                    keys.push(key);
                }
                Ok(IdKeys(keys))
            }
        }
        deserializer.deserialize_any(KeysVisitor)
    }
}

impl Each {
    /// `of_snapshot` says whether the other poll takes snapshots.
    pub(in super::super) fn definition(&self, of_snapshot: bool) -> definition::Each {
        definition::Each {
            of: self.of.clone(),
            of_snapshot,
            set: self.set.clone(),
            add: self.add.clone(),
            missing: self.missing.clone(),
        }
    }
}

/// The rules that the children of a poll break, each with its keys. `known` says whether there is a poll of
/// a name, and the name of its own parent; `uses` whether a placeholder stands in the request.
pub(in super::super) fn broken_rules(
    name: &str,
    poll: &Definition,
    known: &dyn Fn(&str) -> Option<Option<String>>,
    uses: &dyn Fn(&str) -> bool,
) -> Vec<(Vec<String>, String)> {
    let Some(each) = &poll.each else {
        return Vec::new();
    };
    let mut broken = Broken::default();
    if known(&each.of).is_none() {
        let of = &each.of;
        broken.add(
            "each.of",
            format!("there is no poll {of:?}; name the one whose records are the parents"),
        );
    } else if is_own_ancestor(name, &each.of, known) {
        let of = &each.of;
        broken.add(
            "each.of",
            format!("{of:?} reads for this poll itself, so that neither can begin"),
        );
    }
    check_names(each, uses, &mut broken);
    for status in &each.missing {
        if !(400..500).contains(status) {
            broken.add(
                "each.missing",
                format!("{status} must be a status from 400 to 499, such as 404"),
            );
        }
    }
    let others = [
        ("watermark", !poll.watermark.is_empty()),
        ("window", poll.window.is_some()),
    ];
    for (other, _) in others.into_iter().filter(|(_, is_set)| *is_set) {
        let rule = "the records of each parent are read whole, because one mark cannot stand for all parents; \
                    records that are stored already are recognised";
        broken.add(other, format!("remove {other}: {rule}"));
    }
    broken.0
}

/// Broken rules, each with its keys.
#[derive(Default)]
struct Broken(Vec<(Vec<String>, String)>);

impl Broken {
    fn add(&mut self, key: &str, rule: impl Into<String>) {
        self.0.push((vec![key.to_owned()], rule.into()));
    }
}

/// Checks the names of placeholders, and of members.
fn check_names(each: &definition::Each, uses: &dyn Fn(&str) -> bool, broken: &mut Broken) {
    if each.set.is_empty() {
        let rule =
            "must name the placeholders that a parent's record sets, such as { id = \"/user_id\" }";
        broken.add("each.set", rule);
    }
    for placeholder in each.set.keys() {
        let is_name = placeholder.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && placeholder
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || NAMES.iter().any(|(own, _)| own == placeholder) {
            broken.add("each.set", format!(
                "{placeholder:?} cannot be the name of a placeholder: it consists of letters, digits and _, and \
                 is none that every request has"
            ));
        }
    }
    if !each.set.is_empty() && !each.set.keys().any(|name| uses(name)) {
        let rule = "none of its placeholders stands in the request, so that it would be the same for each parent";
        broken.add("each.set", rule);
    }
    for (member, placeholder) in &each.add {
        if !each.set.contains_key(placeholder) {
            let rule =
                format!("{member:?} is to hold {placeholder:?}, which each.set does not have");
            broken.add("each.add", rule);
        }
    }
}

/// Whether a poll is among the parents of its parent.
fn is_own_ancestor(name: &str, of: &str, known: &dyn Fn(&str) -> Option<Option<String>>) -> bool {
    let mut at = of.to_owned();
    for _ in 0..64 {
        if at == name {
            return true;
        }
        match known(&at) {
            Some(Some(next)) => at = next,
            _ => return false,
        }
    }
    true
}
