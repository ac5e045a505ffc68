//! Where a lake is: a directory, or a bucket with all settings that are needed to reach it.

use std::path::Path;

use super::s3::Location;

/// The destination of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// Below this directory.
    Directory(&'a Path),
    /// In a bucket.
    Bucket(Box<Location>),
}
