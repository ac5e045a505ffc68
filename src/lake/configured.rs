//! The lake that is configured: a directory or an object store, with the same promises.

use std::path::{Path, PathBuf};

use super::conditional::StoreLake;
use super::directory::Directory;
use super::errors::LakeError;
use super::keys;
use super::object::{Found, Object};
use super::proof::Protection;
use crate::files::Files;
use crate::ids::NodeId;

/// The configured lake.
pub enum Lake<F: Files> {
    /// A directory.
    Directory(Directory<F>),
    /// An object store, with objects spooled to a local directory first.
    Store(StoreLake<F>),
}

impl<F: Files> Lake<F> {
    /// What a seal says of its lake; another lake has another identity.
    pub fn identity(&self) -> &str {
        match self {
            Self::Directory(directory) => directory.identity(),
            Self::Store(store) => store.identity(),
        }
    }

    /// Where the object of a seal is to be written before it is put.
    pub fn spool_path(&self, node: NodeId, seal: u64, nonce: u128) -> PathBuf {
        self.spool_dir().join(keys::part_name(node, seal, nonce))
    }

    /// The directory of files in the making.
    pub fn spool_dir(&self) -> &Path {
        match self {
            Self::Directory(directory) => directory.spool_dir(),
            Self::Store(store) => store.spool_dir(),
        }
    }

    /// Puts an object; returns what is then in the lake, which an earlier attempt of another version
    /// may have compressed otherwise. Done means: durable under its key, whole, and ours.
    pub fn put(&self, object: &Object) -> Result<Found, LakeError> {
        match self {
            Self::Directory(directory) => directory.put(object),
            Self::Store(store) => store.put(object),
        }
    }

    /// Looks for an object of ours: by key, nonce and row hash.
    pub fn find(&self, key: &str, nonce: &str, row_hash: &str) -> Result<Option<Found>, LakeError> {
        match self {
            Self::Directory(directory) => directory.find(key, nonce, row_hash),
            Self::Store(store) => store.find(key, nonce, row_hash),
        }
    }

    /// Whether puts are conditional, where that is known; a directory's always are.
    pub fn honours_conditions(&self) -> Option<bool> {
        match self {
            Self::Directory(_) => Some(true),
            Self::Store(store) => store.honours_conditions(),
        }
    }

    /// What protects objects on their way into a store; `None` for a directory, and before the probe.
    pub fn protection(&self) -> Option<Protection> {
        match self {
            Self::Directory(_) => None,
            Self::Store(store) => store.protection(),
        }
    }

    /// Checks that the lake is reachable and writable by putting harmless probes.
    pub fn probe(&self) -> Result<(), LakeError> {
        match self {
            Self::Directory(directory) => directory.probe(),
            Self::Store(store) => store.probe(),
        }
    }
}
