//! Hooks and the quarantine: what of a request is kept with a row, and how such a row is judged again.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::cloud_events::is_binary;
use super::delivery::{BodyForm, Delivery};
use super::hooks::{Hook, Judging};
use super::media;
use super::packs::Shape;
use super::repeated::Repeated;
use crate::contract::{Checked, Contract, Refusal};
use crate::ids::Ids;
use crate::quarantine::FieldError;
use crate::record::Origin;

const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");

/// A row of the quarantine that a hook is to judge again.
pub struct KeptDelivery<'a> {
    /// A body, or one event of it.
    pub raw: &'a [u8],
    /// Whether it is one event, as JSON.
    pub is_event: bool,
    /// The headers that were kept, as the text of a JSON object.
    pub headers: &'a str,
    /// The request, as of then.
    pub origin: &'a Origin,
}

impl Hook {
    /// The headers that judging a body, or one event of it, looks at, as the text of a JSON object.
    pub(super) fn evidence(&self, headers: &HeaderMap, is_event: bool) -> String {
        let mut kept = Map::new();
        // These say what the body is. An event of it is JSON.
        let of_body = |name: &HeaderName| {
            *name == CONTENT_TYPE || self.shape == Shape::CloudEvents && *name == SPEC_VERSION
        };
        let of_shape = |name: &HeaderName| {
            self.shape == Shape::CloudEvents && name.as_str().starts_with("ce-")
        };
        for (name, value) in headers {
            let is_kept = if of_body(name) {
                !is_event
            } else {
                of_shape(name) || self.places.look_at(name) || self.headers.keep(name)
            };
            if is_kept {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                push(&mut kept, name, Value::String(value));
            }
        }
        Value::Object(kept).to_string()
    }

    /// Judges a row of the quarantine as if it came now, with the origin that it has. Nothing is kept of what is still
    /// wrong.
    pub fn judge_again(
        &self,
        contract: &Contract,
        kept: &KeptDelivery<'_>,
    ) -> Result<Checked, Refusal> {
        let headers = headers_of(kept.headers);
        let form = if kept.is_event && !headers.contains_key(CONTENT_TYPE) && !is_binary(&headers) {
            BodyForm::Json
        } else {
            media::form_of_hook(&headers, self).unwrap_or(BodyForm::Json)
        };
        // An event without an id gets the same one whenever it is judged.
        let seed = xxhash_rust::xxh3::xxh3_64(
            &[kept.origin.request_id.as_bytes(), &[0], kept.raw].concat(),
        );
        let judging = Judging {
            contract,
            headers: &headers,
            form,
            origin: kept.origin,
            ids: &Ids::seeded(seed),
            repeated: &Repeated::default(),
            is_replay: true,
        };
        match self.judge(&judging, kept.raw)? {
            Delivery::Events(rows) => Ok(rows.checked),
            Delivery::Challenge(_) => Err(Refusal::Invalid {
                errors: vec![FieldError::of_body("challenge", "an event, not a question")],
                errors_total: 1,
            }),
        }
    }
}

/// Adds a header; several values of one name are a list.
fn push(object: &mut Map<String, Value>, name: &HeaderName, value: Value) {
    match object.get_mut(name.as_str()) {
        None => _ = object.insert(name.as_str().to_owned(), value),
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// The headers that were kept.
fn headers_of(kept: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let object: Map<String, Value> = serde_json::from_str(kept).unwrap_or_default();
    for (name, value) in object {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
            let value = value
                .as_str()
                .and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok());
            if let Some((name, value)) = parsed.zip(value) {
                headers.append(name, value);
            }
        }
    }
    headers
}
