//! The object store, as a seam: what the commit protocol asks of S3 and its like, and no more.
//!
//! Calls block. The program uses [`super::s3`]; simulations use a store in memory that loses answers.

use std::io::Write;
use std::path::Path;

use super::{Metadata, Trouble};

/// The bytes of a put.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A local file of that many bytes.
    File(&'a Path, u64),
    /// Bytes in memory.
    Bytes(&'static [u8]),
}

impl Body<'_> {
    /// Its size.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::File(_, bytes) => *bytes,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

/// One object to put.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// Its key, relative to the lake.
    pub key: &'a str,
    /// Its bytes.
    pub body: Body<'a>,
    /// Its media type.
    pub content_type: &'a str,
    /// What is said of it.
    pub metadata: &'a Metadata,
    /// Only if the key is free (`If-None-Match: *`).
    pub if_absent: bool,
}

/// What a store answers to a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutAnswer {
    /// 200.
    Stored,
    /// 412: the key is taken.
    Exists,
    /// 400 or 501 to a condition: the store has none.
    ConditionRefused,
}

/// What a store says of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its size.
    pub bytes: u64,
    /// What is said of it.
    pub metadata: Metadata,
}

/// Anything but a definite answer. Whether the request was applied is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What kind.
    pub kind: Trouble,
    /// What the store says.
    pub message: String,
}

/// An object store.
pub trait ObjectStore: Send + Sync {
    /// Puts an object in one request.
    fn put(&self, put: &Put<'_>) -> Result<PutAnswer, StoreError>;
    /// Asks for an object's size and metadata; `None` if there is none.
    fn head(&self, key: &str) -> Result<Option<Head>, StoreError>;
    /// Writes an object's bytes to `out`; `false` if there is none.
    fn get(&self, key: &str, out: &mut dyn Write) -> Result<bool, StoreError>;
}
