//! An object before it is put, and as it is in the lake.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use crate::encode::Format;

/// Names and values that a store keeps beside an object's bytes; under 2 KiB in all.
pub type Metadata = BTreeMap<String, String>;

/// Bytes of an object that are in no file of its own, but can be read again for each attempt.
pub trait Assembled: Debug + Send + Sync {
    /// Reads them from the beginning. A reader fails with `InvalidData`, `NotFound` or `UnexpectedEof` if
    /// they are no longer what they were.
    fn open(self: Arc<Self>) -> Box<dyn Read + Send>;
}

/// An object that is ready to be put.
#[derive(Clone, Debug)]
pub struct Object {
    /// The object's key, relative to the lake.
    pub key: String,
    /// The file that holds its bytes, at [`super::Lake::spool_path`], unless they are assembled.
    pub spool: PathBuf,
    /// Its bytes, if they are not in a file. Only a store takes such objects.
    pub assembled: Option<Arc<dyn Assembled>>,
    /// Size of the object in bytes.
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
