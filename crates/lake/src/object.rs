//! An object before it is put, and as it is in the lake.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::encode::Format;

/// Names and values that a store keeps beside an object's bytes; under 2 KiB in all.
pub type Metadata = BTreeMap<String, String>;

/// An object that is ready in a local file.
#[derive(Clone, Debug)]
pub struct Object {
    /// The object's key, relative to the lake.
    pub key: String,
    /// The file that holds its bytes; at [`super::Lake::spool_path`].
    pub spool: PathBuf,
    /// Size of that file in bytes.
    pub bytes: u64,
    /// CRC-32C of the bytes.
    pub crc: u32,
    /// The format of its rows.
    pub format: Format,
    /// The media type that is sent to a store.
    pub content_type: &'static str,
    /// The object's stamp, encoded.
    pub metadata: Metadata,
}

impl Object {
    /// What is in the lake once these bytes have been put.
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
    /// Size of the object in bytes.
    pub bytes: u64,
    /// The object's checksum, as its metadata says.
    pub crc: u32,
}
