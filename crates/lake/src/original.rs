//! An object that is to be rewritten, as it was read.

use super::object::Metadata;
use super::sidecar::Claims;

/// An object as it was read before it is rewritten.
#[derive(Debug)]
pub struct Original {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What is said of it.
    pub metadata: Metadata,
    pub(super) version: Version,
}

/// What must not have changed when an object is rewritten.
#[derive(Debug)]
pub(super) enum Version {
    /// The `ETag` of an object in a store.
    Etag(String),
    /// What the sidecar of an object in a directory says, if it has one.
    Sidecar(Option<Claims>),
}

/// What became of an attempt to rewrite an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewritten {
    /// The new object is in place, durable and proven.
    Done,
    /// Somebody else has changed the object since it was read. It must be read again.
    Changed,
}
