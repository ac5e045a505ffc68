//! The object store, as a seam: what the commit protocol asks of S3 and its like, and no more.
//!
//! Calls block. The program uses [`super::s3`]; simulations use a store in memory that loses answers.

use std::io::Write;
use std::path::Path;

use super::errors::Trouble;
use super::object::Metadata;

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

/// When a put may take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// Always: an object under that key is replaced.
    Always,
    /// Only if the key is free (`If-None-Match: *`).
    IfAbsent,
    /// Only if the object under that key still has this ETag (`If-Match`).
    IfMatch(&'a str),
}

/// A checksum that a put carries in a header, so that the store can check the body that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyCheck {
    /// `x-amz-checksum-crc32c`, in a plain header: many stores refuse chunks with a trailer.
    Crc32c(u32),
    /// `Content-MD5`.
    Md5([u8; 16]),
    /// Nothing: the store refuses both.
    Absent,
}

/// One object to put.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// Its key, relative to the lake.
    pub key: &'a str,
    /// Its bytes.
    pub body: Body<'a>,
    /// What the store is to check these bytes against.
    pub check: BodyCheck,
    /// Its media type.
    pub content_type: &'a str,
    /// What is said of it.
    pub metadata: &'a Metadata,
    /// When it may take effect.
    pub condition: Condition<'a>,
}

/// What a store says of the bytes that it holds. A 200 without either may come from anything on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The ETag, without its quotation marks.
    pub etag: Option<String>,
    /// The CRC-32C.
    pub crc: Option<u32>,
}

/// What a store answers to a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutAnswer {
    /// 200, with what the answer says of the stored bytes.
    Stored(Evidence),
    /// 412 (304 from some stores): the condition does not hold, and nothing was stored.
    ConditionFailed,
    /// The body does not fit its checksum, and nothing was stored.
    Damaged(String),
    /// 400 or 501: the store does not take such a request, in the store's words. Its condition, its
    /// checksum or anything else may be the reason.
    Refused(String),
}

/// What a store says of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its size.
    pub bytes: u64,
    /// What is said of it.
    pub metadata: Metadata,
    /// What is said of its bytes.
    pub evidence: Evidence,
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
    /// Asks for what the store says of an object; `None` if there is none.
    fn head(&self, key: &str) -> Result<Option<Head>, StoreError>;
    /// Writes an object's bytes to `out`; `false` if there is none.
    fn get(&self, key: &str, out: &mut dyn Write) -> Result<bool, StoreError>;
}
