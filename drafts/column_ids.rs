//! Field ids of the columns of typed objects.
//!
//! Engines with tables of their own know a column by its number, not by its name. The numbers belong to
//! a stream: every node that writes to it gives a column the same one, and none is ever used for another
//! column. They are in the lake, in versions that are never changed: a node that brings new columns puts
//! the next version, with all columns so far, and if another node was faster, it reads that one and goes
//! on from there. So the exclusive put of an object decides, as everywhere else, and no store needs to
//! honour `If-Match`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::configured::Lake;
use super::errors::{LakeError, Trouble};
use super::keys::column_ids_key;
use super::notes::text_object;
use super::stamp::TextStamp;
use lakehook_base::files::Files;
use lakehook_base::ids::NodeId;

/// The ids of the columns of a stream, by name.
pub type ColumnIds = BTreeMap<String, i32>;

/// The only format so far.
const FORMAT: u32 = 1;
/// Attempts before the caller has to come again. Each that fails is the success of another node.
const ATTEMPTS: u32 = 20;

#[derive(Debug, Serialize, Deserialize)]
struct Version {
    format: u32,
    ids: ColumnIds,
}

/// The newest version for a stream, and its number; 0 if there is none.
pub fn read<F: Files>(lake: &Lake<F>, stream: &str) -> Result<(u32, ColumnIds), LakeError> {
    let mut newest = (0, ColumnIds::new());
    loop {
        let number = newest.0 + 1;
        let key = column_ids_key(stream, number);
        let Some(text) = lake.read_small(&key)? else {
            return Ok(newest);
        };
        let version = serde_json::from_slice::<Version>(&text).ok();
        let version = version.filter(|version| version.format == FORMAT);
        // Retriable, because the answer may have come from a proxy, not from the lake.
        let version =
            version.ok_or_else(|| again(format!("{key} in the lake cannot be read")))?;
        newest = (number, version.ids);
    }
}

/// The ids of these columns of a stream, and of those that it had before. New ones are durable in the lake
/// when this returns.
pub fn assign<'c, F: Files>(
    files: &F,
    lake: &Lake<F>,
    node: NodeId,
    stream: &str,
    columns: impl Iterator<Item = &'c str> + Clone,
) -> Result<ColumnIds, LakeError> {
    for _ in 0..ATTEMPTS {
        let (number, mut ids) = read(lake, stream)?;
        let known = ids.len();
        for column in columns.clone() {
            let next = ids.values().max().map_or(1, |highest| highest + 1);
            ids.entry(column.to_owned()).or_insert(next);
        }
        if ids.len() == known || put(files, lake, node, (stream, number + 1), &ids)? {
            return Ok(ids);
        }
    }
    Err(again(format!(
        "other nodes name columns of {stream} all the time"
    )))
}

/// Puts a version; `false` if another node was first.
fn put<F: Files>(
    files: &F,
    lake: &Lake<F>,
    node: NodeId,
    (stream, number): (&str, u32),
    ids: &ColumnIds,
) -> Result<bool, LakeError> {
    let version = Version {
        format: FORMAT,
        ids: ids.clone(),
    };
    let text = serde_json::to_vec_pretty(&version).map_err(|error| again(error.to_string()))?;
    // Several nodes may share a directory.
    let name = format!("columns-{}-{number}-{node}.part", stream.replace('/', "-"));
    let (spool, key) = (lake.spool_dir().join(name), column_ids_key(stream, number));
    let stamp = TextStamp::of_note(node, &text);
    let object = text_object(files, spool, key, &text, &stamp);
    let object = object.map_err(|error| again(error.to_string()))?;
    lake.put_if_absent(&object)?;
    // Whatever was answered: what is there now is the version of this number, for every node and for ever.
    Ok(lake.read_small(&object.key)?.is_some_and(|there| there == text))
}

fn again(message: String) -> LakeError {
    LakeError::Retry {
        kind: Trouble::Other,
        message,
    }
}
