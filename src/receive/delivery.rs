//! What a provider sends: the forms of bodies, and what a body turned out to be.

use std::borrow::Cow;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::contract::{Checked, Contract, Refusal};
use crate::quarantine::FieldError;
use crate::signature::pairs;

/// The form of a hook's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyForm {
    /// One JSON value: an event, or an array of events.
    Json,
    /// One event on each line.
    Lines,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// The data of a CloudEvent whose attributes are headers.
    Data,
}

/// What the body of a provider's request turned out to be.
pub(super) enum Delivery {
    /// Events, as rows to store.
    Events(HookRows),
    /// A question or a notice that is no event, with its answer.
    Challenge(Answer),
}

/// The answer to what is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200 with this JSON.
    Json(Value),
    /// 200 with this text.
    Text(String),
    /// 204.
    Nothing,
    /// 204, once this URL of Amazon SNS was opened.
    Opening(String),
}

/// The rows of a provider's request.
#[derive(Debug, Default)]
pub(super) struct HookRows {
    /// Rows of events, and of the quarantine.
    pub(super) checked: Checked,
    /// Ids of events, if some of them were given one.
    pub(super) event_ids: Vec<Uuid>,
    /// Fingerprints of what could not be read; they are remembered once the rows are durable.
    pub(super) unreadable: Vec<u128>,
    /// How many unreadable events are in the quarantine already.
    pub(super) repeated: u64,
    /// How many events have a time that cannot be used.
    pub(super) unusable_times: u64,
}

impl BodyForm {
    /// The JSON text that a body stands for. Lines are not looked at here, and data is not alone.
    pub(super) fn json_of<'b>(
        self,
        contract: &Contract,
        body: &'b [u8],
    ) -> Result<Cow<'b, str>, Refusal> {
        match self {
            Self::Json | Self::Data => contract.foreign_text(body).map(Cow::Borrowed),
            Self::Lines => {
                let body = crate::contract::foreign::without_mark(body);
                let text = std::str::from_utf8(body).map_err(|_| not_text("lines"))?;
                Ok(Cow::Borrowed(text))
            }
            Self::Form => {
                let text = form_as_json(body).ok_or_else(|| not_text("a form"))?;
                contract.foreign_text(text.as_bytes())?;
                Ok(Cow::Owned(text))
            }
        }
    }
}

fn not_text(what: &str) -> Refusal {
    let error = FieldError::of_body("not_utf8", format!("{what} in UTF-8"));
    Refusal::Invalid {
        errors: vec![error],
        errors_total: 1,
    }
}

/// A form as JSON: an object of its fields, or the JSON in a field `payload` that stands alone.
fn form_as_json(body: &[u8]) -> Option<String> {
    let mut fields = Map::new();
    for (name, value) in pairs(body) {
        let name = String::from_utf8(name.into_owned()).ok()?;
        let value = Value::String(String::from_utf8(value.into_owned()).ok()?);
        match fields.get_mut(&name) {
            None => _ = fields.insert(name, value),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    if let (1, Some(Value::String(payload))) = (fields.len(), fields.get("payload")) {
        return Some(payload.trim().to_owned());
    }
    serde_json::to_string(&fields).ok()
}
