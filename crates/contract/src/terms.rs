//! The contract as the service holds it: the rules, compiled for both passes.

use std::borrow::Cow;

use super::named::Named;
use super::pointer::{self, Pointer};
use super::rules::Rules;
use super::schemas::{Schema, Schemas};
use lakehook_base::json::push_json;
use lakehook_base::record::{FeedTags, Fingerprint};

/// Checks the bodies of one feed, each on its own.
#[derive(Debug)]
pub struct Contract {
    rules: Rules,
    fingerprint: Fingerprint,
    tags: FeedTags,
    types: Vec<EventType>,
    /// The sources, by index in [`Rules::sources`].
    sources: Vec<Word>,
    ignored: Vec<Pointer>,
}

/// A configured event type, by index in [`Rules::types`].
#[derive(Debug)]
struct EventType {
    name: Word,
    schema: Option<Schema>,
    is_dropped: bool,
}

impl Contract {
    /// Ignores schemas of types that the rules do not name, and entries of `dedup_ignore` that do not begin
    /// with a slash.
    pub fn new(rules: Rules, schemas: Schemas, fingerprint: Fingerprint) -> Self {
        let mut schemas = schemas.into_map();
        let event_type = |name: &String| EventType {
            name: Word::new("event_type", name),
            schema: schemas.remove(name),
            is_dropped: rules.drop.contains(name),
        };
        Self {
            types: rules.types.iter().map(event_type).collect(),
            sources: rules
                .sources
                .iter()
                .map(|name| Word::new("source", name))
                .collect(),
            ignored: rules
                .dedup_ignore
                .iter()
                .filter_map(|text| pointer::parse(text))
                .collect(),
            tags: fingerprint.feed(&rules.feed),
            rules,
            fingerprint,
        }
    }

    /// The rules that it was built from.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(super) fn schema(&self, event_type: usize) -> Option<&Schema> {
        self.types[event_type].schema.as_ref()
    }

    pub(super) fn is_dropped(&self, event_type: usize) -> bool {
        self.types[event_type].is_dropped
    }

    /// A type, in the list or not.
    pub(super) fn named_type<'a>(&self, name: Cow<'a, str>) -> Named<'a> {
        Named::of(&self.rules.types, name)
    }

    /// A source, in the list or not.
    pub(super) fn named_source<'a>(&self, name: Cow<'a, str>) -> Named<'a> {
        Named::of(&self.rules.sources, name)
    }

    /// The tag of an event's id, for dedup.
    pub(super) fn tag(&self, id: &[u8]) -> u64 {
        self.tags.tag(id)
    }

    /// The event type's name.
    pub(super) fn event_type(&self, event_type: usize) -> &Word {
        &self.types[event_type].name
    }

    /// The source's name.
    pub(super) fn source(&self, source: usize) -> &Word {
        &self.sources[source]
    }

    /// The parts of an event that are left out when two copies are compared.
    pub(super) fn ignored(&self) -> &[Pointer] {
        &self.ignored
    }
}

/// A configured word, already encoded for rows.
#[derive(Debug)]
pub(super) struct Word {
    member: Vec<u8>,
    value_at: usize,
}

impl Word {
    fn new(key: &str, word: &str) -> Self {
        let mut member = format!(",\"{key}\":").into_bytes();
        let value_at = member.len();
        push_json(&mut member, word);
        Self { member, value_at }
    }

    /// The word as a member of a row, with the comma before it.
    pub(super) fn member(&self) -> &[u8] {
        &self.member
    }

    /// The word as a JSON string.
    pub(super) fn json(&self) -> &[u8] {
        &self.member[self.value_at..]
    }
}
