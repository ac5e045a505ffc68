//! What a provider sends: the forms of bodies, and what a body turned out to be.

use std::borrow::Cow;

use http::HeaderMap;
use serde_json::Value;
use uuid::Uuid;

use super::forms::{self, Fields};
use crate::contract::foreign::without_mark;
use crate::contract::{Checked, Contract, Refusal};
use crate::quarantine::FieldError;

/// The form of a hook's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyForm {
    /// One JSON value: an event, or an array of events.
    Json,
    /// One event on each line.
    Lines,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    FormData,
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
    /// What a body of that size takes beside its rows. A form becomes JSON first: twice its size, half of which is gone
    /// before there are rows.
    pub(super) fn text_bytes(self, body_bytes: usize) -> usize {
        match self {
            Self::Form | Self::FormData => body_bytes + body_bytes / 2,
            Self::Json | Self::Lines | Self::Data => 0,
        }
    }

    /// The text that a body stands for, which has not been read as JSON yet.
    pub(super) fn text_of<'b>(
        self,
        headers: &HeaderMap,
        body: &'b [u8],
    ) -> Result<Cow<'b, str>, Refusal> {
        match self {
            Self::Json | Self::Data | Self::Lines => {
                let text = std::str::from_utf8(without_mark(body));
                text.map(Cow::Borrowed)
                    .map_err(|_| refused("not_utf8", "text in UTF-8".to_owned()))
            }
            Self::Form => {
                let text = forms::of_pairs(body).and_then(Fields::into_json);
                text.map(Cow::Owned)
                    .ok_or_else(|| refused("not_utf8", "a form in UTF-8".to_owned()))
            }
            Self::FormData => {
                let fields = forms::of_parts(headers, body);
                let text = fields.map(Fields::into_json);
                let text = text.map_err(|what| {
                    refused("not_form_data", format!("multipart/form-data: {what}"))
                })?;
                Ok(Cow::Owned(text.unwrap_or_default()))
            }
        }
    }

    /// The JSON text that a body stands for. Lines are not looked at here, and data is not alone.
    pub(super) fn json_of<'b>(
        self,
        contract: &Contract,
        headers: &HeaderMap,
        body: &'b [u8],
    ) -> Result<Cow<'b, str>, Refusal> {
        match self {
            Self::Json | Self::Data => contract.foreign_text(body).map(Cow::Borrowed),
            Self::Lines => self.text_of(headers, body),
            Self::Form | Self::FormData => {
                let text = self.text_of(headers, body)?;
                contract.foreign_text(text.as_bytes())?;
                Ok(text)
            }
        }
    }
}

fn refused(code: &'static str, detail: String) -> Refusal {
    Refusal::Invalid {
        errors: vec![FieldError::of_body(code, detail)],
        errors_total: 1,
    }
}
