//! Notes of retentions: they list objects with everything that the audit needs of them, before these are removed.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use crate::files::Files;
use crate::ids::NodeId;
use crate::lake::keys::retention_prefix;
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::lake::stamp::{Stamp, StampError};
use crate::lake::{CRC, Lake, LakeError, Metadata, notes};

/// How many objects a note lists at most, each with about a kilobyte.
pub const MAX_LISTED: usize = 500;

/// An object that a retention removes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its stamp, as metadata.
    pub metadata: Metadata,
}

/// The text of a note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionNote {
    /// The version of the format: 1.
    pub version: u32,
    /// When it was made, RFC 3339.
    pub at: String,
    /// Days before this one were removed.
    pub first_kept_day: String,
    /// The node whose log was asked, if there is one.
    pub node: Option<String>,
    /// What is removed, in this order.
    pub objects: Vec<ListedObject>,
}

/// Why notes cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeReadError),
    /// A note is not what a retention writes.
    #[error("{key}: the note of a retention cannot be read: {error}")]
    Note {
        /// The key of the note.
        key: String,
        /// What the parser says.
        error: serde_json::Error,
    },
}

impl ListedObject {
    /// The stamp of an object of rows. A marker has none.
    pub fn stamp(&self) -> Result<Stamp, StampError> {
        Stamp::from_metadata(&self.metadata)
    }

    /// Whether an object with that size and stamp is the one that was listed. Rows may have been erased from it
    /// since.
    pub fn is_still(&self, bytes: u64, stamp: &Stamp) -> bool {
        self.stamp().is_ok_and(|listed| {
            let is_unchanged = listed == *stamp && self.bytes == bytes;
            let was_erased_since = stamp.erased.is_some() && stamp.erased != listed.erased;
            listed.is_same_seal(stamp) && (is_unchanged || was_erased_since)
        })
    }

    /// Whether a marker with that text is the one that was listed.
    pub fn is_still_marker(&self, text: &[u8]) -> bool {
        let crc = format!("{:08x}", crate::checksum::crc32c(text));
        self.bytes == text.len() as u64 && self.metadata.get(CRC) == Some(&crc)
    }
}

/// Reads a note; `None` if it is gone.
pub async fn read(place: &LakeReader, key: &str) -> Result<Option<RetentionNote>, RetentionError> {
    let Some(text) = place.read(key).await? else {
        return Ok(None);
    };
    let note = serde_json::from_slice(&text);
    note.map(Some).map_err(|error| RetentionError::Note {
        key: key.to_owned(),
        error,
    })
}

/// The keys of all notes.
pub async fn keys_of(place: &LakeReader) -> Result<Vec<String>, LakeReadError> {
    place.keys(&retention_prefix()).await
}

/// Puts a note. After an error, ask again with the same arguments.
pub fn leave<F: Files>(
    files: &F,
    lake: &Lake<F>,
    key: &str,
    by: NodeId,
    note: &RetentionNote,
) -> Result<(), LakeError> {
    let text = serde_json::to_vec(note).map_err(io::Error::other);
    let text = text.map_err(|error| LakeError::Unusable(error.to_string()))?;
    notes::leave(files, lake, key.to_owned(), by, &text)
}

/// Everything that retentions have listed in a lake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retentions {
    /// By key.
    pub objects: BTreeMap<String, ListedObject>,
}

impl Retentions {
    /// Takes what a note lists.
    pub fn take(&mut self, note: RetentionNote) {
        let listed = note.objects.into_iter();
        self.objects
            .extend(listed.map(|object| (object.key.clone(), object)));
    }
}
