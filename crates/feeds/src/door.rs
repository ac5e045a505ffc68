//! The door to the lake for objects that did not pass the log.

use std::path::Path;
use std::sync::Arc;

use lakehook_base::tables::Table;
use lakehook_lake::encode::Format;
use lakehook_lake::{Found, LakeError, Object};

/// Puts objects into the lake of the feeds, after the checks that every put needs.
pub trait ObjectDoor: Send + Sync {
    /// Puts an object. `Ok` means that it is durable under its key, whole, and ours. Blocks.
    fn put(&self, object: &Object) -> Result<Found, LakeError>;
    /// The table of an object of a partition that is about to be written. What readers must know of its columns is
    /// in the lake before this returns. Blocks.
    fn table(&self, partition: &str, is_typed: bool) -> Result<Arc<Table>, LakeError>;
    /// Directory of the local files that are written before they are put.
    fn spool_dir(&self) -> &Path;
}

/// How objects are written that did not pass the log. Cheap to clone.
#[derive(Clone)]
pub struct Writing {
    /// Where they are put.
    pub door: Arc<dyn ObjectDoor>,
    /// Their format.
    pub format: Format,
    /// Most rows of an object.
    pub max_rows: u64,
    /// Most bytes of its rows.
    pub max_bytes: u64,
}
