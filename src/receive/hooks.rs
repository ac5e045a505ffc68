//! Webhooks of providers. Each has a path of its own, knows how the provider proves who it is, and maps each body to
//! events.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::admission::Proofs;
use super::alarm::Alarm;
use super::delivery::{BodyForm, Delivery, HookRows};
use super::fields::{FieldSource, WithoutId};
use super::kept_headers::KeptHeaders;
use super::packs::Challenge;
use super::repeated::Repeated;
use crate::clock::Micros;
use crate::contract::foreign::{Envelope, Ignored, Scope};
use crate::contract::{Contract, MAX_ERRORS, Refusal};
use crate::ids::Ids;
use crate::instant;
use crate::quarantine::FieldError;
use crate::record::Origin;
use crate::secret::Secret;

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
    pub challenges: Vec<Challenge>,
    /// The word that Meta names when it verifies the URL.
    pub verify_token: Option<Secret>,
    /// The most bytes of a body, if they are others than those of every request.
    pub max_body: Option<usize>,
    /// Where the event's id is.
    pub id: FieldSource,
    /// What becomes of an event without an id.
    pub without_id: WithoutId,
    /// Where the event's type is.
    pub event_type: FieldSource,
    /// Where the event's time is.
    pub time: FieldSource,
    /// Whether the provider writes times in UTC without saying so.
    pub times_are_utc: bool,
    /// Whether an event with a known id is a duplicate, even if its content has changed.
    pub changed_is_duplicate: bool,
    /// Members that are left out when two copies are compared.
    pub ignored: Ignored,
    /// The headers that are kept with each event.
    pub headers: KeptHeaders,
    /// Says when deliveries are refused.
    pub alarm: Arc<Alarm>,
}

/// What a hook needs to judge a body.
pub(super) struct Judging<'a> {
    pub(super) contract: &'a Contract,
    pub(super) headers: &'a HeaderMap,
    pub(super) form: BodyForm,
    pub(super) origin: &'a Origin,
    pub(super) ids: &'a Ids,
    pub(super) repeated: &'a Repeated,
}

impl Hook {
    /// Whether what cannot be read is kept and answered with a success: the sender is authenticated and would send the
    /// same again for ever.
    pub(super) fn keeps_unreadable(&self) -> bool {
        self.proofs.authenticate()
    }

    /// Maps a body to rows. Each event becomes the `properties` of one.
    pub(super) fn judge(&self, with: &Judging<'_>, body: &[u8]) -> Result<Delivery, Refusal> {
        let text = match with.form.json_of(with.contract, body) {
            Ok(text) => text,
            Err(refusal) => return self.unreadable(with, body, refusal).map(Delivery::Events),
        };
        let elements = match self.elements(&text, with) {
            Ok(elements) => elements,
            Err(refusal) => return self.unreadable(with, body, refusal).map(Delivery::Events),
        };
        if let [Element { raw, .. }] = elements.as_slice()
            && let Some(answer) = self.answer_to_body(with.headers, raw)
        {
            return Ok(Delivery::Challenge(answer));
        }
        let scope = with.contract.scope(&self.name, &self.ignored);
        let headers = self.headers.object(with.headers);
        let mut judged = HookRows::default();
        judged.checked.rows.changed_is_duplicate = self.changed_is_duplicate;
        let mut all_errors = (Vec::new(), 0);
        for element in &elements {
            let room = MAX_ERRORS - all_errors.0.len();
            let (errors, total) =
                with.contract
                    .foreign_errors(element.raw, &element.pointer, room.max(1));
            if total == 0 {
                self.push(&mut judged, with, &scope, element.raw, headers.as_deref());
                continue;
            }
            if self.keeps_unreadable() {
                self.keep(&mut judged, with, (&errors, total), element.raw.as_bytes());
            }
            all_errors.0.extend(errors.into_iter().take(room));
            all_errors.1 += total;
        }
        let (errors, errors_total) = all_errors;
        if errors_total > 0 && !self.keeps_unreadable() {
            return Err(Refusal::Invalid {
                errors,
                errors_total,
            });
        }
        judged.checked.errors = errors;
        judged.checked.errors_total = errors_total;
        Ok(Delivery::Events(judged))
    }

