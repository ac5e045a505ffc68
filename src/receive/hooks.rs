//! Webhooks of providers. Each has a path of its own, verifies the provider's signature, and takes each body
//! as one event.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};

use super::admission::Proofs;
use super::fields::{FieldSource, WithoutId};
use super::packs::Challenge;
use crate::clock::Micros;
use crate::contract::foreign::{Envelope, without_mark};
use crate::contract::{Checked, Contract, Refusal};
use crate::ids::Ids;
use crate::record::Origin;
use crate::rfc3339;

/// A provider's webhook.
#[derive(Clone)]
pub struct Hook {
    /// The name of the hook, which is also the source of its events.
    pub name: Arc<str>,
    /// The configured path.
    pub path: Arc<str>,
    /// How a request proves that the provider sent it.
    pub proofs: Proofs,
    /// Questions by which the provider verifies the URL.
    pub challenges: &'static [Challenge],
    /// Where the event's id is.
    pub id: FieldSource,
    /// What becomes of an event without an id.
    pub without_id: WithoutId,
    /// Where the event's type is.
    pub event_type: FieldSource,
    /// Where the event's time is.
    pub time: FieldSource,
}

/// What the body of a provider's request turned out to be.
pub(super) enum Delivery {
    /// One event, as a row to store.
    Event(Checked),
    /// A challenge, with the JSON that answers it.
    Challenge(Value),
}

impl Hook {
    /// Maps a body to the envelope of events. The whole body becomes the event's `properties`.
    pub(super) fn judge(
        &self,
        contract: &Contract,
        headers: &HeaderMap,
        body: &[u8],
        origin: &Origin,
        ids: &Ids,
    ) -> Result<Delivery, Refusal> {
        let max_event_bytes = contract.rules().max_event_bytes;
        if body.len() > max_event_bytes {
            return Err(Refusal::EventTooLarge {
                index: 0,
                max_event_bytes,
            });
        }
        let text = without_mark(body);
        // Text that is not JSON has no fields; the contract refuses it below and says where it is wrong.
        let value: Value = serde_json::from_slice(text).unwrap_or_default();
        if self.challenges.contains(&Challenge::Slack) && value["type"] == "url_verification" {
            let challenge = value["challenge"].as_str().unwrap_or_default();
            return Ok(Delivery::Challenge(json!({"challenge": challenge})));
        }
        let without_id = || match self.without_id {
            // It is recognised by its content when it is sent again.
            WithoutId::Content => {
                let hash = xxhash_rust::xxh3::xxh3_128(text);
                Cow::Owned(format!("content {hash:032x}"))
            }
            WithoutId::Fresh => Cow::Owned(fresh_id(ids)),
        };
        let find = |source: &FieldSource| source.find(headers, &value);
        let id = find(&self.id);
        let event_type = find(&self.event_type);
        let envelope = Envelope {
            source: &self.name,
            id: &id.unwrap_or_else(without_id),
            event_type: &event_type.unwrap_or(Cow::Borrowed("unknown")),
            time: find(&self.time).and_then(|text| parse_time(&text)),
        };
        let rows = contract.foreign(body, &envelope, origin)?;
        Ok(Delivery::Event(Checked {
            rows,
            received: 1,
            dropped: Vec::new(),
            errors: Vec::new(),
            errors_total: 0,
        }))
    }
}

/// A new id, for an event that has none and is never sent again.
fn fresh_id(ids: &Ids) -> String {
    let bytes = [ids.dice().to_be_bytes(), ids.dice().to_be_bytes()].concat();
    let bytes = bytes.try_into().unwrap_or_default();
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// Parses a time as providers write it: RFC 3339, or seconds since 1970.
fn parse_time(text: &str) -> Option<Micros> {
    if let Some(time) = rfc3339::parse(text) {
        return Some(time);
    }
    let seconds: u64 = text.parse().ok()?;
    Some(Micros(0).plus(Duration::from_secs(seconds)))
}
