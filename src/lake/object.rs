//! An object on its way into the lake, and as it is there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::encode::Format;

/// What is said of an object beside its bytes; under 2 KiB in all.
pub type Metadata = BTreeMap<String, String>;

/// An object that is ready in a local file.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its key, relative to the lake.
    pub key: String,
    /// The file that holds its bytes; at [`super::Lake::spool_path`].
    pub spool: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// CRC-32C of its bytes.
    pub crc: u32,
    /// Its format.
    pub format: Format,
    /// Its media type.
    pub content_type: &'static str,
    /// What is said of it.
    pub metadata: Metadata,
}

impl Object {
    /// The object as it is in the lake once it was put as it is here.
    pub fn found(&self) -> Found {
        Found {
            bytes: self.bytes,
            crc: self.crc,
        }
    }
}

/// An object of ours that is in the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its size.
    pub bytes: u64,
    /// Its checksum, as its metadata says.
    pub crc: u32,
}
