//! The object store as a seam: what the commit protocol needs of S3 and compatible stores, and no
//! more.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::errors::Trouble;
use super::object::{Assembled, Metadata};

/// The bytes of a put.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A local file and its size in bytes.
    File(&'a Path, u64),
    /// Bytes that are in no file of their own, and how many there are.
    Assembled(&'a Arc<dyn Assembled>, u64),
    /// Bytes in memory.
    Bytes(&'a [u8]),
}

impl Body<'_> {
    /// Size of the body in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::File(_, bytes) | Self::Assembled(_, bytes) => *bytes,
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
    /// No checksum: the store refuses both.
    Absent,
}

/// One object to put.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// Key of the object, relative to the lake.
    pub key: &'a str,
    /// Bytes of the object.
    pub body: Body<'a>,
    /// The checksum that the store is asked to compare with these bytes.
    pub check: BodyCheck,
    /// Media type of the object.
    pub content_type: &'a str,
    /// Metadata of the object.
    pub metadata: &'a Metadata,
    /// Condition under which it takes effect.
    pub condition: Condition<'a>,
}

/// What a store says of the bytes that it holds. A 200 with neither value may come from anything
/// between us and the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The ETag, without its quotation marks.
    pub etag: Option<String>,
    /// The CRC-32C of the stored bytes.
    pub crc: Option<u32>,
}

/// What a store answers to a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutAnswer {
    /// 200, with what the answer says of the stored bytes.
    Stored(Evidence),
    /// 412 (304 from some stores): the condition does not hold, and nothing was stored.
    ConditionFailed,
    /// The body does not match its checksum, and nothing was stored.
    Damaged(String),
    /// 400 or 501: the store does not support such a request; the text is the store's. Its
    /// condition, its checksum or anything else may be the reason.
    Refused(String),
}

/// What a store says of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Size of the object in bytes.
    pub bytes: u64,
    /// Metadata of the object.
    pub metadata: Metadata,
    /// What the store says of its bytes.
    pub evidence: Evidence,
}

/// The answer was not definite: it is unknown whether the request was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// Kind of the failure.
    pub kind: Trouble,
    /// Message of the store or of the client.
    pub message: String,
}

impl<T: ObjectStore + ?Sized> ObjectStore for Arc<T> {
    fn put(&self, put: &Put<'_>) -> Result<PutAnswer, StoreError> {
        (**self).put(put)
    }

    fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        (**self).head(key)
    }

    fn get(&self, key: &str, out: &mut dyn Write) -> Result<bool, StoreError> {
        (**self).get(key, out)
    }

    fn delete(&self, key: &str) -> Result<(), StoreError> {
        (**self).delete(key)
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        (**self).list(prefix, after)
    }
}

/// An object store that can put under conditions.
pub trait ObjectStore: Send + Sync {
    /// Puts an object in one request.
    fn put(&self, put: &Put<'_>) -> Result<PutAnswer, StoreError>;
    /// Asks what the store says of an object; `None` if there is none.
    fn head(&self, key: &str) -> Result<Option<Head>, StoreError>;
    /// Writes an object's bytes to `out`; `false` if there is none.
    fn get(&self, key: &str, out: &mut dyn Write) -> Result<bool, StoreError>;
    /// Deletes an object; `Ok` too if there is none. Only retention asks for it, and a log that
    /// keeps its frames in the store.
    fn delete(&self, key: &str) -> Result<(), StoreError>;
    /// Keys that begin with `prefix`, in order; only those after the key `after`, if one is given.
    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError>;
}
