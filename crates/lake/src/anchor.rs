//! The anchor of a log that is kept in a bucket: an object of the lake that says which log it is, and
//! where.
//!
//! Without it, a wrong address of the log, or a bucket that was emptied, would look like a new log on a
//! machine that has no copy. The first start puts the anchor, and it never changes.

use serde::{Deserialize, Serialize};

use super::configured::Lake;
use super::errors::{LakeError, Trouble};
use super::keys::{anchor_key, anchor_part_name};
use super::notes::text_object;
use super::stamp::TextStamp;
use lakehook_base::files::Files;
use lakehook_base::ids::NodeId;

/// Which log a lake knows by a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    format: u32,
    /// The log's id, in hexadecimal digits.
    pub log: String,
    /// Where it is kept.
    pub place: String,
}

/// The only format so far.
const FORMAT: u32 = 1;

impl Anchor {
    /// The anchor of a log that is kept there.
    pub fn new(log: NodeId, place: &str) -> Self {
        Self {
            format: FORMAT,
            log: log.to_string(),
            place: place.to_owned(),
        }
    }
}

fn retry(message: String) -> LakeError {
    LakeError::Retry {
        kind: Trouble::Other,
        message,
    }
}

/// The anchor of a name; `None` if the lake knows no log by it.
pub fn read<F: Files>(lake: &Lake<F>, name: &str) -> Result<Option<Anchor>, LakeError> {
    let key = anchor_key(name);
    let Some(text) = lake.read_small(&key)? else {
        return Ok(None);
    };
    let anchor = serde_json::from_slice::<Anchor>(&text).ok();
    let anchor = anchor.filter(|anchor| anchor.format == FORMAT);
    // Retriable, because the answer may have come from a proxy, not from the lake.
    anchor
        .map(Some)
        .ok_or_else(|| retry(format!("{key} in the lake cannot be read as an anchor")))
}

/// Puts an anchor, unless there is one. Returns the one that the lake then has.
pub fn put<F: Files>(
    files: &F,
    lake: &Lake<F>,
    (name, node): (&str, NodeId),
    anchor: Anchor,
) -> Result<Anchor, LakeError> {
    let text = serde_json::to_vec_pretty(&anchor).map_err(|error| retry(error.to_string()))?;
    let spool = lake.spool_dir().join(anchor_part_name(name, node));
    let stamp = TextStamp::of_note(node, &text);
    let object = text_object(files, spool, anchor_key(name), &text, &stamp);
    let object = object.map_err(|error| retry(error.to_string()))?;
    match lake.put(&object) {
        Ok(_found) => Ok(anchor),
        Err(LakeError::Foreign { .. }) => read(lake, name)?
            .ok_or_else(|| retry("another service is about to anchor its log".to_owned())),
        Err(error) => Err(error),
    }
}
