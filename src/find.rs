//! Looks for one event in a lake: rows with an id, a provider's id or the id of a request, the newest objects first.
//!
//! Bounded by objects and bytes. Every row of an object is read, since ids are in no order; what was found so far can be
//! shown meanwhile.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::encode::ObjectReader;
use crate::lake::calendar::ListedObject;
use crate::lake::keys::top_folder;
use crate::lake::reader::{LakeReadError, LakeReader};

/// At most so many objects are read, …
pub const MAX_OBJECTS: usize = 300;
/// … of at most so many bytes together.
const MAX_BYTES: u64 = 512 << 20;
/// More rows are not told.
const MAX_ROWS: usize = 20;
/// No id is longer.
const MAX_CHARS: usize = 512;
/// The stream of what was refused.
const QUARANTINE: &str = "quarantine";

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    texts: Vec<String>,
}

impl Sought {
    /// Rows with this id. `None` if it can be none.
    pub fn id(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > MAX_CHARS {
            return None;
        }
        // The lake has ids of events in this form.
        let canonical = Uuid::parse_str(text).map(|id| id.to_string());
        Some(Self {
            texts: vec![canonical.unwrap_or_else(|_| text.to_owned())],
        })
    }

    /// Also rows with another text, such as the time of receipt of a request.
    #[must_use]
    pub fn or(mut self, text: String) -> Self {
        self.texts.push(text);
        self
    }

    /// The id.
    pub fn text(&self) -> &str {
        &self.texts[0]
    }

    /// Whether the bytes of a row may hold it.
    fn may_be_in(&self, raw: &str) -> bool {
        self.texts.iter().any(|text| {
            let plain = text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
            // Other texts may be escaped in many ways.
            !plain || memchr::memmem::find(raw.as_bytes(), text.as_bytes()).is_some()
        })
    }

    /// Whether a row has it: as one of its own values, or those beside its properties; or anywhere in what was refused.
    fn is_in(&self, row: &Map<String, Value>, is_refused: bool) -> bool {
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
        let raw = row.get("raw").and_then(Value::as_str).unwrap_or_default();
        let in_raw = is_refused && self.texts.iter().any(|text| raw.contains(text.as_str()));
        in_extra || in_raw || row.values().any(is)
    }
}

/// A row that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRow {
    /// The key of its object.
    pub key: String,
    /// Its LSN in the log of its node.
    pub lsn: u64,
    /// The row, as JSON.
    pub row: String,
}

/// What was found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The rows, in the order of their objects.
    pub rows: Vec<FoundRow>,
    /// How many objects were read, …
    pub objects: usize,
    /// … of how many.
    pub of: usize,
    /// Whether older objects were left out.
    pub is_cut: bool,
}

impl Search {
    /// Whether a row was found that is stored, and not refused.
    pub fn has_stored(&self) -> bool {
        let is_stored = |row: &FoundRow| top_folder(&row.key) != Some(QUARANTINE);
        self.rows.iter().any(is_stored)
    }
}

/// Looks into these objects, in their order, until a stored row is found. `publish` gets what is known after each object.
pub async fn search(
    place: &LakeReader,
    objects: Vec<ListedObject>,
    sought: &Sought,
    publish: &(dyn Fn(&Search) + Send + Sync),
) -> Result<Search, LakeReadError> {
    let mut search = Search {
        of: objects.len().min(MAX_OBJECTS),
        is_cut: objects.len() > MAX_OBJECTS,
        ..Search::default()
    };
    let mut left = MAX_BYTES;
    for ListedObject { key, bytes } in objects.into_iter().take(MAX_OBJECTS) {
        if bytes > left || search.has_stored() || search.rows.len() >= MAX_ROWS {
            search.is_cut |= bytes > left;
            break;
        }
        left -= bytes;
        if let Some(bytes) = place.read(&key).await? {
            let (own, sought) = (key.clone(), sought.clone());
            let rows = tokio::task::spawn_blocking(move || rows_of(&own, bytes, &sought));
            // An object that cannot be read is told by the audit.
            let rows = rows.await.ok().and_then(Result::ok).unwrap_or_default();
            let room = MAX_ROWS - search.rows.len();
            search.rows.extend(rows.into_iter().take(room));
        }
        search.objects += 1;
        publish(&search);
    }
    Ok(search)
}

fn rows_of(key: &str, bytes: Vec<u8>, sought: &Sought) -> std::io::Result<Vec<FoundRow>> {
    let is_refused = top_folder(key) == Some(QUARANTINE);
    let mut found = Vec::new();
    ObjectReader::of_key(key)?.each(bytes, &mut |raw: Box<RawValue>| {
        if sought.may_be_in(raw.get()) {
            let row: Map<String, Value> = serde_json::from_str(raw.get())?;
            if sought.is_in(&row, is_refused) {
                let lsn = row.get("lsn").and_then(Value::as_u64).unwrap_or(0);
                let (key, row) = (key.to_owned(), raw.get().to_owned());
                found.push(FoundRow { key, lsn, row });
            }
        }
        Ok(found.len() < MAX_ROWS)
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    const ID: &str = "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11";

    fn found(key: &str, text: &str, sought: &str) -> usize {
        let sought = Sought::id(sought).unwrap();
        rows_of(key, text.as_bytes().to_vec(), &sought)
            .unwrap()
            .len()
    }

    #[test]
    fn a_row_is_found_by_its_ids_and_not_by_what_is_in_its_properties() {
        let key = "events/dt=2026-11-29/x.ndjson";
        let row = format!(
            "{{\"event_id\":\"{ID}\",\"lsn\":7,\"properties\":{{\"other\":\"p-1\"}},\"extra\":{{\"provider_id\":\"evt_1\"}}}}\n"
        );
        assert_eq!(found(key, &row, ID), 1);
        assert_eq!(found(key, &row, &ID.to_uppercase()), 1);
        assert_eq!(found(key, &row, " evt_1 "), 1);
        assert_eq!(found(key, &row, "p-1"), 0);
        assert_eq!(found(key, &row, "7f1f9a0e"), 0);
        let as_column = row.replace(
            "{\"provider_id\":\"evt_1\"}",
            "\"{\\\"provider_id\\\":\\\"evt_1\\\"}\"",
        );
        assert_eq!(found(key, &as_column, "evt_1"), 1);
    }

    #[test]
    fn what_was_refused_is_found_by_anything_in_it() {
        let row = "{\"lsn\":7,\"request_id\":\"r-1\",\"raw\":\"{\\\"id\\\":\\\"evt 1\\\"}\"}\n";
        assert_eq!(
            found("quarantine/events/dt=2026-11-29/x.ndjson", row, "evt 1"),
            1
        );
        assert_eq!(
            found("quarantine/events/dt=2026-11-29/x.ndjson", row, "r-1"),
            1
        );
        assert_eq!(found("events/dt=2026-11-29/x.ndjson", row, "evt 1"), 0);
    }

    #[test]
    fn not_every_text_is_an_id() {
        for text in ["", "  ", &"x".repeat(MAX_CHARS + 1)] {
            assert_eq!(Sought::id(text), None);
        }
    }
}
