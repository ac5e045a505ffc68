//! The ids that a snapshot has read, so that one that comes twice is noticed.
//!
//! Of each id 80 bits of its hash are kept, in 16 sets: eleven to twenty-two bytes per id, while the growth of one
//! set does not need the memory of all of them twice. Two different ids are taken for one with a
//! probability of n² / 2^81 among n ids: 4 in 10^9 among a hundred million.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

const SETS: usize = 16;
const BYTES: usize = 10;

/// Ids, by their hashes.
#[derive(Debug, Default)]
pub(super) struct SeenIds {
    sets: [HashSet<Kept, Mixed>; SETS],
}

/// What is kept of the hash of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept([u8; BYTES]);

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(first) = self.0.first_chunk() {
            state.write_u64(u64::from_le_bytes(*first));
        }
    }
}

/// Ids are hashes already, but somebody who chooses the ids can choose ones whose hashes collide. So hashes are mixed
/// with two random numbers that only this process knows.
#[derive(Clone, Copy, Debug)]
struct Mixed {
    first: u64,
    second: u64,
    state: u64,
}

impl Default for Mixed {
    fn default() -> Self {
        let random = RandomState::new();
        Self {
            first: random.hash_one(1),
            second: random.hash_one(2) | 1,
            state: 0,
        }
    }
}

impl BuildHasher for Mixed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = u128::from(self.state ^ number ^ self.first) * u128::from(self.second);
        let low = u64::try_from(mixed & u128::from(u64::MAX)).unwrap_or(0);
        self.state = low ^ u64::try_from(mixed >> 64).unwrap_or(0);
    }
}

impl SeenIds {
    /// Adds an id; `false` if it was there.
    pub(super) fn insert(&mut self, id: u128) -> bool {
        let (set, kept) = Self::place(id);
        self.sets.get_mut(set).is_none_or(|set| set.insert(kept))
    }

    /// The set of an id, by bits that are not kept, and what is kept of it.
    fn place(id: u128) -> (usize, Kept) {
        let bytes = id.to_le_bytes();
        let mut kept = [0; BYTES];
        kept.copy_from_slice(&bytes[..BYTES]);
        (usize::from(bytes[BYTES]) % SETS, Kept(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_128;

    #[test]
    fn an_id_is_new_once() {
        let mut seen = SeenIds::default();
        let ids: Vec<u128> = (0..10_000_u32)
            .map(|id| xxh3_128(&id.to_le_bytes()))
            .collect();
        assert!(ids.iter().all(|id| seen.insert(*id)));
        assert!(!ids.iter().any(|id| seen.insert(*id)));
        // All sets are used.
        assert!(seen.sets.iter().all(|set| set.len() > 400));
    }
}
