//! The label of a lake: an object with a random id, by which a log recognises its lake.
//!
//! A directory whose volume is not mounted, or a bucket of the same name elsewhere, has no label or
//! another one. The first node that finds none puts the label; it never changes.

use serde::{Deserialize, Serialize};

use super::configured::Lake;
use super::errors::{LakeError, Trouble};
use super::keys::label_key;
use super::notes::text_object;
use super::stamp::TextStamp;
use lakehook_base::files::Files;
use lakehook_base::ids::NodeId;

/// The id of a lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LakeId(pub u128);

#[derive(Debug, Serialize, Deserialize)]
struct Label {
    format: u32,
    lake_id: String,
}

/// The only format so far.
const FORMAT: u32 = 1;

/// The id in a lake's label; `None` if it has no label.
pub fn read<F: Files>(lake: &Lake<F>) -> Result<Option<LakeId>, LakeError> {
    let Some(text) = lake.read_small(&label_key())? else {
        return Ok(None);
    };
    let label = serde_json::from_slice::<Label>(&text).ok();
    let label = label.filter(|label| label.format == FORMAT);
    let id = label.and_then(|label| u128::from_str_radix(&label.lake_id, 16).ok());
    // Retriable, because the answer may have come from a proxy, not from the lake.
    id.map(|id| Some(LakeId(id)))
        .ok_or_else(|| LakeError::Retry {
            kind: Trouble::Other,
            message: format!("{} in the lake cannot be read as a label", label_key()),
        })
}

/// Puts a label with an id, unless another node is first. Returns the id that the lake then has.
pub fn create<F: Files>(
    files: &F,
    lake: &Lake<F>,
    node: NodeId,
    id: LakeId,
) -> Result<LakeId, LakeError> {
    let label = Label {
        format: FORMAT,
        lake_id: format!("{:032x}", id.0),
    };
    let text = serde_json::to_vec_pretty(&label).map_err(|error| LakeError::Retry {
        kind: Trouble::Other,
        message: error.to_string(),
    })?;
    // The name contains the id, because several nodes may share a directory and label it at once.
    let spool = lake.spool_dir().join(format!("lake-{:032x}.part", id.0));
    let stamp = TextStamp::of_note(node, &text);
    let object = text_object(files, spool, label_key(), &text, &stamp);
    let object = object.map_err(|error| LakeError::Retry {
        kind: Trouble::Other,
        message: error.to_string(),
    })?;
    match lake.put(&object) {
        // A store without conditions may have taken another node's label after ours.
        Ok(_) | Err(LakeError::Foreign { .. }) => read(lake)?.ok_or_else(|| LakeError::Retry {
            kind: Trouble::Other,
            message: "another node is about to label the lake".to_owned(),
        }),
        Err(error) => Err(error),
    }
}
