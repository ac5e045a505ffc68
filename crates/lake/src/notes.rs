//! Small text objects beside the data: notes that commands leave, and markers of runs.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::configured::Lake;
use super::errors::{LakeError, Trouble};
use super::object::Object;
use super::stamp::TextStamp;
use crate::encode::Format;
use lakehook_base::files::{
    Appender, File as _, Files, create_dir_durably, parent_of, remove_if_there,
};
use lakehook_base::ids::NodeId;

/// Puts a note of a node under a key. The same text may be put again under the same key.
pub fn leave<F: Files>(
    files: &F,
    lake: &Lake<F>,
    key: String,
    node: NodeId,
    text: &[u8],
) -> Result<(), LakeError> {
    let stamp = TextStamp::of_note(node, text);
    // Several nodes that share a directory may put a note under one key at once.
    let spool = format!("{node}-note-{:032x}.part", stamp.text_hash);
    let object = text_object(files, lake.spool_dir().join(spool), key, text, &stamp);
    let object = object.map_err(|error| LakeError::Retry {
        kind: Trouble::Other,
        message: error.to_string(),
    })?;
    lake.put(&object).map(drop)
}

/// An object with a text and a stamp, spooled to a local file.
pub fn text_object<F: Files>(
    files: &F,
    spool: PathBuf,
    key: String,
    text: &[u8],
    stamp: &TextStamp,
) -> io::Result<Object> {
    create_dir_durably(files, parent_of(&spool), true)?;
    remove_if_there(files, &spool)?;
    let file = Arc::new(files.create_new(&spool)?);
    Appender::new(Arc::clone(&file)).write_all(text)?;
    file.sync()?;
    Ok(Object {
        key,
        bytes: text.len() as u64,
        spool,
        assembled: None,
        crc: stamp.crc,
        format: Format::Ndjson,
        content_type: "application/json",
        metadata: stamp.to_metadata(),
    })
}
