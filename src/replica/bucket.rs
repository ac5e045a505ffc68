//! A bucket as the engine of a replicated log: one object for each frame, one for each file beside
//! them.
//!
//! ```text
//! <prefix>/frames/<number, 20 digits>    envelope and frame
//! <prefix>/files/node                    id and dedup key of the log
//! <prefix>/files/<segment, 20 digits>.ids
//! <prefix>/files/side/<name>@<epoch, 20 digits>-<number, 20 digits>
//! <prefix>/_lakehook/…                   probes
//! ```

use std::sync::Arc;

use crate::lake::LakeError;
use crate::lake::items::Items;
use crate::lake::store::{ObjectStore, StoreError};
use crate::wal::journal::layout::number_of;
use crate::wal::journal::replica::engine::{Engine, EngineError, Item, PutVerdict};

const FRAMES: &str = "frames/";
const FILES: &str = "files/";

/// A bucket that keeps a log. Cheap to clone.
#[derive(Clone)]
pub struct BucketEngine {
    items: Arc<Items>,
    name: String,
}

impl BucketEngine {
    /// The log under the prefix of a store. The store is probed, and refused if it cannot keep a log.
    /// `unique` is a random number.
    pub fn open(store: Box<dyn ObjectStore>, name: String, unique: u64) -> Result<Self, LakeError> {
        Ok(Self {
            items: Arc::new(Items::open(store, unique)?),
            name,
        })
    }

    /// Whether each item is read back, because the store compares no checksums.
    pub fn reads_back(&self) -> bool {
        self.items.reads_back()
    }

    /// The same for whoever only reads, without a probe.
    pub fn for_reading(store: Box<dyn ObjectStore>, name: String) -> Self {
        Self {
            items: Arc::new(Items::for_reading(store)),
            name,
        }
    }
}

fn key_of(item: Item<'_>) -> String {
    match item {
        Item::Frame(number) => frame_key(number),
        Item::File(name) => format!("{FILES}{name}"),
    }
}

fn frame_key(number: u64) -> String {
    format!("{FRAMES}{number:020}")
}

/// A request without an answer, or with one that is no verdict.
fn unknown(error: StoreError) -> EngineError {
    EngineError::Unknown(error.message)
}

impl Engine for BucketEngine {
    fn put_new(&self, item: Item<'_>, bytes: &[u8]) -> Result<PutVerdict, EngineError> {
        let is_stored = self.items.put_new(&key_of(item), bytes).map_err(unknown)?;
        Ok(if is_stored {
            PutVerdict::Stored
        } else {
            PutVerdict::Taken
        })
    }

    fn read(&self, item: Item<'_>) -> Result<Option<Vec<u8>>, EngineError> {
        self.items.get(&key_of(item)).map_err(unknown)
    }

    fn frames(&self, first: u64) -> Result<Vec<u64>, EngineError> {
        let after = first.checked_sub(1).map(frame_key);
        let keys = self.items.list(FRAMES, after.as_deref()).map_err(unknown)?;
        let numbers = keys
            .iter()
            .filter_map(|key| number_of(key.strip_prefix(FRAMES)?, ""));
        Ok(numbers.collect())
    }

    fn files(&self) -> Result<Vec<String>, EngineError> {
        let keys = self.items.list(FILES, None).map_err(unknown)?;
        let names = keys.iter().filter_map(|key| key.strip_prefix(FILES));
        Ok(names.map(str::to_owned).collect())
    }

    fn delete(&self, item: Item<'_>) -> Result<(), EngineError> {
        self.items.delete(&key_of(item)).map_err(unknown)
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
