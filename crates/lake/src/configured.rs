//! The configured lake: a directory or an object store, with the same promises.

use std::path::{Path, PathBuf};

use super::conditional::StoreLake;
use super::directory::Directory;
use super::errors::LakeError;
use super::keys;
use super::object::{Found, Object};
use super::proof::Protection;
use lakehook_base::files::Files;
use lakehook_base::ids::NodeId;

/// The configured lake.
pub enum Lake<F: Files> {
    /// A directory.
    Directory(Directory<F>),
    /// An object store; objects are spooled to a local directory before they are put.
    Store(StoreLake<F>),
}

impl<F: Files> Lake<F> {
    /// The name of this lake in seals; a seal is only ever shipped to the lake of the same identity.
    pub fn identity(&self) -> &str {
        match self {
            Self::Directory(directory) => directory.identity(),
            Self::Store(store) => store.identity(),
        }
    }

    /// Path of the local file to which the object of a seal is written before it is put.
    pub fn spool_path(&self, node: NodeId, seal: u64, nonce: u128) -> PathBuf {
        self.spool_dir().join(keys::part_name(node, seal, nonce))
    }

    /// Directory of the local files that are written before they are put.
    pub fn spool_dir(&self) -> &Path {
        match self {
            Self::Directory(directory) => directory.spool_dir(),
            Self::Store(store) => store.spool_dir(),
        }
    }

    /// Puts an object. `Ok` means that an object of ours is durable under its key, and whole.
    /// Returns what is in the lake: an earlier attempt by another version of the program may have
    /// compressed the rows differently.
    pub fn put(&self, object: &Object) -> Result<Found, LakeError> {
        match self {
            Self::Directory(directory) => directory.put(object),
            Self::Store(store) => store.put(object),
        }
    }

    /// Looks for an object of ours by key, nonce and row hash.
    pub fn find(&self, key: &str, nonce: &str, row_hash: &str) -> Result<Option<Found>, LakeError> {
        match self {
            Self::Directory(directory) => directory.find(key, nonce, row_hash),
            Self::Store(store) => store.find(key, nonce, row_hash),
        }
    }

    /// Whether puts are conditional; `None` before the probe. Puts into a directory always are.
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

    /// Reads a small object of ours; `None` if there is none.
    pub fn read_small(&self, key: &str) -> Result<Option<Vec<u8>>, LakeError> {
        match self {
            Self::Directory(directory) => directory.read_small(key),
            Self::Store(store) => store.read_small(key),
        }
    }

    /// Whether lakehook has put anything into the lake; for a bucket, a probe counts.
    pub fn was_used(&self) -> Result<bool, LakeError> {
        match self {
            Self::Directory(directory) => Ok(directory.was_used()),
            Self::Store(store) => store.was_used(),
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