    /// The events of a body: an object, the elements of an array, or the lines of NDJSON.
    fn elements<'t>(&self, text: &'t str, with: &Judging<'_>) -> Result<Vec<Element<'t>>, Refusal> {
        let rules = with.contract.rules();
        let max_events = rules.max_events;
        let raws: Vec<&str> = match with.form {
            BodyForm::Lines => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                lines.collect()
            }
            _ if text.starts_with('[') => {
                let list: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
                list.into_iter().map(RawValue::get).collect()
            }
            _ => vec![text],
        };
        if raws.len() > max_events {
            return Err(Refusal::TooManyEvents { max_events });
        }
        let is_list = raws.len() != 1 || text.starts_with('[');
        let mut elements = Vec::with_capacity(raws.len());
        for (index, raw) in raws.into_iter().enumerate() {
            let max_event_bytes = self.max_body.unwrap_or(rules.max_event_bytes);
            if raw.len() > max_event_bytes {
                return Err(Refusal::EventTooLarge {
                    index,
                    max_event_bytes,
                });
            }
            let raw = match with.form {
                BodyForm::Lines => with.contract.foreign_text(raw.as_bytes())?,
                _ => raw,
            };
            let pointer = if is_list {
                format!("/{index}")
            } else {
                String::new()
            };
            elements.push(Element { raw, pointer });
        }
        Ok(elements)
    }

    /// Adds the row of an event.
    fn push(
        &self,
        judged: &mut HookRows,
        with: &Judging<'_>,
        scope: &Scope,
        raw: &str,
        headers: Option<&str>,
    ) {
        // The text was read as JSON before; numbers too large for this have no fields either.
        let value: Value = serde_json::from_str(raw).unwrap_or_default();
        let find = |source: &FieldSource| source.find(with.headers, &value);
        let own_id = find(&self.id);
        let id = match (&own_id, self.without_id) {
            (Some(id), _) => Cow::Borrowed(&**id),
            // It is recognised by its content when it is sent again.
            (None, WithoutId::Content) => {
                let hash = xxhash_rust::xxh3::xxh3_128(&self.ignored.counted(raw));
                Cow::Owned(format!("content {hash:032x}"))
            }
            (None, WithoutId::Fresh) => Cow::Owned(fresh_id(with.ids).to_string()),
        };
        let given_time = find(&self.time);
        let time = given_time.as_deref().and_then(|text| self.time_of(text));
        let time = time.filter(|time| with.contract.is_near(*time, with.origin.received_at));
        let unusable_time = given_time.as_deref().filter(|_| time.is_none());
        judged.unusable_times += u64::from(unusable_time.is_some());
        let envelope = Envelope {
            source: &self.name,
            id: &id,
            provider_id: own_id.as_deref(),
            event_type: &find(&self.event_type).unwrap_or(Cow::Borrowed("unknown")),
            time,
            unusable_time: unusable_time.map(cut),
            headers,
        };
        let rows = &mut judged.checked.rows;
        with.contract
            .push_foreign(rows, scope, raw, &envelope, with.origin);
        judged.checked.received += 1;
    }

    fn time_of(&self, text: &str) -> Option<Micros> {
        if self.times_are_utc {
            instant::parse_in_utc(text)
        } else {
            instant::parse(text)
        }
    }

    /// What becomes of a body that holds no events: a row of the quarantine, or the refusal.
    pub(super) fn unreadable(
        &self,
        with: &Judging<'_>,
        body: &[u8],
        refusal: Refusal,
    ) -> Result<HookRows, Refusal> {
        let Some((errors, errors_total)) = refusal.field_errors() else {
            return Err(refusal);
        };
        if !self.keeps_unreadable() {
            return Err(refusal);
        }
        let mut judged = HookRows::default();
        self.keep(&mut judged, with, (&errors, errors_total), body);
        judged.checked.errors = errors.into_owned();
        judged.checked.errors_total = errors_total;
        Ok(judged)
    }

    /// Keeps what cannot be read, unless the same is kept already.
    fn keep(
        &self,
        judged: &mut HookRows,
        with: &Judging<'_>,
        errors: (&[FieldError], usize),
        raw: &[u8],
    ) {
        let fingerprint = Repeated::fingerprint(&self.name, raw);
        if with.repeated.has(fingerprint) || judged.unreadable.contains(&fingerprint) {
            judged.repeated += 1;
            return;
        }
        judged.unreadable.push(fingerprint);
        let rows = &mut judged.checked.rows;
        with.contract
            .push_unreadable(rows, errors, raw, with.origin);
        judged.checked.received += 1;
    }
}

/// An event in a body.
struct Element<'t> {
    raw: &'t str,
    /// Its JSON Pointer; empty if it is the whole body.
    pointer: String,
}

/// The beginning of a time that cannot be used, for people.
fn cut(text: &str) -> &str {
    const MAX: usize = 64;
    &text[..text.floor_char_boundary(MAX)]
}

/// A new id, for an event that has none and is never sent again.
pub(super) fn fresh_id(ids: &Ids) -> Uuid {
    let bytes = [ids.dice().to_be_bytes(), ids.dice().to_be_bytes()].concat();
    let bytes = bytes.try_into().unwrap_or_default();
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
