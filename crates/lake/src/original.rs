//! An object that is to be rewritten, as it was read.

use std::io;
use std::sync::Arc;

use super::object::{Found, Metadata};
use super::proof::measure;
use super::sidecar::Claims;
use crate::encode::Source;
use lakehook_base::files::Files;

/// An object as it was read before it is rewritten.
pub struct Original<F: Files> {
    /// Its bytes, in a file that does not change.
    pub source: Source<F::File>,
    /// Their number and their checksum.
    pub found: Found,
    /// What is said of it.
    pub metadata: Metadata,
    pub(super) version: Version,
}

impl<F: Files> Original<F> {
    /// Nothing is said of it yet.
    pub(super) fn of(file: Arc<F::File>) -> io::Result<Self> {
        Ok(Self {
            found: measure(Arc::clone(&file))?,
            source: Source::new(file)?,
            metadata: Metadata::new(),
            version: Version::Sidecar(None),
        })
    }
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
