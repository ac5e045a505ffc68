//! Where files come from: a directory or a bucket.

use std::io;

use super::bucket::Bucket;
use super::folder::{Folder, FoundFile, Listing, OpenFile};
use super::watch::Watch;

/// An inbox.
#[derive(Debug)]
pub(crate) enum FileSource {
    Folder(Folder),
    Bucket(Box<Bucket>),
}

impl FileSource {
    /// Lists it.
    pub(crate) fn list(&self) -> io::Result<Listing> {
        match self {
            Self::Folder(folder) => folder.list(),
            Self::Bucket(bucket) => bucket.list(),
        }
    }

    /// What tells of changes there, if something does.
    pub(crate) fn watch(&self) -> Option<Watch> {
        match self {
            Self::Folder(folder) => Watch::of(&folder.pattern.root),
            Self::Bucket(_) => None,
        }
    }

    /// Opens a file that was listed; `None` if it is gone.
    pub(crate) fn open(&self, file: &FoundFile) -> io::Result<Option<OpenFile>> {
        match self {
            Self::Folder(folder) => folder.open(&file.name),
            Self::Bucket(bucket) => bucket.open(file),
        }
    }

    /// Whether there is something of this name.
    pub(crate) fn has(&self, name: &str) -> io::Result<bool> {
        match self {
            Self::Folder(folder) => folder.has(name),
            Self::Bucket(bucket) => bucket.has(name),
        }
    }

    /// Moves a file into a directory beside it, unless it has become another one.
    pub(crate) fn move_into(&self, file: &FoundFile, into: &str) -> io::Result<bool> {
        match self {
            Self::Folder(folder) => folder.move_into(file, into),
            Self::Bucket(bucket) => bucket.move_into(file, into),
        }
    }

    /// Removes a file, unless it has become another one.
    pub(crate) fn remove(&self, file: &FoundFile) -> io::Result<bool> {
        match self {
            Self::Folder(folder) => folder.remove(file),
            Self::Bucket(bucket) => bucket.remove(file),
        }
    }
}
