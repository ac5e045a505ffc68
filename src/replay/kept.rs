//! Reads rows of the quarantine from objects of every format.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::encode::ObjectReader;
use crate::ids::NodeId;

/// An error as the row has it: see [`crate::quarantine::FieldError`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptError {
    /// JSON Pointer into the request's body.
    pub pointer: String,
    /// The rule that was broken.
    pub code: String,
    /// What the rule expects.
    pub detail: String,
}

/// A row of the quarantine; the members are those of [`crate::quarantine::Refused::write`], in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// When it was received: RFC 3339, in UTC.
    pub received_at: String,
    /// The row's LSN in the log of its node.
    pub lsn: u64,
    /// Why it was refused: see [`crate::quarantine::Reason`].
    pub reason: String,
    /// The stream that it was meant for.
    pub stream: String,
    /// The path that received it, or the name of the poll.
    pub endpoint: String,
    /// The id of the request, or the name of the run.
    pub request_id: String,
    /// The address of the sender, if it is known.
    pub client: Option<String>,
    /// The first [`crate::quarantine::MAX_ROW_ERRORS`] errors.
    pub errors: Vec<KeptError>,
    /// How many errors there were in all.
    pub errors_total: u64,
    /// What was refused, perhaps truncated: text, or base64.
    pub raw: String,
    /// How `raw` is encoded: `utf-8` or `base64`.
    pub raw_encoding: String,
    /// The length of what was refused, before it was truncated.
    pub raw_bytes: u64,
    /// XXH3-128 of what was refused, before it was truncated.
    pub raw_xxh3: String,
    /// The request of a hook that brought it, if one did.
    #[serde(flatten)]
    pub request: KeptRequest,
    /// Where it was read, if it was read from a file.
    #[serde(flatten)]
    pub place: KeptPlace,
}

/// The request of a hook. Rows of earlier versions do not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRequest {
    /// The name of the hook.
    #[serde(default)]
    pub hook: Option<String>,
    /// The headers that a replay needs; in Parquet objects as JSON text.
    #[serde(default)]
    pub headers: Option<serde_json::Value>,
}

/// Where in a file a record was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPlace {
    /// The name of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line on which the record begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The line that names the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

impl Kept {
    /// The headers of a hook's request, as the text of a JSON object.
    fn headers_text(&self) -> Option<String> {
        match self.request.headers.as_ref()? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Null => None,
            object => Some(object.to_string()),
        }
    }

    /// The hook that took it, if a replay has all that it needs.
    pub fn of_hook(&self) -> Option<(String, String)> {
        self.request.hook.clone().zip(self.headers_text())
    }

    /// The kept bytes of what was refused.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        if self.raw_encoding == "base64" {
            BASE64.decode(&self.raw).map_err(io::Error::other)
        } else {
            Ok(self.raw.as_bytes().to_vec())
        }
    }
}

/// Calls `take` with each row of an object until it returns `false`.
pub fn rows(key: &str, bytes: Vec<u8>, take: &mut dyn FnMut(Kept) -> bool) -> io::Result<()> {
    ObjectReader::of_key(key)?.each(bytes, &mut |row| Ok(take(kept_of(row)?)))
}

/// Converts a row of the quarantine. In Parquet objects, its list of errors is JSON text, which is parsed here.
fn kept_of(mut row: serde_json::Map<String, serde_json::Value>) -> io::Result<Kept> {
    if let Some(serde_json::Value::String(errors)) = row.get("errors") {
        let errors = serde_json::from_str(errors)?;
        row.insert("errors".to_owned(), errors);
    }
    Ok(serde_json::from_value(serde_json::Value::Object(row))?)
}

/// The node that wrote an object, according to the object's key.
pub fn node_of(key: &str) -> Option<NodeId> {
    let (_, name) = key.rsplit_once('/')?;
    let (node, _) = name.split_once('-')?;
    (node.len() == 16)
        .then(|| u64::from_str_radix(node, 16).ok())
        .flatten()
        .map(NodeId)
}
