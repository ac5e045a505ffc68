//! Small objects of text beside the data: notes that commands leave, and markers of runs.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::{CRC, Lake, LakeError, Metadata, NONCE, Object, ROW_HASH, Trouble};
use crate::checksum::crc32c;
use crate::encode::Format;
use crate::files::{Appender, File as _, Files, create_dir_durably, parent_of, remove_if_there};
use crate::ids::NodeId;

/// Puts a note of that node under a key. The same text under the same key may be put again.
pub fn leave<F: Files>(
    files: &F,
    lake: &Lake<F>,
    key: String,
    node: NodeId,
    text: &[u8],
) -> Result<(), LakeError> {
    let (_, name) = key.rsplit_once('/').unwrap_or(("", &key));
    let spool = lake.spool_dir().join(format!("{name}.part"));
    let pairs = [
        ("lakehook-node", node.to_string()),
        (NONCE, format!("{:032x}", xxh3_128(text))),
    ];
    let object = text_object(files, spool, key, text, &pairs);
    let object = object.map_err(|error| LakeError::Retry {
        kind: Trouble::Other,
        message: error.to_string(),
    })?;
    lake.put(&object).map(drop)
}

/// An object with that text, spooled under that name. `pairs` become its metadata, besides its checksum and hash.
pub(crate) fn text_object<F: Files>(
    files: &F,
    spool: PathBuf,
    key: String,
    text: &[u8],
    pairs: &[(&str, String)],
) -> io::Result<Object> {
    create_dir_durably(files, parent_of(&spool), true)?;
    remove_if_there(files, &spool)?;
    let file = Arc::new(files.create_new(&spool)?);
    Appender::new(Arc::clone(&file)).write_all(text)?;
    file.sync()?;
    let crc = crc32c(text);
    let own = [
        (ROW_HASH, format!("{:032x}", xxh3_128(text))),
        (CRC, format!("{crc:08x}")),
    ];
    let pairs = pairs.iter().cloned().chain(own);
    let metadata: Metadata = pairs
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Ok(Object {
        key,
        bytes: text.len() as u64,
        spool,
        crc,
        format: Format::Ndjson,
        content_type: "application/json",
        metadata,
    })
}
