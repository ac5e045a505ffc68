//! Notes: small objects that commands leave beside the data, about it.

use std::io::{self, Write as _};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::{CRC, Lake, LakeError, Metadata, NONCE, Object, ROW_HASH, Trouble};
use crate::encode::Format;
use crate::files::{Appender, File as _, Files, create_dir_durably, remove_if_there};
use crate::ids::NodeId;
use crate::wal::layout::crc32c;

/// Puts a note of that node under a key. The same text under the same key may be put again.
pub fn leave<F: Files>(
    files: &F,
    lake: &Lake<F>,
    key: String,
    node: NodeId,
    text: &[u8],
) -> Result<(), LakeError> {
    let object = object(files, lake, key, node, text).map_err(|error| LakeError::Retry {
        kind: Trouble::Other,
        message: error.to_string(),
    })?;
    lake.put(&object).map(drop)
}

fn object<F: Files>(
    files: &F,
    lake: &Lake<F>,
    key: String,
    node: NodeId,
    text: &[u8],
) -> io::Result<Object> {
    let (_, name) = key.rsplit_once('/').unwrap_or(("", &key));
    let spool = lake.spool_dir().join(format!("{name}.part"));
    create_dir_durably(files, lake.spool_dir(), true)?;
    remove_if_there(files, &spool)?;
    let file = Arc::new(files.create_new(&spool)?);
    Appender::new(Arc::clone(&file)).write_all(text)?;
    file.sync()?;
    let crc = crc32c(text);
    let hash = format!("{:032x}", xxh3_128(text));
    let pairs = [
        ("lakehook-node", node.to_string()),
        (NONCE, hash.clone()),
        (ROW_HASH, hash),
        (CRC, format!("{crc:08x}")),
    ];
    let pairs = pairs.into_iter();
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
