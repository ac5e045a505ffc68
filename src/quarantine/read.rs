//! Rows of the quarantine, read back from objects of every format.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::encode::ObjectReader;

/// One breach, as the row tells it: see [`super::FieldError`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptError {
    /// JSON Pointer into the request's body.
    pub pointer: String,
    /// The rule.
    pub code: String,
    /// What was expected.
    pub detail: String,
}

/// A row; the members are those of [`super::Refused::write`], in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// RFC 3339, in UTC.
    pub received_at: String,
    /// Its number in the log of its node.
    pub lsn: u64,
    /// Why: see [`super::Reason`].
    pub reason: String,
    /// The stream that it was meant for.
    pub stream: String,
    /// The path that took it, or the poll.
    pub endpoint: String,
    /// The request's id, or the run's name.
    pub request_id: String,
    /// The sender's address.
    pub client: Option<String>,
    /// The first [`super::MAX_ROW_ERRORS`] errors.
    pub errors: Vec<KeptError>,
    /// How many there were in all.
    pub errors_total: u64,
    /// What was refused, perhaps cut: text, or base64.
    pub raw: String,
    /// `utf-8` or `base64`.
    pub raw_encoding: String,
    /// The whole length of what was refused.
    pub raw_bytes: u64,
    /// XXH3-128 of what was refused, whole.
    pub raw_xxh3: String,
}

impl Kept {
    /// The bytes that were refused, as far as they were kept.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        if self.raw_encoding == "base64" {
            BASE64.decode(&self.raw).map_err(io::Error::other)
        } else {
            Ok(self.raw.as_bytes().to_vec())
        }
    }
}

/// Gives each row of an object to `take`, until it says that it has enough (`false`).
pub fn rows(key: &str, bytes: Vec<u8>, take: &mut dyn FnMut(Kept) -> bool) -> io::Result<()> {
    ObjectReader::of_key(key)?.each(bytes, &mut |row| Ok(take(kept_of(row)?)))
}

/// In columns the errors are JSON in a text.
fn kept_of(mut row: serde_json::Map<String, serde_json::Value>) -> io::Result<Kept> {
    if let Some(serde_json::Value::String(errors)) = row.get("errors") {
        let errors = serde_json::from_str(errors)?;
        row.insert("errors".to_owned(), errors);
    }
    Ok(serde_json::from_value(serde_json::Value::Object(row))?)
}
