//! The lake: puts one object, atomically and idempotently.
//!
//! Promises: an object is there whole or not at all, is never replaced, and is reported as put only
//! when it is durable and proven to be ours. Knows bytes and metadata, no events.
//!
//! Two kinds: [`directory`], and [`conditional`] puts into an [`store::ObjectStore`], which is [`s3`]
//! in the program.

pub mod keys;
pub mod directory;
pub mod store;
pub mod conditional;
pub mod s3;
pub mod destination;
pub mod place;
pub mod notes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::encode::Format;
use crate::files::Files;
use crate::ids::NodeId;

/// What is said of an object beside its bytes; under 2 KiB in all.
pub type Metadata = BTreeMap<String, String>;

/// Metadata key of the nonce: an object with our nonce is ours.
pub const NONCE: &str = "lakehook-nonce";
/// Metadata key of the row hash.
pub const ROW_HASH: &str = "lakehook-row-hash";
/// Metadata key of the object's checksum (CRC-32C, hex).
pub const CRC: &str = "lakehook-crc32c";

/// An object that is ready in a local file.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its key, relative to the lake.
    pub key: String,
    /// The file that holds its bytes; at [`Lake::spool_path`].
    pub spool: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// CRC-32C of its bytes.
    pub crc: u32,
    /// Its format.
    pub format: Format,
    /// Its media type.
    pub content_type: &'static str,
    /// What is said of it.
    pub metadata: Metadata,
}

impl Object {
    /// The object as it is in the lake once it was put as it is here.
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
    /// Its size.
    pub bytes: u64,
    /// Its checksum, as its metadata says.
    pub crc: u32,
}

/// Why an object is not in the lake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LakeError {
    /// Not this time; nothing is known about the object. To be asked again, for ever.
    #[error("{message}")]
    Retry {
        /// What kind of failure, for metrics and for how loud to be.
        kind: Trouble,
        /// What the lake says.
        message: String,
    },
    /// This lake can never hold objects as promised.
    #[error("{0}")]
    Unusable(String),
    /// Something else is under our key: this log was copied or restored, or somebody else writes.
    #[error("{key} is in the lake already, and it is not ours: {detail}")]
    Foreign {
        /// The key.
        key: String,
        /// What is there.
        detail: String,
    },
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Slow down.
    Throttled,
    /// The lake's own fault.
    Server,
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Network,
    /// Credentials or permissions.
    Denied,
    /// No such bucket or directory.
    Missing,
    /// No space.
    Space,
    /// Anything else.
    Other,
}

impl Trouble {
    /// All kinds, for metrics.
    pub const ALL: [Self; 8] = [
        Self::Throttled,
        Self::Server,
        Self::Timeout,
        Self::Network,
        Self::Denied,
        Self::Missing,
        Self::Space,
        Self::Other,
    ];

    /// The metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Space => "space",
            Self::Other => "other",
        }
    }

    /// Whether an operator has to do something before it can work.
    pub fn needs_operator(self) -> bool {
        matches!(self, Self::Denied | Self::Missing | Self::Space)
    }
}

/// The configured lake.
pub enum Lake<F: Files> {
    /// A directory.
    Directory(directory::Directory<F>),
    /// An object store, with objects spooled to a local directory first.
    Store(conditional::StoreLake<F>),
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

    /// Reaches the lake and writes to it what does no harm: is everything there that puts need?
    pub fn probe(&self) -> Result<(), LakeError> {
        match self {
            Self::Directory(directory) => directory.probe(),
            Self::Store(store) => store.probe(),
        }
    }
}
