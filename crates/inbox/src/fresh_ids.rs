//! Ids in memory, each once, with the content of its record. Pure.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::id_entry::IdEntry;

/// Ids that were added since something.
#[derive(Debug, Default)]
pub(crate) struct FreshIds(HashSet<Fresh, BuildHasherDefault<OwnHash>>);

/// An entry that equals every other one of the same id.
#[derive(Clone, Copy, Debug)]
struct Fresh(IdEntry);

impl PartialEq for Fresh {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for Fresh {}

impl Hash for Fresh {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::try_from(self.0.id() >> 16).unwrap_or(0));
    }
}

/// Ids are hashes already.
#[derive(Debug, Default)]
struct OwnHash(u64);

impl Hasher for OwnHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl FreshIds {
    /// The entry of the same id.
    pub(crate) fn get(&self, entry: IdEntry) -> Option<IdEntry> {
        self.0.get(&Fresh(entry)).map(|known| known.0)
    }

    /// Adds an id that is new.
    pub(crate) fn insert(&mut self, entry: IdEntry) {
        self.0.insert(Fresh(entry));
    }

    /// All entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = IdEntry> {
        self.0.iter().map(|fresh| fresh.0)
    }

    /// All entries, which are gone afterwards.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = IdEntry> {
        self.0.drain().map(|fresh| fresh.0)
    }
}
