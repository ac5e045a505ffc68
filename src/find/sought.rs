//! What is looked for, and whether a row is it.

use std::collections::BTreeSet;

use memchr::memmem::Finder;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Micros;
use crate::contract::EventIds;

/// No id is longer.
const MAX_CHARS: usize = 512;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    /// The id as it was given, and a UUID as the lake has it.
    texts: Vec<String>,
    ids: EventIds,
    /// The ids as the column `event_id` has them.
    event_ids: BTreeSet<String>,
    is_uuid: bool,
    /// Also what was received at this time.
    received_at: Option<String>,
}

impl Sought {
    /// Rows with this id; an event of a hook may be called by the id that its provider gave. `None` if it can be none.
    pub fn id<'n>(text: &str, feed: &str, hooks: impl Iterator<Item = &'n str>) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > MAX_CHARS {
            return None;
        }
        let ids = EventIds::of(text, feed, hooks);
        let uuid = Uuid::try_parse(text).map(|id| id.to_string());
        let is_uuid = uuid.is_ok();
        let mut texts: Vec<String> = uuid.into_iter().chain([text.to_owned()]).collect();
        texts.dedup();
        Some(Self {
            texts,
            event_ids: ids.texts(),
            ids,
            is_uuid,
            received_at: None,
        })
    }

    /// Also rows that were received at this time: rows do not have the id of their request.
    #[must_use]
    pub fn or_received_at(mut self, time: Micros) -> Self {
        self.received_at = Some(time.to_string());
        self
    }

    /// The id.
    pub fn text(&self) -> &str {
        &self.texts[0]
    }

    /// The ids that an event may have.
    pub fn ids(&self) -> &EventIds {
        &self.ids
    }

    /// The same, as the column `event_id` has them.
    pub(super) fn event_ids(&self) -> &BTreeSet<String> {
        &self.event_ids
    }

    /// Whether a row that has none of these ids may be it all the same. What a provider called an event is kept beside
    /// its properties.
    pub(super) fn may_be_elsewhere(&self, has_extra: bool) -> bool {
        self.received_at.is_some() || has_extra && !self.is_uuid
    }

    /// What the bytes of a row are searched for.
    pub(super) fn needles(&self) -> Needles<'_> {
        let sought = self.texts.iter().chain(&self.event_ids);
        let sought: BTreeSet<&String> = sought.chain(&self.received_at).collect();
        let is_plain = |text: &String| {
            text.bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
        };
        // Other texts may be escaped in many ways.
        let all_are_plain = sought.iter().all(|text| is_plain(text));
        let finders = sought.into_iter().map(Finder::new);
        Needles(all_are_plain.then(|| finders.collect()))
    }

    /// Whether a row has it: as one of its own values, or those beside its properties; or anywhere in what was refused.
    pub(super) fn is_in(&self, row: &Map<String, Value>, is_refused: bool) -> bool {
        let text_of = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let is = |value: &Value| {
            let text = value.as_str();
            text.is_some_and(|text| self.texts.iter().any(|sought| sought == text))
        };
        let in_extra = match row.get("extra") {
            Some(Value::Object(extra)) => extra.values().any(is),
            // In columns it is JSON in a text.
            Some(Value::String(text)) => {
                let extra: Option<Map<String, Value>> = serde_json::from_str(text).ok();
                extra.is_some_and(|extra| extra.values().any(is))
            }
            _ => false,
        };
        let raw = text_of("raw");
        let in_raw = is_refused && self.texts.iter().any(|text| raw.contains(text.as_str()));
        let has_time = self
            .received_at
            .as_ref()
            .is_some_and(|time| time == text_of("received_at"));
        let has_id = self.event_ids.contains(text_of("event_id"));
        in_extra || in_raw || has_time || has_id || row.values().any(is)
    }
}

/// Texts of which a row that is sought has at least one, unless they may be written in many ways.
#[derive(Debug)]
pub(super) struct Needles<'s>(Option<Vec<Finder<'s>>>);

impl Needles<'_> {
    /// Whether the bytes of a row may hold it.
    pub(super) fn may_be_in(&self, row: &[u8]) -> bool {
        let Needles(finders) = self;
        let is_in = |finder: &Finder<'_>| finder.find(row).is_some();
        finders
            .as_ref()
            .is_none_or(|finders| finders.iter().any(is_in))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    const ID: &str = "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11";

    fn sought(text: &str) -> Option<Sought> {
        Sought::id(text, "events", ["stripe"].into_iter())
    }

    fn is_in(raw: &str, is_refused: bool, text: &str) -> bool {
        let row: Map<String, Value> = serde_json::from_str(raw).unwrap();
        let sought = sought(text).unwrap();
        let is_in = sought.is_in(&row, is_refused);
        assert!(
            !is_in || sought.needles().may_be_in(raw.as_bytes()),
            "{text} in {raw}"
        );
        is_in
    }

    #[test]
    fn a_row_is_known_by_its_ids_and_not_by_what_is_in_its_properties() {
        let row = format!(
            "{{\"event_id\":\"{ID}\",\"lsn\":7,\"properties\":{{\"other\":\"p-1\"}},\"extra\":{{\"provider_id\":\"evt_1\"}}}}"
        );
        for text in [ID, &ID.to_uppercase(), " evt_1 "] {
            assert!(is_in(&row, false, text), "{text}");
        }
        assert!(!is_in(&row, false, "p-1") && !is_in(&row, false, "7f1f9a0e"));
        let column = row.replace(
            "{\"provider_id\":\"evt_1\"}",
            "\"{\\\"provider_id\\\":\\\"evt_1\\\"}\"",
        );
        assert!(is_in(&column, false, "evt_1"));
        // The id that is made of that of the provider is enough.
        let made = EventIds::of("evt_1", "events", ["stripe"].into_iter());
        for id in made.texts() {
            assert!(is_in(&format!("{{\"event_id\":\"{id}\"}}"), false, "evt_1"));
        }
    }

    #[test]
    fn what_was_refused_is_known_by_anything_in_it() {
        let row = "{\"lsn\":7,\"request_id\":\"r-1\",\"raw\":\"{\\\"id\\\":\\\"evt 1\\\"}\"}";
        assert!(is_in(row, true, "evt 1") && is_in(row, true, "r-1"));
        assert!(!is_in(row, false, "evt 1"));
    }

    #[test]
    fn what_was_received_with_a_request_is_known_by_the_time() {
        let row = "{\"event_id\":\"x\",\"received_at\":\"1970-01-01T00:00:00.000007Z\"}";
        let row: Map<String, Value> = serde_json::from_str(row).unwrap();
        let request = sought("r-1").unwrap();
        assert!(!request.is_in(&row, false));
        assert!(request.or_received_at(Micros(7)).is_in(&row, false));
    }

    #[test]
    fn not_every_text_is_an_id() {
        for text in ["", "  ", &"x".repeat(MAX_CHARS + 1)] {
            assert_eq!(sought(text), None);
        }
    }
}
